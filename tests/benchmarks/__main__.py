"""Measures everything and prints one table: `python -m tests.benchmarks`. Takes about nine minutes on 2 cores.

Ends with status 0 also when a promise is missed: the table says so, and it is the reader who judges.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.benchmarks import feed, fleet, idle, listen, memory, others, rest, sample, scraped, soak, wire
from tests.benchmarks.load import strongest
from tests.benchmarks.report import as_json, as_markdown, as_text, into
from tests.benchmarks.table import Row
from tests.standin import build, has_compiler

SOAK_MINUTES = 0.5
LEAST_SOAK_MINUTES, MOST_SOAK_MINUTES = 0.2, 10_000


class Step(NamedTuple):
    """What is measured in one go, and about how long it takes."""

    name: str
    seconds: float
    rows: Callable[[], list[Row]]


def main() -> int:
    """Measure, print, and return the exit status: 2 if this machine cannot measure."""
    arguments = _parser().parse_args()
    if not has_compiler():
        sys.stderr.write("the NVML stand-in needs a C compiler named cc\n")
        return 2
    with tempfile.TemporaryDirectory() as directory:
        rows = list(_measured(steps(build(Path(directory)), arguments.soak_minutes), arguments.only or NAMES))
    if arguments.markdown:
        into(arguments.markdown, as_markdown(rows))
    print(as_json(rows) if arguments.json else as_text(rows))
    return 0


def steps(library: Path, soak_minutes: float) -> list[Step]:
    """Return all that can be measured, in order."""
    client, load = strongest()
    return [
        Step("sample", 15, lambda: sample.rows(library)),
        Step("others", 10, lambda: others.rows(library)),
        Step("rest", 220, lambda: rest.rows(client, load)),
        Step("feed", 5, feed.rows),
        Step("listeners", 45, listen.rows),
        Step("scrape", 30, lambda: scraped.rows(library)),
        Step("memory", 8, lambda: memory.rows(library)),
        Step("idle", 65, lambda: idle.rows(library)),
        Step("wire", 2, wire.rows),
        Step("fleet", 75, lambda: fleet.rows(library)),
        Step("soak", 60 * soak_minutes, lambda: soak.rows(library, soak_minutes)),
    ]


NAMES = tuple(step.name for step in steps(Path(), SOAK_MINUTES))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__, allow_abbrev=False)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument(
        "--only", action="append", choices=NAMES, help="measure only this; may be given again (default: everything)"
    )
    parser.add_argument(
        "--soak-minutes", type=_minutes, default=SOAK_MINUTES, help="how long the soak lasts (default: %(default)s)"
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the table into this file too, in place of the one there"
    )
    return parser


def _minutes(text: str) -> float:
    minutes = float(text)
    if not LEAST_SOAK_MINUTES <= minutes <= MOST_SOAK_MINUTES:
        raise argparse.ArgumentTypeError(f"{text} is not between {LEAST_SOAK_MINUTES} and {MOST_SOAK_MINUTES}")
    return minutes


def _measured(steps: Sequence[Step], only: Collection[str]) -> Iterator[Row]:
    """Take the steps, and show on standard error how far they are."""
    wanted = [step for step in steps if step.name in only]
    columns = (
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=sum(step.seconds for step in wanted))
        for step in wanted:
            progress.update(task, description=step.name)
            yield from step.rows()
            progress.advance(task, step.seconds)


if __name__ == "__main__":
    sys.exit(main())
