"""What an answer looks like that is not what was hoped for, and the one-word answers of the health checks."""

from typing import Literal

from msgspec import Struct

from api.selection import NotFresh


class Error(Struct, frozen=True):
    """Why an answer is not what was hoped for: a code for programs, a message for people."""

    code: str
    message: str


class ErrorBody(Struct, frozen=True):
    """The body of an error answer."""

    error: Error


class NotFreshBody(Struct, frozen=True):
    """The body of a 503: there is nothing that may be shown. `age_seconds` is null if nothing was heard yet."""

    error: Error
    status: Literal["stale", "unheard"]
    age_seconds: float | None


class StatusBody(Struct, frozen=True):
    """The body of `/healthz` (`ok`) and `/readyz` (`ready`) when all is well."""

    status: Literal["ok", "ready"]


def not_fresh_body(refusal: NotFresh, endpoints: tuple[str, ...]) -> NotFreshBody:
    """Return why nothing may be shown."""
    if refusal.host is None or refusal.age_seconds is None:
        message = f"no snapshot was heard yet from {', '.join(endpoints)}: is the collector running? "
        message += "/api/v1/monitoring/hosts tells how the way there is"
        return NotFreshBody(Error("unheard", message), "unheard", None)
    age = refusal.age_seconds
    why = "is the collector running?" if refusal.is_stale else "that is more than max_age admits"
    message = f"{refusal.host}: the latest snapshot is {age:.1f} s old; {why}"
    return NotFreshBody(Error("stale", message), "stale", round(age, 3))
