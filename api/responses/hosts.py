"""The body of `hosts`: how each host is, fresh or not, and every endpoint that is silent. Pure."""

from msgspec import Struct

from api.reports import HostState, Report
from common.snapshot import Cost, Source


class Messages(Struct, frozen=True):
    """Counts since the API started: this host's snapshots that arrived, those that are missing between them, and what
    came from its endpoint and could not be taken."""

    received: int
    lost: int
    rejected: int


class HostBody(Struct, frozen=True):
    """One host. `host`, `age_seconds`, `source` and `collector` are null for an endpoint from which nothing was heard;
    of a stale host, `source` and `collector` are what was heard last."""

    host: str | None
    state: HostState
    age_seconds: float | None
    source: Source | None
    collector: Cost | None
    messages: Messages
    endpoint: str


class HostsBody(Struct, frozen=True):
    """The body of `hosts`, by name; silent endpoints come last."""

    hosts: list[HostBody]


def hosts_body(reports: list[Report]) -> HostsBody:
    """Return the body of `hosts`."""
    return HostsBody([_host(report) for report in reports])


def _host(report: Report) -> HostBody:
    snapshot = report.snapshot
    return HostBody(
        host=snapshot.host if snapshot else None,
        state=report.state,
        age_seconds=None if report.age_seconds is None else round(report.age_seconds, 3),
        source=snapshot.source if snapshot else None,
        collector=snapshot.collector if snapshot else None,
        messages=Messages(report.received, report.lost, report.rejected),
        endpoint=report.endpoint,
    )
