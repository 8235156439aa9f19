"""What came of it, as a table for people and as JSON for programs. Pure."""

import json
from collections.abc import Sequence
from typing import Any

from tests.chaos.trial import Outcome

_HEADINGS = ("broken", "clients saw", "answers", "worst s", "machine s", "oldest s", "well after s", "verdict")


def text(outcomes: Sequence[Outcome]) -> str:
    """Return the table, and below it what was done in each of its rows and what went wrong there."""
    lines = [_HEADINGS, *(_cells(outcome) for outcome in outcomes)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    table.insert(1, "  ".join("-" * width for width in widths))
    done = dict.fromkeys(f"{one.name} ({one.row}): {one.injected}." for one in (outcome.fault for outcome in outcomes))
    broken = [f"BROKEN in {outcome.fault.name}: {wrong}" for outcome in outcomes for wrong in outcome.broken]
    return "\n".join([*table, "", _KEY, "", *done, "", *broken, summary(outcomes)])


_KEY = """\
clients saw: what `gpu-metrics` said, and how often; worst: the longest that any answer took; machine: the most that
the machine has kept the service and its clients waiting for a processor in 5 s; oldest: the greatest age that a reading
which was told as live truly had; well after: how long after the end of the fault clients saw the last of it."""


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return one line that says whether the promises were kept."""
    broken = [outcome.fault.name for outcome in outcomes if outcome.broken]
    answers = sum(outcome.tally.answers for outcome in outcomes)
    starved = sum(outcome.tally.is_starved for outcome in outcomes)
    busy = f" In {starved} the machine was too busy for a word on times." if starved else ""
    if not broken:
        return f"All promises kept: {len(outcomes)} faults, {answers} answers.{busy}"
    return f"Promises BROKEN in {len(broken)} of {len(outcomes)} faults: {', '.join(broken)}.{busy}"


def as_json(outcomes: Sequence[Outcome], seed: int | None) -> str:
    """Return the same as one JSON object; `seed` is that of the order, None where it is the table's."""
    return json.dumps({"seed": seed, "summary": summary(outcomes), "rows": [_row(each) for each in outcomes]}, indent=2)


def line(outcome: Outcome) -> str:
    """Return one row, for those who wait."""
    return "  ".join(_cells(outcome)[1:])


def _cells(outcome: Outcome) -> tuple[str, ...]:
    tally = outcome.tally
    return (
        outcome.fault.name,
        ", ".join(f"{label} {times}" for label, times in tally.labels.most_common()),
        str(tally.answers),
        f"{tally.worst_seconds:.2f}",
        f"{tally.machine_seconds:.2f}",
        f"{tally.age_seconds:.2f}",
        "never" if outcome.mended_seconds is None else f"{outcome.mended_seconds:.1f}",
        _verdict(outcome),
    )


def _verdict(outcome: Outcome) -> str:
    if outcome.broken:
        return "BROKEN"
    return "ok, but for times" if outcome.tally.is_starved else "ok"


def _row(outcome: Outcome) -> dict[str, Any]:
    tally = outcome.tally
    return {
        "name": outcome.fault.name,
        "row": outcome.fault.row,
        "injected": outcome.fault.injected,
        "statuses": dict(tally.labels),
        "answers": tally.answers,
        "events": tally.events,
        "worst_seconds": tally.worst_seconds,
        "machine_seconds": tally.machine_seconds,
        "oldest_seconds": tally.age_seconds,
        "well_after_seconds": outcome.mended_seconds,
        "verdict": _verdict(outcome),
        "broken": outcome.broken,
    }
