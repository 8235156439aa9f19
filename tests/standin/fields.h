/* Field values: many numbers in one call, each with an error of its own. */
#ifndef OLD_DRIVER

enum { UINT = 1, ULL = 3 };
enum scope { ANY, WHOLE_GPU, ALL_LINKS };
typedef struct {
    uint fieldId, scopeId;
    long long timestamp, latencyUsec;
    uint valueType, nvmlReturn;
    union { uint uiVal; ull ullVal; } value;
} nvmlFieldValue_t;
_Static_assert(sizeof(nvmlFieldValue_t) == 40, "nvml.h");

struct field { uint type; enum number name; enum scope scope; };

static const struct field *field_of(uint id) {
    switch (id) {
#define FIELD(id, type, name, scope) \
    case id: { static const struct field field = { type, name, scope }; return &field; }
#include "answers.def"
    }
    return NULL;
}

static bool is_within(enum scope scope, uint asked) {
    return scope == ANY || asked == (scope == WHOLE_GPU ? 0 : 0xFFFFFFFF);
}

static nvmlReturn_t read_field(nvmlFieldValue_t *value, int gpu) {
    char call[WORD];
    int code = SUCCESS;
    const struct field *field = field_of(value->fieldId);
    value->timestamp = 1700000000000000, value->latencyUsec = 7;
    if (*control_path) {
        snprintf(call, sizeof call, "field:%u", value->fieldId);
        told_to("error", call, gpu, &code);
    }
    if (code) return code;
    if (!field) return NOT_SUPPORTED;
    if (!is_within(field->scope, value->scopeId)) return INVALID_ARGUMENT;
    /* What a uint does not cover is not promised to be zero: whoever takes it for 8 bytes shall notice. */
    memset(&value->value, 0xAA, sizeof value->value);
    value->valueType = field->type;
    if (field->type == UINT) value->value.uiVal = (uint)number(field->name, gpu);
    else value->value.ullVal = number(field->name, gpu);
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, nvmlFieldValue_t *values) {
    ENTER_DEVICE(device, values && count > 0);
    for (int i = 0; i < count; i++) values[i].nvmlReturn = (uint)read_field(&values[i], gpu);
    return SUCCESS;
}

#endif
