"""What it costs the API that so many listen to its stream, at one snapshot of 8 GPUs per second: its CPU, its memory,
and how long it takes until the last one has been told. The API runs as the README has it, on a core of its own."""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from api.routes import STREAM_PATH
from collector.publisher import Publisher
from common.clock import elapsed_seconds
from common.settings import PREFIX
from tests.benchmarks.snapshots import following, snapshot
from tests.benchmarks.surroundings import START_SECONDS, cpu_seconds, pinned, resident_mebibytes, running, wait_for
from tests.benchmarks.table import Promise, Row, figure
from tests.ports import free_port

LISTENERS = (1, 100, 1000)
_WITHIN_THE_SECOND = Promise(1000)
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
    return [row for count in listeners for row in _rows(count, snapshots, interval_seconds)]


def _rows(count: int, snapshots: int, interval_seconds: float) -> list[Row]:
    feed, port = f"tcp://127.0.0.1:{free_port()}", free_port()
    settings = {"API_PORT": str(port), "FEED_CONNECT": feed, "LOG_LEVEL": "WARNING"}
    with ExitStack() as stack:
        with pinned(0):
            extra = {PREFIX + name: value for name, value in settings.items()}
            api = stack.enter_context(running("api", extra=extra))
        stack.enter_context(pinned(-1))
        wait_for(port, api)
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            delays, share = runner.run(_measured(feed, port, api.pid, _Plan(count, snapshots, interval_seconds)))
        held = resident_mebibytes(api.pid)
    who = f"{count:,} listener{'' if count == 1 else 's'}"
    how = "listeners: of the stream, at one snapshot of 8 GPUs per second; CPU in percent of one core"
    return [
        figure(f"{who}: the last is told after", "ms", delays, _WITHIN_THE_SECOND, how),
        figure(f"{who}: CPU of the API", "%", [share]),
        figure(f"{who}: memory of the API", "MiB", [held]),
    ]


async def _measured(feed: str, port: int, pid: int, plan: _Plan) -> tuple[list[float], float]:
    """Return after how many milliseconds the last one was told of each snapshot, and the API's CPU in percent."""
    publisher = Publisher(feed, elapsed_seconds)
    serving = asyncio.create_task(publisher.serve())
    latest = snapshot()
    await publisher.publish(latest)
    ears = [await _listen(port) for _ in range(plan.listeners)]
    await _until_told(ears, 1)
    spent, began, delays = cpu_seconds(pid), time.perf_counter(), []
    for number in range(plan.snapshots):
        await asyncio.sleep(max(0.0, began + number * plan.interval_seconds - time.perf_counter()))
        published_at, latest = time.perf_counter(), following(latest)
        await publisher.publish(latest)
        await _until_told(ears, number + 2)
        delays.append((max(ear.told_at for ear in ears) - published_at) * 1e3)
    await asyncio.sleep(max(0.0, began + plan.snapshots * plan.interval_seconds - time.perf_counter()))
    share = 100 * (cpu_seconds(pid) - spent) / (time.perf_counter() - began)
    for ear in ears:
        ear.transport.abort()
    serving.cancel()
    publisher.close()
    return delays, share


async def _listen(port: int) -> _Ear:
    _, ear = await asyncio.get_running_loop().create_connection(_Ear, "127.0.0.1", port)
    return ear


async def _until_told(ears: Sequence[_Ear], messages: int) -> None:
    """Raises TimeoutError: somebody was not told."""
    async with asyncio.timeout(START_SECONDS):
        while any(ear.told < messages for ear in ears):
            await asyncio.sleep(0.002)
