"""The binding's calls that the service makes: what each is called with, and which answers make up its result.

`FakeNvml` answers by these tables and the recorder asks by them: a new call is one row here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pynvml

_CLOCKS = ("graphics", "sm", "memory", "video")
_MEMORY = ("memory_total_bytes", "memory_free_bytes", "memory_used_bytes")
_UTILIZATION = ("utilization_gpu_percent", "utilization_memory_percent")
_PCI = ("pci_bus_id", "pci_domain", "pci_bus", "pci_device", "pci_device_id", "pci_subsystem_id")


def _pick(names: tuple[str, ...], number: int) -> str:
    if not 0 <= number < len(names):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
    return names[number]


#: Calls on a GPU: the result, made from `look(name)` of an answer and from the arguments after the handle.
DEVICE: dict[str, Callable[..., Any]] = {
    "nvmlDeviceGetName": lambda look: look("name"),
    "nvmlDeviceGetUUID": lambda look: look("uuid"),
    "nvmlDeviceGetPciInfo": lambda look: pynvml.nvmlPciInfo_t(*map(look, _PCI)),
    "nvmlDeviceGetUtilizationRates": lambda look: pynvml.c_nvmlUtilization_t(*map(look, _UTILIZATION)),
    "nvmlDeviceGetMemoryInfo": lambda look: pynvml.c_nvmlMemory_t(*map(look, _MEMORY)),
    "nvmlDeviceGetTemperature": lambda look, sensor: look(f"temperature_{_pick(('gpu',), sensor)}_celsius"),
    "nvmlDeviceGetPowerUsage": lambda look: look("power_draw_milliwatts"),
    "nvmlDeviceGetClockInfo": lambda look, clock: look(f"clock_{_pick(_CLOCKS, clock)}_megahertz"),
}
#: What the calls with an argument after the handle are called with, one call for each.
ARGUMENTS: dict[str, tuple[int, ...]] = {
    "nvmlDeviceGetTemperature": (0,),
    "nvmlDeviceGetClockInfo": (0, 1, 2, 3),
}
#: Calls on the system that answer one text, and which.
SYSTEM = {"nvmlSystemGetDriverVersion": "driver_version", "nvmlSystemGetNVMLVersion": "nvml_version"}
#: Called by their symbols, since the binding has no function for them: each fills one integer, and which.
RAW = {"nvmlSystemGetCudaDriverVersion_v2": "cuda_driver_version"}

ALL = frozenset(
    {"nvmlInit", "nvmlShutdown", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex", *SYSTEM, *RAW, *DEVICE}
)
