"""The least that does the two processes' work with the same libraries: `python -m tests.benchmarks.bare SIDE ...`.

`collector FEED INTERVAL` publishes as many bytes as a snapshot of 8 GPUs has, at every interval. `api FEED...` listens
on a port and receives what all feeds publish. `stream FEED PORT` receives too, and writes an event to all who listen,
of as many bytes as one about 8 GPUs has. All load what the two processes load of other projects, and nothing of this
one.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any

import zmq.asyncio

_API = ("gzip", "logging", "msgspec", "prometheus_client", "ssl", "tornado.httpserver")
_LOADED = {"collector": ("ctypes", "logging", "msgspec", "pynvml"), "api": _API, "stream": _API}
_FRAME = bytes(22_000)
_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_EVENT = b"6000\r\n" + b"x" * (0x6000 - 2) + b"\n\n\r\n"


async def _collector(feed: str, interval: str) -> None:
    publisher = zmq.asyncio.Context().socket(zmq.PUB)
    publisher.bind(feed)
    while True:
        await publisher.send(_FRAME)
        await asyncio.sleep(float(interval))


async def _api(*feeds: str) -> None:
    server = import_module("tornado.httpserver").HTTPServer(print)
    server.listen(0, "127.0.0.1")
    subscriber = _subscriber(*feeds)
    while True:
        await subscriber.recv()


async def _stream(feed: str, port: str) -> None:
    listeners: list[asyncio.Transport] = []
    server = await asyncio.get_running_loop().create_server(lambda: _Listener(listeners), "127.0.0.1", int(port))
    subscriber = _subscriber(feed)
    async with server:
        while True:
            await subscriber.recv()
            for listener in listeners:
                listener.write(_EVENT)


def _subscriber(*feeds: str) -> zmq.asyncio.Socket:
    subscriber = zmq.asyncio.Context().socket(zmq.SUB)
    subscriber.subscribe(b"")
    for feed in feeds:
        subscriber.connect(feed)
    return subscriber


class _Listener(asyncio.Protocol):
    """One of the listeners, who is told something at once."""

    def __init__(self, listeners: list[asyncio.Transport]) -> None:
        self._listeners = listeners

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, _data: bytes) -> None:
        self._transport.write(_HEAD + _EVENT)
        self._listeners.append(self._transport)


_SIDES: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {"collector": _collector, "api": _api, "stream": _stream}

if __name__ == "__main__":
    for library in _LOADED[sys.argv[1]]:
        import_module(library)
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(_SIDES[sys.argv[1]](*sys.argv[2:]))
