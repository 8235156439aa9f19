"""The feed's end here: an XPUB socket that binds. Sends to whoever listens, and does not care whether anyone does.

The latest snapshot is every new subscriber's welcome, with how long it has been held by then. A subscriber that is
slow or stuck loses messages; nobody ever waits for it. With a secret key, CURVE encrypts, and a gate says who may
subscribe before anything else of theirs is read.
"""

import asyncio
import contextlib
import errno
import logging
import os
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import zmq
import zmq.asyncio

from collector.gate import Gate
from collector.socket_file import path_of, taken_by
from common import curve, wire
from common.clock import elapsed_seconds
from common.settings import CollectorSettings
from common.snapshot import Snapshot

_log = logging.getLogger(__name__)

QUEUED_FRAMES = 100
"""Frames kept for a subscriber that does not read; what comes after is dropped, for that one only."""

MOST_TOPICS = 10_000
MOST_TOPIC_BYTES = 2**20
"""What all subscribers together may subscribe to. One who listens to a whole fleet by its hosts' names needs less."""

LOOK_MILLISECONDS = 1000
"""How long somebody whose key was removed may still listen."""

READ_AT_ONCE = 1000
"""Subscriptions, or whatever else clients send, that are read in one turn of the event loop."""

LIBZMQ_VERSION = zmq.zmq_version()

_ZAP = "inproc://zeromq.zap.01"
"""Where libzmq asks who may come in (ZeroMQ RFC 27)."""

_OPTIONS = {
    zmq.IPV6: 1,
    zmq.LINGER: 0,
    zmq.SNDHWM: QUEUED_FRAMES,
    # libzmq takes all that has come before it returns, and who floods us must not keep it there. With 1 and a gate, it
    # never hands on the first subscription.
    zmq.RCVHWM: 2,
    # What subscribers send are subscriptions, to topics of at most 270 bytes; CURVE's handshake needs more than 256.
    zmq.MAXMSGSIZE: 512,
    zmq.HANDSHAKE_IVL: 3000,
    zmq.HEARTBEAT_IVL: 5000,
    zmq.HEARTBEAT_TIMEOUT: 15000,
}


class EndpointError(OSError):
    """The endpoint cannot be had; the message names it, and why. `is_taken` is true if somebody else has it."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"cannot publish on {endpoint}: {reason}")
        self.endpoint = endpoint
        self.is_taken = reason == os.strerror(errno.EADDRINUSE)


class Locked(NamedTuple):
    """What encrypts a feed: the collector's secret key, and who may subscribe."""

    secret_key: bytes
    gate: Gate


def lock_of(settings: CollectorSettings) -> Locked | None:
    """Return what the settings say of encryption; None: nothing. Raises SettingsError: a key cannot be loaded."""
    if not settings.feed_secret_key:
        return None
    secret_key = curve.read_secret("feed_secret_key", settings.feed_secret_key)
    return Locked(secret_key, Gate(settings.feed_authorized_keys, elapsed_seconds, public_key(secret_key)))


def public_key(secret_key: bytes) -> bytes:
    """Return the public key that belongs to a secret one."""
    return zmq.curve_public(secret_key)


