"""What the machine gives the processes, and may fail to: the time, a disk, files."""

import contextlib
import errno
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import hostile
from tests.chaos.allowed import OK, Allowed
from tests.chaos.fault import RESTART_SECONDS, STALE, Fault
from tests.chaos.faults.processes import GOING, TORN
from tests.chaos.rig import Rig, within

HOUR_SECONDS = 3600
CONNECTING = 50
MOST_SAID_BYTES = 20_000
"""What may be logged of one fault: its beginning and its end, not every time that something fails for it."""

_MEBIBYTE = bytes(2**20)


@contextmanager
def clock_back(rig: Rig) -> Iterator[None]:
    """The wall clock is set back by an hour, and the collector is killed; then the clock is right again."""
    with _clock(rig, -HOUR_SECONDS):
        yield


@contextmanager
def clock_ahead(rig: Rig) -> Iterator[None]:
    """The wall clock is set ahead by an hour, and the collector is killed; then the clock is right again."""
    with _clock(rig, HOUR_SECONDS):
        yield


@contextmanager
def full_disk(rig: Rig) -> Iterator[None]:
    """The log disk is full, and the collector is killed; then there is room, and it is killed again."""
    filler = rig.disk / "filler"
    try:
        _fill(rig)
        rig.kill("collector")
        yield
    finally:
        filler.unlink()
    said = len(rig.log("collector"))
    rig.kill("collector")
    assert within(RESTART_SECONDS + 2, lambda: len(rig.log("collector")) > said), "nothing is logged any more"


@contextmanager
def api_without_descriptors(rig: Rig) -> Iterator[None]:
    """The API may open no file more (RLIMIT_NOFILE), and 50 more clients connect; then it may again."""
    with _without_descriptors(rig, "api"), contextlib.ExitStack() as stack:
        said = len(rig.log("api"))
        for _ in range(CONNECTING):
            stack.enter_context(hostile.connect(rig.port))
        yield
        said = len(rig.log("api")) - said
        assert said < MOST_SAID_BYTES, f"it has written {said} bytes into its log"


@contextmanager
def collector_without_descriptors(rig: Rig) -> Iterator[None]:
    """The collector may open no file more, and the API is killed, so that a new one connects; then it may again."""
    with _without_descriptors(rig, "collector"):
        rig.kill("api")
        yield


@contextmanager
def _clock(rig: Rig, seconds: int) -> Iterator[None]:
    rig.set_clock(seconds)
    try:
        # The processes look at it once a second.
        time.sleep(1.5)
        rig.kill("collector")
        yield
    finally:
        rig.set_clock(0)


def _fill(rig: Rig) -> None:
    with (rig.disk / "filler").open("wb", buffering=0) as file:
        size = len(_MEBIBYTE)
        while size:
            try:
                file.write(_MEBIBYTE[:size])
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2


@contextmanager
def _without_descriptors(rig: Rig, program: str) -> Iterator[None]:
    pid = rig.running_pid(program)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = max(int(file.name) for file in Path(f"/proc/{pid}/fd").iterdir()) + 1
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


CLOCK = "The wall clock is set back, or ahead"
DISK = "The log disk is full"
DESCRIPTORS = "A process may open no more files"

FAULTS = (
    Fault(
        name="clock-back",
        row=CLOCK,
        inflict=clock_back,
        allowed=Allowed(statuses=OK | STALE),
        holds_seconds=RESTART_SECONDS,
        mends_seconds=0.5,
    ),
    Fault(
        name="clock-ahead",
        row=CLOCK,
        inflict=clock_ahead,
        allowed=Allowed(statuses=OK | STALE),
        holds_seconds=RESTART_SECONDS,
        mends_seconds=0.5,
    ),
    Fault(
        name="log-disk-full",
        row=DISK,
        inflict=full_disk,
        allowed=Allowed(statuses=OK | STALE),
        holds_seconds=RESTART_SECONDS,
        mends_seconds=RESTART_SECONDS,
    ),
    Fault(
        name="api-without-descriptors",
        row=DESCRIPTORS,
        inflict=api_without_descriptors,
        mends_seconds=0.5,
    ),
    Fault(
        name="collector-without-descriptors",
        row=DESCRIPTORS,
        inflict=collector_without_descriptors,
        allowed=Allowed(statuses=GOING | TORN),
        holds_seconds=RESTART_SECONDS,
        mends_seconds=RESTART_SECONDS,
    ),
)
