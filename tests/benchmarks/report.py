"""The rows as text, as JSON, and as a part of the README; each with the machine and the date."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from tests.benchmarks.table import Row, summary, text

BEGIN, END = "<!-- benchmark table -->", "<!-- end of the benchmark table -->"


def as_text(rows: Sequence[Row]) -> str:
    """Return the table below a line about the machine."""
    return f"{_machine()}\n\n{text(rows)}"


def as_json(rows: Sequence[Row]) -> str:
    """Return the rows, each with its verdict, as one JSON object."""
    told = [{**_plain(row), "value": row.value and row.value._asdict(), "verdict": row.verdict} for row in rows]
    return json.dumps({"machine": _machine(), "summary": summary(rows), "rows": told}, indent=2)


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the machine and the table for a Markdown page."""
    return f"{_machine()}.\n\n```\n{text(rows)}\n```\n"


def into(page: Path, table: str) -> None:
    """Put the table into a page that has a place for it, in place of the one that is there.

    Raises:
        ValueError: it has no such place.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no {BEGIN} or no {END} behind it")
    page.write_text(f"{before}{BEGIN}\n{table}{END}{after}")


def _machine() -> str:
    date = f"{datetime.now(UTC):%d %B %Y}".lstrip("0")
    return f"{date}, Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores"


def _plain(row: Row) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(row)
    return plain
