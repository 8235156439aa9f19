"""HTTP: Tornado reads the requests and writes the answers; what they say is `answers`' to decide.

The answers come from a delegate below Tornado's routing, because routing and RequestHandler cost half of a request.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, cast

from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
    format_timestamp,
)
from tornado.iostream import IOStream

from api.answers import Answer, Answers, refusal
from api.connections import Connections, most_connections
from api.remembered import remembered
from common.endpoint import is_loopback

_log = logging.getLogger(__name__)

# At INFO, Tornado says of every malformed request that it is one, and who sends them can send them without end.
logging.getLogger("tornado.general").setLevel(logging.WARNING)

IDLE_SECONDS = 75.0
"""For how long a connection may be idle, or a request's headers, or an answer, may take."""

BODY_SECONDS = 5.0
MAX_HEADER_BYTES = 64 * 2**10
MAX_BODY_BYTES = 64 * 2**10

_NAME = r"[A-Za-z0-9._~!$&'()*+;=:%\[\]-]"  # RFC 9110 section 7.2; a comma is two Host headers
_HOST = re.compile(rf"{_NAME}*")
_ABSOLUTE = re.compile(rf"https?://({_NAME}+)([/?].*)?", re.IGNORECASE)
_NOT_LOCAL = (
    "this API listens on loopback only, and so answers only who asks it by a name of loopback: localhost, 127.0.0.1 or "
    "[::1]"
)
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Server(HTTPServerConnectionDelegate):
    """The API's HTTP server. `now` gives seconds on the clock by which the cache tells ages."""

    def __init__(self, answers: Answers, now: Callable[[], float]) -> None:
        self._answers = answers
        self._now = now
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._connections = Connections(most_connections(), now)
        self._is_local = False
        self._http = _Http(
            self,
            idle_connection_timeout=IDLE_SECONDS,
            body_timeout=BODY_SECONDS,
            max_header_size=MAX_HEADER_BYTES,
            max_body_size=MAX_BODY_BYTES,
        )

    def listen(self, address: str, port: int) -> None:
        """Listen for connections. Raises OSError: the address is in use or cannot be had."""
        self._is_local = is_loopback(address)
        self._http.listen(port, address)
        _log.info("listening on http://%s:%d", f"[{address}]" if ":" in address else address, port)

    async def stop(self, grace_seconds: float) -> None:
        """Stop listening, let the requests that have begun be answered, and close all connections."""
        self._http.stop()
        self._idle.clear()
        if self._in_flight:
            await asyncio.wait({asyncio.create_task(self._idle.wait())}, timeout=grace_seconds)
        await self._http.close_all_connections()

    def open(self, stream: IOStream) -> bool:
        """Take a connection, and return whether it was taken."""
        return self._connections.open(stream)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Wait for the next request on a connection; called by Tornado."""
        self._connections.idle(cast("HTTP1ServerConnection", server_conn).stream)
        return _Request(self, cast("HTTP1Connection", request_conn))

    def on_close(self, server_conn: object) -> None:
        """Note that a connection is closed; called by Tornado."""
        self._connections.closed(cast("HTTP1ServerConnection", server_conn).stream)

    def begin(self, stream: IOStream) -> None:
        """Note that a request is in flight."""
        self._connections.busy(stream)
        self._in_flight += 1

    def end(self) -> None:
        """Note that a request was answered, or its client has gone."""
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()

    def answer(self, start: RequestStartLine, headers: HTTPHeaders) -> Answer:
        """Return the answer to a request whose line and headers have been read."""
        host = headers.get("Host", "" if start.version == "HTTP/1.0" else None)
        if host is None or not _is_host(host):
            return refusal(400, "bad_host", "the request needs one valid Host header")
        target = start.path
        if target[:1] != "/" and (absolute := _ABSOLUTE.fullmatch(target)):
            # RFC 9112 section 3.2.2: what the target says of the host takes the header's place.
            host, target = absolute[1], f"/{(absolute[2] or '').removeprefix('/')}"
        if self._is_local and not _is_local_host(host):
            return refusal(400, "bad_host", _NOT_LOCAL)
        try:
            return self._answers.answer(start.method, target, headers, self._now())
        except Exception:  # noqa: BLE001 -- logged whole; one request's fault must not end the connection unanswered
            _log.exception("no answer to %s %r", start.method, start.path)
            return refusal(500, "internal_error", "the service failed to answer; its log says more")


class _Http(HTTPServer):
    """Tornado's server, which asks ours whether there is room for a connection and tells it when one is closed."""

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        if cast("Server", self.request_callback).open(stream):
            super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        super().on_close(server_conn)
        cast("Server", self.request_callback).on_close(server_conn)


class _Request(HTTPMessageDelegate):
    """One request: kept until it has been read, then answered in one write."""

    def __init__(self, server: Server, connection: HTTP1Connection) -> None:
        self._server = server
        self._connection = connection
        self._is_answered = False

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        self._start = cast("RequestStartLine", start_line)
        self._headers = headers
        self._server.begin(self._connection.stream)
        if _is_too_large(headers.get("Content-Length", "")):
            # Tornado reads no further and closes, but would say so with a bare 400.
            self._send(refusal(413, "body_too_large", f"a body may have {MAX_BODY_BYTES} bytes at most"))

    def finish(self) -> None:
        self._send(self._server.answer(self._start, self._headers))

    def on_connection_close(self) -> None:
        if not self._is_answered:
            self._server.end()

    def _send(self, answer: Answer) -> None:
        self._is_answered = True
        headers = HTTPHeaders()
        for name, value in (*answer.headers, ("Date", _date(int(time.time())))):
            headers[name] = value
        line = ResponseStartLine("HTTP/1.1", answer.status, _REASONS[answer.status])
        body = b"" if self._start.method == "HEAD" else answer.body
        written = self._connection.write_headers(line, headers, body)
        self._connection.finish()
        if written.done():
            self._server.end()
        else:
            self._end_when(written)

    def _end_when(self, written: "asyncio.Future[None]") -> None:
        """End when the client has read the answer, or has taken too long for that."""
        dropping = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._connection.stream.close)
        written.add_done_callback(lambda _: dropping.cancel())
        written.add_done_callback(lambda _: self._server.end())


@remembered
def _is_host(host: str) -> bool:
    return bool(_HOST.fullmatch(host))


@remembered
def _is_local_host(host: str) -> bool:
    """Return whether a Host names this machine's loopback, or nothing; a name that somebody's DNS points at us (DNS
    rebinding: a web page that asks us in its reader's name) does not."""
    name = re.sub(r":[0-9]*$", "", host.lower()).removesuffix(".")
    return name in ("", "localhost") or name.endswith(".localhost") or is_loopback(name)


def _is_too_large(content_length: str) -> bool:
    # int() refuses numbers of very many digits.
    return content_length.isdecimal() and float(content_length) > MAX_BODY_BYTES


@lru_cache(maxsize=1)
def _date(unix_seconds: int) -> str:
    return format_timestamp(unix_seconds)
