"""What one API costs that listens to many hosts, and one collector that many listen to: the real processes.

The hosts are simulated by one process, see `hosts`; a bare subscriber listens to them at the same time. Other load on
the machine makes all of it slower, and is counted for nobody: CPU time is each process's own.
"""

import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import zmq

from api import open_files
from api.routes import MONITORING
from tests.benchmarks.rounds import compared
from tests.benchmarks.service import body
from tests.benchmarks.surroundings import (
    START_SECONDS,
    cpu_seconds,
    driver,
    resident_mebibytes,
    running,
    settings,
    wait_for,
)
from tests.benchmarks.table import Row, figure, ratio
from tests.ports import free_port

SIZES = (1, 10, 100, 1000)
SUBSCRIBERS = 500
WINDOWS = 5
_FILES_PER_FEED = 4
_FRESH = "ok"
_RATE = 20


def rows(
    library: Path, sizes: Sequence[int] = SIZES, subscribers: int = SUBSCRIBERS, seconds: float = 10.0
) -> list[Row]:
    """Measure each for so many seconds, in windows; nothing where the platform has no `/proc`."""
    if sys.platform != "linux":
        return []
    found = [row for size in sizes for row in api_rows(size, seconds)]
    return found + collector_rows(library, subscribers, seconds)


class _Used(NamedTuple):
    """What had come by some moment, the CPU time that the API and the bare subscriber had used, and the moment."""

    messages: float
    ours: float
    bare: float
    at: float


def api_rows(hosts: int, seconds: float = 10.0) -> list[Row]:
    """Measure the API of so many hosts."""
    with _fleet(hosts) as (port, api, bare):
        used = [_used(port, api, bare)]
        for _ in range(WINDOWS):
            time.sleep(seconds / WINDOWS)
            used.append(_used(port, api, bare))
        told = _hosts(port)
        memory = resident_mebibytes(api), resident_mebibytes(bare)
    how = f"fleet: hosts of 8 GPUs at one snapshot a second each, over {seconds:g} s; memory grows with the history"
    how += "; against a bare SUB of the same messages"
    name = f"API, {hosts:,} host{'' if hosts == 1 else 's'}"
    windows = [_Used(*(late - early for early, late in zip(*both, strict=True))) for both in pairwise(used)]
    shares = [(100 * one.ours / one.at, 100 * one.bare / one.at) for one in windows]
    each = [(1e6 * one.ours / one.messages, 1e6 * one.bare / one.messages) for one in windows]
    ages = [host["age_seconds"] for host in told if host["state"] == _FRESH]
    return [
        ratio(f"{name}: CPU", "% of a core", compared(shares), how=how),
        ratio(f"{name}: CPU of a snapshot", "us CPU", compared(each), how=how),
        ratio(f"{name}: memory", "MiB", compared([memory]), how=how),
        figure(f"{name}: fresh", "hosts", [len(ages)], how=how),
        figure(f"{name}: oldest fresh", "s", [max(ages)], how=how),
        figure(f"{name}: lost", "messages", [sum(host["messages"]["lost"] for host in told)], how=how),
    ]


def _used(port: int, api: int, bare: int) -> _Used:
    """Asking costs the API something too, and comes after its time was read: it is in the window that follows."""
    ours, others, at = cpu_seconds(api), cpu_seconds(bare), time.monotonic()
    return _Used(_received(port), ours, others, at)


@contextmanager
def _fleet(hosts: int) -> Iterator[tuple[int, int, int]]:
    """Run so many hosts, an API that has heard them all, and a bare subscriber. Give the API's port, and the numbers of
    both processes."""
    open_files.allow(_FILES_PER_FEED * hosts + 100)
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        path, port = Path(directory) / "feeds", free_port()
        stack.enter_context(running("tests.benchmarks.hosts", str(hosts), str(path), extra={}))
        _until(path.exists)
        extra = settings(API_PORT=str(port), FEED_CONNECT=f"file:{path}")
        api = stack.enter_context(running("api", extra=extra))
        bare = stack.enter_context(running("tests.benchmarks.bare", "api", *path.read_text().split(), extra={}))
        wait_for(port, api)
        _until(lambda: sum(host["host"] is not None for host in _hosts(port)) == hosts)
        yield port, api.pid, bare.pid


