"""What clients may see at a moment. Pure."""

from msgspec import Struct

HOST = "node-1"
INTERVAL_SECONDS = 0.2
STALE_SECONDS = 2.0
"""From when on a snapshot is stale: 2.5 times its interval, but not less than this."""

OK: frozenset[str] = frozenset({"ok"})
NONE: frozenset[str] = frozenset()


class Allowed(Struct, frozen=True, kw_only=True):
    """What may be told. `statuses` are those of `gpu-metrics`, `stale` and `unheard` of its 503; `away` is nobody who
    answers, `torn` an answer that ends too early, `silent` none for a minute."""

    statuses: frozenset[str] = OK
    harmed: frozenset[int] = frozenset()
    """The GPUs, by their physical numbers, that may not be ok; and how they may be, when the host's driver answers."""

    states: frozenset[str] = NONE
    untaken: frozenset[str] = NONE
    """Readings of a GPU that is ok which may not have been taken."""

    hosts: frozenset[str] = frozenset({HOST})
    wait_seconds: float = 0.0
    """How much longer than usual an answer may take."""

    sample_seconds: float = 0.5
    """How long a sample may take."""

    def __or__(self, other: "Allowed") -> "Allowed":
        """Return what may be told when either holds: at the border between two moments."""
        return Allowed(
            statuses=self.statuses | other.statuses,
            harmed=self.harmed | other.harmed,
            states=self.states | other.states,
            untaken=self.untaken | other.untaken,
            hosts=self.hosts | other.hosts,
            wait_seconds=max(self.wait_seconds, other.wait_seconds),
            sample_seconds=max(self.sample_seconds, other.sample_seconds),
        )

    @property
    def live_seconds(self) -> float:
        """How old a reading may be that is told as one of now."""
        return max(STALE_SECONDS, 2.5 * self.sample_seconds) + self.sample_seconds


CALM = Allowed()
"""Nothing is broken."""
