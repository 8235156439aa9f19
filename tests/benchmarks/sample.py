"""CPU time of one sample of 8 GPUs beside a bare loop that makes the same calls and throws the answers away.

Run as a module it measures, in a process of its own: the stand-in reads its environment when it is initialised.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from collector.nvml.source import Nvml
from collector.sampler import Sampler
from common.settings import CollectorSettings
from tests.benchmarks.calls import steady_calls
from tests.benchmarks.rounds import Compared, compare
from tests.benchmarks.surroundings import driver, output_of
from tests.benchmarks.table import Promise, Row, ratio

PROMISED_FREE = Promise(2.2)
PROMISED_BUSY = Promise(1.2)
BUSY_US = 5
_UNIT = "us CPU"


class _Order(Struct):
    """What to measure: with which library, how many rounds, of how many samples each."""

    library: str
    rounds: int
    samples: int


class _Found(Struct):
    """How many calls one sample makes, and what a sample, and a whole tick, cost beside them."""

    calls: int
    sample: Compared
    tick: Compared


def rows(library: Path, rounds: int = 200, samples: int = 10) -> list[Row]:
    """Measure with a driver that answers for nothing, and with one that is busy in every call."""
    order = msgspec.json.encode(_Order(str(library), rounds, samples)).decode()
    free, busy = (_measured_apart(order, spin_us) for spin_us in (0, BUSY_US))
    how = f"sample: Nvml.sample() against a bare loop of the same {free.calls} calls of the binding"
    return [
        ratio("sample of 8 GPUs, free calls", _UNIT, free.sample, PROMISED_FREE, how),
        ratio(
            "tick of 8 GPUs, free calls",
            _UNIT,
            free.tick,
            how="tick: the sample, the way to its thread and back, the sealing; against the same loop",
        ),
        ratio(f"sample of 8 GPUs, calls of {BUSY_US} us", _UNIT, busy.sample, PROMISED_BUSY),
    ]


def _measured_apart(order: str, spin_us: int) -> _Found:
    return msgspec.json.decode(output_of(__name__, order, extra=driver(spin_us)), type=_Found)


def _measured(order: _Order) -> _Found:
    calls = steady_calls(Nvml(order.library))
    nvml = Nvml(order.library)
    sampler = Sampler(CollectorSettings(host="benchmark"), nvml)

    def bare() -> None:
        for function, arguments in calls:
            function(*arguments)

    async def ticks() -> None:
        for _ in range(order.samples):
            await sampler.sample()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        floor = _round(order.samples, bare)
        sample = compare(order.rounds, _round(order.samples, nvml.sample), floor)
        tick = compare(order.rounds, lambda: _microseconds(lambda: runner.run(ticks())) / order.samples, floor)
    return _Found(len(calls), sample, tick)


def _round(repeat: int, job: Callable[[], object]) -> Callable[[], float]:
    def repeated() -> None:
        for _ in range(repeat):
            job()

    return lambda: _microseconds(repeated) / repeat


def _microseconds(job: Callable[[], object]) -> float:
    """Return the CPU time, of all threads and of the kernel for them, that a job takes."""
    began = time.process_time()
    job()
    return (time.process_time() - began) * 1e6


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(_measured(msgspec.json.decode(sys.argv[1], type=_Order))))
