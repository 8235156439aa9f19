"""Those who ask the API, or listen to it, badly or in great numbers."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from api.routes import STREAM_PATH
from tests import hostile
from tests.chaos.fault import Fault
from tests.chaos.rig import Rig
from tests.served import request

MANY = 2500
"""More connections than the API admits, which is 2,000 or half of the files that it may open."""

LISTENERS = 50


@contextmanager
def half_open(rig: Rig) -> Iterator[None]:
    """500 clients begin a request and do not end it."""
    with _attacked(rig, hostile.half_open):
        yield


@contextmanager
def never_reading(rig: Rig) -> Iterator[None]:
    """100 clients ask for 200 bodies each, and read none."""
    with _attacked(rig, hostile.never_reading):
        yield


@contextmanager
def oversized(rig: Rig) -> Iterator[None]:
    """Headers of 100 kB from 20 clients, bodies of a gigabyte from two, and requests that are none."""
    with contextlib.ExitStack() as stack:
        hostile.headers_of_100_kilobytes(rig.port, stack)
        hostile.a_body_of_a_gigabyte(rig.port, stack)
        hostile.bad_methods_and_encodings(rig.port, stack)
        yield


@contextmanager
def slow_listeners(rig: Rig) -> Iterator[None]:
    """50 clients listen to the stream, and read nothing of it."""
    with contextlib.ExitStack() as stack:
        for _ in range(LISTENERS):
            stack.enter_context(hostile.connect(rig.port, 4096)).sendall(request("GET", STREAM_PATH))
        yield


@contextmanager
def too_many(rig: Rig) -> Iterator[None]:
    """2,500 clients connect and say nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(hostile.connect(rig.port))
        yield


@contextmanager
def _attacked(rig: Rig, attack: Callable[[int, contextlib.ExitStack], None]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        attack(rig.port, stack)
        yield


BAD_REQUESTS = "Slow, idle or oversized HTTP requests"

FAULTS = (
    Fault(name="half-open-connections", row=BAD_REQUESTS, inflict=half_open, mends_seconds=0.5),
    Fault(name="clients-that-never-read", row=BAD_REQUESTS, inflict=never_reading, mends_seconds=0.5),
    Fault(name="oversized-requests", row=BAD_REQUESTS, inflict=oversized, mends_seconds=0.5),
    Fault(name="too-many-connections", row=BAD_REQUESTS, inflict=too_many, mends_seconds=0.5),
    Fault(
        name="slow-listeners",
        row="A listener of the stream reads too slowly",
        inflict=slow_listeners,
        holds_seconds=8.0,
        mends_seconds=0.5,
    ),
)
