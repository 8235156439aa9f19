"""Which connections are open, and which of them wait for a request: there is an end to how many there may be.

Every connection costs a file descriptor, and a process that has none left can neither accept nor be asked how it is.
Beyond the limit, who has been idle for longest makes room. Nothing here knows HTTP.
"""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from api import open_files
from common.seldom import Seldom

_log = logging.getLogger(__name__)

MOST = 2000

MOST_UNREAD_BYTES = 256 * 2**20
"""Of bodies that are on their way to slow readers."""


class Closable(Protocol):
    """A connection, which is closed at once."""

    def close(self) -> None:
        """Close it."""


def most_connections() -> int:
    """Return how many connections this process can bear: half of the files it may open are left to the feeds. Its limit
    of files is raised for that, as far as it may be."""
    return int(min(MOST, open_files.allow(2 * MOST) // 2))


class Connections:
    """The connections of one server. `now` gives seconds on any clock.

    One is idle until a request has been read from it, then busy, and slow while it waits for its client to read the
    answer. Beyond `most`, who has been idle for longest makes room, or else who has been slow for longest.
    """

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self._most = most
        self._now = now
        self._open: set[Closable] = set()
        self._idle: dict[Closable, float] = {}
        """Since when each is idle, the longest first."""

        self._slow: dict[Closable, None] = {}
        self._full = Seldom()

    def open(self, connection: Closable) -> bool:
        """Take a connection, and return whether it was taken: if all others are busy, it is closed instead."""
        if len(self._open) >= self._most and not self._let_go("the most there may be"):
            connection.close()
            return False
        self._open.add(connection)
        self._idle[connection] = self._now()
        return True

    def make_room(self) -> bool:
        """Close who has been idle for longest, or else slow for longest, and return whether there was anybody: no file
        can be opened any more."""
        return self._let_go("and no file can be opened any more")

    def busy(self, connection: Closable) -> None:
        """Note that a request was read from it."""
        self._idle.pop(connection, None)

    def slow(self, connection: Closable) -> None:
        """Note that its client is slow to read the answer."""
        if connection in self._open:
            self._idle.pop(connection, None)
            self._slow.setdefault(connection)

    def idle(self, connection: Closable) -> None:
        """Note that it waits for the next request; for the first it does so from the start."""
        self._slow.pop(connection, None)
        if connection in self._open:
            self._idle.setdefault(connection, self._now())

    def closed(self, connection: Closable) -> None:
        """Note that it is open no more."""
        self._open.discard(connection)
        self._idle.pop(connection, None)
        self._slow.pop(connection, None)

    def close_idle(self, seconds: float) -> None:
        """Close those that have been idle for longer than that."""
        late = self._now() - seconds
        while self._idle and next(iter(self._idle.values())) < late:
            leaving = next(iter(self._idle))
            self.closed(leaving)
            leaving.close()

    def __len__(self) -> int:
        return len(self._open)

    def _let_go(self, why: str) -> bool:
        if times := self._full.count(why, self._now()):
            said = "%d connections are open, %s: who is idle or slow for longest is closed, if anybody is (%d times)"
            _log.warning(said, len(self._open), why, times)
        leaving = next(iter(self._idle), None) or next(iter(self._slow), None)
        if leaving is None:
            return False
        self.closed(leaving)
        leaving.close()
        return True


class Unread:
    """Bodies that are on their way to readers who are slow. Many may share one; each that is kept for any of them costs
    its memory once, and beyond the limit, who has been reading for longest is closed."""

    def __init__(self) -> None:
        self._bodies: dict[Closable, bytes] = {}
        self._readers: Counter[int] = Counter()
        """Of each body, by its identity."""

        self._size_bytes = 0

    def add(self, connection: Closable, body: bytes) -> None:
        """Note that a connection is slow to take a body."""
        self._bodies[connection] = body
        self._readers[id(body)] += 1
        if self._readers[id(body)] == 1:
            self._size_bytes += len(body)
        while self._size_bytes > MOST_UNREAD_BYTES:
            slowest = next(iter(self._bodies))
            self.discard(slowest)
            slowest.close()

    def discard(self, connection: Closable) -> None:
        """Note that a connection has taken its body, or is closed."""
        body = self._bodies.pop(connection, None)
        if body is not None:
            self._readers[id(body)] -= 1
            if not self._readers[id(body)]:
                del self._readers[id(body)]
                self._size_bytes -= len(body)