class Publisher:
    """Publishes snapshots on one endpoint. `now` gives seconds on a clock that is never set back."""

    def __init__(self, endpoint: str, now: Callable[[], float], locked: Locked | None = None) -> None:
        """Bind. Raises EndpointError."""
        self._endpoint = endpoint
        self._now = now
        self._locked = locked
        self._latest: Snapshot | None = None
        self._published_at = 0.0
        self._topics: set[bytes] = set()
        self._topics_bytes = 0
        self._must_reopen = False
        self.is_subscribed = asyncio.Event()
        """Set once somebody has subscribed."""
        if locked:
            locked.gate.listeners.append(self._drop_all)
        self._open()
        _log.info("publishing on %s%s", endpoint, ", encrypted" if locked else "")

    async def publish(self, snapshot: Snapshot) -> None:
        """Send a snapshot to all who listen now, and keep it for those who come later."""
        self._latest, self._published_at = snapshot, self._now()
        frame = wire.encode(snapshot)
        # First to those who wait. Who comes meanwhile has the welcome before and then this; a send does not wait.
        await self._socket.send(frame)
        self._socket.setsockopt(zmq.XPUB_WELCOME_MSG, frame)

    def refresh_welcome(self) -> None:
        """Let the welcome tell how long its snapshot has been held by now."""
        if self._latest is not None:
            held = msgspec.structs.replace(self._latest, held_seconds=self._now() - self._published_at)
            self._socket.setsockopt(zmq.XPUB_WELCOME_MSG, wire.encode(held))

    async def serve(self) -> None:
        """Let subscribers come and go, for ever: libzmq attends to them only while somebody reads this socket. Raises
        EndpointError: when all had been dropped, another took the endpoint."""
        while True:
            await self._poller.poll(LOOK_MILLISECONDS)
            self._answer_door()
            self._read()
            if self._must_reopen:
                self._reopen()
            # A socket that has more to read does not yield, and a client that floods it must not stop the beat.
            await asyncio.sleep(0)

    def close(self) -> None:
        """Close the socket at once; what was not sent yet is dropped."""
        self._context.destroy(linger=0)

    def _open(self) -> None:
        path = path_of(self._endpoint)
        if path and (taken := taken_by(path)):
            raise EndpointError(self._endpoint, taken)
        self._context = zmq.asyncio.Context()
        self._poller = zmq.asyncio.Poller()
        self._door: zmq.Socket[bytes] | None = None
        try:
            if self._locked:
                self._open_door()
            self._socket = self._context.socket(zmq.XPUB)
            self._poller.register(self._socket, zmq.POLLIN)
            for option, value in _OPTIONS.items():
                self._socket.setsockopt(option, value)
            if self._locked:
                self._lock(self._locked.secret_key)
            self._socket.bind(self._endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise EndpointError(self._endpoint, os.strerror(error.errno or 0)) from error

    def _open_door(self) -> None:
        # Before anybody can knock: without this, libzmq would let in whoever knows the collector's public key.
        door = self._context.socket(zmq.REP)
        door.bind(_ZAP)
        self._poller.register(door, zmq.POLLIN)
        self._door = zmq.Socket.shadow(door)

    def _lock(self, secret_key: bytes) -> None:
        self._socket.curve_server = 1
        self._socket.curve_secretkey = secret_key
        self._socket.zap_domain = b"feed"
        # Were nobody at the door, nobody would be let in.
        self._socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def _answer_door(self) -> None:
        """Say of those who wait whether they may come in."""
        if self._door is None or self._locked is None:
            return
        with contextlib.suppress(zmq.Again):
            for _ in range(READ_AT_ONCE):
                self._door.send_multipart(self._locked.gate.answer(self._door.recv_multipart(zmq.NOBLOCK)))

    def _read(self) -> None:
        """Take note of who comes and goes."""
        plain: zmq.Socket[bytes] = zmq.Socket.shadow(self._socket)
        with contextlib.suppress(zmq.Again):
            for _ in range(READ_AT_ONCE):
                self._note(plain.recv(zmq.NOBLOCK))

    def _note(self, message: bytes) -> None:
        """Keep count of the topics that somebody has subscribed to: each costs memory until nobody has any more. What
        else clients send is none of ours."""
        kind, topic = message[:1], message[1:]
        if kind == b"\1" and topic not in self._topics:
            self._topics.add(topic)
            self._topics_bytes += len(topic)
            self.is_subscribed.set()
        elif kind == b"\0" and topic in self._topics:
            self._topics.remove(topic)
            self._topics_bytes -= len(topic)
        if len(self._topics) > MOST_TOPICS or self._topics_bytes > MOST_TOPIC_BYTES:
            if not self._must_reopen:
                _log.warning("dropping all subscribers: one has subscribed to more topics than anybody needs")
            self._must_reopen = True

    def _drop_all(self) -> None:
        self._must_reopen = True

    def _reopen(self) -> None:
        """Drop everybody. Who may come back does so at once, and gets the welcome."""
        self._must_reopen = False
        self._topics.clear()
        self._topics_bytes = 0
        self.close()
        self._open()
        self.refresh_welcome()
