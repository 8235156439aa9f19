"""One request and what is sent back: Tornado's end of it. What is said is `answers`' to decide."""

import asyncio
import time
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol, cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
    format_timestamp,
)

from api.answer import Answer, Follow, Later, refusal

MAX_HEADER_BYTES = 8 * 2**10
"""Of a request's line and headers, beyond which they are refused."""

MAX_BODY_BYTES = 64 * 2**10
ANSWER_SECONDS = 75.0
"""For how long a client may take to read an answer."""

_COPIED_BYTES = 64 * 2**10
"""A body up to this size is copied to follow its head in one write; a larger one is shared by all who read it."""

_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class Owner(Protocol):
    """The server, as an exchange sees it."""

    more_headers: str
    """Header lines that every answer has."""

    def answer(self, start: RequestStartLine, headers: HTTPHeaders) -> Answer | Later | Follow:
        """Return what is to be sent for a request."""

    def begin(self, exchange: "Exchange") -> None:
        """Note that a request is in flight."""

    def read(self, exchange: "Exchange") -> None:
        """Note that a request was read to its end."""

    def end(self, exchange: "Exchange") -> None:
        """Note that a request was answered, or its client has gone."""

    def wait(self, exchange: "Exchange", body: bytes) -> None:
        """Note that the client is slow to read a body."""

    async def make(self, start: RequestStartLine, later: Later) -> Answer:
        """Do the work away from everybody, and return the answer."""

    def follow(self, exchange: "Exchange", follow: Follow) -> None:
        """Send events from now on, for as long as somebody reads them."""


class Exchange(HTTPMessageDelegate):
    """One request: kept until it has been read, then answered. `status`, `sent_bytes` and `took_seconds` are what was
    sent back and how long we took for it; they are 0 as long as nothing was."""

    status = 0
    sent_bytes = 0
    took_seconds = 0.0

    def __init__(self, owner: Owner, connection: HTTP1Connection) -> None:
        self._owner = owner
        self.connection = connection
        self._working: asyncio.Task[None] | None = None

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        """Take the request's line and headers; called by Tornado."""
        self.start = cast("RequestStartLine", start_line)
        self.headers = headers
        self._asked_at = time.monotonic()
        self._owner.begin(self)
        # Tornado reads no further once it is answered, and closes; of a large body it would say so with a bare 400.
        if _is_too_large(headers.get("Content-Length", "")):
            self.send(refusal(413, "body_too_large", f"a body may have {MAX_BODY_BYTES} bytes at most"))
        elif _size(self.start, headers) > MAX_HEADER_BYTES:
            said = f"the request's line and headers may have {MAX_HEADER_BYTES} bytes at most"
            self.send(refusal(431, "headers_too_large", said))

    def finish(self) -> None:
        """Answer, now that the request has been read; called by Tornado."""
        if self.connection.stream.closed():
            # It was closed for not reading an answer, with more requests on their way.
            self._owner.end(self)
            return
        self._asked_at = time.monotonic()
        self._owner.read(self)
        sent = self._owner.answer(self.start, self.headers)
        if isinstance(sent, Answer):
            self.send(sent)
        elif isinstance(sent, Follow):
            self._owner.follow(self, sent)
        else:
            self.connection.set_close_callback(self._stop_working)
            self._working = asyncio.create_task(self._send_later(sent))

    def on_connection_close(self) -> None:
        """Note that the client has gone before it was answered; called by Tornado."""
        if not self.status:
            self._owner.end(self)

    def send(self, answer: Answer) -> None:
        """Write an answer, which ends the exchange once it has been read."""
        self.status, self.sent_bytes = answer.status, len(answer.body)
        self.took_seconds = time.monotonic() - self._asked_at
        body = b"" if self.start.method == "HEAD" else answer.body
        written = self._write(self._head(answer), body)
        self.connection.finish()
        if written.done():
            self._owner.end(self)
        else:
            self._owner.wait(self, body)
            self._end_when(written)

    def send_head(self, headers: list[tuple[str, str]]) -> "asyncio.Future[None]":
        """Write the head of an answer without an end."""
        self.status = 200
        framing = ("Transfer-Encoding", "chunked") if self.is_chunked else ("Connection", "close")
        return self.connection.write(self._head(Answer(200, [*headers, framing], b"")))

    @property
    def client(self) -> str:
        """The address that the request came from."""
        return str(getattr(self.connection.context, "remote_ip", ""))

    @property
    def is_chunked(self) -> bool:
        """Whether the client understands a body in chunks (RFC 9112 section 7.1)."""
        return self.start.version == "HTTP/1.1"

    def _write(self, head: bytes, body: bytes) -> "asyncio.Future[None]":
        # Tornado's write takes a head that is encoded already, which costs a third of having it made and checked there.
        if len(body) <= _COPIED_BYTES:
            return self.connection.write(head + body)
        if not self.connection.stream.closed():
            # Not by the connection, which knows of one write at a time, and would take this one's end for the body's.
            self.connection.stream.write(head)
        return self.connection.write(body)

    def _head(self, answer: Answer) -> bytes:
        lines = "".join([f"{name}: {value}\r\n" for name, value in answer.headers])
        more = self._owner.more_headers + self._connection_header(answer)
        return f"{_LINES[answer.status]}{lines}{more}Date: {_date(int(time.time()))}\r\n\r\n".encode("latin-1")

    def _connection_header(self, answer: Answer) -> str:
        """Say what Tornado will do with the connection after this answer."""
        asked = self.headers.get("Connection", "").lower()
        if self.start.version == "HTTP/1.1":
            return "Connection: close\r\n" if asked == "close" or answer.status in (413, 431) else ""
        is_kept = self.start.method in ("GET", "HEAD") or "Content-Length" in self.headers
        return "Connection: Keep-Alive\r\n" if asked == "keep-alive" and is_kept else ""

    async def _send_later(self, later: Later) -> None:
        try:
            answer = await self._owner.make(self.start, later)
            if not self.connection.stream.closed():
                self.send(answer)
        finally:
            if not self.status:
                self._owner.end(self)

    def _stop_working(self) -> None:
        """The client has gone."""
        if self._working is not None:
            self._working.cancel()

    def _end_when(self, written: "asyncio.Future[None]") -> None:
        """End when the client has read the answer, or has taken too long for that."""
        dropping = asyncio.get_running_loop().call_later(ANSWER_SECONDS, self.connection.stream.close)
        written.add_done_callback(lambda _: dropping.cancel())
        written.add_done_callback(lambda _: self._owner.end(self))


def _is_too_large(content_length: str) -> bool:
    # int() refuses numbers of very many digits.
    return content_length.isdecimal() and float(content_length) > MAX_BODY_BYTES


def _size(start: RequestStartLine, headers: HTTPHeaders) -> int:
    """Return about how many bytes a request's line and headers had."""
    fields = sum([len(name) + len(value) + 4 for name, value in headers.get_all()])
    return len(start.method) + len(start.path) + len(start.version) + fields + 6


@lru_cache(maxsize=1)
def _date(unix_seconds: int) -> str:
    return format_timestamp(unix_seconds)
