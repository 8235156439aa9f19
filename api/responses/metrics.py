"""The first API's body, `GET /api/v1/monitoring/gpu-metrics`. Pure: a selection of hosts in, structs out.

The zeros and the placeholder GPU of that API stand in this module only.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from api.responses import judgement
from api.responses.errors import Error
from api.responses.moments import timestamp
from api.selection import Selection, oldest
from common.gpu import Gpu, without_readings
from common.snapshot import Snapshot

Status = Literal["ok", "degraded", "placeholder", "stalled", "stale"]

_PLACEHOLDER = without_readings(
    Gpu(index=0, uuid="GPU-00000000-0000-0000-0000-000000000000", name="placeholder", pci_bus_id=None),
    "unknown",
    error="placeholder",
    reason="error: placeholder",
)


class Memory(Struct, frozen=True):
    """In MB of 2^20 bytes, rounded down."""

    total: int
    used: int
    free: int


class ClockSpeeds(Struct, frozen=True):
    """In MHz."""

    graphics: int
    memory: int


class GpuMetrics(Struct, frozen=True):
    """One GPU in `GET /api/v1/monitoring/gpu-metrics`. A reading not taken is 0, and its dotted name stands in
    `unavailable`. `utilization` and `memory_utilization` are percent, `temperature` Celsius, `power_usage` watts."""

    id: str
    name: str
    uuid: str
    utilization: int
    memory: Memory
    temperature: int
    power_usage: float
    clock_speeds: ClockSpeeds
    memory_utilization: int
    status: str
    unavailable: list[str]
    host: str


class MetricsBody(Struct, frozen=True):
    """The body of `GET /api/v1/monitoring/gpu-metrics`. `timestamp` is when the sample was taken, in UTC; of several
    hosts, the oldest. `host` is null if there are several. `missing_hosts` is there only if some are left out."""

    timestamp: str
    gpus: list[GpuMetrics]
    status: Status
    host: str | None
    error: Error | None
    missing_hosts: list[str] | UnsetType = UNSET


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
