/* What one GPU reads, one line for each call that answers one text or a few numbers. */

typedef struct { uint gpu, memory; } nvmlUtilization_t;
typedef struct { ull total, free, used; } nvmlMemory_t;
typedef struct { uint version; ull total, reserved, free, used; } nvmlMemory_v2_t;
typedef struct { ull bar1Total, bar1Free, bar1Used; } nvmlBAR1Memory_t;
typedef struct {
    char busId[16];
    uint domain, bus, device, pciDeviceId, pciSubSystemId, reserved[4];
} nvmlPciInfo_v2_t;
typedef struct {
    char busIdLegacy[16];
    uint domain, bus, device, pciDeviceId, pciSubSystemId;
    char busId[32];
} nvmlPciInfo_t;
_Static_assert(sizeof(nvmlMemory_v2_t) == 40 && sizeof(nvmlBAR1Memory_t) == 24, "nvml.h");
_Static_assert(sizeof(nvmlPciInfo_v2_t) == 52 && sizeof(nvmlPciInfo_t) == 68, "nvml.h");

#define SYSTEM_TEXT(call, name) \
    nvmlReturn_t call(char *out, uint size) { ENTER(NONE); return put(out, size, text_##name); }
#define DEVICE_TEXT(call, name) \
    nvmlReturn_t call(nvmlDevice_t device, char *out, uint size) { \
        ENTER_DEVICE(device, out); return put_for(out, size, text_##name, gpu, 0); }
#define DEVICE_UINT(call, name) \
    nvmlReturn_t call(nvmlDevice_t device, uint *out) { \
        ENTER_DEVICE(device, out); *out = (uint)number(name, gpu); return SUCCESS; }
#define DEVICE_ULL(call, name) \
    nvmlReturn_t call(nvmlDevice_t device, ull *out) { \
        ENTER_DEVICE(device, out); *out = number(name, gpu); return SUCCESS; }
#define TWO(enter, call, one, other) \
    nvmlReturn_t call(nvmlDevice_t device, uint *a, uint *b) { \
        enter(device, a && b); *a = (uint)number(one, gpu), *b = (uint)number(other, gpu); return SUCCESS; }
#define DEVICE_UINTS(call, one, other) TWO(ENTER_DEVICE, call, one, other)
#define UTILIZATION(call, percent, period) TWO(ENTER_UNDIVIDED, call, percent, period)
/* Which number it is, the caller says. */
#define DEVICE_CHOICE(call, ...) \
    nvmlReturn_t call(nvmlDevice_t device, uint choice, uint *out) { \
        static const enum number choices[] = { __VA_ARGS__ }; \
        ENTER_DEVICE(device, out && choice < sizeof choices / sizeof *choices); \
        *out = (uint)number(choices[choice], gpu); return SUCCESS; }

SYSTEM_TEXT(nvmlSystemGetDriverVersion, driver_version)
SYSTEM_TEXT(nvmlSystemGetNVMLVersion, nvml_version)
DEVICE_TEXT(nvmlDeviceGetSerial, serial)
DEVICE_TEXT(nvmlDeviceGetVbiosVersion, vbios_version)
DEVICE_UINT(nvmlDeviceGetMinorNumber, minor_number)
UTILIZATION(nvmlDeviceGetEncoderUtilization, utilization_encoder_percent, period_encoder_microseconds)
UTILIZATION(nvmlDeviceGetDecoderUtilization, utilization_decoder_percent, period_decoder_microseconds)
DEVICE_CHOICE(nvmlDeviceGetTemperature, temperature_gpu_celsius)
DEVICE_CHOICE(nvmlDeviceGetTemperatureThreshold, temperature_shutdown_celsius, temperature_slowdown_celsius,
              temperature_memory_max_celsius, temperature_gpu_max_celsius)
DEVICE_UINT(nvmlDeviceGetPowerUsage, power_draw_milliwatts)
DEVICE_UINT(nvmlDeviceGetPowerManagementLimit, power_limit_milliwatts)
DEVICE_UINT(nvmlDeviceGetEnforcedPowerLimit, power_limit_enforced_milliwatts)
DEVICE_UINT(nvmlDeviceGetPowerManagementDefaultLimit, power_limit_default_milliwatts)
DEVICE_UINTS(nvmlDeviceGetPowerManagementLimitConstraints, power_limit_min_milliwatts, power_limit_max_milliwatts)
DEVICE_UINT(nvmlDeviceGetFanSpeed, fan_speed_percent)
DEVICE_CHOICE(nvmlDeviceGetClockInfo, clock_graphics_megahertz, clock_sm_megahertz, clock_memory_megahertz,
              clock_video_megahertz)
DEVICE_CHOICE(nvmlDeviceGetMaxClockInfo, clock_graphics_max_megahertz, clock_sm_max_megahertz,
              clock_memory_max_megahertz, clock_video_max_megahertz)
DEVICE_ULL(nvmlDeviceGetCurrentClocksThrottleReasons, clock_event_reasons)
DEVICE_UINT(nvmlDeviceGetPerformanceState, performance_state)
DEVICE_UINT(nvmlDeviceGetCurrPcieLinkGeneration, pcie_generation)
DEVICE_UINT(nvmlDeviceGetMaxPcieLinkGeneration, pcie_generation_max)
DEVICE_UINT(nvmlDeviceGetCurrPcieLinkWidth, pcie_width)
DEVICE_UINT(nvmlDeviceGetMaxPcieLinkWidth, pcie_width_max)
DEVICE_UINT(nvmlDeviceGetPcieReplayCounter, pcie_replay_count)
DEVICE_CHOICE(nvmlDeviceGetPcieThroughput, pcie_tx_kilobytes_per_second, pcie_rx_kilobytes_per_second)
DEVICE_UINTS(nvmlDeviceGetEccMode, ecc_mode, ecc_mode_pending)
DEVICE_UINT(nvmlDeviceGetComputeMode, compute_mode)
DEVICE_UINT(nvmlDeviceGetPersistenceMode, persistence_mode)
DEVICE_UINT(nvmlDeviceGetAccountingMode, accounting_mode)
DEVICE_UINT(nvmlDeviceGetDisplayMode, display_mode)
DEVICE_UINT(nvmlDeviceGetDisplayActive, display_active)

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *out) {
    ENTER_UNDIVIDED(device, out);
    out->gpu = (uint)number(utilization_gpu_percent, gpu);
    out->memory = (uint)number(utilization_memory_percent, gpu);
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t device, nvmlBAR1Memory_t *out) {
    ENTER_DEVICE(device, out);
    *out = (nvmlBAR1Memory_t){ .bar1Total = number(bar1_total_bytes, gpu), .bar1Free = number(bar1_free_bytes, gpu),
                               .bar1Used = number(bar1_used_bytes, gpu) };
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, nvmlPciInfo_v2_t *out) {
    ENTER_DEVICE(device, out);
    *out = (nvmlPciInfo_v2_t){
        .domain = (uint)number(pci_domain, gpu), .bus = (uint)number(pci_bus, gpu),
        .device = (uint)number(pci_device, gpu), .pciDeviceId = (uint)number(pci_device_id, gpu),
        .pciSubSystemId = (uint)number(pci_subsystem_id, gpu) };
    return put_for(out->busId, sizeof out->busId, text_pci_bus_id, gpu, 0);
}

#ifndef OLD_DRIVER
DEVICE_UINT(nvmlDeviceGetArchitecture, architecture)
DEVICE_UINTS(nvmlDeviceGetCudaComputeCapability, cuda_capability_major, cuda_capability_minor)
UTILIZATION(nvmlDeviceGetJpgUtilization, utilization_jpeg_percent, period_jpeg_microseconds)
UTILIZATION(nvmlDeviceGetOfaUtilization, utilization_ofa_percent, period_ofa_microseconds)
DEVICE_ULL(nvmlDeviceGetTotalEnergyConsumption, energy_millijoules)
DEVICE_ULL(nvmlDeviceGetCurrentClocksEventReasons, clock_event_reasons)

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *out) {
    ENTER(NONE);
    if (!out) return INVALID_ARGUMENT;
    *out = (int)number(cuda_driver_version, 0);
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *out) {
    ENTER_DEVICE(device, out);
    *out = (nvmlPciInfo_t){
        .domain = (uint)number(pci_domain, gpu), .bus = (uint)number(pci_bus, gpu),
        .device = (uint)number(pci_device, gpu), .pciDeviceId = (uint)number(pci_device_id, gpu),
        .pciSubSystemId = (uint)number(pci_subsystem_id, gpu) };
    put_for(out->busIdLegacy, sizeof out->busIdLegacy, text_pci_bus_id, gpu, 0);
    return put_for(out->busId, sizeof out->busId, text_pci_bus_id_v3, gpu, 0);
}

/* As many links as nvlink_link_count says exist, of which the first nvlink_active_count are up. */
nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t device, uint link, uint *is_active) {
    ENTER_DEVICE(device, is_active && link < number(nvlink_link_count, gpu));
    *is_active = link < number(nvlink_active_count, gpu);
    return SUCCESS;
}
#endif
