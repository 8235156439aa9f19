/* A stand-in for libnvidia-ml.so.1: NVML's signatures, layouts and manners, with up to 16 imaginary GPUs.
 *
 * Its answers stand in answers.def, its faults come from the file that NVML_STANDIN_CONTROL names (control.h),
 * NVML_STANDIN_GPUS is how many GPUs there are unless that file says (2), and NVML_STANDIN_SPIN_US makes every call
 * busy for that many microseconds. nvmlInit_v2 reads the variables. Without a control file no call makes a system call.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { SUCCESS, UNINITIALIZED, INVALID_ARGUMENT, INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15 };
enum { GPUS = 16, RULES = 256, WORD = 128, PATH = 4096, EVERY = -1, NONE = -2 };

typedef unsigned int uint;
typedef int nvmlReturn_t;
typedef struct nvmlDevice_st { char unused; } *nvmlDevice_t;
typedef struct { uint gpu, memory; } nvmlUtilization_t;
typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
typedef struct {
    char busId[16];
    uint domain, bus, device, pciDeviceId, pciSubSystemId, reserved[4];
} nvmlPciInfo_v2_t;

/* ---- the answers ---- */

#define TEXT(name, format)
#define FAILURE(code, text)
#define NUMBER(name, first, step) name,
enum number {
#include "answers.def"
    NUMBERS
};
#undef NUMBER
#define NUMBER(name, first, step) { #name, first, step },
static const struct { const char *name; unsigned long long first, step; } numbers[] = {
#include "answers.def"
};
#undef NUMBER
#undef TEXT
#define NUMBER(name, first, step)
#define TEXT(name, format) static const char text_##name[] = format;
#include "answers.def"
#undef TEXT
#undef FAILURE
#define TEXT(name, format)
#define FAILURE(code, text) case code: return text;

const char *nvmlErrorString(nvmlReturn_t result) {
    switch (result) {
#include "answers.def"
    }
    return "Unknown Error";
}

#include "control.h"

/* ---- what every call goes through ---- */

static struct nvmlDevice_st devices[GPUS];
static long spin_us;
static atomic_int users, generation;

static void spin(void) {
    struct timespec from, now;
    if (!spin_us) return;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - from.tv_sec) * 1000000 + (now.tv_nsec - from.tv_nsec) / 1000 < spin_us);
}

static nvmlReturn_t faults(const char *call, int gpu) {
    spin();
    if (!*control_path) return SUCCESS;
    refresh();
    int *volatile nowhere = NULL, code = SUCCESS;
    if (told_to("crash", call, gpu, &code)) *nowhere = 0;
    for (const struct timespec pause = { 0, 1000000 }; told_to("hang", call, gpu, &code); refresh())
        nanosleep(&pause, NULL);
    if (gpu >= 0 && told.lost[gpu]) return GPU_IS_LOST;
    told_to("error", call, gpu, &code);
    return code;
}

static nvmlReturn_t enter(const char *call, int gpu) {
    nvmlReturn_t fault = faults(call, gpu);
    return users > 0 && generation == told.generation ? fault : UNINITIALIZED;
}

static int gpu_of(nvmlDevice_t device) {
    return device >= devices && device < devices + GPUS ? (int)(device - devices) : NONE;
}

static unsigned long long number(enum number n, int gpu) {
    return told.is_set[n][gpu] ? told.value[n][gpu] : numbers[n].first + numbers[n].step * (unsigned)gpu;
}

static nvmlReturn_t put(char *out, uint size, const char *text) {
    if (!out) return INVALID_ARGUMENT;
    if (strlen(text) >= size) return INSUFFICIENT_SIZE;
    strcpy(out, text);
    return SUCCESS;
}

static nvmlReturn_t put_for(char *out, uint size, const char *format, int gpu) {
    char text[WORD];
    snprintf(text, sizeof text, format, gpu + 1);
    return put(out, size, text);
}

#define ENTER(gpu) do { nvmlReturn_t code = enter(__func__, gpu); if (code) return code; } while (0)
#define ENTER_DEVICE(device, usable) \
    int gpu = gpu_of(device); \
    ENTER(gpu); \
    if (gpu == NONE || !(usable)) return INVALID_ARGUMENT

