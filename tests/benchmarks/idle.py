"""What the two processes cost while nobody asks: CPU and memory at the default interval and at one a second, beside a
bare publisher and a bare subscriber with the same libraries, all running at the same time."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.rounds import compared
from tests.benchmarks.service import service
from tests.benchmarks.surroundings import cpu_seconds, resident_mebibytes, running
from tests.benchmarks.table import Row, ratio
from tests.ports import free_port

INTERVALS_SECONDS = (30.0, 1.0)
WINDOW_SECONDS = 30.0
"""A multiple of every interval, so that each window has as many samples."""
_SETTLE_SECONDS = 1.0


_Two = tuple[float, float]


class _Beside(NamedTuple):
    """One of our processes, and the bare one that it is set beside."""

    name: str
    ours: int
    bare: int

    def cpu_seconds(self) -> _Two:
        return cpu_seconds(self.ours), cpu_seconds(self.bare)

    def resident_mebibytes(self) -> _Two:
        return resident_mebibytes(self.ours), resident_mebibytes(self.bare)


def rows(
    library: Path,
    intervals: Sequence[float] = INTERVALS_SECONDS,
    window_seconds: float = WINDOW_SECONDS,
    windows: int = 2,
) -> list[Row]:
    """Measure all intervals at once, in so many windows; nothing where the platform has no `/proc`."""
    if sys.platform != "linux":
        return []
    with ExitStack() as stack:
        pairs = [pair for interval in intervals for pair in _started(library, interval, stack)]
        time.sleep(_SETTLE_SECONDS)
        used = [[pair.cpu_seconds() for pair in pairs]]
        for _ in range(windows):
            time.sleep(window_seconds)
            used.append([pair.cpu_seconds() for pair in pairs])
        held = [pair.resident_mebibytes() for pair in pairs]
    how = f"idle: 8 GPUs, {windows} windows of {window_seconds:g} s, against a bare PUB and a bare SUB, same libraries"
    each = zip(pairs, zip(*used, strict=True), held, strict=True)
    return [row for pair, cpu, memory in each for row in _rows(pair, cpu, memory, window_seconds, how)]


def _rows(pair: _Beside, cpu: Sequence[_Two], memory: _Two, window_seconds: float, how: str) -> list[Row]:
    percent = 100 / window_seconds
    shares = [((after[0] - before[0]) * percent, (after[1] - before[1]) * percent) for before, after in pairwise(cpu)]
    return [
        ratio(f"idle {pair.name}: CPU", "% of a core", compared(shares), how=how),
        ratio(f"idle {pair.name}: memory", "MiB", compared([memory])),
    ]


def _started(library: Path, interval: float, stack: ExitStack) -> list[_Beside]:
    ours = stack.enter_context(service(library, interval))
    feed = f"tcp://127.0.0.1:{free_port()}"
    bare = [
        stack.enter_context(running("tests.benchmarks.bare", *side, extra={})).pid
        for side in (("collector", feed, str(interval)), ("api", feed))
    ]
    every = f"every {interval:g} s"
    return [_Beside(f"collector {every}", ours.collector, bare[0]), _Beside(f"API {every}", ours.api, bare[1])]
