"""The two processes: killed, stopped, told to end."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.allowed import OK, STALE_SECONDS, Allowed
from tests.chaos.fault import AWAY, RESTART_SECONDS, STALE, Fault
from tests.chaos.rig import Rig

STOPPED_SECONDS = 4.0
SHUTDOWN_SECONDS = 4.0
"""What the API may take to end: requests that have begun are answered for 3 s."""

TORN = frozenset({"torn"})
GOING = OK | AWAY


@contextmanager
def killed_collector(rig: Rig) -> Iterator[None]:
    """kill -9 of the collector."""
    rig.kill("collector")
    yield


@contextmanager
def killed_api(rig: Rig) -> Iterator[None]:
    """kill -9 of the API, under load."""
    rig.kill("api")
    yield


@contextmanager
def killed_both(rig: Rig) -> Iterator[None]:
    """kill -9 of both at once."""
    rig.kill("api")
    rig.kill("collector")
    yield


@contextmanager
def stopped_collector(rig: Rig) -> Iterator[None]:
    """SIGSTOP of the collector; then SIGCONT."""
    with _stopped(rig, "collector"):
        yield


@contextmanager
def stopped_api(rig: Rig) -> Iterator[None]:
    """SIGSTOP of the API, while snapshots and requests wait for it; then SIGCONT."""
    with _stopped(rig, "api"):
        yield


@contextmanager
def new_api_of_a_stopped_collector(rig: Rig) -> Iterator[None]:
    """SIGSTOP of the collector, kill -9 of the API; the new one has subscribed when SIGCONT comes."""
    with _stopped(rig, "collector"):
        rig.kill("api")
        yield


@contextmanager
def ended_api(rig: Rig) -> Iterator[None]:
    """SIGTERM of the API, under load."""
    rig.end("api", SHUTDOWN_SECONDS)
    yield


@contextmanager
def ended_collector(rig: Rig) -> Iterator[None]:
    """SIGTERM of the collector."""
    rig.end("collector", within_seconds=1.0)
    yield


@contextmanager
def _stopped(rig: Rig, program: str) -> Iterator[None]:
    pid = rig.signal(program, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


KILLED = "A process is killed, or stopped for a while"
ENDED = "SIGTERM, Ctrl-C"

FAULTS = (
    Fault(
        name="kill-collector",
        row=KILLED,
        inflict=killed_collector,
        allowed=Allowed(statuses=OK | STALE),
        holds_seconds=0.0,
        mends_seconds=RESTART_SECONDS,
    ),
    Fault(
        name="kill-api",
        row=KILLED,
        inflict=killed_api,
        allowed=Allowed(statuses=GOING | TORN),
        holds_seconds=0.0,
        mends_seconds=RESTART_SECONDS,
    ),
    Fault(
        name="kill-both",
        row=KILLED,
        inflict=killed_both,
        allowed=Allowed(statuses=GOING | TORN),
        holds_seconds=0.0,
        mends_seconds=RESTART_SECONDS,
    ),
    Fault(
        name="stop-collector",
        row=KILLED,
        inflict=stopped_collector,
        allowed=Allowed(statuses=STALE),
        noticed_seconds=STALE_SECONDS,
        mends_seconds=0.5,
    ),
    Fault(
        name="stop-api",
        row=KILLED,
        inflict=stopped_api,
        allowed=Allowed(statuses=OK | STALE, wait_seconds=STOPPED_SECONDS),
        holds_seconds=STOPPED_SECONDS,
        mends_seconds=0.5,
    ),
    Fault(
        name="new-api-of-a-stopped-collector",
        row=KILLED,
        inflict=new_api_of_a_stopped_collector,
        allowed=Allowed(statuses=AWAY | STALE),
        passing=TORN | OK,
        noticed_seconds=0.5,
        holds_seconds=8.0,
        mends_seconds=1.0,
    ),
    Fault(
        name="sigterm-api",
        row=ENDED,
        inflict=ended_api,
        allowed=Allowed(statuses=GOING),
        holds_seconds=0.0,
        mends_seconds=RESTART_SECONDS,
    ),
    Fault(
        name="sigterm-collector",
        row=ENDED,
        inflict=ended_collector,
        allowed=Allowed(statuses=OK | STALE),
        holds_seconds=0.0,
        mends_seconds=RESTART_SECONDS,
    ),
)
