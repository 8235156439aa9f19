"""Other monitors, where they are installed: which there are, and what a sample of 8 GPUs costs each.

They live in an environment of their own, for they want another binding than the service's: `INSTALL` makes it. All run
on the same stand-in, and each reads what it reads: more than the service, or less.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.rounds import compare
from tests.benchmarks.surroundings import ROOT, begun, driver
from tests.benchmarks.table import Row, missing, ratio
from tests.standin import build

VARIABLE = "GPU_TEST_OTHER_TOOLS"
"""Names the environment's directory."""
INSTALL = "python3 -m venv .tools && .tools/bin/pip install gpustat nvitop nvitop-exporter"
GPUSTAT, NVITOP, EXPORTER = "gpustat", "nvitop", "nvitop-exporter"
_STANDIN = Path(__file__).with_name("other_tools.c")
_ONE_SAMPLE = Path(__file__).with_name("one_sample.py")
_VERSION = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
_UNIT = "us CPU"


class Tool(NamedTuple):
    """Another monitor, installed: the interpreter that has it, and its version."""

    name: str
    python: Path
    version: str


def installed(name: str) -> Tool | None:
    """Return the tool of that name; None if there is no environment that has it."""
    python = Path(os.environ.get(VARIABLE) or ROOT / ".tools") / "bin/python"
    if not python.exists():
        return None
    told = subprocess.run([python, "-c", _VERSION, name], capture_output=True, text=True, check=False, timeout=60)
    return None if told.returncode else Tool(name, python, told.stdout.strip())


@contextmanager
def their_driver() -> Iterator[dict[str, str]]:
    """Give the variables by which another monitor finds the stand-in, with what it needs of it beside the service."""
    with tempfile.TemporaryDirectory() as directory:
        build(Path(directory), source=_STANDIN)
        yield {**driver(), "LD_LIBRARY_PATH": directory}


def rows(library: Path, rounds: int = 30, samples: int = 5) -> list[Row]:
    """Measure ours beside each of the others, in so many rounds of so many samples."""
    return [_row(library, name, rounds, samples) for name in (GPUSTAT, NVITOP, EXPORTER)]


def _row(library: Path, name: str, rounds: int, samples: int) -> Row:
    tool, row = installed(name), f"sample of 8 GPUs, against {name}"
    if tool is None:
        return missing(row, _UNIT, f"other monitors are measured once they are installed: {INSTALL}")
    with ExitStack() as stack:
        theirs = stack.enter_context(their_driver())
        other = stack.enter_context(_sampling(str(tool.python), name, samples, theirs))
        paths = driver() | {"PYTHONPATH": str(ROOT)}
        ours = stack.enter_context(_sampling(sys.executable, "ours", samples, paths, str(library)))
        found = compare(rounds, ours, other)
    return ratio(row, _UNIT, found, how=f"{name} {tool.version}: on the same stand-in, each reading what it reads")


@contextmanager
def _sampling(
    python: str, name: str, samples: int, extra: Mapping[str, str], *arguments: str
) -> Iterator[Callable[[], float]]:
    """Give what takes a round of samples in a process of its own, and returns the CPU time of one in microseconds."""
    line = [python, "-P", str(_ONE_SAMPLE), name, str(samples), *arguments]
    with begun(line, extra, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, told = process.stdin, process.stdout
        told.readline()

        def one_round() -> float:
            asked.write(b"\n")
            asked.flush()
            return float(told.readline())

        yield one_round
