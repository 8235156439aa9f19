"""The servers that are compared, one of them in this process: `python -m tests.benchmarks.servers KIND PORT`.

`ours` is the API's own, over a cache that was fed one snapshot, and `guarded` the same for those with a token; `bare`
has a Tornado RequestHandler for each path that writes the same bytes with the same content type.
"""

import asyncio
import sys
import tempfile
from collections.abc import Callable
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

OURS, GUARDED, BARE = "ours", "guarded", "bare"
SCRAPE_PATH = "/metrics"
TOKEN = "the-token-of-the-benchmark"  # noqa: S105 -- it opens nothing else


def _listen_ours(port: int, access: Access | None = None) -> object:
    cache = make_cache(snapshot(), now=elapsed_seconds())
    server = Server(make_answers(cache, access), Stream(cache, make_history()), Tally(), elapsed_seconds)
    server.listen("127.0.0.1", port)
    return server


def _listen_guarded(port: int) -> object:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "tokens"
        path.touch(mode=0o600)
        path.write_text(f"benchmark {TOKEN}\n")
        return _listen_ours(port, Access(Tokens(str(path))))


def _listen_bare(port: int) -> object:
    answers = make_answers(make_cache(snapshot(), now=elapsed_seconds()))
    told = {path: ask(answers, path, now=elapsed_seconds()) for path in (METRICS_PATH, SCRAPE_PATH)}
    handlers = [(path, _bare(answer.body, dict(answer.headers)["Content-Type"])) for path, answer in told.items()]
    return tornado.web.Application(handlers).listen(port, "127.0.0.1")


def _bare(body: bytes, kind: str) -> type[tornado.web.RequestHandler]:
    class Bare(tornado.web.RequestHandler):
        def get(self) -> None:
            self.set_header("Content-Type", kind)
            self.write(body)

    return Bare


_LISTEN: dict[str, Callable[[int], object]] = {OURS: _listen_ours, GUARDED: _listen_guarded, BARE: _listen_bare}


async def _serve(kind: str, port: int) -> None:
    _kept = _LISTEN[kind](port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(_serve(sys.argv[1], int(sys.argv[2])))
