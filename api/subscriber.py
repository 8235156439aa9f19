"""The feed's end here: SUB sockets that connect, one for each endpoint.

Frames in, snapshots out, to the one who asked for them, with the earliest moment at which each may have arrived.
Nothing that a peer sends stops it: what is no snapshot is counted, logged at most once a minute, and dropped.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable

import zmq
import zmq.asyncio

from api.seldom import Seldom
from common import wire
from common.snapshot import Snapshot

_log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
AWAY_SECONDS = 1.0
"""Who has not looked for so long, though one meant to look every `LOOK_SECONDS`, was away."""

CATCH_UP_SECONDS = 1.0
"""For how long after that what is read may have waited since."""

SILENT_SECONDS = 60.0
"""An endpoint that says nothing for so long, or up to twice that, is connected to anew."""

MAX_MESSAGE_BYTES = 4 * 2**20

_OPTIONS = {
    zmq.IPV6: 1,
    zmq.LINGER: 0,
    zmq.RCVHWM: 100,
    zmq.MAXMSGSIZE: MAX_MESSAGE_BYTES,
    zmq.HANDSHAKE_IVL: 3000,
    zmq.HEARTBEAT_IVL: 5000,
    zmq.HEARTBEAT_TIMEOUT: 15000,
    zmq.RECONNECT_IVL: 100,
    zmq.RECONNECT_IVL_MAX: 5000,
}


class Lookout:
    """Knows when this process was away (stopped, swapped out, asleep with the machine): what arrived meanwhile waited
    in some buffer, and is not as young as it looks when it is read."""

    def __init__(self, now: float) -> None:
        self._looked_at = now
        self._away_since = now
        self._is_back_at = -math.inf

    def look(self, now: float) -> float:
        """Note that we look, and return the earliest moment at which what is read now may have arrived."""
        if now - self._looked_at > AWAY_SECONDS:
            if self._looked_at >= self._is_back_at:
                self._away_since = self._looked_at
            self._is_back_at = now + CATCH_UP_SECONDS
        self._looked_at = now
        return self._away_since if now < self._is_back_at else now


class Subscriber:
    """Receives from every endpoint. `now` gives seconds on a clock that is never set back."""

    def __init__(
        self,
        endpoints: Iterable[str],
        accept: Callable[[str, Snapshot, float], object],
        reject: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:
        """`accept` is called with the endpoint, each snapshot and when it arrived at the earliest, `reject` with the
        endpoint of what was none."""
        self._accept = accept
        self._reject = reject
        self._now = now
        self._lookout = Lookout(now())
        self._rejected = Seldom()
        self._heard: set[str] = set()
        self._context = zmq.asyncio.Context()
        self._sockets = {endpoint: self._connect(endpoint) for endpoint in endpoints}

    async def serve(self) -> None:
        """Receive for ever. Cancel it only to end: a receive that is cancelled may lose a message."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look())
            for endpoint, socket in self._sockets.items():
                group.create_task(self._receive(endpoint, socket))
                group.create_task(self._keep_connected(endpoint, socket))

    def close(self) -> None:
        """Disconnect from all."""
        self._context.destroy(linger=0)

    def _connect(self, endpoint: str) -> zmq.asyncio.Socket:
        socket = self._context.socket(zmq.SUB)
        for option, value in _OPTIONS.items():
            socket.setsockopt(option, value)
        socket.subscribe(wire.TOPIC_PREFIX)
        socket.connect(endpoint)
        _log.info("subscribed to %s", endpoint)
        return socket

    async def _receive(self, endpoint: str, socket: zmq.asyncio.Socket) -> None:
        while True:
            frame = await socket.recv()
            self._heard.add(endpoint)
            arrived = self._lookout.look(self._now())
            try:
                self._accept(endpoint, wire.decode(frame), arrived)
            except wire.WireError as error:
                self._reject(endpoint)
                self._log_rejected(endpoint, error)
            # A receive that finds a message waiting does not yield, and a flood must not keep others from the loop.
            await asyncio.sleep(0)

    async def _look(self) -> None:
        while True:
            self._lookout.look(self._now())
            await asyncio.sleep(LOOK_SECONDS)

    async def _keep_connected(self, endpoint: str, socket: zmq.asyncio.Socket) -> None:
        """libzmq never comes back to a peer that broke the protocol, though another may have taken its place. To
        connect anew costs a publisher that is only slow one welcome."""
        while True:
            self._heard.discard(endpoint)
            await asyncio.sleep(SILENT_SECONDS)
            if endpoint not in self._heard:
                socket.disconnect(endpoint)
                socket.connect(endpoint)

    def _log_rejected(self, endpoint: str, error: wire.WireError) -> None:
        if dropped := self._rejected.count(endpoint, self._now()):
            _log.warning(
                "dropped a message from %s: %s (%d more since the last such line)", endpoint, error, dropped - 1
            )
