"""The body of `hosts`: how each host is, fresh or not, and every endpoint that is silent. Pure."""

from typing import Annotated

from msgspec import Meta, Struct

from api.reports import HostState, Report
from common.snapshot import Cost, Source


class Messages(Struct, frozen=True):
    """Counts since the API started."""

    received: Annotated[int, Meta(description="Snapshots of this host that arrived.")]
    lost: Annotated[int, Meta(description="Snapshots that are missing between those.")]
    rejected: Annotated[int, Meta(description="What came from its endpoint and could not be taken.")]


class HostBody(Struct, frozen=True):
    """One host, or an endpoint from which none was heard yet."""

    host: Annotated[str | None, Meta(description="Its name; null for an endpoint that was not heard.")]
    state: Annotated[HostState, Meta(description="The driver's, unless the latest snapshot is stale.")]
    age_seconds: Annotated[float | None, Meta(description="Seconds since the latest sample was finished.")]
    source: Annotated[Source | None, Meta(description="The driver, as it was when it was heard of last.")]
    collector: Annotated[Cost | None, Meta(description="What the collector itself costs, likewise.")]
    messages: Messages
    endpoint: Annotated[str, Meta(description="Where its snapshots come from.")]


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
