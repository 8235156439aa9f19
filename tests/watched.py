"""A source over the fake library whose clock is moved by hand, and what it asks of a GPU."""

from collections import Counter

from collector.nvml.sheet import FIELD_VALUES
from collector.nvml.source import Nvml
from collector.nvml.table import READS
from tests.fakes import Clock, FakeNvml

STEADY = Counter(read.function for read in READS if not read.is_rare) + Counter([FIELD_VALUES])
RARE = Counter(read.function for read in READS if read.is_rare)
INTERVAL_SECONDS = 30.0


class Watched:
    """One source whose clock is moved by hand, and what it asks of the first GPU."""

    def __init__(self, fake: FakeNvml, *, pcie_throughput: bool = False, processes: bool = False) -> None:
        self.clock = Clock()
        self.fake = fake
        self.nvml = Nvml(now=self.clock, pcie_throughput=pcie_throughput, processes=processes)

    def asked(self, seconds: float = 0.0, gpu: int = 0) -> "Counter[str]":
        """Take a sample, so many seconds after the last, and return the calls on one GPU."""
        self.clock.now += seconds
        self.fake.calls.clear()
        self.nvml.sample()
        return Counter(call for call, on in self.fake.calls if on == gpu)
