"""The first API's body, `GET /api/v1/monitoring/gpu-metrics`. Pure: a selection of hosts in, structs out.

The zeros and the placeholder GPU of that API stand in this module only.
"""

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import UNSET, Meta, Struct, UnsetType

from api.responses import judgement
from api.responses.errors import Error
from api.responses.moments import timestamp
from api.selection import Selection, oldest
from common.gpu import Gpu, GpuState, without_readings
from common.snapshot import Snapshot

Status = Literal["ok", "degraded", "placeholder", "stalled", "stale"]

_PLACEHOLDER = without_readings(
    Gpu(index=0, uuid="GPU-00000000-0000-0000-0000-000000000000", name="placeholder", pci_bus_id=None),
    "unknown",
    error="placeholder",
    reason="error: placeholder",
)


class Memory(Struct, frozen=True):
    """GPU memory, in MB of 2^20 bytes, rounded down."""

    total: int
    used: int
    free: int


class ClockSpeeds(Struct, frozen=True):
    """Current clocks, in MHz."""

    graphics: int
    memory: int


class GpuMetrics(Struct, frozen=True):
    """One GPU. A reading that was not taken is 0, and its dotted name stands in `unavailable`."""

    id: Annotated[str, Meta(description="`gpu-` and NVML's index, which can change with a reboot.")]
    name: Annotated[str, Meta(description='Product name; `""` if the driver does not tell.')]
    uuid: Annotated[str, Meta(description='The GPU\'s lasting identity; `""` if the driver does not tell.')]
    utilization: Annotated[int, Meta(description="Time in which a kernel ran, in percent.")]
    memory: Memory
    temperature: Annotated[int, Meta(description="Temperature of the die, in degrees Celsius.")]
    power_usage: Annotated[float, Meta(description="Power of the whole board, in watts with at most 3 decimals.")]
    clock_speeds: ClockSpeeds
    memory_utilization: Annotated[
        int, Meta(description="Time in which memory was read or written, in percent; not used / total.")
    ]
    status: GpuState
    unavailable: Annotated[list[str], Meta(description='Fields whose 0 means "not taken".')]
    host: Annotated[str, Meta(description="The host that it is in.")]


class MetricsBody(Struct, frozen=True):
    """The body of `GET /api/v1/monitoring/gpu-metrics`."""

    timestamp: Annotated[
        str, Meta(description="When the sample was taken: UTC, six decimals, no offset. Of several hosts, the oldest.")
    ]
    gpus: Annotated[list[GpuMetrics], Meta(description="One entry for each GPU; empty if the driver has none.")]
    status: Annotated[Status, Meta(description="The worst that holds.")]
    host: Annotated[str | None, Meta(description="The host that is shown; null if several are.")]
    error: Annotated[Error | None, Meta(description="Why `status` is not `ok`.")]
    missing_hosts: Annotated[
        list[str] | UnsetType, Meta(description="Hosts (or endpoints never heard) that are left out; absent if none.")
    ] = UNSET


class _Row(NamedTuple):
    """One number of the first API: its dotted name, the reading it comes from, how it is made of that."""

    name: str
    reading: str
    convert: Callable[[float], float]


def _megabytes(count: float) -> int:
    return int(count) >> 20


def _watts(watts: float) -> float:
    return float(round(watts, 3))


_ROWS = (
    _Row("utilization", "utilization_gpu_percent", int),
    _Row("memory.total", "memory_total_bytes", _megabytes),
    _Row("memory.used", "memory_used_bytes", _megabytes),
    _Row("memory.free", "memory_free_bytes", _megabytes),
    _Row("temperature", "temperature_gpu_celsius", int),
    _Row("power_usage", "power_draw_watts", _watts),
    _Row("clock_speeds.graphics", "clock_graphics_megahertz", int),
    _Row("clock_speeds.memory", "clock_memory_megahertz", int),
    _Row("memory_utilization", "utilization_memory_percent", int),
)


def metrics_body(selection: Selection) -> MetricsBody:
    """Return the first API's body for the hosts selected."""
    snapshots = [chosen.snapshot for chosen in selection.chosen]
    is_placeholder = judgement.is_without_gpus(selection)
    status, error = _judge(selection)
    return MetricsBody(
        timestamp=timestamp(oldest(selection.chosen).snapshot.sampled_at_ns),
        gpus=_placeholder(snapshots) if is_placeholder else _gpus(snapshots),
        status=status,
        host=snapshots[0].host if len(snapshots) == 1 else None,
        error=error,
        missing_hosts=sorted([*selection.missing, *([] if is_placeholder else _silent(snapshots))]) or UNSET,
    )


def _judge(selection: Selection) -> tuple[Status, Error | None]:
    """Return the judgement in this API's words, where the placeholder stands for a driver that does not answer."""
    status, error = judgement.judge(selection)
    if status != "unavailable" or error is None:
        return status if status != "unavailable" else "placeholder", error
    return "placeholder", Error("placeholder", error.message)


def _gpus(snapshots: list[Snapshot]) -> list[GpuMetrics]:
    return [_gpu_metrics(gpu, snapshot.host) for snapshot in snapshots for gpu in snapshot.gpus_by_index()]


def _placeholder(snapshots: list[Snapshot]) -> list[GpuMetrics]:
    return [_gpu_metrics(_PLACEHOLDER, next(s.host for s in snapshots if s.source.state == "unavailable"))]


def _silent(snapshots: list[Snapshot]) -> list[str]:
    """Return the hosts that are chosen, but have neither a driver nor a GPU that was known."""
    return [snapshot.host for snapshot in snapshots if snapshot.source.state == "unavailable" and not snapshot.gpus]


def _gpu_metrics(gpu: Gpu, host: str) -> GpuMetrics:
    numbers: dict[str, Any] = {}
    unavailable = []
    for row in _ROWS:
        taken = getattr(gpu, row.reading)
        if taken is None or not math.isfinite(taken):
            unavailable.append(row.name)
            taken = 0
        numbers[row.name] = row.convert(taken)
    return GpuMetrics(
        id=f"gpu-{gpu.index}",
        name=gpu.name or "",
        uuid=gpu.uuid or "",
        utilization=numbers["utilization"],
        memory=Memory(numbers["memory.total"], numbers["memory.used"], numbers["memory.free"]),
        temperature=numbers["temperature"],
        power_usage=numbers["power_usage"],
        clock_speeds=ClockSpeeds(numbers["clock_speeds.graphics"], numbers["clock_speeds.memory"]),
        memory_utilization=numbers["memory_utilization"],
        status=gpu.state,
        unavailable=unavailable,
        host=host,
    )
