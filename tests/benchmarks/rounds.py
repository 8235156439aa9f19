"""Turns: ours, the floor, the floor, ours, and so on in one run; and what the many rounds say together."""

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
    """Ours beside the floor: the median of each, and the ratio of the two in each round."""

    ours: float
    floor: float
    ratio: Spread


def spread(values: Sequence[float]) -> Spread:
    """Return the median, least and most of one or more values."""
    return Spread(statistics.median(values), min(values), max(values))


def compared(pairs: Sequence[tuple[float, float]]) -> Compared:
    """Return what the rounds, each of ours and the floor, say together."""
    ours, floor = (statistics.median(column) for column in zip(*pairs, strict=True))
    return Compared(ours, floor, spread([one / other for one, other in pairs]))


def take_turns(
    rounds: int, ours: Callable[[], Measured], floor: Callable[[], Measured]
) -> list[tuple[Measured, Measured]]:
    """Run both `rounds` times, close together, after one round of each that is thrown away."""
    ours(), floor()
    return [_pair(number, ours, floor) for number in range(rounds)]


def compare(rounds: int, ours: Callable[[], float], floor: Callable[[], float]) -> Compared:
    """Take turns, and return what they say together. Both return what one round measured, in the same unit."""
    return compared(take_turns(rounds, ours, floor))


def _pair(number: int, ours: Callable[[], Measured], floor: Callable[[], Measured]) -> tuple[Measured, Measured]:
    """Who goes first changes, or a machine that grows slower would always slow the second."""
    if number % 2:
        second = floor()
        return ours(), second
    return ours(), floor()
