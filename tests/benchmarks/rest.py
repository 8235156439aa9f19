"""Requests per second of the API beside a bare Tornado handler: each in its own process, both on one core, the load
on another."""

from collections.abc import Sequence
from contextlib import ExitStack

from api.routes import METRICS_PATH
from tests.benchmarks.load import Load, Served
from tests.benchmarks.rounds import Compared, compared, take_turns
from tests.benchmarks.servers import BARE, OURS
from tests.benchmarks.surroundings import free_port, pinned, running, wait_for
from tests.benchmarks.table import Promise, Row, ratio

CONNECTIONS = (1, 16, 64)
PROMISED = {16: Promise(1.0, is_least=True)}
"""By the number of connections."""


def rows(client: str, load: Load, connections: Sequence[int] = CONNECTIONS, rounds: int = 5) -> list[Row]:
    """Measure requests per second, then latency, at each number of connections; `client` says what `load` is."""
    with ExitStack() as stack:
        ours, bare = (_started(kind, stack) for kind in (OURS, BARE))
        stack.enter_context(pinned(-1))
        turns = {count: _turns(rounds, load, ours, bare, count) for count in connections}
    how = f"REST: {METRICS_PATH} against a bare Tornado RequestHandler with the same bytes; client: {client}"
    rates = [
        ratio(f"REST, {_connections(count)}", "req/s", _rates(pairs), PROMISED.get(count), how)
        for count, pairs in turns.items()
    ]
    return rates + [ratio(f"REST p99, {_connections(count)}", "ms", _p99s(pairs)) for count, pairs in turns.items()]


def _connections(count: int) -> str:
    return f"{count} connection{'' if count == 1 else 's'}"


def _started(kind: str, stack: ExitStack) -> int:
    port = free_port()
    with pinned(0):
        process = stack.enter_context(running("tests.benchmarks.servers", kind, str(port), extra={}))
    wait_for(port, process)
    return port


def _turns(rounds: int, load: Load, ours: int, bare: int, count: int) -> list[tuple[Served, Served]]:
    return take_turns(rounds, lambda: load(ours, count), lambda: load(bare, count))


def _rates(pairs: list[tuple[Served, Served]]) -> Compared:
    return compared([(one.per_second, other.per_second) for one, other in pairs])


def _p99s(pairs: list[tuple[Served, Served]]) -> Compared:
    return compared([(one.p99_milliseconds, other.p99_milliseconds) for one, other in pairs])
