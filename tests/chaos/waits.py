"""How long the machine has kept the service, or its clients, waiting for a processor. Pure, but for `waited_seconds`.

What is late by no more than that is the machine's doing: it is shared, and promises are about the service.
"""

from collections import deque
from collections.abc import Mapping
from pathlib import Path

LATELY_SECONDS = 5.0


class Waits:
    """What was waited of late, by who waited most. Times are seconds on a clock that is never set back."""

    def __init__(self) -> None:
        self._totals: dict[int, float] = {}
        self._lately: deque[tuple[float, float]] = deque()

    def note(self, now: float, totals: Mapping[int, float], own_seconds: float) -> None:
        """Take how long each process, by its id, has waited in all, and we in the time since the last note."""
        waited = [total - self._totals[pid] for pid, total in totals.items() if pid in self._totals]
        self._totals = dict(totals)
        self._lately.append((now, max(own_seconds, *waited, 0.0)))
        while self._lately[0][0] < now - LATELY_SECONDS:
            self._lately.popleft()

    @property
    def seconds(self) -> float:
        """What was waited in the last LATELY_SECONDS."""
        return sum(waited for _, waited in self._lately)


def waited_seconds(pid: int) -> float:
    """Return how long a process's main thread was ready to run and did not, in its whole life: the second number of
    /proc/PID/schedstat, see the kernel's Documentation/scheduler/sched-stats.rst. 0 where that is not told."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0
