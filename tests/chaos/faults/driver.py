"""The driver as a whole, or its library: away, stuck, crashing, another one."""

from collections.abc import Iterator
from contextlib import contextmanager

import pynvml

from collector.nvml import codes
from tests.chaos.allowed import OK, Allowed
from tests.chaos.fault import RESTART_SECONDS, STALE, Fault
from tests.chaos.rig import STALL_AFTER_SECONDS, STALL_EXIT_SECONDS, Rig, within
from tests.processes import eventually

INITS = ("nvmlInit_v2", "nvmlInitWithFlags")
POWER = "nvmlDeviceGetPowerUsage"
PLACEHOLDER, STALLED = frozenset({"placeholder"}), frozenset({"stalled"})

MISMATCH_SECONDS = 60.0
"""For how long a mismatch of library and driver is published before the collector ends."""

RETRY_SECONDS = 4.0
"""A driver that was away for some seconds is asked again by then: the pauses are 1 s, 2 s, 4 s."""


@contextmanager
def healed(rig: Rig) -> Iterator[None]:
    """Heal the stand-in at the end of the block."""
    try:
        yield
    finally:
        rig.standin.heal()


@contextmanager
def unloaded(rig: Rig) -> Iterator[None]:
    """The driver is unloaded: all calls, nvmlInit too, give NVML_ERROR_DRIVER_NOT_LOADED; then it is loaded again."""
    with healed(rig):
        _fail_init(rig, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
        yield


@contextmanager
def library_gone(rig: Rig) -> Iterator[None]:
    """The library's file is gone, and the collector is killed, so that a new one finds none; then the file is back."""
    away = rig.library.rename(rig.library.with_suffix(".away"))
    try:
        rig.kill("collector")
        yield
    finally:
        away.rename(rig.library)


@contextmanager
def hung_init(rig: Rig) -> Iterator[None]:
    """The driver is reloaded, and nvmlInit does not return; then it does."""
    with healed(rig):
        for call in INITS:
            rig.standin.hang(call)
        rig.standin.reload()
        yield
        assert "nvmlInit has not returned" in rig.error_message(), rig.error_message()


@contextmanager
def hung_call(rig: Rig) -> Iterator[None]:
    """nvmlDeviceGetPowerUsage of GPU 1 does not return; then it does."""
    with healed(rig):
        rig.standin.hang(POWER, gpu=1)
        yield
        assert f"{POWER} for GPU 1 has not returned" in rig.error_message(), rig.error_message()


@contextmanager
def hung_for_good(rig: Rig) -> Iterator[None]:
    """nvmlDeviceGetPowerUsage does not return until the collector has ended itself; then a new one is well."""
    with healed(rig):
        before = rig.running_pid("collector")
        rig.standin.hang(POWER)
        yield
        limit = STALL_EXIT_SECONDS + RESTART_SECONDS
        assert within(limit, lambda: rig.pid("collector") not in (None, before)), "the stuck collector never ended"


@contextmanager
def stopped_while_hung(rig: Rig) -> Iterator[None]:
    """nvmlDeviceGetPowerUsage does not return, and the collector is told to end by SIGTERM."""
    with healed(rig):
        rig.standin.hang(POWER)
        eventually(rig.error_message, lambda message: POWER in message)
        rig.end("collector", within_seconds=1.0)
    yield


@contextmanager
def crashed_call(rig: Rig) -> Iterator[None]:
    """nvmlDeviceGetUtilizationRates crashes its process (SIGSEGV), and each new one; then it does not."""
    with healed(rig):
        before = rig.running_pid("collector")
        rig.standin.crash("nvmlDeviceGetUtilizationRates")
        yield
        assert rig.pid("collector") != before, "it did not crash"
    assert "Fatal Python error: Segmentation fault" in rig.log("collector"), "the log has no word of the crash"


@contextmanager
def crashed_init(rig: Rig) -> Iterator[None]:
    """The driver is reloaded, and nvmlInit crashes its process (SIGSEGV), and each new one; then it does not."""
    with healed(rig):
        for call in INITS:
            rig.standin.crash(call)
        rig.standin.reload()
        yield


@contextmanager
def reloaded(rig: Rig) -> Iterator[None]:
    """The driver is reloaded: what was initialised is not any more."""
    rig.standin.reload()
    yield


@contextmanager
def mismatched(rig: Rig) -> Iterator[None]:
    """The driver is upgraded: NVML_ERROR_LIB_RM_VERSION_MISMATCH until a new process loads the new library."""
    with healed(rig):
        before = rig.running_pid("collector")
        _fail_init(rig, codes.LIB_RM_VERSION_MISMATCH)
        yield
        limit = MISMATCH_SECONDS + RESTART_SECONDS
        assert within(limit, lambda: rig.pid("collector") not in (None, before)), "the collector never ended"


def _fail_init(rig: Rig, code: int) -> None:
    """Have no driver from now on: what is initialised is not any more, and cannot be."""
    for call in INITS:
        rig.standin.fail(call, code)
    rig.standin.reload()


NO_DRIVER = "No driver, no library"
HANGS = "An NVML call hangs"
CRASHES = "NVML crashes the collector"
STALL_NOTICED_SECONDS = STALL_AFTER_SECONDS + 0.5

FAULTS = (
    Fault(
        name="driver-unloaded",
        row=NO_DRIVER,
        inflict=unloaded,
        allowed=Allowed(statuses=PLACEHOLDER),
        noticed_seconds=0.5,
        mends_seconds=RETRY_SECONDS,
    ),
    Fault(
        name="library-gone",
        row=NO_DRIVER,
        inflict=library_gone,
        allowed=Allowed(statuses=PLACEHOLDER),
        noticed_seconds=RESTART_SECONDS,
        passing=STALE,
        mends_seconds=2 * RETRY_SECONDS,
    ),
    Fault(
        name="hang-in-init",
        row=HANGS,
        inflict=hung_init,
        allowed=Allowed(statuses=STALLED),
        noticed_seconds=STALL_NOTICED_SECONDS,
        mends_seconds=0.5,
    ),
    Fault(
        name="hang-in-call",
        row=HANGS,
        inflict=hung_call,
        allowed=Allowed(statuses=STALLED),
        noticed_seconds=STALL_NOTICED_SECONDS,
        mends_seconds=0.5,
    ),
    Fault(
        name="hang-for-good",
        row=HANGS,
        inflict=hung_for_good,
        allowed=Allowed(statuses=STALLED | STALE),
        noticed_seconds=STALL_NOTICED_SECONDS,
        holds_seconds=STALL_EXIT_SECONDS,
        mends_seconds=RESTART_SECONDS,
    ),
    Fault(
        name="sigterm-in-hang",
        row="SIGTERM, Ctrl-C",
        inflict=stopped_while_hung,
        allowed=Allowed(statuses=OK | STALLED | STALE),
        holds_seconds=0.0,
        mends_seconds=RESTART_SECONDS,
    ),
    Fault(
        name="crash-in-call",
        row=CRASHES,
        inflict=crashed_call,
        allowed=Allowed(statuses=STALE),
        noticed_seconds=2.5,
        holds_seconds=8.0,
        mends_seconds=RESTART_SECONDS,
    ),
    Fault(
        name="crash-in-init",
        row=CRASHES,
        inflict=crashed_init,
        allowed=Allowed(statuses=STALE),
        noticed_seconds=2.5,
        mends_seconds=RESTART_SECONDS,
    ),
    Fault(name="driver-reloaded", row="The driver is reloaded", inflict=reloaded, holds_seconds=1.0, mends_seconds=0.5),
    Fault(
        name="driver-upgraded",
        row="The driver is upgraded under the running collector (library and driver do not match)",
        inflict=mismatched,
        allowed=Allowed(statuses=PLACEHOLDER | STALE),
        noticed_seconds=0.5,
        holds_seconds=MISMATCH_SECONDS,
        mends_seconds=RESTART_SECONDS,
    ),
)
