"""What one API costs that listens to many hosts, and one collector that many listen to: the real processes.

The hosts are simulated by one process, see `hosts`. Other load on the machine makes all of it slower, and is counted
for nobody: CPU time is each process's own.
"""

import json
import os
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import zmq

from api import open_files
from common.settings import PREFIX
from tests.benchmarks.surroundings import START_SECONDS, driver, running, wait_for
from tests.benchmarks.table import Row, figure
from tests.ports import free_port

SIZES = (10, 100, 1000)
SUBSCRIBERS = 500
_TICKS = os.sysconf("SC_CLK_TCK") if sys.platform == "linux" else 100
_FILES_PER_SUBSCRIBER = 4
_FRESH = "ok"


def rows(
    library: Path, sizes: Sequence[int] = SIZES, subscribers: int = SUBSCRIBERS, seconds: float = 10.0
) -> list[Row]:
    """Measure each for so many seconds; nothing where the platform has no `/proc`."""
    if sys.platform != "linux":
        return []
    found = [row for size in sizes for row in _api_rows(size, seconds)]
    return found + _collector_rows(library, subscribers, seconds)


def _api_rows(hosts: int, seconds: float) -> list[Row]:
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        path, port = Path(directory) / "feeds", free_port()
        stack.enter_context(running("tests.benchmarks.hosts", str(hosts), str(path), extra={}))
        _until(path.exists)
        settings = {"API_PORT": str(port), "FEED_CONNECT": f"file:{path}", "LOG_LEVEL": "WARNING"}
        api = stack.enter_context(running("api", extra=_prefixed(settings)))
        wait_for(port, api)
        _until(lambda: sum(host["host"] is not None for host in _hosts(port)) == hosts)
        before, began = _received(port), time.monotonic()
        with _cpu_seconds(api.pid) as cpu:
            time.sleep(seconds)
        told, elapsed = _hosts(port), time.monotonic() - began
        messages = sum(host["messages"]["received"] for host in told) - before
        resident = _resident_mebibytes(api.pid)
    how = f"fleet: hosts of 8 GPUs at one snapshot a second each, over {seconds:g} s; memory grows with the history"
    ages = [host["age_seconds"] for host in told if host["state"] == _FRESH]
    name = f"API, {hosts} hosts"
    return [
        figure(f"{name}: CPU", "% of a core", [100 * cpu[0] / elapsed], how=how),
        figure(f"{name}: CPU of a snapshot", "us CPU", [1e6 * cpu[0] / messages], how=how),
        figure(f"{name}: memory", "MiB", [resident], how=how),
        figure(f"{name}: fresh", "hosts", [len(ages)], how=how),
        figure(f"{name}: oldest fresh", "s", [max(ages)], how=how),
        figure(f"{name}: lost", "messages", [sum(host["messages"]["lost"] for host in told)], how=how),
    ]


def _collector_rows(library: Path, subscribers: int, seconds: float) -> list[Row]:
    feed = f"tcp://127.0.0.1:{free_port()}"
    settings = {"HOST": "fleet", "INTERVAL_SECONDS": "0.05", "FEED_BIND": feed, "NVML_LIBRARY": str(library)}
    settings["LOG_LEVEL"] = "WARNING"
    with ExitStack() as stack:
        collector = stack.enter_context(running("collector", extra={**driver(), **_prefixed(settings)}))
        listening = _Listening(feed, subscribers)
        stack.callback(listening.close)
        stopped = stack.enter_context(running("api.tap", "--feed-connect", feed, "--log-level=WARNING", extra={}))
        listening.listen(until=lambda: listening.are_all_heard)
        time.sleep(1.0)  # for the tap to have subscribed, too
        stopped.send_signal(signal.SIGSTOP)
        stack.callback(stopped.send_signal, signal.SIGCONT)
        listening.listen_for(1.0)  # to what has come meanwhile
        listening.lost = listening.received = 0
        with _cpu_seconds(collector.pid) as cpu:
            listening.listen_for(seconds)
        resident = _resident_mebibytes(collector.pid)
    how = f"collector: 8 GPUs, 20 snapshots a second, {subscribers} subscribers, and one more that was stopped"
    return [
        figure(f"collector, {subscribers} subscribers: CPU", "% of a core", [100 * cpu[0] / seconds], how=how),
        figure(f"collector, {subscribers} subscribers: memory", "MiB", [resident], how=how),
        figure(f"collector, {subscribers} subscribers: received", "messages", [listening.received], how=how),
        figure(f"collector, {subscribers} subscribers: lost", "messages", [listening.lost], how=how),
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
        open_files.allow(_FILES_PER_SUBSCRIBER * subscribers + 100)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._latest: dict[zmq.Socket[bytes], int] = {}
        self._poller = zmq.Poller()
        self._subscribers = subscribers
        self.lost = self.received = 0
        for _ in range(subscribers):
            socket = self._context.socket(zmq.SUB)
            socket.subscribe(b"")
            socket.connect(feed)
            self._poller.register(socket, zmq.POLLIN)

    @property
    def are_all_heard(self) -> bool:
        """Whether each has received something."""
        return len(self._latest) == self._subscribers

    def listen(self, until: Callable[[], bool]) -> None:
        """Receive, and count."""
        while not until():
            for socket, _ in self._poller.poll(100):
                sequence = _sequence(socket.recv())
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


def _prefixed(settings: Mapping[str, str]) -> dict[str, str]:
    return {PREFIX + name: value for name, value in settings.items()}


def _hosts(port: int) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/monitoring/hosts", timeout=START_SECONDS) as answer:
        told: list[dict[str, Any]] = json.load(answer)["hosts"]
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


@contextmanager
def _cpu_seconds(pid: int) -> Iterator[list[float]]:
    """Give a list that has, after the block, the CPU time that a process used meanwhile."""
    used: list[float] = []
    before = _cpu(pid)
    yield used
    used.append(_cpu(pid) - before)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS  # proc(5): utime, stime


def _resident_mebibytes(pid: int) -> float:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 2**10
