"""HTTP: Tornado reads the requests and writes the answers; what they say is `answers`' to decide.

The answers come from a delegate below Tornado's routing, because routing and RequestHandler cost half of a request.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from typing import cast

from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
)
from tornado.iostream import IOStream

from api import access_log
from api.accepting import Http
from api.answer import Answer, Follow, Later, Refusal, refusal
from api.answers import Answers
from api.connections import Connections, Unread, most_connections
from api.exchange import MAX_BODY_BYTES, Exchange
from api.listeners import Listeners
from api.naming import wanted_target
from api.scraping.tally import Tally
from api.stream import Stream
from api.works import Works
from common.endpoint import is_loopback
from common.seldom import Seldom

_log = logging.getLogger(__name__)

# At INFO, Tornado says of every malformed request that it is one, and at WARNING of every handshake that fails; who
# sends them can send them without end. Each is said once a minute, by its text before anything is put into it.
_tornado = Seldom()
logging.getLogger("tornado.general").setLevel(logging.WARNING)
logging.getLogger("tornado.general").addFilter(lambda record: _tornado.count(str(record.msg), time.monotonic()) > 0)

IDLE_SECONDS = 75.0
"""For how long a connection may be idle, or a request's headers may take."""

_LOOKS_AT_IDLE = 75
"""How often in that time it is looked for who has been idle for longer."""

BODY_SECONDS = 5.0
"""For how long a request's body may take."""

MAX_READ_HEADER_BYTES = 64 * 2**10
"""Of headers that are read at all, so that those beyond `exchange.MAX_HEADER_BYTES` can be refused in words."""

MOST_LISTENERS = 1000
"""Clients of the stream; where fewer connections may be open, half of those."""

_RETRY_LISTENING_SECONDS = "30"

MOST_SHORT_WORKS, MOST_LONG_WORKS = 64, 8
"""Answers that are made in a thread at once: the short ones are bodies of very many GPUs and scrapes, the long ones are
of the history, in a thread of their own."""

_MOST_TRIES = 3
"""How often an answer is made again that was old before it was made."""

SLOW_SECONDS = 1.0
"""What takes us longer to answer is logged."""

_NO_SNIFFING = ("X-Content-Type-Options", "nosniff")


