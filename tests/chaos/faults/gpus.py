"""Single GPUs and single readings: lost, refused, slow, elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pynvml

from collector.nvml import codes
from tests.chaos.allowed import OK, Allowed
from tests.chaos.fault import DEGRADED, RESTART_SECONDS, STALE, Fault
from tests.chaos.faults.driver import PLACEHOLDER, POWER, RETRY_SECONDS, healed
from tests.chaos.rig import Rig, within
from tests.processes import eventually
from tests.standin import FAILURES

RELIST_SECONDS = 60.0
"""Within which the GPUs are listed anew."""

HARMED = frozenset({1})
LOST, ERROR = frozenset({"lost"}), frozenset({"error"})
POWERS = frozenset({"power_usage", "power_draw_watts"})
SPOILED = (POWER, "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetTemperature", "nvmlDeviceGetClockInfo")
SPOILED_READINGS = POWERS | {
    "utilization",
    "memory_utilization",
    "utilization_gpu_percent",
    "temperature",
    "temperature_gpu_celsius",
    "clock_speeds.graphics",
    "clock_speeds.memory",
    "clock_graphics_megahertz",
}
CODE_SECONDS = 0.6
STRANGE_CODE = 77
"""One that NVML does not have."""


@contextmanager
def every_error(rig: Rig) -> Iterator[None]:
    """Four calls on GPU 1 give each error code of NVML in turn, and one that there is not; 0.6 s each."""
    with healed(rig):
        for code in sorted({*FAILURES, STRANGE_CODE} - {0}):
            _spoil(rig, code)
            time.sleep(CODE_SECONDS)
            rig.standin.heal()
            # What is not supported, or not permitted, is asked again then.
            rig.standin.reload()
            if code in codes.ABOUT_THE_SOURCE:
                eventually(rig.checkout.metrics, lambda reply: reply.status == 200 and reply.body["status"] == "ok")
        yield


@contextmanager
def not_supported(rig: Rig) -> Iterator[None]:
    """GPU 1 tells its power no more, NVML_ERROR_NOT_SUPPORTED; then the driver is reloaded, and it does."""
    with healed(rig):
        rig.standin.fail(POWER, pynvml.NVML_ERROR_NOT_SUPPORTED, gpu=1)
        yield
    rig.standin.reload()


@contextmanager
def not_permitted(rig: Rig) -> Iterator[None]:
    """The power may not be read, NVML_ERROR_NO_PERMISSION; then the driver is reloaded, and it may."""
    with healed(rig):
        rig.standin.fail(POWER, pynvml.NVML_ERROR_NO_PERMISSION)
        yield
    rig.standin.reload()


@contextmanager
def slow_calls(rig: Rig) -> Iterator[None]:
    """Every call takes 20 ms, so that a sample takes longer than the interval."""
    with healed(rig):
        rig.standin.slow(20)
        yield


@contextmanager
def lost(rig: Rig) -> Iterator[None]:
    """GPU 1 is lost: every call on it gives NVML_ERROR_GPU_IS_LOST; then it is back."""
    with healed(rig):
        rig.standin.lose(1)
        yield


@contextmanager
def all_lost(rig: Rig) -> Iterator[None]:
    """Both GPUs are lost; then they are back."""
    with healed(rig):
        rig.standin.lose(0)
        rig.standin.lose(1)
        yield


@contextmanager
def needs_reset(rig: Rig) -> Iterator[None]:
    """Four calls on GPU 1 say that it must be reset; then it was."""
    with healed(rig):
        _spoil(rig, pynvml.NVML_ERROR_RESET_REQUIRED)
        yield


@contextmanager
def reordered(rig: Rig) -> Iterator[None]:
    """The GPUs change places, until that is seen; then they change back, and the collector is started anew."""
    try:
        rig.standin.order(1, 0)
        assert within(RELIST_SECONDS + 5, lambda: rig.uuids() == sorted(rig.uuids(), reverse=True)), "never seen"
        yield
    finally:
        rig.standin.order()
        rig.kill("collector")


@contextmanager
def added(rig: Rig) -> Iterator[None]:
    """A third GPU appears, and vanishes again; then the collector is started anew, which knows nothing of it."""
    try:
        rig.standin.gpus(3)
        assert within(5, lambda: len(rig.uuids()) == 3), "the third GPU was never shown"
        yield
        rig.standin.gpus(2)
        assert within(5, lambda: rig.states()[2:] == ["lost"]), f"not said to be lost: {rig.states()}"
    finally:
        rig.standin.gpus(2)
        rig.kill("collector")


def _spoil(rig: Rig, code: int) -> None:
    for call in SPOILED:
        rig.standin.fail(call, code, gpu=1)


UNSUPPORTED = "A reading is not supported, or not permitted"
MOVED = "A GPU appears, or the GPUs change their order"

FAULTS = (
    Fault(
        name="every-error",
        row="A reading fails otherwise, or cannot be true",
        inflict=every_error,
        allowed=Allowed(
            statuses=OK | DEGRADED | PLACEHOLDER, harmed=HARMED, states=LOST | ERROR, untaken=SPOILED_READINGS
        ),
        holds_seconds=0.0,
        mends_seconds=RETRY_SECONDS,
    ),
    Fault(
        name="not-supported",
        row=UNSUPPORTED,
        inflict=not_supported,
        allowed=Allowed(untaken=POWERS),
        mends_seconds=0.5,
    ),
    Fault(
        name="not-permitted",
        row=UNSUPPORTED,
        inflict=not_permitted,
        allowed=Allowed(untaken=POWERS),
        mends_seconds=0.5,
    ),
    Fault(
        name="calls-of-20-ms",
        row="A sample takes longer than the interval",
        inflict=slow_calls,
        allowed=Allowed(sample_seconds=2.0),
        holds_seconds=8.0,
        mends_seconds=2.0,
    ),
    Fault(
        name="gpu-lost",
        row="A GPU is lost",
        inflict=lost,
        allowed=Allowed(statuses=DEGRADED, harmed=HARMED, states=LOST),
        noticed_seconds=0.5,
        mends_seconds=0.5,
    ),
    Fault(
        name="all-gpus-lost",
        row="A GPU is lost",
        inflict=all_lost,
        allowed=Allowed(statuses=DEGRADED, harmed=frozenset({0, 1}), states=LOST),
        noticed_seconds=0.5,
        mends_seconds=0.5,
    ),
    Fault(
        name="gpu-needs-reset",
        row="A GPU cannot be opened, or must be reset",
        inflict=needs_reset,
        allowed=Allowed(statuses=OK | DEGRADED, harmed=HARMED, states=ERROR, untaken=SPOILED_READINGS),
        mends_seconds=0.5,
    ),
    Fault(
        name="gpus-reordered",
        row=MOVED,
        inflict=reordered,
        holds_seconds=0.0,
        passing=STALE,
        mends_seconds=RESTART_SECONDS,
    ),
    Fault(
        name="gpu-added",
        row=MOVED,
        inflict=added,
        allowed=Allowed(statuses=OK | DEGRADED, harmed=frozenset({2}), states=LOST),
        passing=STALE,
        mends_seconds=RESTART_SECONDS,
    ),
)
