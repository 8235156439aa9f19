"""The stream's events: what was news, encoded once however many listen. Pure; `listeners` sends them.

Nothing is kept for a listener but the number of what it was told last. Who falls behind what is kept of late is told
how much was lost, and goes on with the newest.
"""

import math
import re
from collections import deque
from collections.abc import Callable, Iterator
from functools import cached_property
from urllib.parse import quote, unquote

import msgspec

from api.cache import Cache
from api.history.store import History
from api.responses.gpus import gpus_body
from api.selection import Chosen, Selection
from common.snapshot import Snapshot

LATE_SNAPSHOTS = 64
"""Of each host, how many snapshots one may be behind before the older ones are lost."""

LATE_GPUS = 16_000
"""Of all hosts, how many GPUs there may be in the events that are kept for those who are behind: about 64 MiB."""

_EVENT_ID = re.compile(r"([^\s]*)-([0-9]{1,20})")
_encoder = msgspec.json.Encoder()


class Message:
    """A message in the format of server-sent events (HTML, section 9.2.6), as a chunk of a body and, for clients that
    know no chunks, by itself."""

    @cached_property
    def chunk(self) -> bytes:
        """The message as a chunk (RFC 9112 section 7.1)."""
        plain = self.write()
        return b"%x\r\n%b\r\n" % (len(plain), plain)

    @cached_property
    def plain(self) -> bytes:
        """The message by itself."""
        return self.write()

    def write(self) -> bytes:
        """Return the message."""
        raise NotImplementedError  # pragma: no cover -- each kind of message has its own


class Heartbeat(Message):
    """A comment, so that all on the way know that the stream lives."""

    def write(self) -> bytes:
        """Return the message."""
        return b": \n\n"


class Event(Message):
    """A snapshot, as `gpus` tells it."""

    def __init__(self, number: int, chosen: Chosen) -> None:
        self.number = number
        self.chosen = chosen

    def write(self) -> bytes:
        """Return the message; its id is the snapshot's `run_id`, quoted, and `sequence`."""
        snapshot = self.chosen.snapshot
        event_id = f"{quote(snapshot.run_id, safe='')}-{snapshot.sequence}"
        data = _encoder.encode(gpus_body(Selection([self.chosen], [], math.inf)))
        return f"id: {event_id}\nevent: snapshot\ndata: ".encode() + data + b"\n\n"


class Lost(Message):
    """How many snapshots this listener was not told, because it was too slow or away for too long."""

    def __init__(self, snapshots: int) -> None:
        self._snapshots = snapshots

    def write(self) -> bytes:
        """Return the message."""
        return b'event: lost\ndata: {"snapshots":%d}\n\n' % self._snapshots


def _nobody() -> None:
    """Nobody listens."""


class Stream:
    """The events of all hosts of a cache, of late, and in the history those before."""

    def __init__(self, cache: Cache, history: History) -> None:
        self._cache = cache
        self._history = history
        self._late: deque[Event] = deque()
        self._late_gpus = 0
        self._latest: dict[str, Event] = {}
        self.wake: Callable[[], object] = _nobody
        """Called when there is news."""

    def add(self, snapshot: Snapshot, sealed_at: float, *, is_stale: bool, has_rival: bool) -> None:
        """Take what was news."""
        number = self._history.add(snapshot, sealed_at)
        event = Event(number, Chosen(snapshot, sealed_at, is_stale, has_rival))
        self._late.append(event)
        self._late_gpus += len(snapshot.gpus)
        self._latest[snapshot.host] = event
        if len(self._latest) > len(self._cache.hosts):
            self._latest = {name: latest for name, latest in self._latest.items() if name in self._cache.hosts}
        while self._is_too_much():
            self._late_gpus -= len(self._late.popleft().chosen.snapshot.gpus)
        self.wake()

    def read(self, after: str | None, host: str | None, now: float) -> Iterator[Message | None]:
        """Yield message after message, and None whenever there is none at the moment, without end.

        It begins after the event of that id, or, without one or where that is no longer kept, with the latest event of
        each host that is fresh `now`. `host` is the only one that is told, None for all.
        """
        told = None if after is None else _parsed(after)
        number = None if told is None else self._history.arrival_of(*told)
        begin = self._begin(now, host) if number is None or told is None else self._replay(number, host)
        return _all(begin, self) if host is None else _only(host, _all(begin, self), told)

    def _begin(self, now: float, host: str | None) -> Iterator["Message | int"]:
        """Return the latest of each fresh host, and then the number of the latest of all at this moment."""
        fresh = [event for event in self._fresh(now) if host in (None, event.chosen.snapshot.host)]
        return iter([*fresh, self._history.latest_arrival])

    def _replay(self, number: int, host: str | None) -> Iterator["Message | int"]:
        """Yield what the history has after that, up to what is kept of late, and then the number that it came to."""
        for kept in self._history.after(number, host):
            if kept.arrival > number + 1:
                yield Lost(kept.arrival - number - 1)
            number = kept.arrival
            yield Event(number, Chosen(kept.snapshot, kept.sealed_at, is_stale=False))
            if self._late and self._late[0].number <= number + 1:
                break
        else:
            # Of one host, there is nothing more up to here.
            number = number if host is None else self._history.latest_arrival
        yield number

    def next(self, number: int) -> tuple[Message | None, int]:
        """Return the message that follows that number, None if there is none yet, and the number one is at then."""
        newest = self._late[-1].number if self._late else 0
        if number >= newest:
            return None, number
        first = self._late[0].number
        if number + 1 < first:
            return Lost(newest - number - 1), newest - 1
        return self._late[number + 1 - first], number + 1

    def _fresh(self, now: float) -> list[Event]:
        hosts = self._cache.hosts
        names = [name for name in sorted(self._latest) if name in hosts]
        is_fresh = {name: hosts[name].age_seconds(now) <= self._cache.stale_after(hosts[name]) for name in names}
        return [self._latest[name] for name in names if is_fresh[name]]

    def _is_too_much(self) -> bool:
        is_many = len(self._late) > LATE_SNAPSHOTS * len(self._latest)
        return len(self._late) > 1 and (is_many or self._late_gpus > LATE_GPUS)


def _all(begin: Iterator[Message | int], stream: Stream) -> Iterator[Message | None]:
    """Yield what one begins with, and then what follows the number that it ended with, without end."""
    number = 0
    for one in begin:
        if isinstance(one, int):
            number = one
        else:
            yield one
    while True:
        message, number = stream.next(number)
        # What came too late to be shown, such as a welcome of a collector that hangs, is told by `hosts` alone.
        if not (isinstance(message, Event) and message.chosen.is_stale):
            yield message


def _only(host: str, messages: Iterator[Message | None], told: tuple[str, int] | None) -> Iterator[Message | None]:
    """Yield the events of one host. What it lost shows in its sequence, after what it was `told`; what others lost is
    nothing to it."""
    for message in messages:
        if message is None:
            yield None
        elif isinstance(message, Event) and message.chosen.snapshot.host == host:
            snapshot = message.chosen.snapshot
            if told is not None and told[0] == snapshot.run_id and snapshot.sequence > told[1] + 1:
                yield Lost(snapshot.sequence - told[1] - 1)
            told = snapshot.run_id, snapshot.sequence
            yield message


def _parsed(event_id: str) -> tuple[str, int] | None:
    """Return the `run_id` and `sequence` in an event's id; None: it is none of ours."""
    match = _EVENT_ID.fullmatch(event_id)
    return (unquote(match[1]), int(match[2])) if match else None
