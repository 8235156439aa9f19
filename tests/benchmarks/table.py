"""What was measured, as rows of one table, each beside what the project promises."""

from collections.abc import Sequence

from msgspec import Struct

from tests.benchmarks.rounds import Compared, Spread, spread

_HEADINGS = ("measured", "ours", "beside", "unit", "ratio", "min..max", "promised", "verdict")


NOT_INSTALLED = "not installed"


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
    """One measurement. `value` is what a promise is about: the ratio of ours to the other, or ours where there is no
    other. None is what was not measured. `how` is what the reader must know to read it right."""

    name: str
    unit: str
    ours: float | None
    other: float | None
    value: Spread | None
    promise: Promise | None = None
    how: str = ""

    @property
    def verdict(self) -> str:
        """Return what the promise says of the value, `-` where none was made, or that there is no value."""
        if self.value is None:
            return NOT_INSTALLED
        return "-" if self.promise is None else self.promise.verdict(self.value.median)


def ratio(name: str, unit: str, found: Compared, promise: Promise | None = None, how: str = "") -> Row:
    """Return the row of ours against another."""
    return Row(name=name, unit=unit, ours=found.ours, other=found.other, value=found.ratio, promise=promise, how=how)


def figure(name: str, unit: str, values: Sequence[float], promise: Promise | None = None, how: str = "") -> Row:
    """Return the row of a number that nothing is set beside."""
    value = spread(values)
    return Row(name=name, unit=unit, ours=value.median, other=None, value=value, promise=promise, how=how)


def missing(name: str, unit: str, how: str = "") -> Row:
    """Return the row of what could not be measured, for what it is set beside is not installed."""
    return Row(name=name, unit=unit, ours=None, other=None, value=None, how=how)


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
        return f"All {len(promised)} promises kept." if promised else "No promise is made of these."
    return f"MISSED {len(missed)} of {len(promised)} promises: {'; '.join(missed)}"


def _notes(rows: Sequence[Row]) -> list[str]:
    return [*dict.fromkeys(row.how for row in rows if row.how), ""]


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        _number(row.ours),
        _number(row.other),
        row.unit,
        "" if row.value is None or row.other is None else f"{row.value.median:.2f}",
        "" if row.value is None else f"{_number(row.value.least)}..{_number(row.value.most)}",
        str(row.promise or ""),
        row.verdict,
    )


def _number(value: float | None) -> str:
    """Three digits that count; none behind the point of what is large."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
