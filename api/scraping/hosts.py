"""The families of hosts and of feeds: how fresh, how well heard, and what the collector there costs. Pure.

A stale host says that it is, when it last sampled, and how it was heard; its collector's figures are as old as its
readings and are left out with them.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, get_args

from api.contact import ContactState
from api.reports import FeedReport, HostState, Report
from api.scraping.families import Family, Series, Told, of_unit, seconds
from common.snapshot import Snapshot


class _Row(NamedTuple):
    """One number of each host."""

    family: Family
    number: Callable[[Report, Snapshot], float | None]


_OF_EVERY_HOST = (
    _Row(
        Family("gpu_host_up", "gauge", "1 where the host's latest snapshot is fresh, else 0"),
        lambda report, _: report.is_fresh,
    ),
    _Row(
        of_unit("gpu_host_last_sample_timestamp_seconds", "gauge", "Unix time when the host's GPUs were last sampled"),
        lambda _, snapshot: seconds(snapshot.sampled_at_ns),
    ),
    _Row(
        Family("gpu_host_snapshots_received", "counter", "Snapshots of the host that the API has received"),
        lambda report, _: report.received,
    ),
    _Row(
        Family("gpu_host_snapshots_lost", "counter", "Snapshots of the host that were sent and did not arrive"),
        lambda report, _: report.lost,
    ),
)

_OF_FRESH_HOSTS = (
    _Row(
        of_unit("gpu_host_sample_duration_seconds", "gauge", "Time that the latest sample of all GPUs took"),
        lambda _, snapshot: snapshot.duration_seconds,
    ),
    _Row(
        of_unit("gpu_host_sample_interval_seconds", "gauge", "Time from one sample to the next, as it is set"),
        lambda _, snapshot: snapshot.interval_seconds,
    ),
    _Row(
        of_unit("gpu_host_collector_cpu_seconds", "counter", "CPU time of the host's collector since it started"),
        lambda _, snapshot: snapshot.collector.cpu_seconds,
    ),
    _Row(
        of_unit("gpu_host_collector_resident_bytes", "gauge", "Resident memory of the host's collector"),
        lambda _, snapshot: snapshot.collector.resident_bytes,
    ),
    _Row(
        Family("gpu_host_nvml_calls", "counter", "Calls into NVML by the host's collector since it started"),
        lambda _, snapshot: snapshot.collector.nvml_calls,
    ),
)

_STATE = Family(
    "gpu_host_state",
    "gauge",
    "1 for how the host is, 0 for the rest: ok, unavailable (no driver), stalled (the driver does not return), "
    "stale (no fresh snapshot), unheard (never; then no host is known, see gpu_feed_up)",
)
_COLLECTOR = Family(
    "gpu_host_collector", "info", "The version of the host's collector, in a label; empty from one that does not tell"
)
_SLOWEST = of_unit(
    "gpu_host_slowest_call_seconds", "gauge", "Time of the latest sample's slowest NVML call, by its name"
)
_FEED_UP = Family("gpu_feed_up", "gauge", "1 where the endpoint gives some host's fresh snapshots, else 0")
_FEED_HOSTS = Family("gpu_feed_hosts", "gauge", "Hosts that were heard from the endpoint, fresh or not")
_CONNECTION = Family(
    "gpu_feed_connection",
    "gauge",
    "1 for how the way to the endpoint is, 0 for the rest: connecting, connected, refused (nobody listens), "
    "rejected (our key is not known there), wrong_protocol (no collector, or other keys), lost",
)
_REJECTED = Family("gpu_feed_messages_rejected", "counter", "Messages of the endpoint that were no snapshot")


def host_families(reports: Iterable[Report]) -> Iterator[Told]:
    """Return every family of hosts; of a host that is there twice, the first report only."""
    hosts = _hosts(reports)
    fresh = [(report, snapshot) for report, snapshot in hosts if report.is_fresh]
    yield (
        _STATE,
        [
            ({"host": snapshot.host, "state": state}, state == report.state)
            for report, snapshot in hosts
            for state in get_args(HostState)
        ],
    )
    yield from (_told(row, hosts) for row in _OF_EVERY_HOST)
    yield from (_told(row, fresh) for row in _OF_FRESH_HOSTS)
    yield _COLLECTOR, [({"host": one.host, "version": one.collector.version or ""}, 1) for _, one in fresh]
    yield _SLOWEST, list(_slowest(snapshot for _, snapshot in fresh))


def _hosts(reports: Iterable[Report]) -> list[tuple[Report, Snapshot]]:
    hosts: dict[str, tuple[Report, Snapshot]] = {}
    for report in reports:
        if report.snapshot:
            hosts.setdefault(report.snapshot.host, (report, report.snapshot))
    return list(hosts.values())


def _told(row: _Row, hosts: Iterable[tuple[Report, Snapshot]]) -> Told:
    series: list[Series] = []
    for report, snapshot in hosts:
        value = row.number(report, snapshot)
        if row.family.admits(value):
            series.append(({"host": snapshot.host}, value))
    return row.family, series


def _slowest(snapshots: Iterable[Snapshot]) -> Iterator[Series]:
    for snapshot in snapshots:
        call = snapshot.collector.slowest_call
        if call and _SLOWEST.admits(call.seconds):
            yield {"function": call.function, "host": snapshot.host}, call.seconds


def feed_families(feeds: Iterable[FeedReport]) -> Iterator[Told]:
    """Return every family of endpoints. Of one that repeats another there is no telling what it gives."""
    told = [({"endpoint": feed.endpoint}, feed) for feed in feeds]
    yield _FEED_UP, [(labels, feed.is_up) for labels, feed in told if feed.hosts is not None]
    yield _FEED_HOSTS, [(labels, feed.hosts) for labels, feed in told if feed.hosts is not None]
    yield (
        _CONNECTION,
        [
            ({**labels, "state": state}, state == feed.contact.state)
            for labels, feed in told
            if feed.contact
            for state in get_args(ContactState)
        ],
    )
    yield _REJECTED, [(labels, feed.rejected) for labels, feed in told]
