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
from typing import cast

from tornado.http1connection import HTTP1Connection
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

from api.answers import Answer, Answers, refusal

_log = logging.getLogger(__name__)

IDLE_SECONDS = 75.0
"""For how long a connection may be idle, or a request's headers, or an answer, may take."""

BODY_SECONDS = 5.0
MAX_HEADER_BYTES = 64 * 2**10
MAX_BODY_BYTES = 64 * 2**10

_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+;=:%\[\]-]*")  # RFC 9110 section 7.2; a comma is two Host headers
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Server(HTTPServerConnectionDelegate):
    """The API's HTTP server. `now` gives seconds on the clock by which the cache tells ages."""

    def __init__(self, answers: Answers, now: Callable[[], float]) -> None:
        self._answers = answers
        self._now = now
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._http = HTTPServer(
            self,
            idle_connection_timeout=IDLE_SECONDS,
            body_timeout=BODY_SECONDS,
            max_header_size=MAX_HEADER_BYTES,
            max_body_size=MAX_BODY_BYTES,
        )

    def listen(self, address: str, port: int) -> None:
        """Listen for connections. Raises OSError: the address is in use or cannot be had."""
        self._http.listen(port, address)
        _log.info("listening on http://%s:%d", f"[{address}]" if ":" in address else address, port)

    async def stop(self, grace_seconds: float) -> None:
        """Stop listening, let the requests that have begun be answered, and close all connections."""
        self._http.stop()
        self._idle.clear()
        if self._in_flight:
            await asyncio.wait({asyncio.create_task(self._idle.wait())}, timeout=grace_seconds)
        await self._http.close_all_connections()

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:  # noqa: ARG002 -- Tornado's signature
        """Take the next request on a connection; called by Tornado."""
        return _Request(self, cast("HTTP1Connection", request_conn))

    def begin(self) -> None:
        """Note that a request is in flight."""
        self._in_flight += 1

    def end(self) -> None:
        """Note that a request was answered, or its client has gone."""
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()

    def answer(self, start: RequestStartLine, headers: HTTPHeaders) -> Answer:
        """Return the answer to a request whose line and headers have been read."""
        host = headers.get("Host", "" if start.version == "HTTP/1.0" else None)
        if host is None or not _HOST.fullmatch(host):
            return refusal(400, "bad_host", "the request needs one valid Host header")
        try:
            return self._answers.answer(start.method, start.path, headers, self._now())
        except Exception:  # noqa: BLE001 -- logged whole; one request's fault must not end the connection unanswered
            _log.exception("no answer to %s %r", start.method, start.path)
            return refusal(500, "internal_error", "the service failed to answer; its log says more")


class _Request(HTTPMessageDelegate):
    """One request: kept until it has been read, then answered in one write."""

    def __init__(self, server: Server, connection: HTTP1Connection) -> None:
        self._server = server
        self._connection = connection
        self._is_answered = False

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        self._start = cast("RequestStartLine", start_line)
        self._headers = headers
        self._server.begin()
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


def _is_too_large(content_length: str) -> bool:
    # int() refuses numbers of very many digits.
    return content_length.isdecimal() and float(content_length) > MAX_BODY_BYTES


@lru_cache(maxsize=1)
def _date(unix_seconds: int) -> str:
    return format_timestamp(unix_seconds)
