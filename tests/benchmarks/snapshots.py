"""The snapshots that are measured with: read from the fake library by the collector's own code, so that they always
have every reading that there is."""

from typing import Any
from unittest import mock

import msgspec
import pynvml

from collector.nvml.source import Nvml
from common.gpu import Gpu
from common.snapshot import Cost, SlowestCall, Snapshot, Source
from tests.benchmarks.surroundings import GPUS
from tests.fakes import FakeNvml

NEVER_STALE_SECONDS = 3600.0


def snapshot() -> Snapshot:
    """Return a healthy snapshot, the first of its run."""
    return Snapshot(
        host="benchmark",
        run_id="0123456789abcdef",
        sequence=0,
        sampled_at_ns=1_741_129_370_123_456_789,
        held_seconds=0.0,
        interval_seconds=NEVER_STALE_SECONDS,
        duration_seconds=0.001,
        source=Source(state="ok", driver_version="550.54.15", nvml_version="12.550.54.15", cuda_version="12.4"),
        collector=Cost(
            cpu_seconds=12.34,
            resident_bytes=30_000_000,
            nvml_calls=12345,
            slowest_call=SlowestCall(function="nvmlDeviceGetPowerUsage", seconds=0.0001),
            version="0.1.0",
        ),
        gpus=_gpus(),
    )


def following(latest: Snapshot) -> Snapshot:
    """Return the snapshot that comes after one."""
    return msgspec.structs.replace(latest, sequence=latest.sequence + 1, sampled_at_ns=latest.sampled_at_ns + 10**9)


def _gpus() -> list[Gpu]:
    fake: dict[str, Any] = FakeNvml(gpus=GPUS).functions()
    with mock.patch.multiple(pynvml, **fake):
        return Nvml().sample()
