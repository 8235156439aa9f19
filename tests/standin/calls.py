"""The calls of NVML that a GPU monitor makes: how each passes its answer, what it answers, what it is asked with.

`FakeNvml` answers by these tables and the recorder asks by them: a new call is one row here, and one in the C code.
"""

from __future__ import annotations

from ctypes import c_int, c_uint, c_ulonglong

from tests.standin.answers import FIELDS
from tests.standin.layouts import Fields, Numbers, Samples
from tests.standin.recipes import (
    MEMORY,
    MEMORY_V2,
    PCI,
    Call,
    choice,
    field,
    link_state,
    numbers,
    processes,
    samples,
    struct,
    text,
    uint,
    undivided,
    utilization,
)
from tests.standin.structs import Bar1, PciInfoV2, PciInfoV3, Utilization

#: Calls on the system.
SYSTEM = {
    "nvmlSystemGetDriverVersion": text("driver_version"),
    "nvmlSystemGetNVMLVersion": text("nvml_version"),
    "nvmlSystemGetCudaDriverVersion_v2": numbers(c_int, "cuda_driver_version"),
    "nvmlDeviceGetCount_v2": Call(Numbers(c_uint), lambda asked: [asked.gpus()]),
}
#: Calls on a GPU.
DEVICE = {
    "nvmlDeviceGetName": text("name"),
    "nvmlDeviceGetUUID": text("uuid"),
    "nvmlDeviceGetSerial": text("serial"),
    "nvmlDeviceGetVbiosVersion": text("vbios_version"),
    "nvmlDeviceGetMinorNumber": uint("minor_number"),
    "nvmlDeviceGetArchitecture": uint("architecture"),
    "nvmlDeviceGetCudaComputeCapability": uint("cuda_capability_major", "cuda_capability_minor"),
    "nvmlDeviceGetPciInfo_v2": struct(PciInfoV2, busId="pci_bus_id", **PCI),
    "nvmlDeviceGetPciInfo_v3": struct(PciInfoV3, busIdLegacy="pci_bus_id", busId="pci_bus_id_v3", **PCI),
    "nvmlDeviceGetUtilizationRates": undivided(
        struct(Utilization, gpu="utilization_gpu_percent", memory="utilization_memory_percent")
    ),
    "nvmlDeviceGetEncoderUtilization": utilization("encoder"),
    "nvmlDeviceGetDecoderUtilization": utilization("decoder"),
    "nvmlDeviceGetJpgUtilization": utilization("jpeg"),
    "nvmlDeviceGetOfaUtilization": utilization("ofa"),
    "nvmlDeviceGetMemoryInfo": MEMORY,
    "nvmlDeviceGetMemoryInfo_v2": MEMORY_V2,
    "nvmlDeviceGetBAR1MemoryInfo": struct(
        Bar1, bar1Total="bar1_total_bytes", bar1Free="bar1_free_bytes", bar1Used="bar1_used_bytes"
    ),
    "nvmlDeviceGetTemperature": choice("temperature_gpu_celsius"),
    "nvmlDeviceGetTemperatureThreshold": choice(
        "temperature_shutdown_celsius",
        "temperature_slowdown_celsius",
        "temperature_memory_max_celsius",
        "temperature_gpu_max_celsius",
    ),
    "nvmlDeviceGetPowerUsage": uint("power_draw_milliwatts"),
    "nvmlDeviceGetPowerManagementLimit": uint("power_limit_milliwatts"),
    "nvmlDeviceGetEnforcedPowerLimit": uint("power_limit_enforced_milliwatts"),
    "nvmlDeviceGetPowerManagementDefaultLimit": uint("power_limit_default_milliwatts"),
    "nvmlDeviceGetPowerManagementLimitConstraints": uint("power_limit_min_milliwatts", "power_limit_max_milliwatts"),
    "nvmlDeviceGetTotalEnergyConsumption": numbers(c_ulonglong, "energy_millijoules"),
    "nvmlDeviceGetFanSpeed": uint("fan_speed_percent"),
    "nvmlDeviceGetClockInfo": choice(*(f"clock_{clock}_megahertz" for clock in ("graphics", "sm", "memory", "video"))),
    "nvmlDeviceGetMaxClockInfo": choice(
        *(f"clock_{clock}_max_megahertz" for clock in ("graphics", "sm", "memory", "video"))
    ),
    "nvmlDeviceGetCurrentClocksThrottleReasons": numbers(c_ulonglong, "clock_event_reasons"),
    "nvmlDeviceGetCurrentClocksEventReasons": numbers(c_ulonglong, "clock_event_reasons"),
    "nvmlDeviceGetPerformanceState": uint("performance_state"),
    "nvmlDeviceGetCurrPcieLinkGeneration": uint("pcie_generation"),
    "nvmlDeviceGetMaxPcieLinkGeneration": uint("pcie_generation_max"),
    "nvmlDeviceGetCurrPcieLinkWidth": uint("pcie_width"),
    "nvmlDeviceGetMaxPcieLinkWidth": uint("pcie_width_max"),
    "nvmlDeviceGetPcieReplayCounter": uint("pcie_replay_count"),
    "nvmlDeviceGetPcieThroughput": choice("pcie_tx_kilobytes_per_second", "pcie_rx_kilobytes_per_second"),
    "nvmlDeviceGetNvLinkState": Call(Numbers(c_uint), link_state, tuple((link,) for link in range(18))),
    "nvmlDeviceGetEccMode": uint("ecc_mode", "ecc_mode_pending"),
    "nvmlDeviceGetComputeMode": uint("compute_mode"),
    "nvmlDeviceGetPersistenceMode": uint("persistence_mode"),
    "nvmlDeviceGetAccountingMode": uint("accounting_mode"),
    "nvmlDeviceGetDisplayMode": uint("display_mode"),
    "nvmlDeviceGetDisplayActive": uint("display_active"),
    "nvmlDeviceGetMigMode": Call(Numbers(c_uint, 2), lambda asked: [asked.instances() is not None] * 2),
    "nvmlDeviceGetMaxMigDeviceCount": Call(
        Numbers(c_uint), lambda asked: [0 if asked.instances() is None else asked.look("mig_max_count")]
    ),
    "nvmlDeviceGetFieldValues": Call(
        Fields(), field, tuple((number, field.usual_scope) for number, field in FIELDS.items())
    ),
    "nvmlDeviceGetComputeRunningProcesses": processes("compute", 16),
    "nvmlDeviceGetComputeRunningProcesses_v2": processes("compute", 24),
    "nvmlDeviceGetComputeRunningProcesses_v3": processes("compute", None),
    "nvmlDeviceGetGraphicsRunningProcesses": processes("graphics", 16),
    "nvmlDeviceGetGraphicsRunningProcesses_v2": processes("graphics", 24),
    "nvmlDeviceGetGraphicsRunningProcesses_v3": processes("graphics", None),
    "nvmlDeviceGetProcessUtilization": undivided(Call(Samples(), samples)),
    "nvmlDeviceGetSupportedEventTypes": numbers(c_ulonglong, "supported_event_types"),
}
#: Calls on a MIG instance.
MIG = {
    "nvmlDeviceGetName": text("mig_name"),
    "nvmlDeviceGetUUID": text("mig_uuid"),
    "nvmlDeviceGetMemoryInfo": MEMORY,
    "nvmlDeviceGetMemoryInfo_v2": MEMORY_V2,
    "nvmlDeviceGetGpuInstanceId": Call(
        Numbers(c_uint), lambda asked: [asked.look("mig_gpu_instance_id") + asked.instance]
    ),
    "nvmlDeviceGetComputeInstanceId": uint("mig_compute_instance_id"),
}
#: Calls that change what the library is doing, or give a handle.
HANDLES = frozenset({"nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetMigDeviceHandleByIndex"})
EVENTS = frozenset({"nvmlEventSetCreate", "nvmlEventSetFree", "nvmlEventSetWait", "nvmlEventSetWait_v2"})
INITS = frozenset({"nvmlInit_v2", "nvmlInitWithFlags"})
ALL = frozenset({"nvmlShutdown", "nvmlDeviceRegisterEvents"} | INITS | HANDLES | EVENTS) | {
    *SYSTEM,
    *DEVICE,
    *MIG,
}
#: What the binding calls the symbols that it has under another name.
SHORT = {
    f"{name}_v2": name
    for name in ("nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetPciInfo")
}


def table(gpu: int | None, instance: int | None) -> dict[str, Call]:
    """Return the calls on the system, on a GPU, or on a MIG instance of one."""
    if gpu is None:
        return SYSTEM
    return DEVICE if instance is None else MIG
