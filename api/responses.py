"""Response structs, and what is put into them. Pure: a selection of hosts in, structs out.

The zeros and the placeholder GPU of the first API stand in this module only, where its JSON is rendered.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from api.selection import Chosen, NotFresh, Selection, oldest
from common.gpu import Gpu, without_readings

Status = Literal["ok", "degraded", "placeholder", "stalled", "stale"]
_FROM_BEST_TO_WORST: tuple[Status, ...] = ("ok", "degraded", "placeholder", "stalled", "stale")
_NO_REASON = "no reason given"

_PLACEHOLDER = without_readings(
    Gpu(index=0, uuid="GPU-00000000-0000-0000-0000-000000000000", name="placeholder", pci_bus_id=None),
    "unknown",
    error="placeholder",
    reason="error: placeholder",
)


class Error(Struct, frozen=True):
    """Why an answer is not what was hoped for: a code for programs, a message for people."""

    code: str
    message: str


class ErrorBody(Struct, frozen=True):
    """The body of an error answer."""

    error: Error


class NotFreshBody(Struct, frozen=True):
    """The body of a 503: there is nothing that may be shown. `age_seconds` is null if nothing was heard yet."""

    error: Error
    status: Literal["stale", "unheard"]
    age_seconds: float | None


class StatusBody(Struct, frozen=True):
    """The body of `/healthz` and `/readyz` when all is well."""

    status: Literal["ok", "ready"]


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


def not_fresh_body(refusal: NotFresh, endpoints: tuple[str, ...]) -> NotFreshBody:
    """Return why nothing may be shown."""
    if refusal.youngest is None or refusal.age_seconds is None:
        message = f"no snapshot was heard yet from {', '.join(endpoints)}: is the collector running?"
        return NotFreshBody(Error("unheard", message), "unheard", None)
    host, age = refusal.youngest.snapshot.host, refusal.age_seconds
    why = "is the collector running?" if refusal.is_stale else "that is more than max_age admits"
    message = f"{host}: the latest snapshot is {age:.1f} s old; {why}"
    return NotFreshBody(Error("stale", message), "stale", round(age, 3))


def metrics_body(selection: Selection) -> MetricsBody:
    """Return the first API's body for the hosts selected."""
    hosts = [chosen.host for chosen in selection.chosen]
    snapshots = [host.snapshot for host in hosts]
    gpus = [_gpu_metrics(gpu, snapshot.host) for snapshot in snapshots for gpu in sorted(snapshot.gpus, key=_index)]
    unavailable = [snapshot for snapshot in snapshots if snapshot.source.state == "unavailable"]
    is_placeholder = bool(unavailable) and not any(s.gpus for s in snapshots if s.source.state != "unavailable")
    if is_placeholder:
        gpus = [_gpu_metrics(_PLACEHOLDER, unavailable[0].host)]
    silent = [] if is_placeholder else [snapshot.host for snapshot in unavailable if not snapshot.gpus]
    missing = sorted([*selection.missing, *silent])
    findings = [finding for chosen in selection.chosen for finding in _findings(chosen, is_placeholder)]
    findings += [("degraded", f"{name}: left out, nothing fresh was heard") for name in selection.missing]
    status, message = _worst(findings)
    return MetricsBody(
        timestamp=timestamp(oldest(hosts).snapshot.sampled_at_ns),
        gpus=gpus,
        status=status,
        host=hosts[0].snapshot.host if len(hosts) == 1 else None,
        error=Error(status, message) if message else None,
        missing_hosts=missing or UNSET,
    )


def _worst(findings: list[tuple[Status, str]]) -> tuple[Status, str]:
    """Return the status of the whole, and the first message that says why with how many others do."""
    statuses: set[Status] = {status for status, _ in findings}
    status: Status = max(statuses, key=_FROM_BEST_TO_WORST.index, default="ok")
    messages = [message for of, message in findings if of == status]
    more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
    return status, messages[0] + more if messages else ""


def timestamp(sampled_at_ns: int) -> str:
    """Return Unix nanoseconds as UTC with six decimals and no offset."""
    seconds, nanoseconds = divmod(sampled_at_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000, tzinfo=None)
    return moment.isoformat(timespec="microseconds")


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


def _index(gpu: Gpu) -> int:
    return gpu.index


def _findings(chosen: Chosen, is_placeholder: bool) -> list[tuple[Status, str]]:  # noqa: FBT001 -- a private fact
    """Return what is not as it should be with one host: how bad it is, and what it is."""
    snapshot = chosen.host.snapshot
    reason = snapshot.source.error or _NO_REASON
    if chosen.is_stale:
        return [("stale", f"{snapshot.host}: no fresh snapshot; this one is shown because max_age admits it")]
    if snapshot.source.state == "stalled":
        return [("stalled", f"{snapshot.host}: {reason}")]
    if snapshot.source.state == "unavailable":
        return [("placeholder" if is_placeholder else "degraded", f"{snapshot.host}: {reason}")]
    messages = [f"{snapshot.host}: two collectors publish under this name"] if chosen.has_rival else []
    messages += [
        f"{snapshot.host}: gpu-{gpu.index} is {gpu.state}: {gpu.error or _NO_REASON}"
        for gpu in snapshot.gpus
        if gpu.state != "ok"
    ]
    return [("degraded", message) for message in messages]
