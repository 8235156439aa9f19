"""Both ends of the feed on real sockets: what the collector publishes is what the API tells, and as old."""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from api.feeds import Feed
from api.routes import METRICS_PATH
from api.subscriber import Subscriber
from collector.publisher import Publisher
from common.snapshot import Snapshot
from tests.builders import (
    ask,
    make_answers,
    make_cache,
    make_gpu,
    make_lost_gpu,
    make_missing_source,
    make_snapshot,
    read,
)
from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS


class Collector:
    """A publisher, and the clock by which it holds what it published."""

    def __init__(self, endpoint: str) -> None:
        self.now = 1000.0
        self.endpoint = endpoint
        self.publisher = Publisher(endpoint, lambda: self.now)
        self._serving = asyncio.create_task(self.publisher.serve())

    async def publish_again_and_again(self, **fields: Any) -> None:
        """Publish until cancelled: what is published just after a welcome, before the subscription, is not heard."""
        for sequence in itertools.count(1):
            await self.publisher.publish(make_snapshot(sequence=sequence, **fields))
            await asyncio.sleep(0.001)

    async def end(self) -> None:
        await _cancelled(self._serving)
        self.publisher.close()


class Api:
    """A subscriber and the answers from what it hears, and the clock by which it tells ages."""

    def __init__(self, *endpoints: str) -> None:
        self.now = 0.0
        self.cache = make_cache(endpoints=endpoints)
        self._answers = make_answers(self.cache)
        self.connect()

    def connect(self) -> None:
        self._heard: asyncio.Queue[Snapshot] = asyncio.Queue()
        self.subscriber = Subscriber(map(Feed, self.cache.endpoints), self._accept, self.cache.reject, lambda: self.now)
        self._serving = asyncio.create_task(self.subscriber.serve())

    async def end(self) -> None:
        await _cancelled(self._serving)
        self.subscriber.close()

    async def hears(self, host: str = "node-1", **fields: Any) -> None:
        """Wait for a snapshot of that host with those fields, news or not."""
        while True:
            snapshot = await self._heard.get()
            if snapshot.host == host and all(getattr(snapshot, name) == value for name, value in fields.items()):
                return

    def tell(self, query: str = "") -> tuple[Any, str | None]:
        """Return what is said, and its age."""
        answer = ask(self._answers, METRICS_PATH + query, now=self.now)
        return read(answer), dict(answer.headers).get("Age")

    def _accept(self, endpoint: str, snapshot: Snapshot, _arrived: float) -> None:
        # A clock that leaps looks to the subscriber as if it had been away.
        self.cache.accept(endpoint, snapshot, self.now)
        self._heard.put_nowait(snapshot)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def tell(story: Callable[[Callable[[str], Collector], Callable[..., Api]], Awaitable[None]]) -> None:
    """Run a test's story, which is given the makers of collectors and of APIs; all are ended afterwards."""

    async def told() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), contextlib.AsyncExitStack() as stack:

            def collector(endpoint: str) -> Collector:
                made = Collector(endpoint)
                stack.push_async_callback(made.end)
                return made

            def api(*endpoints: str) -> Api:
                made = Api(*endpoints)
                stack.push_async_callback(made.end)
                return made

            await story(collector, api)

    asyncio.run(told())


def free_endpoint() -> str:
    return f"tcp://127.0.0.1:{free_port()}"


def test_whoever_subscribes_late_gets_the_latest_snapshot_and_how_long_it_was_held() -> None:
    async def story(collector: Callable[[str], Collector], api: Callable[..., Api]) -> None:
        there = collector(free_endpoint())
        await there.publisher.publish(make_snapshot(sequence=6, gpus=[]))
        await there.publisher.publish(make_snapshot(sequence=7))
        there.now += 12.5
        there.publisher.refresh_welcome()
        here = api(there.endpoint)
        await here.hears(sequence=7)
        here.now += 3.0
        said, age = here.tell()
        assert (said["status"], len(said["gpus"]), age) == ("ok", 1, "15")
        assert here.cache.hosts["node-1"].snapshot == make_snapshot(sequence=7, held_seconds=12.5)

    tell(story)


def test_whoever_comes_too_late_is_told_that_it_is_stale_however_new_it_looks() -> None:
    async def story(collector: Callable[[str], Collector], api: Callable[..., Api]) -> None:
        there = collector(free_endpoint())
        await there.publisher.publish(make_snapshot())
        there.now += 75.25
        there.publisher.refresh_welcome()
        here = api(there.endpoint)
        await here.hears()
        assert here.tell()[0]["age_seconds"] == 75.25

    tell(story)


def test_whoever_listens_is_told_at_once_and_a_lost_gpu_too() -> None:
    async def story(collector: Callable[[str], Collector], api: Callable[..., Api]) -> None:
        there = collector(free_endpoint())
        await there.publisher.publish(make_snapshot())
        here = api(there.endpoint)
        await here.hears()
        there.now, here.now = there.now + 30.0, here.now + 30.0
        gpus = [make_gpu(0), make_lost_gpu(1)]
        publishing = asyncio.create_task(there.publish_again_and_again(gpus=gpus))
        await here.hears(gpus=gpus)
        await _cancelled(publishing)
        said, age = here.tell()
        assert (said["status"], [gpu["status"] for gpu in said["gpus"]], age) == ("degraded", ["ok", "lost"], "0")

    tell(story)


def test_a_welcome_that_comes_again_makes_nothing_younger() -> None:
    async def story(collector: Callable[[str], Collector], api: Callable[..., Api]) -> None:
        there = collector(free_endpoint())
        await there.publisher.publish(make_snapshot())
        here = api(there.endpoint)
        await here.hears()
        await here.end()
        here.now += 40.0
        here.connect()
        await here.hears()
        assert here.tell()[1] == "40"

    tell(story)


def test_a_collector_that_starts_anew_is_heard_though_its_numbers_begin_again() -> None:
    async def story(collector: Callable[[str], Collector], api: Callable[..., Api]) -> None:
        first = collector(free_endpoint())
        await first.publisher.publish(make_snapshot(run_id="a", sequence=500))
        here = api(first.endpoint)
        await here.hears(run_id="a")
        await first.end()
        here.now += 80.0
        assert here.tell()[0]["status"] == "stale"
        second = collector(first.endpoint)
        await second.publisher.publish(make_snapshot(run_id="b", source=make_missing_source(), gpus=[]))
        await here.hears(run_id="b")
        assert (here.tell()[0]["status"], here.tell()[1]) == ("placeholder", "0")

    tell(story)


def test_two_collectors_are_told_as_one_and_each_as_old_as_it_is() -> None:
    async def story(collector: Callable[[str], Collector], api: Callable[..., Api]) -> None:
        one, two = collector(free_endpoint()), collector(free_endpoint())
        here = api(one.endpoint, two.endpoint)
        await one.publisher.publish(make_snapshot(host="a"))
        await here.hears("a")
        assert (here.tell()[0]["missing_hosts"], here.tell()[0]["host"]) == ([two.endpoint], "a")
        here.now += 5.0
        await two.publisher.publish(make_snapshot(host="b"))
        await here.hears("b")
        said, age = here.tell()
        assert ([gpu["host"] for gpu in said["gpus"]], said["status"], age) == (["a", "b"], "ok", "5")
        assert here.tell("?host=b")[1] == "0"

    tell(story)