def collector_rows(library: Path, subscribers: int = SUBSCRIBERS, seconds: float = 10.0) -> list[Row]:
    """Measure the collector of so many subscribers."""
    feed = f"tcp://127.0.0.1:{free_port()}"
    extra = settings(HOST="fleet", INTERVAL_SECONDS=str(1 / _RATE), FEED_BIND=feed, NVML_LIBRARY=str(library))
    with ExitStack() as stack:
        collector = stack.enter_context(running("collector", extra={**driver(), **extra})).pid
        listening = _Listening(feed, subscribers)
        stack.callback(listening.close)
        stopped = stack.enter_context(running("api.tap", "--feed-connect", feed, "--log-level=WARNING", extra={}))
        listening.listen(until=lambda: listening.are_all_heard)
        time.sleep(1.0)  # for the tap to have subscribed, too
        stopped.send_signal(signal.SIGSTOP)
        stack.callback(stopped.send_signal, signal.SIGCONT)
        listening.listen_for(1.0)  # to what has come meanwhile
        listening.begin()
        spent = []
        for _ in range(WINDOWS):
            before, began = cpu_seconds(collector), time.monotonic()
            listening.listen_for(seconds / WINDOWS)
            spent.append(100 * (cpu_seconds(collector) - before) / (time.monotonic() - began))
        memory = resident_mebibytes(collector)
        listening.end()
    how = f"collector: 8 GPUs, {_RATE} snapshots a second, {subscribers} subscribers, and one more that was stopped"
    how += "; received: against what was published meanwhile, times the subscribers, who were given time for the rest"
    name = f"collector, {subscribers} subscribers"
    return [
        figure(f"{name}: CPU", "% of a core", spent, how=how),
        figure(f"{name}: memory", "MiB", [memory], how=how),
        ratio(f"{name}: received", "messages", compared([(listening.received, listening.due)]), how=how),
        figure(f"{name}: lost", "messages", [listening.lost], how=how),
    ]


_SEQUENCE = b"\xa8sequence"
_INTEGERS = {0xCC: 1, 0xCD: 2, 0xCE: 4}
"""Bytes of msgpack's whole numbers beyond 127, by what they begin with."""


def _sequence(frame: bytes) -> int:
    """Return a snapshot's number, without the cost of decoding what nobody here wants to know."""
    place = frame.index(_SEQUENCE) + len(_SEQUENCE)
    first = frame[place]
    return int.from_bytes(frame[place + 1 : place + 1 + _INTEGERS[first]], "big") if first in _INTEGERS else first


class _Listening:
    """Subscribers of one feed, all in this thread, and what they lost."""

    def __init__(self, feed: str, subscribers: int) -> None:
        open_files.allow(_FILES_PER_FEED * subscribers + 100)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._latest: dict[zmq.Socket[bytes], int] = {}
        self._poller = zmq.Poller()
        self._subscribers = subscribers
        for _ in range(subscribers):
            socket = self._context.socket(zmq.SUB)
            socket.subscribe(b"")
            socket.connect(feed)
            self._poller.register(socket, zmq.POLLIN)
        self.begin()

    @property
    def are_all_heard(self) -> bool:
        """Whether each has received something."""
        return len(self._latest) == self._subscribers

    def begin(self) -> None:
        """Count from now on."""
        self.lost = self.received = self.due = 0
        self._newest = sys.maxsize
        self._began = dict(self._latest)

    def end(self) -> None:
        """Let all come to the newest that anybody has received, and count nothing that is newer."""
        self._newest = max(self._latest.values())
        self.due = sum(self._newest - sequence for sequence in self._began.values())
        deadline = time.monotonic() + START_SECONDS
        self.listen(until=lambda: min(self._latest.values()) >= self._newest or time.monotonic() > deadline)

    def listen(self, until: Callable[[], bool]) -> None:
        """Receive, and count."""
        while not until():
            for socket, _ in self._poller.poll(100):
                sequence = _sequence(socket.recv())
                if sequence <= self._newest:
                    self.lost += max(0, sequence - self._latest.get(socket, sequence - 1) - 1)
                    self.received += 1
                self._latest[socket] = sequence

    def listen_for(self, seconds: float) -> None:
        """Receive for so long."""
        end = time.monotonic() + seconds
        self.listen(until=lambda: time.monotonic() > end)

    def close(self) -> None:
        """Leave."""
        self._context.destroy(linger=0)


def _hosts(port: int) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads(body(port, f"{MONITORING}/hosts"))["hosts"]
    return told


def _received(port: int) -> int:
    return sum(host["messages"]["received"] for host in _hosts(port))


def _until(is_so: Callable[[], bool]) -> None:
    """Wait. Raises TimeoutError: it does not come about."""
    deadline = time.monotonic() + 3 * START_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("the fleet does not start")
        time.sleep(0.1)
