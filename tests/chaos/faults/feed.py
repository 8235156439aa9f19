"""Who else is on the feed: subscribers that do not read, publishers that talk nonsense, keys that are wrong."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any

import msgspec
import zmq

from api.routes import MONITORING
from common import wire
from common.clock import elapsed_seconds
from tests.builders import make_frame, make_snapshot
from tests.chaos.allowed import HOST, OK, Allowed
from tests.chaos.fault import DEGRADED, STALE, Fault
from tests.chaos.rig import Rig
from tests.chaos.truth import true_gpu
from tests.processes import eventually

SUBSCRIBERS = 20
PUBLISHED_SECONDS = 0.05
LIST_SECONDS = 2.0
"""Within which a list of feeds, or a directory of keys, is read again."""

LONGEST_PAUSE_SECONDS = 30.0
"""After which a collector that has refused the API is asked again, at the latest."""

RIVAL_SECONDS = 60.0
"""For how long two collectors of one name are spoken of."""

NEWER_HOST, NEWER_GPU = "node-2", 9
NEWER_PATH = f"{MONITORING}/gpus?host={NEWER_HOST}"


@contextmanager
def stuck_subscribers(rig: Rig) -> Iterator[None]:
    """20 programs subscribe to the feed, and never read."""
    with zmq.Context() as context, ExitStack() as stack:
        for _ in range(SUBSCRIBERS):
            subscriber = stack.enter_context(context.socket(zmq.SUB))
            subscriber.setsockopt(zmq.LINGER, 0)
            subscriber.setsockopt(zmq.RCVHWM, 1)
            subscriber.setsockopt(zmq.RCVBUF, 4096)
            secret = rig.key("other.secret").encode()
            subscriber.curve_serverkey = rig.key("collector.public").encode()
            subscriber.curve_secretkey, subscriber.curve_publickey = secret, zmq.curve_public(secret)
            subscriber.subscribe(b"")
            subscriber.connect(rig.feed)
        yield


@contextmanager
def garbage(rig: Rig) -> Iterator[None]:
    """Another feed is listed, on which comes what is no snapshot, 20 times a second; then it is listed no more."""
    dice = random.Random(0)  # noqa: S311 -- an order, no secret
    with _also_listed(rig, lambda _: dice.choice(GARBAGE)):
        eventually(lambda: _rejected(rig), lambda times: times > len(GARBAGE))
        yield


@contextmanager
def newer_schema(rig: Rig) -> Iterator[None]:
    """Another feed is listed, of a host whose collector is newer: more keys in the snapshot and its GPU."""
    with _also_listed(rig, lambda number: _newer(number, rig.epoch)):
        eventually(lambda: rig.get(NEWER_PATH).status, lambda status: status == 200)
        yield


@contextmanager
def rival(rig: Rig) -> Iterator[None]:
    """Another feed is listed, whose collector calls itself by the same name, and publishes other numbers."""
    with _also_listed(rig, lambda number: make_frame(host=HOST, sequence=number, run_id="rival", interval_seconds=0.2)):
        yield


@contextmanager
def wrong_key(rig: Rig) -> Iterator[None]:
    """The list has another public key for the collector; then its own again."""
    rig.list_feeds(rig.own_line("other"))
    try:
        yield
    finally:
        rig.list_feeds(rig.own_line())


@contextmanager
def key_withdrawn(rig: Rig) -> Iterator[None]:
    """The collector may not let in the API's key any more; then it may again."""
    rig.disallow("api")
    try:
        yield
        assert "rejected" in _connections(rig), _connections(rig)
    finally:
        rig.allow("api")


@contextmanager
def _also_listed(rig: Rig, frame: Callable[[int], bytes]) -> Iterator[None]:
    """Publish as another endpoint of the API's until the end of the block."""
    with _publishing(rig.rogue, frame):
        rig.list_feeds(rig.own_line(), rig.rogue)
        try:
            yield
        finally:
            rig.list_feeds(rig.own_line())


