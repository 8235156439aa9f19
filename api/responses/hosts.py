"""The body of `hosts`: how each host is, fresh or not, and every endpoint that is silent. Pure."""

from typing import Annotated

from msgspec import Meta, Struct

from api.contact import ContactState, Told
from api.reports import HostState, Report
from common.snapshot import Cost, Source


class Messages(Struct, frozen=True):
    """Counts since the API started."""

    received: Annotated[int, Meta(description="Snapshots of this host that arrived.")]
    lost: Annotated[int, Meta(description="Snapshots that are missing between those.")]
    rejected: Annotated[int, Meta(description="What came from its endpoint and could not be taken.")]


class Connection(Struct, frozen=True):
    """How the way to an endpoint is."""

    state: ContactState
    seconds: Annotated[float, Meta(description="For how long it has been that.")]
    reason: Annotated[str | None, Meta(description="Why; null if it is connected, or not known yet.")]
    times: Annotated[dict[str, int], Meta(description="How often each state has come about since the API started.")]


class HostBody(Struct, frozen=True):
    """One host, or an endpoint from which none was heard yet."""

    host: Annotated[str | None, Meta(description="Its name; null for an endpoint that was not heard.")]
    state: Annotated[HostState, Meta(description="The driver's, unless the latest snapshot is stale.")]
    age_seconds: Annotated[float | None, Meta(description="Seconds since the latest sample was finished.")]
    source: Annotated[Source | None, Meta(description="The driver, as it was when it was heard of last.")]
    collector: Annotated[Cost | None, Meta(description="What the collector itself costs, and its version, likewise.")]
    messages: Messages
    endpoint: Annotated[str, Meta(description="Where its snapshots come from.")]
    connection: Annotated[Connection | None, Meta(description="How the way to that endpoint is.")]
    clock_offset_seconds: Annotated[
        float | None, Meta(description="How far the host's wall clock is ahead of the API's; null: not known.")
    ]
    rival_of: Annotated[
        str | None,
        Meta(description="Not null: a collector at that endpoint has the same name, and is shown in this one's place."),
    ]


class HostsBody(Struct, frozen=True):
    """The body of `hosts`, by name; then silent endpoints, then rivals."""

    hosts: list[HostBody]


def hosts_body(reports: list[Report]) -> HostsBody:
    """Return the body of `hosts`."""
    return HostsBody([_host(report) for report in reports])


def _host(report: Report) -> HostBody:
    snapshot = report.snapshot
    return HostBody(
        host=snapshot.host if snapshot else None,
        state=report.state,
        age_seconds=_milliseconds(report.age_seconds),
        source=snapshot.source if snapshot else None,
        collector=snapshot.collector if snapshot else None,
        messages=Messages(report.received, report.lost, report.rejected),
        endpoint=report.endpoint,
        connection=_connection(report.contact),
        clock_offset_seconds=_milliseconds(report.clock_offset_seconds),
        rival_of=report.shown_endpoint,
    )


def _connection(told: Told | None) -> Connection | None:
    return None if told is None else Connection(told.state, round(told.seconds, 3), told.reason, dict(told.times))


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
