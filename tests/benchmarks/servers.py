"""The servers that are compared, one of them in this process: `python -m tests.benchmarks.servers KIND PORT`.

`ours` is the API's own, over a cache that was fed one snapshot, and `guarded` the same for those with a token; `bare`
has a Tornado RequestHandler for each path that writes the same bytes with the same content type, and `canned` is a bare
asyncio protocol, which answers whatever is asked with the same bytes as `gpu-metrics` and reads no more than where a
request ends.
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import tornado.web

from api.access import Access
from api.app import Server
from api.routes import METRICS_PATH
from api.scraping.tally import Tally
from api.stream import Stream
from api.tokens import Tokens
from common.clock import elapsed_seconds
from tests.benchmarks.snapshots import snapshot
from tests.builders import ask, make_answers, make_cache, make_history

OURS, GUARDED, BARE, CANNED = "ours", "guarded", "bare", "canned"
SCRAPE_PATH = "/metrics"
TOKEN = "the-token-of-the-benchmark"  # noqa: S105 -- it opens nothing else


async def _listen_ours(port: int, access: Access | None = None) -> object:
    cache = make_cache(snapshot(), now=elapsed_seconds())
    server = Server(make_answers(cache, access), Stream(cache, make_history()), Tally(), elapsed_seconds)
    server.listen("127.0.0.1", port)
    return server


async def _listen_guarded(port: int) -> object:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "tokens"
        path.touch(mode=0o600)
        path.write_text(f"benchmark {TOKEN}\n")
        return await _listen_ours(port, Access(Tokens(str(path))))


def _told(path: str) -> tuple[bytes, str]:
    """Return the body that ours answers with, and its content type."""
    answers = make_answers(make_cache(snapshot(), now=elapsed_seconds()))
    answer = ask(answers, path, now=elapsed_seconds())
    return answer.body, dict(answer.headers)["Content-Type"]


async def _listen_bare(port: int) -> object:
    handlers = [(path, _bare(*_told(path))) for path in (METRICS_PATH, SCRAPE_PATH)]
    return tornado.web.Application(handlers).listen(port, "127.0.0.1")


def _bare(body: bytes, kind: str) -> type[tornado.web.RequestHandler]:
    class Bare(tornado.web.RequestHandler):
        def get(self) -> None:
            self.set_header("Content-Type", kind)
            self.write(body)

    return Bare


class _Canned(asyncio.Protocol):
    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._asked = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *asked, self._asked = (self._asked + data).split(b"\r\n\r\n")
        self._transport.write(self._answer * len(asked))


async def _listen_canned(port: int) -> object:
    body, kind = _told(METRICS_PATH)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = head.encode() + body
    return await asyncio.get_running_loop().create_server(lambda: _Canned(answer), "127.0.0.1", port)


_LISTEN: dict[str, Callable[[int], Awaitable[object]]] = {
    OURS: _listen_ours,
    GUARDED: _listen_guarded,
    BARE: _listen_bare,
    CANNED: _listen_canned,
}


async def _serve(kind: str, port: int) -> None:
    _kept = await _LISTEN[kind](port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(_serve(sys.argv[1], int(sys.argv[2])))