class Server(HTTPServerConnectionDelegate):
    """The API's HTTP server. `now` gives seconds on the clock by which the cache tells ages."""

    def __init__(
        self,
        answers: Answers,
        stream: Stream,
        tally: Tally,
        now: Callable[[], float],
        *,
        logs_each: bool = False,
    ) -> None:
        """`logs_each` asks for a line in the log for each request."""
        self._answers = answers
        self._logs_each = logs_each
        self.more_headers = "".join(f"{name}: {value}\r\n" for name, value in (_NO_SNIFFING, *answers.access.headers))
        self._tally = tally
        self._now = now
        self._in_flight: set[Exchange] = set()
        self._idle = asyncio.Event()
        self._unread = Unread()
        most = most_connections()
        self._connections = Connections(most, time.monotonic)
        self._listeners = Listeners(stream, min(MOST_LISTENERS, most // 2), self._left)
        self._is_local = False
        self._works = {"short": Works(MOST_SHORT_WORKS), "long": Works(MOST_LONG_WORKS)}
        self._http = Http(
            self,
            body_timeout=BODY_SECONDS,
            max_header_size=MAX_READ_HEADER_BYTES,
            max_body_size=MAX_BODY_BYTES,
        )
        # Tornado's own timer for each request costs an eighth of it; `Connections` closes who is idle for too long.
        self._http.conn_params.header_timeout = None

    def listen(self, address: str, port: int, ssl_context: ssl.SSLContext | None = None) -> None:
        """Listen for connections, of HTTPS with `ssl_context`. Raises OSError: the address is in use or not ours."""
        self._is_local = is_loopback(address)
        self._http.ssl_options = ssl_context
        self._http.listen(port, address)
        self._closing_idle = asyncio.create_task(self._close_idle())
        self._listeners.start()
        scheme = "https" if ssl_context else "http"
        _log.info("listening on %s://%s:%d", scheme, f"[{address}]" if ":" in address else address, port)

    async def stop(self, grace_seconds: float) -> None:
        """Stop listening, let the requests that have begun be answered, and close all connections."""
        self._http.stop()
        self._closing_idle.cancel()
        self._idle.clear()
        self._listeners.stop()
        if self._in_flight:
            await asyncio.wait({asyncio.create_task(self._idle.wait())}, timeout=grace_seconds)
        await self._http.close_all_connections()

    def open(self, stream: IOStream) -> bool:
        """Take a connection, and return whether it was taken."""
        is_taken = self._connections.open(stream)
        self._tally.connections = len(self._connections)
        return is_taken

    def make_room(self) -> bool:
        """Close a connection that can be spared, and return whether there was one: no file can be opened any more."""
        return self._connections.make_room()

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Wait for the next request on a connection; called by Tornado."""
        self._connections.idle(cast("HTTP1ServerConnection", server_conn).stream)
        return Exchange(self, cast("HTTP1Connection", request_conn))

    def on_close(self, server_conn: object) -> None:
        """Note that a connection is closed; called by Tornado."""
        self._connections.closed(cast("HTTP1ServerConnection", server_conn).stream)
        self._tally.connections = len(self._connections)

    def begin(self, exchange: Exchange) -> None:
        """Note that a request is in flight."""
        self._in_flight.add(exchange)

    def read(self, exchange: Exchange) -> None:
        """Note that a request was read to its end."""
        self._connections.busy(exchange.connection.stream)

    def wait(self, exchange: Exchange, body: bytes) -> None:
        """Note that the client is slow to read a body."""
        self._connections.slow(exchange.connection.stream)
        self._unread.add(exchange.connection.stream, body)

    def end(self, exchange: Exchange) -> None:
        """Note that a request was answered, or its client has gone."""
        if exchange not in self._in_flight:
            return
        self._in_flight.discard(exchange)
        self._unread.discard(exchange.connection.stream)
        if exchange.status:
            self._tally.answers[exchange.status] += 1
            if self._logs_each or exchange.took_seconds > SLOW_SECONDS:
                holder = self._answers.access.holder_of(exchange.headers)
                access_log.log(exchange, holder.name if holder else "-")
        if not self._in_flight:
            self._idle.set()

    def answer(self, start: RequestStartLine, headers: HTTPHeaders) -> Answer | Later | Follow:
        """Return what is to be sent for a request whose line and headers have been read."""
        try:
            target = wanted_target(start.path, start.version, headers, is_local=self._is_local)
            return self._answers.answer(start.method, target, headers, self._now())
        except Refusal as refused:
            return refused.answer
        except Exception:  # noqa: BLE001 -- logged whole; one request's fault must not end the connection unanswered
            return _fault(start)

    async def make(self, start: RequestStartLine, later: Later) -> Answer:
        """Do the work in a thread, and return the answer."""
        try:
            for _ in range(_MOST_TRIES):
                sent = later.then(await self._works[later.lane].made(later.make), self._now())
                if isinstance(sent, Answer):
                    return sent
                later = sent
        except Refusal as refused:
            return refused.answer
        except Exception:  # noqa: BLE001 -- logged whole; one request's fault must not leave it unanswered
            return _fault(start)
        return refusal(503, "busy", "the answer was old before it was made; ask again", ("Retry-After", "1"))

    def follow(self, exchange: Exchange, follow: Follow) -> None:
        """Send events from now on, for as long as somebody reads them."""
        if self._listeners.is_full:
            said = f"{len(self._listeners)} clients listen already, as many as may"
            exchange.send(refusal(503, "too_many_listeners", said, ("Retry-After", _RETRY_LISTENING_SECONDS)))
        else:
            self._listeners.add(exchange, follow, self._now())
            self._tally.listeners = len(self._listeners)

    def _left(self, exchange: Exchange) -> None:
        self._tally.listeners = len(self._listeners)
        self.end(exchange)

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(IDLE_SECONDS / _LOOKS_AT_IDLE)
            self._connections.close_idle(IDLE_SECONDS)


def _fault(start: RequestStartLine) -> Answer:
    _log.exception("no answer to %s %r", start.method, start.path)
    return refusal(500, "internal_error", "the service failed to answer; its log says more")
