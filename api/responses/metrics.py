"""The first API's body, `GET /api/v1/monitoring/gpu-metrics`. Pure: a selection of hosts in, structs out.

The zeros and the placeholder GPU of that API stand in this module only.
"""

from collections.abc import Callable
from math import isfinite
from operator import attrgetter
from typing import Annotated, Any, Literal

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


_ROWS = {
    "utilization": "utilization_gpu_percent",
    "memory.total": "memory_total_bytes",
    "memory.used": "memory_used_bytes",
    "memory.free": "memory_free_bytes",
    "temperature": "temperature_gpu_celsius",
    "power_usage": "power_draw_watts",
    "clock_speeds.graphics": "clock_graphics_megahertz",
    "clock_speeds.memory": "clock_memory_megahertz",
    "memory_utilization": "utilization_memory_percent",
}
"""The reading that each number of the first API comes from, by the number's dotted name."""

_readings: Callable[[Gpu], tuple[Any, ...]] = attrgetter(*_ROWS.values())


def _megabytes(count: float) -> int:
    return int(count) >> 20


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
    if status != "unavailable":
        return status, error
    return "placeholder", error and Error("placeholder", error.message)


def _gpus(snapshots: list[Snapshot]) -> list[GpuMetrics]:
    return [_gpu_metrics(gpu, snapshot.host) for snapshot in snapshots for gpu in snapshot.gpus_by_index()]


def _placeholder(snapshots: list[Snapshot]) -> list[GpuMetrics]:
    return [_gpu_metrics(_PLACEHOLDER, next(s.host for s in snapshots if s.source.state == "unavailable"))]


def _silent(snapshots: list[Snapshot]) -> list[str]:
    """Return the hosts that are chosen, but have neither a driver nor a GPU that was known."""
    return [snapshot.host for snapshot in snapshots if snapshot.source.state == "unavailable" and not snapshot.gpus]


def _gpu_metrics(gpu: Gpu, host: str) -> GpuMetrics:
    taken = _readings(gpu)
    unavailable = [name for name, value in zip(_ROWS, taken, strict=True) if value is None or not isfinite(value)]
    if unavailable:
        taken = tuple(0 if name in unavailable else value for name, value in zip(_ROWS, taken, strict=True))
    utilization, total, used, free, temperature, power, graphics_clock, memory_clock, memory_utilization = taken
    return GpuMetrics(
        id=f"gpu-{gpu.index}",
        name=gpu.name or "",
        uuid=gpu.uuid or "",
        utilization=int(utilization),
        memory=Memory(_megabytes(total), _megabytes(used), _megabytes(free)),
        temperature=int(temperature),
        power_usage=float(round(power, 3)),
        clock_speeds=ClockSpeeds(int(graphics_clock), int(memory_clock)),
        memory_utilization=int(memory_utilization),
        status=gpu.state,
        unavailable=unavailable,
        host=host,
    )
