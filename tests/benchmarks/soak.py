"""Whether the two processes grow: resident memory at 20 snapshots a second, asked once a second, after a warm-up.

The history is kept short, so that it is full by then: what it holds is no growth but what it is there for.
"""

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from api.routes import METRICS_PATH
from tests.benchmarks.servers import SCRAPE_PATH
from tests.benchmarks.service import Service, body, service
from tests.benchmarks.surroundings import resident_mebibytes
from tests.benchmarks.table import Row, figure

INTERVAL_SECONDS = 0.05
HISTORY_SECONDS = 10.0
WARM_UP = 1 / 3
"""Of the time; at most `WARM_UP_MINUTES`."""
WARM_UP_MINUTES = 5.0
_PARTS = 5


class _Held(NamedTuple):
    """Resident memory of both, in MiB, so many minutes after the start."""

    minutes: float
    collector: float
    api: float


def rows(
    library: Path, minutes: float, history_seconds: float = HISTORY_SECONDS, look_seconds: float = 1.0
) -> list[Row]:
    """Measure for so long, and ask and look as often; nothing where the platform has no `/proc`."""
    if sys.platform != "linux":
        return []
    warm_up = min(minutes * WARM_UP, WARM_UP_MINUTES)
    with service(library, INTERVAL_SECONDS, history_seconds) as running:
        held = [one for one in _watched(running, minutes, look_seconds) if one.minutes >= warm_up]
    how = f"soak: 20 snapshots of 8 GPUs a second for {minutes:g} min, of which {warm_up:.2g} to warm up"
    how += f"; a history of {history_seconds:g} s; growth in {_PARTS} parts of the time"
    return [row for name in ("collector", "api") for row in _rows(name, held, how)]


def _rows(name: str, held: Sequence[_Held], how: str) -> list[Row]:
    who = {"collector": "collector", "api": "API"}[name]
    each = [(one.minutes, getattr(one, name)) for one in held]
    return [
        figure(f"soak, {who}: growth", "KiB a minute", growth(each), how=how),
        figure(f"soak, {who}: memory", "MiB", [memory for _, memory in each], how=how),
    ]


def _watched(running: Service, minutes: float, look_seconds: float) -> Iterator[_Held]:
    """Ask as a page and as Prometheus do, and look, again and again."""
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < minutes * 60:
        for path in (METRICS_PATH, SCRAPE_PATH):
            body(running.port, path)
        yield _Held(elapsed / 60, resident_mebibytes(running.collector), resident_mebibytes(running.api))
        time.sleep(look_seconds)


def growth(each: Sequence[tuple[float, float]]) -> list[float]:
    """Return KiB per minute in each part of the time."""
    length = len(each) // _PARTS
    return [_slope(each[number * length : (number + 1) * length]) * 2**10 for number in range(_PARTS)]


def _slope(each: Sequence[tuple[float, float]]) -> float:
    minutes, memory = zip(*each, strict=True)
    return statistics.linear_regression(minutes, memory).slope
