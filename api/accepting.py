"""Who is let in: Tornado's server, which asks ours whether there is room, and its listening sockets.

Where the process may open no file more, the system refuses to accept as long as somebody waits, and Tornado would try
again at once, without end. So room is made for who waits, or, where there is none to be made, nobody is accepted for a
while.
"""

import errno
import select
import socket
from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream

REST_SECONDS = 1.0
"""For how long nobody is accepted, where no file can be opened and nobody can be spared."""


class Owner(Protocol):
    """Our server, as the one who lets in sees it."""

    def open(self, stream: IOStream) -> bool:
        """Take a connection, and return whether it was taken."""

    def make_room(self) -> bool:
        """Close a connection that can be spared, and return whether there was one: no file can be opened any more."""

    def on_close(self, server_conn: object) -> None:
        """Note that a connection is closed."""


class Http(HTTPServer):
    """Tornado's server. What it is made with, `request_callback`, is an `Owner`, too."""

    @property
    def _owner(self) -> Owner:
        return cast("Owner", self.request_callback)

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on these sockets; called by Tornado."""
        super().add_sockets(_Listening(listening, self._owner.make_room) for listening in sockets)

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Take a connection that was accepted; called by Tornado."""
        if self._owner.open(stream):
            # Tornado turns Nagle's algorithm off and on again for each answer, at two system calls. It stays off.
            stream.set_nodelay(True)
            stream.set_nodelay = _leave_it  # type: ignore[method-assign]  # there is no setting for it
            super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        """Note that a connection is closed; called by Tornado."""
        super().on_close(server_conn)
        self._owner.on_close(server_conn)

    def _handle_connection(self, connection: socket.socket, address: Any) -> None:
        try:
            super()._handle_connection(connection, address)
        except OSError:
            # Its client has gone before the handshake began, which Tornado takes for a fault.
            connection.close()


class _Listening(socket.socket):
    """A listening socket, of which nobody is accepted while the process may open no file more."""

    def __init__(self, listening: socket.socket, make_room: Callable[[], bool]) -> None:
        super().__init__(listening.family, listening.type, listening.proto, listening.detach())
        self.settimeout(0.0)
        self._make_room = make_room

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept who waits. Raises BlockingIOError: nobody does, or whoever does is accepted later."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            # The system says so where nobody waits, too; who was just accepted would then make room for nobody.
            if self._is_waited_at() and not self._make_room():
                self._rest()
            raise BlockingIOError from error

    def _is_waited_at(self) -> bool:
        waiting = select.poll()
        waiting.register(self, select.POLLIN)
        return bool(waiting.poll(0))

    def _rest(self) -> None:
        loop = IOLoop.current()
        loop.update_handler(self, 0)
        loop.call_later(REST_SECONDS, self._go_on)

    def _go_on(self) -> None:
        if self.fileno() >= 0:
            IOLoop.current().update_handler(self, IOLoop.READ)


def _leave_it(value: bool) -> None:  # noqa: FBT001 -- Tornado's signature
    """Change nothing."""
