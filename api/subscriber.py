"""The feed's end here: SUB sockets that connect, one for each endpoint.

Frames in, snapshots out, to the one who asked for them, with the earliest moment at which each may have arrived.
Nothing that a peer sends stops it: what is no snapshot is counted, logged at most once a minute, and dropped. How each
endpoint is, libzmq's monitor tells, and `contact` remembers; one that libzmq has given up is connected to anew.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

import zmq
import zmq.asyncio
from zmq.utils.monitor import parse_monitor_message

from api.contact import Contact, Event
from api.feeds import MOST_FEEDS, Feed
from api.lookout import LOOK_SECONDS, Lookout
from common import wire
from common.seldom import Seldom
from common.snapshot import Snapshot

_log = logging.getLogger(__name__)

LIBZMQ_VERSION = zmq.zmq_version()

_SOCKETS_PER_FEED = 3
"""The subscription, and the two ends of what tells how it is."""

_OPTIONS = {
    zmq.IPV6: 1,
    zmq.LINGER: 0,
    zmq.RCVHWM: 100,
    zmq.MAXMSGSIZE: wire.MAX_MESSAGE_BYTES,
    zmq.CONNECT_TIMEOUT: 5000,
    zmq.HANDSHAKE_IVL: 3000,
    zmq.HEARTBEAT_IVL: 5000,
    zmq.HEARTBEAT_TIMEOUT: 15000,
    zmq.RECONNECT_IVL: 100,
    zmq.RECONNECT_IVL_MAX: 5000,
}

_EVENTS: dict[int, Event] = {
    zmq.EVENT_CONNECT_RETRIED: "trying",
    zmq.EVENT_CONNECTED: "reached",
    zmq.EVENT_HANDSHAKE_SUCCEEDED: "open",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "rejected",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "wrong_protocol",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "wrong_protocol",
    zmq.EVENT_DISCONNECTED: "closed",
}


def public_key(secret_key: bytes) -> bytes:
    """Return the public key that belongs to a secret one."""
    return zmq.curve_public(secret_key)


class Subscriber:
    """Receives from every feed. `now` gives seconds on a clock that is never set back."""

    def __init__(
        self,
        feeds: Iterable[Feed],
        accept: Callable[[str, Snapshot, float], object],
        reject: Callable[[str], None],
        now: Callable[[], float],
        secret_key: bytes | None = None,
    ) -> None:
        """`accept` is called with the endpoint, each snapshot and when it arrived at the earliest, `reject` with the
        endpoint of what was none. `secret_key` is ours, for feeds that have a key."""
        self._accept = accept
        self._reject = reject
        self._now = now
        self._secret_key = secret_key
        self._lookout = Lookout(now())
        self._said = Seldom()
        self._context = zmq.asyncio.Context()
        self._context.set(zmq.MAX_SOCKETS, _SOCKETS_PER_FEED * (MOST_FEEDS + 1))
        self._tasks: asyncio.TaskGroup | None = None
        self._links: dict[Feed, _Link] = {}
        self.contacts: dict[str, Contact] = {}
        """How the way to each endpoint is."""
        self.follow(feeds)

    def follow(self, feeds: Iterable[Feed]) -> None:
        """Listen to these feeds from now on. Those that were listened to before are not disturbed."""
        wanted = dict.fromkeys(feeds)
        for feed in self._links.keys() - wanted.keys():
            self._links.pop(feed).close()
            del self.contacts[feed.endpoint]
            _log.info("left %s", feed.endpoint)
        for feed in wanted.keys() - self._links.keys():
            link = self._links[feed] = _Link(self._context, feed, self._secret_key, self._now())
            self.contacts[feed.endpoint] = link.contact
            _log.info("subscribed to %s%s", feed.endpoint, ", encrypted" if feed.server_key else "")
            self._start(link)

    async def serve(self) -> None:
        """Receive for ever. Cancel it only to end: a receive that is cancelled may lose a message."""
        async with asyncio.TaskGroup() as self._tasks:
            for link in self._links.values():
                self._start(link)
            while True:
                now = self._now()
                self._lookout.look(now)
                for link in self._links.values():
                    self._look_after(link, now)
                await asyncio.sleep(LOOK_SECONDS)

    def close(self) -> None:
        """Disconnect from all."""
        for link in self._links.values():
            link.close()
        self._context.destroy(linger=0)

    def _start(self, link: "_Link") -> None:
        if self._tasks is not None:
            link.tasks = [self._tasks.create_task(each) for each in (self._receive(link), self._watch(link))]

    async def _receive(self, link: "_Link") -> None:
        endpoint = link.feed.endpoint
        while True:
            frame = await link.socket.recv()
            arrived = self._lookout.look(self._now())
            try:
                self._accept(endpoint, wire.decode(frame), arrived)
                link.contact.heard()
            except wire.WireError as error:
                self._reject(endpoint)
                self._log_rejected(endpoint, error)
            # A receive that finds a message waiting does not yield, and a flood must not keep others from the loop.
            await asyncio.sleep(0)

    async def _watch(self, link: "_Link") -> None:
        while True:
            told = parse_monitor_message(await link.monitor.recv_multipart())
            now = self._now()
            event = _EVENTS[told["event"]]
            # What libzmq was about to do when it was told to rest, it does not do.
            if not link.rests and link.contact.note(event, now):
                self._log_contact(link, now)
            if event == "wrong_protocol":
                link.rest()
            await asyncio.sleep(0)

    def _look_after(self, link: "_Link", now: float) -> None:
        before = link.contact.state
        link.renew_if_overdue(now)
        # What could not be said when it came about, for it had just been said before, is said now if it still holds.
        if link.contact.state != link.logged:
            self._log_contact(link, now, times=int(link.contact.state != before))

    def _log_contact(self, link: "_Link", now: float, times: int = 1) -> None:
        endpoint, told = link.feed.endpoint, link.contact.told(now)
        if times := self._said.count(f"{told.state} {endpoint}", now, times):
            link.logged = told.state
            level = logging.INFO if told.state in ("connected", "refused") else logging.WARNING
            more = f" ({times - 1} more since the last such line)" if times > 1 else ""
            words = told.state.replace("_", " ")
            _log.log(level, "%s: %s%s%s", endpoint, words, f": {told.reason}" if told.reason else "", more)

    def _log_rejected(self, endpoint: str, error: wire.WireError) -> None:
        if dropped := self._said.count(endpoint, self._now()):
            _log.warning(
                "dropped a message from %s: %s (%d more since the last such line)", endpoint, error, dropped - 1
            )


class _Link:
    """The subscription to one feed: its socket, and what tells how that is."""

    def __init__(self, context: zmq.asyncio.Context, feed: Feed, secret_key: bytes | None, now: float) -> None:
        self.feed = feed
        self.contact = Contact(now)
        self.logged = self.contact.state
        self.rests = False
        self.tasks: list[asyncio.Task[None]] = []
        self.socket = context.socket(zmq.SUB)
        for option, value in _OPTIONS.items():
            self.socket.setsockopt(option, value)
        if feed.server_key and secret_key:
            self.socket.curve_serverkey = feed.server_key
            self.socket.curve_secretkey = secret_key
            self.socket.curve_publickey = public_key(secret_key)
        self.socket.subscribe(wire.TOPIC_PREFIX)
        self.monitor = self.socket.get_monitor_socket(sum(_EVENTS))
        self.socket.connect(feed.endpoint)

    def rest(self) -> None:
        """Do not try again until it is due: libzmq would ten times a second, as somebody accepts each connection."""
        if not self.rests:
            self.socket.disconnect(self.feed.endpoint)
            self.rests = True

    def renew_if_overdue(self, now: float) -> None:
        """Connect anew where libzmq does not."""
        if self.contact.is_overdue(now):
            self.rest()
            self.socket.connect(self.feed.endpoint)
            self.rests = False

    def close(self) -> None:
        """Disconnect, and say no more."""
        for task in self.tasks:
            task.cancel()
        self.socket.disable_monitor()
        self.monitor.close(linger=0)
        self.socket.close(linger=0)
