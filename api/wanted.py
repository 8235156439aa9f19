"""Which of the GPUs are wanted, and in what order: filters on readings and state, a sort, a limit. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from common.gpu import Gpu, GpuState

Located = tuple[Gpu, str]
"""A GPU, and its host."""


class Bound(NamedTuple):
    """A reading that must lie between two numbers, both allowed."""

    reading: str
    least: float = -math.inf
    most: float = math.inf

    def admits(self, gpu: Gpu) -> bool:
        """Return whether it does; what was not taken never does."""
        taken = getattr(gpu, self.reading)
        return taken is not None and self.least <= taken <= self.most


class Order(NamedTuple):
    """By a reading; what was not taken comes last either way."""

    reading: str
    is_descending: bool = False

    def key(self, gpu: Gpu) -> tuple[bool, float]:
        """Return what a GPU is sorted by."""
        taken = getattr(gpu, self.reading)
        if taken is None or math.isnan(taken):
            return True, 0.0
        return False, -taken if self.is_descending else taken


class Wanted(NamedTuple):
    """What was asked for; without an order GPUs stay as they are, by host name and index."""

    bounds: tuple[Bound, ...] = ()
    state: GpuState | None = None
    order: Order | None = None
    limit: int | None = None

    def choose(self, located: Sequence[Located]) -> Sequence[Located]:
        """Return those that are wanted, in order."""
        chosen = [one for one in located if self._admits(one[0])]
        if self.order is not None:
            key = self.order.key
            chosen.sort(key=lambda one: key(one[0]))
        return chosen[: self.limit]

    def _admits(self, gpu: Gpu) -> bool:
        return self.state in (None, gpu.state) and all(bound.admits(gpu) for bound in self.bounds)


EVERYTHING = Wanted()
