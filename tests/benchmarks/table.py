"""What was measured, as rows of one table, each beside what the project promises."""

from collections.abc import Sequence

from msgspec import Struct

from tests.benchmarks.rounds import Compared, Spread, spread

_HEADINGS = ("measured", "ours", "floor", "unit", "ratio", "min..max", "promised", "verdict")


class Promise(Struct, frozen=True):
    """What the project promises of a row's value."""

    limit: float
    is_least: bool = False
    """Whether the value must not be less, instead of not more."""

    def __str__(self) -> str:
        return f"at {'least' if self.is_least else 'most'} {self.limit:g}"

    def verdict(self, value: float) -> str:
        """Return `ok`, or the direction in which the value misses the limit."""
        if self.is_least:
            return "ok" if value >= self.limit else "UNDER"
        return "ok" if value <= self.limit else "OVER"


class Row(Struct, frozen=True, kw_only=True):
    """One measurement. `value` is what a promise is about: the ratio of ours to the floor, or ours where there is no
    floor. `how` is what the reader must know to read it right."""

    name: str
    unit: str
    ours: float
    floor: float | None
    value: Spread
    promise: Promise | None = None
    how: str = ""

    @property
    def verdict(self) -> str:
        """Return what the promise says of the value; `-` where none was made."""
        return "-" if self.promise is None else self.promise.verdict(self.value.median)


def ratio(name: str, unit: str, found: Compared, promise: Promise | None = None, how: str = "") -> Row:
    """Return the row of ours against a floor."""
    return Row(name=name, unit=unit, ours=found.ours, floor=found.floor, value=found.ratio, promise=promise, how=how)


def figure(name: str, unit: str, values: Sequence[float], promise: Promise | None = None, how: str = "") -> Row:
    """Return the row of a number that has no floor."""
    value = spread(values)
    return Row(name=name, unit=unit, ours=value.median, floor=None, value=value, promise=promise, how=how)


def text(rows: Sequence[Row]) -> str:
    """Return the table, what its rows need explained below it, and how many promises were missed."""
    lines = [_HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    table = [_aligned(line, widths) for line in lines]
    table.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*table, "", *_notes(rows), summary(rows)])


def summary(rows: Sequence[Row]) -> str:
    """Return one line that says whether the promises were kept."""
    promised = [row for row in rows if row.promise is not None]
    missed = [row.name for row in promised if row.verdict != "ok"]
    if not missed:
        return f"All {len(promised)} promises kept."
    return f"MISSED {len(missed)} of {len(promised)} promises: {'; '.join(missed)}"


def _notes(rows: Sequence[Row]) -> list[str]:
    return [*dict.fromkeys(row.how for row in rows if row.how), ""]


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        _number(row.ours),
        "" if row.floor is None else _number(row.floor),
        row.unit,
        "" if row.floor is None else f"{row.value.median:.2f}",
        f"{_number(row.value.least)}..{_number(row.value.most)}",
        str(row.promise or ""),
        row.verdict,
    )


def _number(value: float) -> str:
    """Three digits that count; none behind the point of what is large."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
