/* MIG mode, its instances, and what both a GPU and an instance of one can tell. */

static nvmlMemory_v2_t memory_of(int gpu, int instance) {
    if (instance == WHOLE)
        return (nvmlMemory_v2_t){ .total = number(memory_total_bytes, gpu), .free = number(memory_free_bytes, gpu),
                                  .reserved = number(memory_reserved_bytes, gpu),
                                  .used = number(memory_used_bytes, gpu) };
    ull more = 1000003ULL * (unsigned)instance, used = number(mig_memory_used_bytes, gpu) + more;
    ull reserved = number(mig_memory_reserved_bytes, gpu) + more, free = number(mig_memory_free_bytes, gpu) + more;
    return (nvmlMemory_v2_t){ .total = used + reserved + free, .reserved = reserved, .free = free, .used = used };
}

/* What the driver reserves counts as used here; a value that is not available stays so. */
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *out) {
    ENTER_EITHER(device, out);
    nvmlMemory_v2_t memory = memory_of(gpu, instance);
    *out = (nvmlMemory_t){ .total = memory.total, .free = memory.free,
                           .used = memory.used == ~0ULL ? ~0ULL : memory.used + memory.reserved };
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *out, uint size) {
    ENTER_EITHER(device, out);
    if (instance != WHOLE) return put(out, size, text_mig_name);
    return put(out, size, told.name[gpu][0] ? told.name[gpu] : text_name);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *out, uint size) {
    ENTER_EITHER(device, out);
    return put_for(out, size, instance == WHOLE ? text_uuid : text_mig_uuid, gpu, instance);
}

#ifndef OLD_DRIVER
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *out) {
    ENTER_EITHER(device, out);
    if (out->version != (sizeof *out | 2 << 24)) return ARGUMENT_VERSION_MISMATCH;
    nvmlMemory_v2_t memory = memory_of(gpu, instance);
    memory.version = out->version;
    *out = memory;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, uint *current, uint *pending) {
    ENTER_DEVICE(device, current && pending);
    *current = *pending = told.is_mig[gpu];
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, uint *out) {
    ENTER_DEVICE(device, out);
    *out = told.is_mig[gpu] ? (uint)number(mig_max_count, gpu) : 0;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, uint index, nvmlDevice_t *out) {
    ENTER_DEVICE(device, out);
    if (!told.is_mig[gpu] || index >= (uint)told.instances[gpu]) return NOT_FOUND;
    *out = &devices[gpu][1 + index];
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, uint *out) {
    ENTER_INSTANCE(device, out);
    *out = (uint)number(mig_gpu_instance_id, gpu) + (uint)instance;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t device, uint *out) {
    ENTER_INSTANCE(device, out);
    *out = (uint)number(mig_compute_instance_id, gpu);
    return SUCCESS;
}
#endif
