"""What takes more calls than one sample has room for: made a few at a time, over as many samples as it takes."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import inf

from collector.nvml import codes
from collector.nvml.library import CallError
from collector.nvml.plan import ASK_AGAIN_SECONDS


class Errand:
    """One such thing, done anew every so many seconds. `walk` makes one call in each step."""

    def __init__(self, walk: Callable[[], Iterator[None]], seconds: float) -> None:
        self.due = -inf
        """From when on there is something to do."""
        self.failure = 0
        """NVML's code for why it could not be done the last time; 0 if it could."""
        self._walk = walk
        self._seconds = seconds
        self._steps: Iterator[None] | None = None
        self._began = 0.0

    def begin_anew(self) -> None:
        """Drop what was begun, and do all of it again."""
        self.due, self.failure, self._steps = -inf, 0, None

    def go_on(self, now: float, room: int) -> int:
        """Make at most `room` calls; return how many. A call that fails ends it, until the next sample, or for as long
        as what is not supported or not permitted is not asked for.

        Raises:
            CallError: with a code about the source.
        """
        if self._steps is None:
            self._steps, self._began = self._walk(), now
        made = 0
        try:
            for _ in islice(self._steps, room):
                made += 1
        except CallError as error:
            if error.code in codes.ABOUT_THE_SOURCE:
                raise
            self.failure, self._steps = error.code, None
            self.due = now + ASK_AGAIN_SECONDS if error.code in codes.LASTING else now
            return made + 1
        if made < room:
            self.failure, self.due, self._steps = 0, max(now, self._began + self._seconds), None
        return made


def go_on(errands: Iterable[Errand], now: float, room: int) -> None:
    """Make at most so many calls for what is due: what was due first goes first, so that nothing waits for ever."""
    for errand in sorted(errands, key=lambda errand: errand.due):
        if errand.due <= now and room > 0:
            room -= errand.go_on(now, room)
