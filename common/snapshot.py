"""The catalogue: every reading's name, unit and meaning, once.

REST fields, labels, schemas and the README's table derive from the structs below. A reading that could not be
taken is `None` and its name stands in `Gpu.unavailable` with the reason; nothing here ever invents a number.
"""

from typing import Annotated, Literal, get_args, get_type_hints

from msgspec import Meta, Struct

GpuState = Literal["ok", "lost", "error", "unknown"]
SourceState = Literal["ok", "unavailable", "stalled"]

HOST_PATTERN = r"[A-Za-z0-9._-]{1,253}"


def _reading(title: str, unit: str, meaning: str) -> Meta:
    return Meta(title=title, description=meaning, extra={"unit": unit})


class StalledCall(Struct, frozen=True, kw_only=True):
    """The NVML call that has not returned: its function, the GPU's index (None: not about one GPU), for how long."""

    function: str
    gpu_index: int | None
    seconds: float


class SlowestCall(Struct, frozen=True, kw_only=True):
    """The NVML call of one sample that took longest."""

    function: str
    seconds: float


class Source(Struct, frozen=True, kw_only=True):
    """NVML as the collector sees it. Versions are None until the driver has told them."""

    state: SourceState
    error: str | None = None
    stalled_call: StalledCall | None = None
    driver_version: str | None = None
    nvml_version: str | None = None
    cuda_version: str | None = None


class Cost(Struct, frozen=True, kw_only=True):
    """What the collector itself costs.

    `cpu_seconds` and `nvml_calls` count since the collector started; `resident_bytes` is None where the platform
    does not tell; `slowest_call` is of this sample, None where it entered NVML not once.
    """

    cpu_seconds: float
    resident_bytes: int | None
    nvml_calls: int
    slowest_call: SlowestCall | None


class Gpu(Struct, frozen=True, kw_only=True):
    """One GPU in one sample: who it is, how it is, and its readings.

    `uuid` is the identity; `index` is NVML's order and may change. `uuid`, `name` and `pci_bus_id` are None only
    where the driver would not tell them. `error` says why `state` is not ok. `unavailable` maps each reading that
    is None to its reason: `unsupported`, `no_permission`, or `error: ` and NVML's name for it.
    """

    index: int
    uuid: str | None
    name: str | None
    pci_bus_id: str | None
    state: GpuState = "ok"
    error: str | None = None
    unavailable: dict[str, str] = {}

    utilization_gpu_percent: Annotated[
        int | None,
        _reading(
            "GPU utilization",
            "percent",
            "Share of the driver's last sample period (1/6 s to 1 s) in which a kernel ran on the GPU",
        ),
    ] = None
    utilization_memory_percent: Annotated[
        int | None,
        _reading(
            "Memory utilization",
            "percent",
            "Share of that period in which the memory controller read or wrote (not used / total)",
        ),
    ] = None
    memory_total_bytes: Annotated[
        int | None, _reading("Memory total", "bytes", "Memory that the GPU has installed")
    ] = None
    memory_used_bytes: Annotated[
        int | None,
        _reading("Memory used", "bytes", "Memory in use, the driver's own reserve included"),
    ] = None
    memory_free_bytes: Annotated[int | None, _reading("Memory free", "bytes", "Memory not in use")] = None
    temperature_gpu_celsius: Annotated[
        int | None, _reading("Temperature", "celsius", "Temperature of the GPU's die")
    ] = None
    power_draw_watts: Annotated[
        float | None,
        _reading("Power draw", "watts", "Power of the whole board; from Ampere on a mean over one second"),
    ] = None
    clock_graphics_megahertz: Annotated[
        int | None, _reading("Graphics clock", "megahertz", "Current clock of the graphics engine")
    ] = None
    clock_memory_megahertz: Annotated[
        int | None, _reading("Memory clock", "megahertz", "Current clock of the memory")
    ] = None


class Snapshot(Struct, frozen=True, kw_only=True):
    """One sample of one host, sealed: the unit on the wire. A sample that failed is a snapshot too: see `source`.

    `run_id` is random per start of the collector and `sequence` counts from 0 within it, so a gap is a loss.
    `sampled_at_ns` is Unix time when the sample finished, in nanoseconds; `held_seconds` is how long the publisher
    had held the snapshot when it sent it; `duration_seconds` is what sampling took.
    """

    host: str
    run_id: str
    sequence: int
    sampled_at_ns: int
    held_seconds: float
    interval_seconds: float
    duration_seconds: float
    source: Source
    collector: Cost
    gpus: list[Gpu]


class Reading(Struct, frozen=True):
    """One entry of the catalogue, derived from its field in `Gpu`."""

    name: str
    title: str
    unit: str
    meaning: str


def _catalogue() -> dict[str, Reading]:
    readings = {}
    for name, annotation in get_type_hints(Gpu, include_extras=True).items():
        for meta in get_args(annotation)[1:]:
            if isinstance(meta, Meta) and meta.extra:
                unit = meta.extra["unit"]
                readings[name] = Reading(name, meta.title or "", unit, meta.description or "")
    return readings


READINGS = _catalogue()
"""Every reading by its name, in the catalogue's order."""


def without_readings(gpu: Gpu, state: GpuState, error: str, reason: str) -> Gpu:
    """Return that GPU's identity alone: `state`, `error`, and `reason` for every reading."""
    return Gpu(
        index=gpu.index,
        uuid=gpu.uuid,
        name=gpu.name,
        pci_bus_id=gpu.pci_bus_id,
        state=state,
        error=error,
        unavailable=dict.fromkeys(READINGS, reason),
    )
