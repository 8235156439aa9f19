"""The snapshot: one sample of one host, with how the driver is and what sampling cost. Its GPUs are in `gpu`."""

from typing import Literal

from msgspec import Struct

from common.gpu import Gpu

SourceState = Literal["ok", "unavailable", "stalled"]

HOST_PATTERN = r"[A-Za-z0-9._-]{1,253}"


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
    """NVML as the collector sees it. Versions are None until the driver has told them.

    `replay_of_ns` is None unless this is a replay of a recording; then it is when the sample was really finished, Unix
    time in nanoseconds.
    """

    state: SourceState
    error: str | None = None
    stalled_call: StalledCall | None = None
    driver_version: str | None = None
    nvml_version: str | None = None
    cuda_version: str | None = None
    replay_of_ns: int | None = None


class Cost(Struct, frozen=True, kw_only=True):
    """What the collector itself costs, and which it is.

    `cpu_seconds` and `nvml_calls` count since the collector started; `resident_bytes` is None where the platform
    does not tell; `slowest_call` is of this sample, None where it entered NVML not once. `version` is the
    collector's own, None from one that is older than this key.
    """

    cpu_seconds: float
    resident_bytes: int | None
    nvml_calls: int
    slowest_call: SlowestCall | None
    version: str | None = None


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

    def gpus_by_index(self) -> list[Gpu]:
        """Return the GPUs in NVML's order; those of equal index as they stand."""
        return sorted(self.gpus, key=lambda gpu: gpu.index)
