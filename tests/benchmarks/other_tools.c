/* The stand-in with the calls that other monitors make besides, so that they run on it and pay for no absent symbol. */
#include "../standin/nvml_standin.c"

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *out) { return nvmlSystemGetCudaDriverVersion_v2(out); }

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, uint *out) {
    ENTER_DEVICE(device, out);
    for (*out = 0; told.order[*out] != gpu; ++*out) {}
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, uint *out) {
    ENTER_EITHER(device, out);
    *out = instance != WHOLE;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, int error, int counter, ull *out) {
    ENTER_DEVICE(device, out && error >= 0 && counter >= 0);
    *out = 0;
    return SUCCESS;
}

/* Of Windows only. */
nvmlReturn_t nvmlDeviceGetDriverModel(nvmlDevice_t device, uint *current, uint *pending) {
    ENTER_DEVICE(device, current && pending);
    return NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetDriverModel_v2(nvmlDevice_t device, uint *current, uint *pending) {
    return nvmlDeviceGetDriverModel(device, current, pending);
}
