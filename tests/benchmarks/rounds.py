"""Turns: ours, another, another, ours, and so on in one run; and what the many rounds say together."""

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

Measured = TypeVar("Measured")


class Spread(NamedTuple):
    """A measurement of several rounds."""

    median: float
    least: float
    most: float


class Compared(NamedTuple):
    """Ours beside another: the median of each, and the ratio of the two in each round."""

    ours: float
    other: float
    ratio: Spread


def spread(values: Sequence[float]) -> Spread:
    """Return the median, least and most of one or more values."""
    return Spread(statistics.median(values), min(values), max(values))


def compared(pairs: Sequence[tuple[float, float]]) -> Compared:
    """Return what the rounds, each of ours and the other, say together."""
    ours, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    return Compared(ours, other, spread([one / other for one, other in pairs]))


def take_turns(rounds: int, *jobs: Callable[[], Measured]) -> list[tuple[Measured, ...]]:
    """Run all `rounds` times, close together, after one round of each that is thrown away. Return what each measured in
    each round."""
    for job in jobs:
        job()
    return [_turn(number, jobs) for number in range(rounds)]


def compare(rounds: int, ours: Callable[[], float], other: Callable[[], float]) -> Compared:
    """Take turns, and return what they say together. Both return what one round measured, in the same unit."""
    return compared([(one, two) for one, two in take_turns(rounds, ours, other)])


def _turn(number: int, jobs: Sequence[Callable[[], Measured]]) -> tuple[Measured, ...]:
    """Who goes first changes, or a machine that grows slower would always slow the last."""
    if number % 2:
        return tuple(reversed([job() for job in reversed(jobs)]))
    return tuple(job() for job in jobs)
