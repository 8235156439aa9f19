"""Families: what Prometheus calls each reading, in base units, derived from the catalogue once, at import. Pure.

The rules are Prometheus's own (its page on metric and label naming): base units, the unit at the name's end, `_total`
at the end of counters and of nothing else. Never here: a text format; `prometheus` writes.
"""

import re
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, TypeGuard

from common.gpu import READINGS, Reading

Kind = Literal["gauge", "counter", "info", "unknown"]
Labels = dict[str, str]
Series = tuple[Labels, float]


_MOST = 1e300
"""Nothing that is measured is greater; a conversion of what is could overflow."""


class Family(NamedTuple):
    """A metric's name, without the `_total` of a counter and the `_info` of an info; its kind; its HELP text; and its
    unit, which is the name's end, or empty. A counter whose name may not end in `_total` is of the kind `unknown`."""

    name: str
    kind: Kind
    meaning: str
    unit: str = ""

    def admits(self, value: float | None) -> TypeGuard[float]:
        """Whether there is a number, and a finite one; OpenMetrics refuses counters below zero."""
        return value is not None and (-_MOST if self.kind == "gauge" else 0) <= value < _MOST


class Part(NamedTuple):
    """One reading of a family: the labels that tell it from the family's others, and its way into the base unit."""

    reading: str
    labels: Labels
    convert: Callable[[float], float]


Told = tuple[Family, list[Series]]
"""A family and what there is of it at one moment."""


def as_it_is(value: float) -> float:
    """Return the value: its unit is a base unit already, or it has none."""
    return value


def ratio(percent: float) -> float:
    """Return percent as a share of 1. Division gives the nearest float to 0.07, multiplication by 0.01 does not."""
    return percent / 100


def seconds(nanoseconds: int) -> float:
    """Return nanoseconds as seconds. Of two integers the quotient is the nearest float; 1e9 would round Unix times."""
    return nanoseconds / 1_000_000_000


def _hertz(megahertz: float) -> float:
    return megahertz * 1_000_000


_BASE_UNITS = {"percent": "ratio", "megahertz": "hertz", "count": ""}
_CONVERSIONS = {"percent": ratio, "megahertz": _hertz}
_UNITS = ("bytes_per_second", "bytes", "celsius", "hertz", "joules", "ratio", "seconds", "watts")


def of_unit(name: str, kind: Kind, meaning: str) -> Family:
    """Return the family of that name, its unit taken from the name's end."""
    return Family(name, kind, meaning, next((unit for unit in _UNITS if name.endswith(f"_{unit}")), ""))


def unique(series: Iterable[Series]) -> list[Series]:
    """Return the series without those whose labels were there before: of one such pair, Prometheus refuses the whole
    scrape."""
    kept: dict[tuple[tuple[str, str], ...], Series] = {}
    for one in series:
        kept.setdefault(tuple(one[0].items()), one)
    return list(kept.values())


def name_of(reading: Reading) -> str:
    """Return what its family is called, without `_total`."""
    stem = reading.name.removesuffix(f"_{reading.unit}")
    if reading.metric or stem == reading.name:
        return reading.metric or f"gpu_{reading.name}"
    base = _BASE_UNITS.get(reading.unit, reading.unit)
    return f"gpu_{stem}_{base}" if base else f"gpu_{stem}"


def _meaning(readings: list[Reading]) -> str:
    first, *more = readings
    if not more:
        return f"{first.title}: {_told(first)}"
    return f"By {', '.join(first.labels)}: " + "; ".join(
        f"{', '.join(reading.labels.values())} = {_told(reading)}" for reading in readings
    )


def _told(reading: Reading) -> str:
    """Return the catalogue's words, of which a family says some itself: that it counts, and its unit."""
    words = reading.meaning.removesuffix("; a counter")
    if reading.unit == "percent":
        return re.sub(r"\b100\b", "1", words)
    return f"{words} (1: yes, 0: no)" if reading.kind is bool else words


def _families() -> list[tuple[Family, list[Part]]]:
    named: dict[str, list[Reading]] = {}
    for reading in READINGS.values():
        if reading.is_numeric or reading.kind is bool:
            named.setdefault(name_of(reading), []).append(reading)
    return [(_family(name, readings), [_part(each) for each in readings]) for name, readings in named.items()]


def _family(name: str, readings: list[Reading]) -> Family:
    return of_unit(name, "counter" if readings[0].is_counter else "gauge", _meaning(readings))


def _part(reading: Reading) -> Part:
    return Part(reading.name, reading.labels, _CONVERSIONS.get(reading.unit, as_it_is))


FAMILIES = _families()
"""The family of every reading that is a number or a boolean, in the catalogue's order."""
