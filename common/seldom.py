"""What happens again and again is said at most once a minute, with how often it happened."""

import logging
import math
from collections.abc import Callable

SELDOM_SECONDS = 60.0


class Seldom:
    """Counts what happens, by whom it is about: as many subjects as there are hosts or endpoints."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[float, int]] = {}

    def count(self, subject: str, now: float, times: int = 1) -> int:
        """Note that it happened, and return how often it did since it was last said; 0: do not say it now."""
        said_at, unsaid = self._said.get(subject, (-math.inf, 0))
        if now - said_at < SELDOM_SECONDS:
            self._said[subject] = said_at, unsaid + times
            return 0
        self._said[subject] = now, 0
        return unsaid + times


class SeldomFilter(logging.Filter):
    """Lets each message of a logger that is not ours through at most once a minute, by its text before anything is put
    into it. `now` gives seconds on any clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now
        self._records = Seldom()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be logged."""
        return self._records.count(str(record.msg), self._now()) > 0
