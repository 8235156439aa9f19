"""Whether this process was away (stopped, swapped out, asleep with the machine), and since when. Pure."""

import math

LOOK_SECONDS = 0.5
AWAY_SECONDS = 1.0
"""Who has not looked for so long, though one meant to look every `LOOK_SECONDS`, was away."""

CATCH_UP_SECONDS = 1.0
"""For how long after that what is read may have waited since."""


class Lookout:
    """Knows when this process was away (stopped, swapped out, asleep with the machine): what arrived meanwhile waited
    in some buffer, and is not as young as it looks when it is read."""

    def __init__(self, now: float) -> None:
        self._looked_at = now
        self._away_since = now
        self._is_back_at = -math.inf

    def look(self, now: float) -> float:
        """Note that we look, and return the earliest moment at which what is read now may have arrived."""
        if now - self._looked_at > AWAY_SECONDS:
            if self._looked_at >= self._is_back_at:
                self._away_since = self._looked_at
            self._is_back_at = now + CATCH_UP_SECONDS
        self._looked_at = now
        return self._away_since if now < self._is_back_at else now
