"""What happens again and again is said at most once a minute, with how often it happened."""

import math

SELDOM_SECONDS = 60.0


class Seldom:
    """Counts what happens, by what it is about: there are few subjects, such as hosts, endpoints or messages."""

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
