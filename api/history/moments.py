"""Where the samples of the history stand in an answer: each at its moment, or all of one step together. Pure."""

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import NamedTuple

from api.history.columns import Columns
from common.gpu import Gpu
from common.snapshot import Snapshot

NANOSECONDS = 1_000_000_000

Admits = Callable[[int], bool]
"""Whether a time, in Unix nanoseconds, is asked for."""

Values = list[int | float | None]


class Part(NamedTuple):
    """A block as far as it went when it was chosen: of its first `rows`, `admitted` are asked for, sampled from
    `earliest_ns` to `latest_ns`. `gpus` are those asked for, by uuid."""

    envelope: Columns[Snapshot]
    gpus: list[tuple[str, Columns[Gpu]]]
    rows: int
    admitted: int
    earliest_ns: int
    latest_ns: int

    def times(self) -> list[int]:
        """Return when each row was sampled."""
        return self.envelope.column("sampled_at_ns", 0, self.rows)

    def moments(self, admits: Admits) -> list[float]:
        """Return when those that are asked for were sampled, in Unix seconds."""
        times = self.times() if self.admitted == self.rows else filter(admits, self.times())
        return [at / NANOSECONDS for at in times]


class Moments:
    """Every moment at which one of the parts has a sample that is asked for."""

    def __init__(self, parts: Iterable[Part], admits: Admits) -> None:
        self.timestamps = sorted({moment for part in parts for moment in part.moments(admits)})
        self._places = {moment: place for place, moment in enumerate(self.timestamps)}

    def places(self, part: Part) -> list[int]:
        """Return where each row stands; beyond the last, if it is not asked for."""
        beyond = len(self.timestamps)
        return [self._places.get(at / NANOSECONDS, beyond) for at in part.times()]

    def values(self, placed: Iterable[tuple[list[int], Columns[Gpu]]], reading: str) -> Values:
        """Return one reading at each moment: of two samples of the same, the later."""
        values: Values = [None] * (len(self.timestamps) + 1)
        for places, columns in placed:
            for place, value in zip(places, columns.column(reading, 0, len(places)), strict=True):
                values[place] = value
        return values[:-1]


Stretch = tuple[int, int, int]
"""A place, and from and to before which row of a part it is theirs."""


class Steps:
    """Steps of equal length, at its multiples, from that of the first sample asked for to that of the last."""

    def __init__(self, parts: list[Part], admits: Admits, step_ns: int) -> None:
        self._admits = admits
        self._step_ns = step_ns
        count = steps(parts, step_ns)
        self._first = min((part.earliest_ns for part in parts), default=0) // step_ns
        self.timestamps = [(self._first + place) * step_ns / NANOSECONDS for place in range(count)]

    def places(self, part: Part) -> list[Stretch]:
        """Return the stretches of rows that stand in the same step."""
        found = []
        start = 0
        for place, rows in groupby(part.times(), self._place):
            stop = start + len(list(rows))
            if place is not None:
                found.append((place, start, stop))
            start = stop
        return found

    def values(self, placed: Iterable[tuple[list[Stretch], Columns[Gpu]]], reading: str) -> Values:
        """Return the mean of one reading in each step."""
        totals: list[int | float] = [0] * len(self.timestamps)
        counts = [0] * len(self.timestamps)
        for stretches, columns in placed:
            cells = columns.column(reading, 0, stretches[-1][2]) if stretches else []
            for place, start, stop in stretches:
                taken = [cell for cell in cells[start:stop] if cell is not None]
                totals[place] += sum(taken)
                counts[place] += len(taken)
        return [total / count if count else None for total, count in zip(totals, counts, strict=True)]

    def _place(self, sampled_at_ns: int) -> int | None:
        return sampled_at_ns // self._step_ns - self._first if self._admits(sampled_at_ns) else None


def steps(parts: list[Part], step_ns: int) -> int:
    """Return how many steps there are from the first to the last sample asked for."""
    if not parts:
        return 0
    first, last = min(part.earliest_ns for part in parts), max(part.latest_ns for part in parts)
    return last // step_ns - first // step_ns + 1


def moments(parts: list[Part], admits: Admits, enough: int) -> int:
    """Return how many moments there are; counting ends beyond `enough`."""
    found: set[float] = set()
    for part in parts:
        if len(found) > enough:
            break
        found.update(part.moments(admits))
    return len(found)
