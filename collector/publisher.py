"""The feed's end here: an XPUB socket that binds. Sends to whoever listens, and does not care whether anyone does.

The latest snapshot is every new subscriber's welcome, with how long it has been held by then. A subscriber that is
slow or stuck loses messages; nobody ever waits for it.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import zmq
import zmq.asyncio

from common import wire
from common.snapshot import Snapshot

_log = logging.getLogger(__name__)

QUEUED_FRAMES = 100
"""Frames kept for a subscriber that does not read; what comes after is dropped, for that one only."""

READ_AT_ONCE = 1000
"""Subscriptions, or whatever else clients send, that are read in one turn of the event loop."""

_OPTIONS = {
    zmq.IPV6: 1,
    zmq.LINGER: 0,
    zmq.SNDHWM: QUEUED_FRAMES,
    # What subscribers send are subscriptions; CURVE's handshake needs more than 256 bytes.
    zmq.MAXMSGSIZE: 1024,
    zmq.HANDSHAKE_IVL: 3000,
    zmq.HEARTBEAT_IVL: 5000,
    zmq.HEARTBEAT_TIMEOUT: 15000,
}


class Publisher:
    """Publishes snapshots on one endpoint. `now` gives seconds on a clock that is never set back."""

    def __init__(self, endpoint: str, now: Callable[[], float]) -> None:
        """Bind. Raises OSError: the endpoint is in use or cannot be had; the message names it."""
        self._now = now
        self._latest: Snapshot | None = None
        self._published_at = 0.0
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.XPUB)
        for option, value in _OPTIONS.items():
            self._socket.setsockopt(option, value)
        try:
            self._bind(endpoint)
        except OSError:
            self.close()
            raise

    async def publish(self, snapshot: Snapshot) -> None:
        """Send a snapshot to all who listen now, and keep it for those who come later."""
        self._latest, self._published_at = snapshot, self._now()
        frame = wire.encode(snapshot)
        self._socket.setsockopt(zmq.XPUB_WELCOME_MSG, frame)
        await self._socket.send(frame)

    def refresh_welcome(self) -> None:
        """Let the welcome tell how long its snapshot has been held by now."""
        if self._latest is not None:
            held = msgspec.structs.replace(self._latest, held_seconds=self._now() - self._published_at)
            self._socket.setsockopt(zmq.XPUB_WELCOME_MSG, wire.encode(held))

    async def serve(self) -> None:
        """Let subscribers come and go, for ever: libzmq attends to them only while somebody reads this socket."""
        plain: zmq.Socket[bytes] = zmq.Socket.shadow(self._socket)
        while True:
            await self._socket.poll()
            with contextlib.suppress(zmq.Again):
                for _ in range(READ_AT_ONCE):
                    plain.recv(zmq.NOBLOCK)
            # A socket that has more to read does not yield, and a client that floods it must not stop the beat.
            await asyncio.sleep(0)

    def close(self) -> None:
        """Close the socket at once; what was not sent yet is dropped."""
        self._context.destroy(linger=0)

    def _bind(self, endpoint: str) -> None:
        path = endpoint.removeprefix("ipc://")
        if path != endpoint:
            _refuse_occupied(Path(path))
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise OSError(f"cannot publish on {endpoint}: {os.strerror(error.errno or 0)}") from error
        _log.info("publishing on %s", endpoint)


def _refuse_occupied(path: Path) -> None:
    """libzmq itself would unlink whatever stands at the path, and take the address of a publisher that is alive."""
    if not path.exists():
        return
    if not path.is_socket():
        raise OSError(f"cannot publish on ipc://{path}: there is a file at that path that is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        # One whose queue is full does not answer, and is alive all the same.
        probe.settimeout(1)
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise OSError(f"cannot publish on ipc://{path}: Address already in use")
