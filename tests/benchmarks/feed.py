"""From the end of a sample to the body that shows it, and on to who asks for it, beside a bare ZeroMQ hop of the same
bytes.

All in one process and one event loop, over TCP on the loopback address, each end with a context of its own. One
message is under way at a time, and the time runs from before it is encoded until the receiver has what it wants.
"""

import asyncio
import statistics
import time
from abc import ABC, abstractmethod
from functools import partial
from http import HTTPStatus

import zmq
import zmq.asyncio

from api.app import Server
from api.cache import Cache
from api.feeds import Feed
from api.scraping.tally import Tally
from api.stream import Stream
from api.subscriber import Subscriber
from collector.publisher import Publisher
from common import wire
from common.clock import elapsed_seconds
from common.snapshot import Snapshot
from tests.benchmarks.load import Question, read_answer
from tests.benchmarks.rounds import compared, take_turns
from tests.benchmarks.snapshots import following, snapshot
from tests.benchmarks.table import Promise, Row, ratio
from tests.builders import ask, make_answers, make_history
from tests.ports import free_port

PROMISED = Promise(5.0)
_LEFTOVERS_SECONDS = 0.1


def rows(rounds: int = 40, messages: int = 100) -> list[Row]:
    """Measure rounds of so many messages, each round's hop being the median of its own."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        hops = runner.run(_started())
        turns = take_turns(rounds, *(partial(_round, runner, hop, messages) for hop in hops))
        runner.run(_ended(*hops))
    found = [compared([(turn[place], turn[-1]) for turn in turns]) for place in range(2)]
    how = "new body: publish, receive, decode, cache, render, and in the second row a GET over a kept connection"
    how += "; against PUB to SUB of zmq.asyncio with the same bytes"
    return [
        ratio("sample's end to new body", "us", found[0], PROMISED, how),
        ratio("sample's end to new body served", "us", found[1], how=how),
    ]


def _round(runner: asyncio.Runner, hop: "_Hop", messages: int) -> float:
    return runner.run(hop.microseconds(messages))


class _Hop(ABC):
    """A sender and a receiver of one message at a time."""

    def __init__(self) -> None:
        self._expect()

    def _expect(self) -> None:
        self._arrived: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def _arrive(self) -> None:
        if not self._arrived.done():
            self._arrived.set_result(time.perf_counter())

    async def microseconds(self, messages: int) -> float:
        """Return how long the median message took to arrive."""
        return statistics.median([await self._one() for _ in range(messages)]) * 1e6

    async def _one(self) -> float:
        self._expect()
        self.prepare()
        began = time.perf_counter()
        await self.send()
        return await self._arrived - began

    async def settle(self) -> None:
        """Send until something arrives, and let what else was sent arrive."""
        while not self._arrived.done():
            await self.send()
            await asyncio.wait({self._arrived}, timeout=_LEFTOVERS_SECONDS)
        await asyncio.sleep(_LEFTOVERS_SECONDS)

    @abstractmethod
    def prepare(self) -> None:
        """Do what is no part of the hop."""

    @abstractmethod
    async def send(self) -> None:
        """Send what was prepared."""

    @abstractmethod
    async def close(self) -> None:
        """End the tasks and close the sockets."""


class _Ours(_Hop):
    """Publisher, subscriber, cache and answers, as the two processes wire them."""

    def __init__(self, endpoint: str, first: Snapshot) -> None:
        super().__init__()
        self._latest = first
        self._cache = Cache((endpoint,))
        self._answers = make_answers(self._cache)
        self._publisher = Publisher(endpoint, elapsed_seconds)
        self._subscriber = Subscriber((Feed(endpoint),), self._accept, self._cache.reject, elapsed_seconds)
        self._serving = [asyncio.create_task(end.serve()) for end in (self._publisher, self._subscriber)]

    def prepare(self) -> None:
        self._latest = following(self._latest)

    async def send(self) -> None:
        await self._publisher.publish(self._latest)

    async def close(self) -> None:
        await _cancelled(*self._serving)
        self._subscriber.close()
        self._publisher.close()

    def _accept(self, endpoint: str, snapshot: Snapshot, arrived: float) -> None:
        self._cache.accept(endpoint, snapshot, arrived)
        if ask(self._answers, now=elapsed_seconds()).status == HTTPStatus.OK:
            self._arrive()


class _Served(_Ours):
    """The same, and a client that asks over HTTP as soon as there is something new."""

    def __init__(self, endpoint: str, first: Snapshot) -> None:
        super().__init__(endpoint, first)
        self._server = Server(self._answers, Stream(self._cache, make_history()), Tally(), elapsed_seconds)
        self._question = Question(free_port())
        self._server.listen("127.0.0.1", self._question.port)

    async def connect(self) -> None:
        """Open the connection that is kept."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._question.port)

    async def close(self) -> None:
        self._writer.close()
        await self._server.stop(_LEFTOVERS_SECONDS)
        await super().close()

    def _accept(self, endpoint: str, snapshot: Snapshot, arrived: float) -> None:
        self._cache.accept(endpoint, snapshot, arrived)
        self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        self._writer.write(self._question.raw)
        await read_answer(self._reader)
        self._arrive()


class _Bare(_Hop):
    """A PUB and a SUB socket, and a frame that is ready."""

    def __init__(self, endpoint: str, frame: bytes) -> None:
        super().__init__()
        self._frame = frame
        self._contexts = zmq.asyncio.Context(), zmq.asyncio.Context()
        self._publisher = self._contexts[0].socket(zmq.PUB)
        self._publisher.bind(endpoint)
        self._subscriber = self._contexts[1].socket(zmq.SUB)
        self._subscriber.subscribe(b"")
        self._subscriber.connect(endpoint)
        self._receiving = asyncio.create_task(self._receive())

    def prepare(self) -> None:
        pass

    async def send(self) -> None:
        await self._publisher.send(self._frame)

    async def close(self) -> None:
        await _cancelled(self._receiving)
        for context in self._contexts:
            context.destroy(linger=0)

    async def _receive(self) -> None:
        while True:
            await self._subscriber.recv()
            self._arrive()


async def _started() -> tuple[_Hop, ...]:
    """Return ours, ours with the way to a client, and the bare hop."""
    first = snapshot()
    served = _Served(_endpoint(), first)
    await served.connect()
    hops = (_Ours(_endpoint(), first), served, _Bare(_endpoint(), wire.encode(first)))
    for hop in hops:
        await hop.settle()
    return hops


def _endpoint() -> str:
    return f"tcp://127.0.0.1:{free_port()}"


async def _ended(*hops: _Hop) -> None:
    for hop in hops:
        await hop.close()


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
