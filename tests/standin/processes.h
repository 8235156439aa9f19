/* Who uses a GPU, in every layout that drivers have written. */

typedef struct { uint pid; ull memory; } nvmlProcessInfo_v1_t;
typedef struct { uint pid; ull memory; uint gpuInstanceId, computeInstanceId; } nvmlProcessInfo_v2_t;
typedef struct { uint pid; ull memory; uint gpuInstanceId, computeInstanceId; ull protected; } nvmlProcessInfo_v3_t;
typedef struct { uint pid; ull timeStamp; uint smUtil, memUtil, encUtil, decUtil; } nvmlProcessUtilizationSample_t;
_Static_assert(sizeof(nvmlProcessInfo_v1_t) == V1_BYTES && sizeof(nvmlProcessInfo_v2_t) == V2_BYTES, "nvml.h");
_Static_assert(sizeof(nvmlProcessInfo_v3_t) == V3_BYTES && sizeof(nvmlProcessUtilizationSample_t) == 32, "nvml.h");

/* How many there is room for, against how many there are; the caller learns the number either way. */
static bool has_room(const void *out, uint *count, int needed) {
    bool room = !needed || (out && *count >= (uint)needed);
    *count = (uint)needed;
    return room;
}

static nvmlReturn_t put_processes(enum list which_list, int gpu, int stride, uint *count, char *out) {
    const struct list_of *list = &told.lists[which_list][gpu];
    if (!has_room(out, count, list->count)) return INSUFFICIENT_SIZE;
    for (int i = 0; i < list->count; i++) {
        nvmlProcessInfo_v3_t record = { (uint)list->of[i][0], list->of[i][1], 0xFFFFFFFF, 0xFFFFFFFF, 0 };
        memcpy(out + i * stride, &record, (size_t)stride);
    }
    return SUCCESS;
}

#define PROCESSES_OF(call, list, stride) \
    nvmlReturn_t call(nvmlDevice_t device, uint *count, void *out) { \
        ENTER_DEVICE(device, count); return put_processes(list, gpu, stride, count, out); }

PROCESSES_OF(nvmlDeviceGetComputeRunningProcesses, COMPUTE, V1_BYTES)
PROCESSES_OF(nvmlDeviceGetGraphicsRunningProcesses, GRAPHICS, V1_BYTES)

#ifndef OLD_DRIVER
PROCESSES_OF(nvmlDeviceGetComputeRunningProcesses_v2, COMPUTE, V2_BYTES)
PROCESSES_OF(nvmlDeviceGetGraphicsRunningProcesses_v2, GRAPHICS, V2_BYTES)
PROCESSES_OF(nvmlDeviceGetComputeRunningProcesses_v3, COMPUTE, told.stride)
PROCESSES_OF(nvmlDeviceGetGraphicsRunningProcesses_v3, GRAPHICS, told.stride)

/* Samples are a microsecond apart, so those newer than `last_seen` are the last ones. */
nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device, nvmlProcessUtilizationSample_t *out, uint *count,
                                             ull last_seen) {
    ENTER_UNDIVIDED(device, count);
    const struct list_of *list = &told.lists[UTILIZATION][gpu];
    ull first = number(process_sampled_microseconds, gpu);
    int old = 0;
    while (old < list->count && first + (unsigned)old <= last_seen) old++;
    if (old == list->count) return NOT_FOUND;
    if (!has_room(out, count, list->count - old)) return INSUFFICIENT_SIZE;
    for (int i = old; i < list->count; i++) {
        const ull *of = list->of[i];
        *out++ = (nvmlProcessUtilizationSample_t){ (uint)of[0], first + (unsigned)i, (uint)of[1], (uint)of[2],
                                                   (uint)of[3], (uint)of[4] };
    }
    return SUCCESS;
}
#endif
