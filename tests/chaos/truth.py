"""What the stand-in's GPUs read: known beforehand, but for the power, which tells when it was read."""

import re
from typing import Any

from common.gpu import Gpu
from tests.builders import MEBIBYTE, make_gpu
from tests.standin import answer

READINGS = (
    "utilization_gpu_percent",
    "utilization_memory_percent",
    "temperature_gpu_celsius",
    "memory_total_bytes",
    "memory_used_bytes",
    "memory_free_bytes",
    "clock_graphics_megahertz",
    "clock_memory_megahertz",
)
"""Those that are judged, in the feed's names, which are the stand-in's too."""

_IN_METRICS = {
    "utilization": "utilization_gpu_percent",
    "memory.total": "memory_total_bytes",
    "memory.used": "memory_used_bytes",
    "memory.free": "memory_free_bytes",
    "temperature": "temperature_gpu_celsius",
    "clock_speeds.graphics": "clock_graphics_megahertz",
    "clock_speeds.memory": "clock_memory_megahertz",
    "memory_utilization": "utilization_memory_percent",
}
_UUID = re.compile(r"GPU-5eed5eed-0000-4000-8000-([0-9a-f]{12})")


def truth(name: str, gpu: int) -> int:
    """Return what a GPU reads, by the name of `gpu-metrics` or of the feed."""
    read = int(answer(_IN_METRICS.get(name, name), gpu))
    return read // MEBIBYTE if name.startswith("memory.") else read


def uuid(gpu: int) -> str:
    """Return the uuid of the stand-in's GPU of that number."""
    told = answer("uuid", gpu)
    assert isinstance(told, bytes)
    return told.decode()


def physical(uuid: str | None) -> int | None:
    """Return the number of the stand-in's GPU that has that uuid; None: it has none."""
    match = _UUID.fullmatch(uuid or "")
    return int(match[1], 16) - 1 if match else None


def true_gpu(number: int, **overrides: Any) -> Gpu:
    """Return the stand-in's GPU of that number as the feed has it, any field to be given by name."""
    read = {name: truth(name, number) for name in READINGS}
    return make_gpu(**{"index": number, "uuid": uuid(number), **read, **overrides})
