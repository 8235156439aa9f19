"""Requests per second of the API beside a bare Tornado handler, and beside a bare asyncio server: each in its own
process, all on one core, the load on another, and one of them asked at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

from api.routes import METRICS_PATH
from tests.benchmarks.load import Load, Question, Served
from tests.benchmarks.rounds import Compared, compared, take_turns
from tests.benchmarks.servers import BARE, CANNED, GUARDED, OURS, SCRAPE_PATH, TOKEN
from tests.benchmarks.surroundings import pinned, running, wait_for
from tests.benchmarks.table import Promise, Row, ratio
from tests.ports import free_port

CONNECTIONS = (1, 16, 64)
_NO_WORSE = Promise(1.0)


class _Kind(NamedTuple):
    """What is asked, of which server, and what is promised of its requests per second with 16 and 64 connections beside
    the bare handler; that its p99 is no worse is promised where that is. `others` are the servers that it is set
    beside."""

    name: str
    server: str
    path: str
    promise: Promise
    token: str = ""
    promises_p99: bool = False
    others: Mapping[str, str] = {BARE: ""}


_KINDS = (
    _Kind(
        "REST",
        OURS,
        METRICS_PATH,
        Promise(1.7, is_least=True),
        promises_p99=True,
        others={BARE: "", CANNED: " against bare asyncio"},
    ),
    _Kind("with a token", GUARDED, METRICS_PATH, Promise(1.7, is_least=True), TOKEN, promises_p99=True),
    _Kind("scrape", OURS, SCRAPE_PATH, Promise(1.2, is_least=True)),
)
_PROMISED_FROM_CONNECTIONS = 16


def rows(client: str, load: Load, connections: Sequence[int] = CONNECTIONS, rounds: int = 9) -> list[Row]:
    """Measure requests per second, and latency, of each kind at each number of connections; `client` says what `load`
    is. The latencies come last."""
    how = f"{METRICS_PATH}, the same with a token, and a scrape of {SCRAPE_PATH}, each against a bare Tornado"
    how = f"REST: {how} RequestHandler with the same bytes; client: {client}"
    found: list[tuple[Row, Row]] = []
    with ExitStack() as stack:
        ports = {server: _started(server, stack) for server in (OURS, GUARDED, BARE, CANNED)}
        stack.enter_context(pinned(-1))
        for kind in _KINDS:
            for count in connections:
                found += _rows(kind, count, _turns(kind, ports, load, count, rounds), how)
    return [rate for rate, _ in found] + [p99 for _, p99 in found]


def _started(kind: str, stack: ExitStack) -> int:
    port = free_port()
    with pinned(0):
        process = stack.enter_context(running("tests.benchmarks.servers", kind, str(port), extra={}))
    wait_for(port, process)
    return port


def _turns(kind: _Kind, ports: Mapping[str, int], load: Load, count: int, rounds: int) -> list[tuple[Served, ...]]:
    """Return what each round served: ours, and each of the others."""
    asked = [Question(ports[kind.server], kind.path, kind.token)]
    asked += [Question(ports[other], kind.path) for other in kind.others]
    return take_turns(rounds, *(partial(load, question, count) for question in asked))


def _rows(kind: _Kind, count: int, turns: Sequence[tuple[Served, ...]], how: str) -> Iterator[tuple[Row, Row]]:
    """Give requests per second, and the time within which 99 of 100 were answered, beside each of the others."""
    connections = f"{count} connection{'' if count == 1 else 's'}"
    for place, (other, words) in enumerate(kind.others.items(), 1):
        rate, p99 = _compared([(turn[0], turn[place]) for turn in turns])
        is_promised = other == BARE and count >= _PROMISED_FROM_CONNECTIONS
        name = f"{kind.name}{words}, {connections}"
        yield (
            ratio(name, "req/s", rate, kind.promise if is_promised else None, how),
            ratio(
                f"{kind.name} p99{words}, {connections}",
                "ms",
                p99,
                _NO_WORSE if is_promised and kind.promises_p99 else None,
            ),
        )


def _compared(pairs: Sequence[tuple[Served, Served]]) -> tuple[Compared, Compared]:
    rates = compared([(one.per_second, other.per_second) for one, other in pairs])
    return rates, compared([(one.p99_milliseconds, other.p99_milliseconds) for one, other in pairs])
