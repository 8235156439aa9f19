"""What Prometheus costs a host of 8 GPUs: the two real processes beside nvitop's exporter, both at one sample a second.

The exporter samples in the process that is scraped, and ours in another: what both of ours use is counted.
"""

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.others import EXPORTER, INSTALL, Tool, installed, their_driver
from tests.benchmarks.rounds import compared
from tests.benchmarks.servers import SCRAPE_PATH
from tests.benchmarks.service import body, service
from tests.benchmarks.surroundings import begun, cpu_seconds, wait_for
from tests.benchmarks.table import Row, missing, ratio
from tests.ports import free_port

INTERVAL_SECONDS = 1.0
PERIOD_SECONDS = 2.1
"""Between two scrapes: the API tells the same text again for two seconds."""
_SETTLE_SECONDS = 0.03
_ROWS = {"CPU": "ms CPU", "latency": "ms", "CPU, with two samples": "ms CPU"}


class _Target(NamedTuple):
    """What is scraped, and the processes that cost something for it."""

    port: int
    pids: tuple[int, ...]

    @property
    def cpu_milliseconds(self) -> float:
        return sum(cpu_seconds(pid) for pid in self.pids) * 1e3


class _Scrape(NamedTuple):
    """Milliseconds of CPU that a scrape took, until it was answered, and of CPU since the scrape before."""

    cpu: float
    latency: float
    period_cpu: float


def rows(library: Path, scrapes: int = 10) -> list[Row]:
    """Measure so many scrapes; nothing where the platform has no `/proc`."""
    if sys.platform != "linux":
        return []
    tool = installed(EXPORTER)
    if tool is None:
        how = f"other monitors are measured once they are installed: {INSTALL}"
        return [missing(_name(name), unit, how) for name, unit in _ROWS.items()]
    return _rows(library, tool, scrapes)


def _rows(library: Path, tool: Tool, scrapes: int) -> list[Row]:
    port = free_port()
    options = ("--bind-address", "127.0.0.1", "--port", str(port), "--interval", str(INTERVAL_SECONDS))
    line = [str(tool.python), "-m", "nvitop_exporter", "--hostname", "benchmark", *options]
    with ExitStack() as stack:
        theirs = stack.enter_context(their_driver())
        exporter = stack.enter_context(begun(line, theirs, stderr=subprocess.DEVNULL))
        wait_for(port, exporter)
        running = stack.enter_context(service(library, INTERVAL_SECONDS))
        ours, other = _Target(running.port, running[:2]), _Target(port, (exporter.pid,))
        series = [_series(target) for target in (ours, other)]
        found = _scraped(ours, other, scrapes)
    how = f"scrape: of {series[0]} series, against {series[1]} of {EXPORTER} {tool.version}, both at a sample a second"
    pairs = zip(*(zip(*one, strict=True) for one in zip(*found, strict=True)), strict=True)
    return [
        ratio(_name(name), unit, compared(list(zip(*pair, strict=True))), how=how)
        for (name, unit), pair in zip(_ROWS.items(), pairs, strict=True)
    ]


def _name(name: str) -> str:
    return f"scrape, against {EXPORTER}: {name}"


def _series(target: _Target) -> int:
    return sum(not line.startswith(b"#") for line in body(target.port, SCRAPE_PATH).splitlines())


def _scraped(ours: _Target, other: _Target, scrapes: int) -> list[tuple[_Scrape, _Scrape]]:
    """Scrape both, one soon after the other, in each period."""
    before = [target.cpu_milliseconds for target in (ours, other)]
    found = []
    for _ in range(scrapes):
        time.sleep(PERIOD_SECONDS)
        one, two = (_scrape(target, since) for target, since in zip((ours, other), before, strict=True))
        before = [since + told.period_cpu for since, told in zip(before, (one, two), strict=True)]
        found.append((one, two))
    return found


def _scrape(target: _Target, since: float) -> _Scrape:
    before, began = target.cpu_milliseconds, time.perf_counter()
    body(target.port, SCRAPE_PATH)
    latency = time.perf_counter() - began
    time.sleep(_SETTLE_SECONDS)
    after = target.cpu_milliseconds
    return _Scrape(after - before, latency * 1e3, after - since)
