"""What a message of 8 GPUs weighs, and what it costs to write and to read. Nothing is promised of these."""

import time
from collections.abc import Callable

from common import wire
from tests.benchmarks.snapshots import snapshot
from tests.benchmarks.table import Row, figure


def rows(rounds: int = 40, repeat: int = 500) -> list[Row]:
    """Measure the frame's size, and the CPU time of encoding and of decoding it."""
    sealed = snapshot()
    frame = wire.encode(sealed)
    return [
        figure("message of 8 GPUs", "bytes", [len(frame)]),
        figure("encode it", "us CPU", _rounds(rounds, repeat, lambda: wire.encode(sealed))),
        figure("decode it", "us CPU", _rounds(rounds, repeat, lambda: wire.decode(frame))),
    ]


def _rounds(rounds: int, repeat: int, job: Callable[[], object]) -> list[float]:
    return [_microseconds(repeat, job) for _ in range(rounds)]


def _microseconds(repeat: int, job: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(repeat):
        job()
    return (time.process_time() - began) / repeat * 1e6
