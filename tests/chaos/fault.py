"""What can be broken: how, and what clients may see of it."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from msgspec import Struct

from tests.chaos.allowed import NONE, Allowed
from tests.chaos.rig import Rig

RESTART_SECONDS = 5.0
"""In which a program that has ended is at work again."""

DEGRADED, STALE = frozenset({"degraded"}), frozenset({"stale"})
AWAY = frozenset({"away", "unheard"})
"""What clients of an API see that ends, and begins anew."""


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that can be broken. `inflict` breaks it, and mends it at the end of its block; an AssertionError in it
    says what was promised and did not come about."""

    name: str
    row: str
    """What the README's table of failures calls it."""

    inflict: Callable[[Rig], AbstractContextManager[None]]
    allowed: Allowed = Allowed()
    """What clients may see, once they were to notice."""

    noticed_seconds: float = 0.0
    """Within which time clients are promised to notice; until then all may still look well."""

    holds_seconds: float = 4.0
    mends_seconds: float
    """Within which time after its end all is promised to be well again."""

    passing: frozenset[str] = NONE
    """Statuses that clients may see on the way in and out, and at no other time."""

    @property
    def injected(self) -> str:
        """What is done, in words."""
        return " ".join((self.inflict.__doc__ or "").split()).rstrip(".")
