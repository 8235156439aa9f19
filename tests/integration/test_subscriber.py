"""The feed's end in the API, on real sockets: what is handed on, what is dropped, and who is heard again."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable

import pytest
import zmq
import zmq.asyncio

from api.contact import Told
from api.feeds import Feed as FeedAt
from api.lookout import AWAY_SECONDS, CATCH_UP_SECONDS, LOOK_SECONDS, Lookout
from api.subscriber import Subscriber
from common import wire
from common.seldom import SELDOM_SECONDS
from common.snapshot import Snapshot
from tests.builders import make_frame, make_gpu, make_snapshot
from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS

GARBAGE = make_frame(held_seconds=-1.0)


class Feed:
    """The other end: it sends whatever it is told to send."""

    def __init__(self) -> None:
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        self.start()

    def start(self) -> None:
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.bind(self.endpoint)

    def stop(self) -> None:
        self._context.destroy(linger=0)

    async def subscribed(self) -> None:
        """Wait until somebody has subscribed to what the API subscribes to."""
        while await self._socket.recv() != b"\1" + wire.TOPIC_PREFIX:
            pass

    async def send(self, *frames: bytes) -> None:
        for frame in frames:
            await self._socket.send(frame)

    async def send_to_every_newcomer(self, frame: bytes) -> None:
        while True:
            await self.subscribed()
            await self.send(frame)

    async def send_parts(self, *frames: bytes) -> None:
        await self._socket.send_multipart(frames)


class Heard:
    """A subscriber, the feeds it listens to, and what it has said."""

    def __init__(self, *feeds: Feed) -> None:
        self.feeds = feeds
        self.snapshots: asyncio.Queue[tuple[str, Snapshot]] = asyncio.Queue()
        self.rejected: list[str] = []
        self.arrived: list[float] = []
        self.now = 0.0
        self.subscriber = Subscriber(
            [FeedAt(feed.endpoint) for feed in feeds],
            self._accept,
            self.rejected.append,
            lambda: self.now,
        )

    def _accept(self, endpoint: str, snapshot: Snapshot, arrived: float) -> None:
        self.arrived.append(arrived)
        self.snapshots.put_nowait((endpoint, snapshot))

    async def until_contact(self, state: str) -> Told:
        """Wait until the way to the first feed is in a state, and return how it is."""
        contact = self.subscriber.contacts[self.feeds[0].endpoint]
        while contact.state != state:
            await asyncio.sleep(0.01)
        return contact.told(self.now)

    async def next(self) -> tuple[str, int]:
        """Return where the next snapshot comes from, and its number."""
        endpoint, snapshot = await self.snapshots.get()
        return endpoint, snapshot.sequence


def hear(story: Callable[[Heard, Feed], Awaitable[None]], feeds: int = 1) -> None:
    """Run a test's story with a subscriber that has subscribed to every feed; the first is the story's own."""

    async def told() -> None:
        heard = Heard(*(Feed() for _ in range(feeds)))
        serving = asyncio.create_task(heard.subscriber.serve())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                for feed in heard.feeds:
                    await feed.subscribed()
                await story(heard, heard.feeds[0])
        finally:
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            heard.subscriber.close()
            for feed in heard.feeds:
                feed.stop()

    asyncio.run(told())


def frame(sequence: int, host: str = "node-1") -> bytes:
    return wire.encode(make_snapshot(host=host, sequence=sequence))


def test_a_snapshot_is_handed_on_with_the_endpoint_it_came_from() -> None:
    snapshot = make_snapshot(sequence=7, held_seconds=1.5, gpus=[make_gpu(0), make_gpu(1)])

    async def story(heard: Heard, feed: Feed) -> None:
        await feed.send(wire.encode(snapshot))
        assert await heard.snapshots.get() == (feed.endpoint, snapshot)

    hear(story)


def test_nothing_is_lost_while_snapshots_follow_each_other() -> None:
    async def story(heard: Heard, feed: Feed) -> None:
        await feed.send(*(frame(number) for number in range(100)))
        assert [await heard.next() for _ in range(100)] == [(feed.endpoint, number) for number in range(100)]

    hear(story)


def test_two_endpoints_are_heard_beside_each_other() -> None:
    async def story(heard: Heard, feed: Feed) -> None:
        _, other = heard.feeds
        await feed.send(frame(1), GARBAGE)
        await other.send(GARBAGE, GARBAGE, frame(2, "node-2"))
        assert {await heard.next(), await heard.next()} == {(feed.endpoint, 1), (other.endpoint, 2)}
        await feed.send(frame(3))
        await heard.next()
        assert sorted(heard.rejected) == sorted([feed.endpoint, other.endpoint, other.endpoint])

    hear(story, feeds=2)


@pytest.mark.parametrize(
    "garbage",
    [
        GARBAGE,
        wire.topic("node-1") + b"\x91" * 100_000,
        wire.topic("node-2") + make_frame().partition(b"\0")[2],
        wire.topic("node-1") + b"garbage",
    ],
)
def test_what_is_no_snapshot_is_counted_and_dropped(garbage: bytes) -> None:
    async def story(heard: Heard, feed: Feed) -> None:
        await feed.send(garbage, frame(0), garbage, garbage, frame(1))
        assert [await heard.next(), await heard.next()] == [(feed.endpoint, 0), (feed.endpoint, 1)]
        assert heard.rejected == [feed.endpoint] * 3

    hear(story)


def test_a_message_of_several_parts_does_not_disturb_the_next() -> None:
    async def story(heard: Heard, feed: Feed) -> None:
        await feed.send_parts(frame(0), b"garbage", b"")
        await feed.send(frame(1))
        assert [await heard.next(), await heard.next()] == [(feed.endpoint, 0), (feed.endpoint, 1)]
        assert heard.rejected == [feed.endpoint] * 2

    hear(story)


def test_other_topics_do_not_reach_the_api_at_all() -> None:
    async def story(heard: Heard, feed: Feed) -> None:
        await feed.send(b"gpu.snapshot.v2.node-1\0", b"", b"weather", frame(0))
        assert await heard.next() == (feed.endpoint, 0)
        assert heard.rejected == []

    hear(story)


def test_garbage_is_logged_at_most_once_a_minute_with_how_much_there_was(caplog: pytest.LogCaptureFixture) -> None:
    async def story(heard: Heard, feed: Feed) -> None:
        for heard.now in (0.0, SELDOM_SECONDS - 0.5, SELDOM_SECONDS, SELDOM_SECONDS + 0.5):
            await feed.send(GARBAGE, GARBAGE, frame(0))
            await heard.next()
        assert len(heard.rejected) == 8

    with caplog.at_level(logging.WARNING, "api.subscriber"):
        hear(story)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(": ")[2] for line in lines] == [
        "held_seconds -1.0 is no duration (0 more since the last such line)",
        "held_seconds -1.0 is no duration (3 more since the last such line)",
    ]
    assert all(line.startswith("dropped a message from tcp://127.0.0.1:") for line in lines)


def test_the_log_ends_with_how_the_way_is_however_often_that_changed(caplog: pytest.LogCaptureFixture) -> None:
    async def story(heard: Heard, feed: Feed) -> None:
        for _ in range(3):
            await heard.until_contact("connected")
            feed.stop()
            await heard.until_contact("lost")
            feed.start()
        await heard.until_contact("connected")
        assert [line.partition(": ")[2].partition(":")[0] for line in lines()] == ["connected", "lost"]
        heard.now = SELDOM_SECONDS
        while len(lines()) < 3:
            await asyncio.sleep(0.01)
        assert lines()[-1] == f"{feed.endpoint}: connected (2 more since the last such line)"
        await asyncio.sleep(2 * LOOK_SECONDS)
        assert len(lines()) == 3

    def lines() -> list[str]:
        return [record.getMessage() for record in caplog.records if " to " not in record.getMessage()]

    with caplog.at_level(logging.INFO, "api.subscriber"):
        hear(story)


@pytest.mark.parametrize("flood", [frame(0), GARBAGE])
def test_a_flood_lets_others_have_their_turn_after_every_message(flood: bytes) -> None:
    async def story(heard: Heard, feed: Feed) -> None:
        await feed.send(*(500 * [flood]))
        heard_by_turn = [0]
        while heard_by_turn[-1] < 500:
            await asyncio.sleep(0)
            heard_by_turn.append(heard.snapshots.qsize() + len(heard.rejected))
        assert max(after - before for before, after in itertools.pairwise(heard_by_turn)) <= 2

    hear(story)


def test_a_publisher_that_starts_anew_is_heard_again() -> None:
    async def story(heard: Heard, feed: Feed) -> None:
        await feed.send(frame(5))
        await heard.next()
        feed.stop()
        feed.start()
        await feed.subscribed()
        await feed.send(frame(0))
        assert await heard.next() == (feed.endpoint, 0)

    hear(story)


def test_a_message_too_large_for_any_snapshot_is_not_taken_and_its_endpoint_is_heard_again() -> None:
    async def story(heard: Heard, feed: Feed) -> None:
        await feed.send(wire.topic("node-1") + bytes(wire.MAX_MESSAGE_BYTES))
        welcoming = asyncio.create_task(feed.send_to_every_newcomer(frame(1)))
        await heard.until_contact("lost")
        heard.now = 10.0
        assert await heard.next() == (feed.endpoint, 1)
        assert heard.rejected == []
        welcoming.cancel()

    hear(story)


def test_what_is_read_after_we_were_away_may_have_arrived_as_soon_as_we_had_gone() -> None:
    async def story(heard: Heard, feed: Feed) -> None:
        await feed.send(frame(0))
        await heard.next()
        heard.now = 100.0
        await feed.send(frame(1), frame(2))
        await heard.next()
        await heard.next()
        heard.now = 101.0
        await feed.send(frame(3))
        await heard.next()
        assert heard.arrived == [0.0, 0.0, 0.0, 101.0]

    hear(story)


def test_nobody_speaks_and_yet_it_is_known_that_we_were_not_away() -> None:
    async def story(heard: Heard, feed: Feed) -> None:
        for heard.now in (0.9, 1.8, 2.7):
            await asyncio.sleep(1.5 * LOOK_SECONDS)
        await feed.send(frame(0))
        await heard.next()
        assert heard.arrived == [2.7]

    hear(story)


@pytest.mark.parametrize(
    ("looks", "arrived"),
    [
        ([0.0], 0.0),
        ([AWAY_SECONDS], AWAY_SECONDS),
        ([0.5, 1.0, 1.5, 2.0], 2.0),
        ([50.0], 0.0),
        ([0.5, 50.0, 50.25, 50.0 + CATCH_UP_SECONDS / 2], 0.5),
        ([0.5, 50.0, 50.0 + CATCH_UP_SECONDS], 50.0 + CATCH_UP_SECONDS),
        ([50.0, 50.25, 90.0], 0.0),
        ([50.0, 50.0 + CATCH_UP_SECONDS, 90.0], 50.0 + CATCH_UP_SECONDS),
    ],
)
def test_a_look_tells_when_what_is_read_now_may_have_arrived(looks: list[float], arrived: float) -> None:
    lookout = Lookout(0.0)
    assert [lookout.look(now) for now in looks][-1] == arrived