@contextmanager
def _publishing(endpoint: str, frame: Callable[[int], bytes]) -> Iterator[None]:
    ended = threading.Event()

    def publish() -> None:
        with zmq.Context() as context, context.socket(zmq.PUB) as publisher:
            publisher.setsockopt(zmq.LINGER, 0)
            publisher.bind(endpoint)
            for number in count():
                if ended.wait(PUBLISHED_SECONDS):
                    return
                publisher.send(frame(number))

    thread = threading.Thread(target=publish, name="rogue publisher")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _newer(number: int, epoch: float) -> bytes:
    """Return a snapshot of one GPU that tells the truth, as the next version of the collector might write it."""
    gpu = true_gpu(NEWER_GPU, power_draw_watts=round(elapsed_seconds() - epoch, 3))
    given: dict[str, Any] = {"host": NEWER_HOST, "sampled_at_ns": time.time_ns(), "interval_seconds": 0.2}
    snapshot = make_snapshot(sequence=number, gpus=[gpu], **given)
    body: dict[str, Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot))
    body["gpus"][0]["temperature_of_the_future_celsius"] = 451
    body |= {"future": {"nested": [None, 1.5, "text", {"deeper": b"\xff"}]}}
    return wire.topic(NEWER_HOST) + msgspec.msgpack.encode(body)


_TOPIC = wire.topic("node-9")
GARBAGE = (
    _TOPIC,
    _TOPIC + b"\xc1",
    _TOPIC + bytes(range(256)) * 100,
    _TOPIC + b"\x91" * 100_000,
    _TOPIC[:-1],
    wire.TOPIC_PREFIX + b"\xff\xfe\0\x80",
    _TOPIC + make_frame()[len(wire.topic(HOST)) : -1],
    make_frame(host="another"),
    make_frame(gpus="none"),
    make_frame(interval_seconds=-1.0),
    make_frame(interval_seconds=float("nan")),
    make_frame(held_seconds=float("-inf")),
    make_frame(sequence=-1),
    make_frame(gpus=[{}] * 1000),
)


def _hosts(rig: Rig) -> Any:
    return rig.get(f"{MONITORING}/hosts").body["hosts"]


def _rejected(rig: Rig) -> int:
    """Return how many messages of the other feed were not taken."""
    return sum(host["messages"]["rejected"] for host in _hosts(rig) if host["endpoint"] == rig.rogue)


def _connections(rig: Rig) -> list[str]:
    return [host["connection"]["state"] for host in _hosts(rig)]


GARBAGE_ROW = "Garbage on the feed"
KEYS_ROW = "A collector does not know the API's key, or something else listens in its place"

FAULTS = (
    Fault(
        name="stuck-subscribers",
        row="A subscriber is slow or stuck",
        inflict=stuck_subscribers,
        holds_seconds=8.0,
        mends_seconds=0.5,
    ),
    Fault(
        name="garbage-on-the-feed",
        row=GARBAGE_ROW,
        inflict=garbage,
        allowed=Allowed(statuses=DEGRADED),
        noticed_seconds=LIST_SECONDS,
        mends_seconds=LIST_SECONDS,
    ),
    Fault(
        name="newer-schema-on-the-feed",
        row=GARBAGE_ROW,
        inflict=newer_schema,
        allowed=Allowed(hosts=frozenset({HOST, NEWER_HOST})),
        passing=DEGRADED,
        noticed_seconds=LIST_SECONDS,
        mends_seconds=LIST_SECONDS,
    ),
    Fault(
        name="two-collectors-of-one-name",
        row="Two collectors have one host name",
        inflict=rival,
        allowed=Allowed(statuses=DEGRADED),
        noticed_seconds=LIST_SECONDS + 1,
        mends_seconds=RIVAL_SECONDS + LIST_SECONDS,
    ),
    Fault(
        name="wrong-key",
        row=KEYS_ROW,
        inflict=wrong_key,
        allowed=Allowed(statuses=STALE | {"unheard"}),
        noticed_seconds=2 * LIST_SECONDS + 2,
        passing=OK,
        mends_seconds=LIST_SECONDS + LONGEST_PAUSE_SECONDS,
    ),
    Fault(
        name="key-withdrawn",
        row=KEYS_ROW,
        inflict=key_withdrawn,
        allowed=Allowed(statuses=STALE),
        noticed_seconds=2 * LIST_SECONDS + 4,
        mends_seconds=LIST_SECONDS + LONGEST_PAUSE_SECONDS,
    ),
)
