"""What it costs the API that so many listen to its stream, at one snapshot of 8 GPUs per second: its CPU, its memory,
and how long it takes until the last one has been told; beside a bare server that writes as much to as many. Both share
a core that nobody else is put on, the API as the README has it."""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from api import open_files
from api.routes import STREAM_PATH
from collector.publisher import Publisher
from common.clock import elapsed_seconds
from tests.benchmarks.rounds import compared
from tests.benchmarks.snapshots import following, snapshot
from tests.benchmarks.surroundings import (
    START_SECONDS,
    cpu_seconds,
    pinned,
    resident_mebibytes,
    running,
    settings,
    wait_for,
)
from tests.benchmarks.table import Promise, Row, figure, ratio
from tests.ports import free_port

LISTENERS = (1, 100, 1000)
_WITHIN_THE_SECOND = Promise(1000)
_FILES_PER_LISTENER = 2
_HEARD = 2
"""Messages after which a listener has certainly been told of one that was published while it listened."""
_LEFTOVERS_SECONDS = 0.3
_REQUEST = f"GET {STREAM_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
_END = b"\n\n\r\n"
"""Of a message, and the chunk that it is in."""


class _Plan(NamedTuple):
    """How many listen, to how many snapshots, and the time between two."""

    listeners: int
    snapshots: int
    interval_seconds: float


class _Ear(asyncio.Protocol):
    """One listener, which counts what it is told and looks at nothing but ends."""

    def __init__(self) -> None:
        self.told = 0
        self.told_at = 0.0
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        if (self._tail + data[-len(_END) :]).endswith(_END):
            self.told += 1
            self.told_at = time.perf_counter()
        self._tail = data[-len(_END) :]


def rows(listeners: Sequence[int] = LISTENERS, snapshots: int = 10, interval_seconds: float = 1.0) -> list[Row]:
    """Measure with each number of listeners, over so many snapshots; nothing where the platform has no `/proc`."""
    if sys.platform != "linux":
        return []
    return [row for count in listeners for row in rows_of(_Plan(count, snapshots, interval_seconds))]


def rows_of(plan: _Plan) -> list[Row]:
    """Measure with one number of listeners."""
    feeds, ports = [f"tcp://127.0.0.1:{free_port()}" for _ in range(2)], [free_port() for _ in range(2)]
    open_files.allow(_FILES_PER_LISTENER * plan.listeners + 100)
    with ExitStack() as stack:
        with pinned(0):
            ours = stack.enter_context(running("api", extra=settings(API_PORT=str(ports[0]), FEED_CONNECT=feeds[0])))
            bare = stack.enter_context(running("tests.benchmarks.bare", "stream", feeds[1], str(ports[1]), extra={}))
        stack.enter_context(pinned(-1))
        for port, process in zip(ports, (ours, bare), strict=True):
            wait_for(port, process)
        pids = ours.pid, bare.pid
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            told = runner.run(_measured(feeds, ports, pids, plan))
        memory = resident_mebibytes(pids[0]), resident_mebibytes(pids[1])
    who = f"{plan.listeners:,} listener{'' if plan.listeners == 1 else 's'}"
    how = (
        "listeners: of the stream, at one snapshot of 8 GPUs per second; CPU in percent of one core; against a bare SUB"
    )
    how += " whose messages a bare asyncio protocol writes to as many"
    shares = [(one.percent, two.percent) for one, two in told]
    return [
        figure(f"{who}: the last is told after", "ms", [one.delay for one, _ in told], _WITHIN_THE_SECOND, how),
        ratio(f"{who}: the last, against bare", "ms", compared([(one.delay, two.delay) for one, two in told])),
        ratio(f"{who}: CPU of the API", "%", compared(shares)),
        ratio(f"{who}: memory of the API", "MiB", compared([memory])),
    ]


class _Told(NamedTuple):
    """Of one snapshot: after how many milliseconds the last one was told of it, and the CPU until the next in percent
    of a core."""

    delay: float
    percent: float


class _Side:
    """A server of events, those who listen to it, and the feed from which it has them."""

    def __init__(self, feed: str, pid: int) -> None:
        self._pid = pid
        self._publisher = Publisher(feed, elapsed_seconds)
        self._serving = asyncio.create_task(self._publisher.serve())
        self._latest = snapshot()
        self._spent = 0.0
        self._ears: list[_Ear] = []

    async def listen(self, port: int, listeners: int) -> None:
        """Come in, and wait until all have been told of what was published since, and of nothing more."""
        self._ears = [await _listen(port) for _ in range(listeners)]
        async with asyncio.timeout(START_SECONDS):
            while any(ear.told < _HEARD for ear in self._ears):
                self._latest = following(self._latest)
                await self._publisher.publish(self._latest)
                await asyncio.sleep(_LEFTOVERS_SECONDS)
        await asyncio.sleep(_LEFTOVERS_SECONDS)
        self._spent = cpu_seconds(self._pid)

    def percent(self, seconds: float) -> float:
        """Return the CPU that was used since this was asked before, so many seconds ago."""
        before, self._spent = self._spent, cpu_seconds(self._pid)
        return 100 * (self._spent - before) / seconds

    async def tell(self) -> float:
        """Publish, and return after how many milliseconds the last one was told."""
        self._latest = following(self._latest)
        due = [ear.told + 1 for ear in self._ears]
        published_at = time.perf_counter()
        await self._publisher.publish(self._latest)
        await _until_told(self._ears, due)
        return (max(ear.told_at for ear in self._ears) - published_at) * 1e3

    def close(self) -> None:
        """Leave."""
        for ear in self._ears:
            ear.transport.abort()
        self._serving.cancel()
        self._publisher.close()


async def _measured(
    feeds: Sequence[str], ports: Sequence[int], pids: Sequence[int], plan: _Plan
) -> list[tuple[_Told, _Told]]:
    """Tell both sides of each snapshot, the second half an interval after the first."""
    sides = [_Side(feed, pid) for feed, pid in zip(feeds, pids, strict=True)]
    for side, port in zip(sides, ports, strict=True):
        await side.listen(port, plan.listeners)
    began, found = time.perf_counter(), []
    for number in range(plan.snapshots):
        delays = []
        for place, side in enumerate(sides):
            await _until(began + (number + place / 2) * plan.interval_seconds)
            delays.append(await side.tell())
        await _until(began + (number + 1) * plan.interval_seconds)
        one, two = (
            _Told(delay, side.percent(plan.interval_seconds)) for delay, side in zip(delays, sides, strict=True)
        )
        found.append((one, two))
    for side in sides:
        side.close()
    return found


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.perf_counter()))


async def _listen(port: int) -> _Ear:
    _, ear = await asyncio.get_running_loop().create_connection(_Ear, "127.0.0.1", port)
    return ear


async def _until_told(ears: Sequence[_Ear], due: Sequence[int]) -> None:
    """Raises TimeoutError: somebody was not told."""
    async with asyncio.timeout(START_SECONDS):
        while any(ear.told < messages for ear, messages in zip(ears, due, strict=True)):
            await asyncio.sleep(0.002)
