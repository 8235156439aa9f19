"""The API's server in this process, and clients that write to it what they like."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from api.access import Access
from api.answers import Answers
from api.app import Server
from api.cache import Cache
from api.history.store import History
from api.openapi import description
from api.resources import Resources
from api.routes import METRICS_PATH
from api.scraping.tally import Tally
from api.stream import Stream
from tests.builders import make_cache, make_snapshot
from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
ALL = Access()
HEALTHY = b'{"status":"ok"}'


class Received(NamedTuple):
    """One answer, taken apart. Headers have their names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        """What its JSON says."""
        assert self.headers["content-type"] == "application/json"
        return msgspec.json.decode(self.body)


class Client:
    """One connection, on which bytes are sent as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, raw: bytes, *, has_body: bool = True) -> Received:
        """Send a request and return its answer; one to HEAD has no body."""
        self.send(raw)
        return await self.answer(has_body=has_body)

    def send(self, raw: bytes) -> None:
        """Send bytes, and do not wait."""
        self._writer.write(raw)

    async def answer(self, *, has_body: bool = True) -> Received:
        """Return the next answer."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        length = int(headers.get("content-length", 0)) if has_body else 0
        return Received(int(head[0].split()[1]), headers, await self._reader.readexactly(length))

    async def chunk(self) -> bytes:
        """Return the next chunk of a body in chunks."""
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        return (await self._reader.readexactly(size + 2))[:-2]

    async def line(self) -> bytes:
        """Return the next line."""
        return await self._reader.readuntil(b"\n")

    async def rest(self) -> bytes:
        """Return what comes until the other side has closed the connection."""
        try:
            return await self._reader.read()
        except ConnectionError:
            return b""

    async def close(self) -> None:
        """Leave, whatever is still on its way."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


class Served:
    """A server on a port of its own. `now` is its clock."""

    def __init__(
        self,
        cache: Cache,
        now: Callable[[], float],
        address: str = "127.0.0.1",
        access: Access = ALL,
        **given: Any,
    ) -> None:
        self.tally, history = Tally(), History(3600.0, 64.0)
        self.cache = cache
        stream = Stream(cache, history)
        cache.listeners.append(stream.add)
        resources = Resources(cache, history, self.tally.own, description(needs_token=access.needs_token))
        self.server = Server(Answers(resources, access), stream, self.tally, now, **given)
        self.port = free_port()
        self.server.listen(address, self.port)

    @contextlib.asynccontextmanager
    async def client(self, receive_buffer: int | None = None) -> AsyncIterator[Client]:
        """Connect; with a small receive buffer, the server soon waits for this client."""
        connection = socket.socket()
        connection.settimeout(0.0)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        with connection:
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.port))
            client = Client(*await asyncio.open_connection(sock=connection, limit=receive_buffer or 2**16))
            try:
                yield client
            finally:
                await client.close()

    async def ask(self, raw: bytes) -> Received:
        """Return the answer to one request on a connection of its own."""
        async with self.client() as client:
            return await client.ask(raw)


def serve(
    story: Callable[[Served], Awaitable[None]],
    cache: Cache | None = None,
    now: Callable[[], float] = lambda: 0.0,
    **given: Any,
) -> None:
    """Run a test's story with a server that is stopped at its end."""

    async def told() -> None:
        served = Served(make_cache(make_snapshot()) if cache is None else cache, now, **given)
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                await story(served)
            finally:
                await served.server.stop(0.0)

    asyncio.run(told())


def request(method: str = "GET", target: str = METRICS_PATH, *headers: str) -> bytes:
    """Return a request as it is on the wire; each header is a line."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost:8480", *headers, "", ""]).encode()
