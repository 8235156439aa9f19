"""The two servers that are compared, one of them in this process: `python -m tests.benchmarks.servers ours|bare PORT`.

`ours` is the API's own, over a cache that was fed one snapshot; `bare` is a Tornado RequestHandler that writes the
same bytes with the same content type.
"""

import asyncio
import sys
from collections.abc import Callable

import tornado.web

from api.answers import Answers
from api.app import Server
from api.cache import Cache
from api.routes import METRICS_PATH
from api.tally import Tally
from common.clock import elapsed_seconds
from tests.benchmarks.snapshots import snapshot
from tests.builders import ask, make_answers, make_stream

OURS, BARE = "ours", "bare"


def _answers() -> Answers:
    cache = Cache(("tcp://127.0.0.1:1",))
    cache.accept(cache.endpoints[0], snapshot(), elapsed_seconds())
    return make_answers(cache)


class _Bare(tornado.web.RequestHandler):
    body = b""

    def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.write(self.body)


def _listen_ours(port: int) -> object:
    server = Server(_answers(), make_stream(), Tally(), elapsed_seconds)
    server.listen("127.0.0.1", port)
    return server


def _listen_bare(port: int) -> object:
    _Bare.body = ask(_answers(), now=elapsed_seconds()).body
    return tornado.web.Application([(METRICS_PATH, _Bare)]).listen(port, "127.0.0.1")


_LISTEN: dict[str, Callable[[int], object]] = {OURS: _listen_ours, BARE: _listen_bare}


async def _serve(kind: str, port: int) -> None:
    _kept = _LISTEN[kind](port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(_serve(sys.argv[1], int(sys.argv[2])))