/* One line for each call that answers one text or one unsigned number. */
#define SYSTEM_TEXT(call, name) \
    nvmlReturn_t call(char *out, uint size) { ENTER(NONE); return put(out, size, text_##name); }
#define DEVICE_TEXT(call, name) \
    nvmlReturn_t call(nvmlDevice_t device, char *out, uint size) { \
        ENTER_DEVICE(device, out); return put_for(out, size, text_##name, gpu); }
#define DEVICE_NUMBER(call, name) \
    nvmlReturn_t call(nvmlDevice_t device, uint *out) { \
        ENTER_DEVICE(device, out); *out = (uint)number(name, gpu); return SUCCESS; }

/* ---- the calls ---- */

nvmlReturn_t nvmlInit_v2(void) {
    const char *busy = getenv("NVML_STANDIN_SPIN_US"), *count = getenv("NVML_STANDIN_GPUS");
    spin_us = busy ? atol(busy) : 0;
    gpus_untold = count ? atoi(count) : 2;
    use_control(getenv("NVML_STANDIN_CONTROL"));
    nvmlReturn_t fault = faults(__func__, NONE);
    if (fault) return fault;
    if (generation != told.generation) users = 0;
    generation = told.generation;
    users++;
    return SUCCESS;
}

nvmlReturn_t nvmlShutdown(void) { ENTER(NONE); users--; return SUCCESS; }

SYSTEM_TEXT(nvmlSystemGetDriverVersion, driver_version)
SYSTEM_TEXT(nvmlSystemGetNVMLVersion, nvml_version)

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *out) {
    ENTER(NONE);
    if (!out) return INVALID_ARGUMENT;
    *out = (int)number(cuda_driver_version, 0);
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCount_v2(uint *out) {
    ENTER(NONE);
    if (!out) return INVALID_ARGUMENT;
    *out = (uint)told.gpus;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(uint index, nvmlDevice_t *out) {
    if (*control_path) refresh();
    int gpu = index < (uint)told.gpus ? told.order[index] : NONE;
    ENTER(gpu);
    if (gpu == NONE || !out) return INVALID_ARGUMENT;
    *out = &devices[gpu];
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *out, uint size) {
    ENTER_DEVICE(device, out);
    return put(out, size, told.name[gpu][0] ? told.name[gpu] : text_name);
}

DEVICE_TEXT(nvmlDeviceGetUUID, uuid)
DEVICE_NUMBER(nvmlDeviceGetPowerUsage, power_draw_milliwatts)

nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, nvmlPciInfo_v2_t *out) {
    ENTER_DEVICE(device, out);
    *out = (nvmlPciInfo_v2_t){
        .domain = (uint)number(pci_domain, gpu), .bus = (uint)number(pci_bus, gpu),
        .device = (uint)number(pci_device, gpu), .pciDeviceId = (uint)number(pci_device_id, gpu),
        .pciSubSystemId = (uint)number(pci_subsystem_id, gpu) };
    return put_for(out->busId, sizeof out->busId, text_pci_bus_id, gpu);
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *out) {
    ENTER_DEVICE(device, out);
    out->gpu = (uint)number(utilization_gpu_percent, gpu);
    out->memory = (uint)number(utilization_memory_percent, gpu);
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *out) {
    ENTER_DEVICE(device, out);
    *out = (nvmlMemory_t){ .total = number(memory_total_bytes, gpu), .free = number(memory_free_bytes, gpu),
                           .used = number(memory_used_bytes, gpu) };
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, uint sensor, uint *out) {
    ENTER_DEVICE(device, out && sensor == 0);
    *out = (uint)number(temperature_gpu_celsius, gpu);
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, uint type, uint *out) {
    static const enum number clocks[] = { clock_graphics_megahertz, clock_sm_megahertz, clock_memory_megahertz,
                                          clock_video_megahertz };
    ENTER_DEVICE(device, out && type < 4);
    *out = (uint)number(clocks[type], gpu);
    return SUCCESS;
}
