"""Measures everything and prints one table: `python -m tests.benchmarks [--json]`. Takes about five minutes.

Ends with status 0 also when a promise is missed: the table says so, and it is the reader who judges.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from tests.benchmarks import feed, fleet, listen, memory, rest, sample, wire
from tests.benchmarks.load import strongest
from tests.benchmarks.table import Row, summary, text
from tests.standin import build, has_compiler


def main() -> int:
    """Measure, print, and return the exit status: 2 if this machine cannot measure."""
    arguments = _parser().parse_args()
    if not has_compiler():
        sys.stderr.write("the NVML stand-in needs a C compiler named cc\n")
        return 2
    with tempfile.TemporaryDirectory() as directory:
        rows = list(_measured(build(Path(directory))))
    print(as_json(rows) if arguments.json else f"{_machine()}\n\n{text(rows)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__, allow_abbrev=False)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    return parser


def _measured(library: Path) -> Iterable[Row]:
    client, load = strongest()
    steps: dict[str, Callable[[], list[Row]]] = {
        "sample": lambda: sample.rows(library),
        f"rest, by {client}": lambda: rest.rows(client, load),
        "feed": feed.rows,
        "listeners": listen.rows,
        "memory": lambda: memory.rows(library),
        "wire": wire.rows,
        "fleet": lambda: fleet.rows(library),
    }
    for number, (name, measure) in enumerate(steps.items(), 1):
        sys.stderr.write(f"[{number}/{len(steps)}] {name} ...\n")
        yield from measure()


def _machine() -> str:
    return f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores"


def as_json(rows: list[Row]) -> str:
    """Return the rows, each with its verdict, as one JSON object."""
    told = [{**_plain(row), "value": row.value._asdict(), "verdict": row.verdict} for row in rows]
    return json.dumps({"machine": _machine(), "summary": summary(rows), "rows": told}, indent=2)


def _plain(row: Row) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(row)
    return plain


if __name__ == "__main__":
    sys.exit(main())
