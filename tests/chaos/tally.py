"""What clients saw while one thing was broken. Pure."""

from collections import Counter

from msgspec import Struct, field

from tests.chaos.judge import Finding
from tests.chaos.waits import LATELY_SECONDS

ANSWER_SECONDS = 1.0
"""What takes the API longer is slow by its own word: it logs it. So it is here, beyond what the machine takes."""

AGE_SLACK_SECONDS = 0.5
"""By how much an age may be misjudged, beyond what the machine takes, for what no clock sees: the way of a snapshot
from the end of its sample to where it is received."""

MOST_WRONG = 8
"""Broken promises that are told of one trial; the rest is counted."""


STARVED_SHARE = 0.5
"""Of the time, for which a process that is ready to run has to wait. Beyond it little can be said of times."""

STARVED_SECONDS = 30.0
"""What even then is no excuse."""


class Tally(Struct):
    """Of everything that clients were told in a time: what they saw, the worst of it, and what they must not have."""

    labels: Counter[str] = field(default_factory=Counter)
    """What `gpu-metrics` said."""

    answers: int = 0
    events: int = 0
    worst_seconds: float = 0.0
    worst_excess_seconds: float = 0.0
    """The worst time for an answer less what was allowed for it beyond ANSWER_SECONDS."""

    machine_seconds: float = 0.0
    """The most that the machine has kept service and clients waiting for a processor, in a few seconds."""

    age_seconds: float = 0.0
    too_old_seconds: float = 0.0
    understated_seconds: float = 0.0
    overstated_seconds: float = 0.0
    wrong: Counter[str] = field(default_factory=Counter)

    def add(self, found: Finding) -> None:
        """Take what was found about an answer or an event."""
        self.age_seconds = max(self.age_seconds, found.age_seconds or 0.0)
        self.too_old_seconds = max(self.too_old_seconds, found.excess_seconds)
        self.understated_seconds = max(self.understated_seconds, found.understated_seconds)
        self.overstated_seconds = max(self.overstated_seconds, found.overstated_seconds)
        self.wrong.update(found.wrong)

    def took(self, seconds: float, allowed_seconds: float) -> None:
        """Take how long an answer took, and how much longer than usual it may have."""
        self.answers += 1
        self.worst_seconds = max(self.worst_seconds, seconds)
        self.worst_excess_seconds = max(self.worst_excess_seconds, seconds - allowed_seconds)

    def broken(self) -> list[str]:
        """Return the promises that were broken, in words."""
        told = [f"{wrong} ({times} times)" for wrong, times in self.wrong.most_common(MOST_WRONG)]
        if len(self.wrong) > MOST_WRONG:
            told.append(f"and {len(self.wrong) - MOST_WRONG} kinds more")
        return told + self._untimely()

    @property
    def is_starved(self) -> bool:
        """Whether the machine was so busy that little can be said of times."""
        return self.machine_seconds > STARVED_SHARE * LATELY_SECONDS

    def _untimely(self) -> list[str]:
        told = []
        machine = STARVED_SECONDS if self.is_starved else self.machine_seconds
        if self.worst_excess_seconds > ANSWER_SECONDS + machine:
            told.append(f"an answer took {self.worst_seconds:.2f} s")
        for seconds, what in (
            (self.too_old_seconds, "readings that were {:.2f} s too old were shown as live"),
            (self.understated_seconds, "Age was {:.2f} s less than the truth"),
            (self.overstated_seconds, "Age was {:.2f} s more than the truth"),
        ):
            if seconds > AGE_SLACK_SECONDS + machine:
                told.append(what.format(seconds))
        return told
