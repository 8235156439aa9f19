"""How each host is, and each feed: the cache and the clock in, a report of every host, every silent endpoint, and of
every endpoint out. Pure.

A report holds what is frozen only, so that it can be read in another thread while the cache goes on.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Literal, NamedTuple

from api.cache import Cache
from api.contact import Told
from api.host import Host
from common.snapshot import Snapshot

HostState = Literal["ok", "unavailable", "stalled", "stale", "unheard"]


class Report(NamedTuple):
    """One host, or an endpoint from which none was heard yet (`unheard`, without snapshot and age).

    `state` is the source's, unless the latest snapshot is stale. `received` and `lost` count this host's snapshots,
    `rejected` what came from its endpoint and was none.
    """

    state: HostState
    snapshot: Snapshot | None
    age_seconds: float | None
    endpoint: str
    received: int
    lost: int
    rejected: int
    contact: Told | None = None
    """How the way to the endpoint is; None: not known."""

    clock_offset_seconds: float | None = None
    """How far the host's wall clock is ahead of ours; None: not known."""

    shown_endpoint: str | None = None
    """Of a rival: where the collector is that is shown under its name. None: it is none."""

    @property
    def is_fresh(self) -> bool:
        """Whether the snapshot may be shown as what is now."""
        return self.state not in ("stale", "unheard")


class FeedReport(NamedTuple):
    """One endpoint that is subscribed to. `hosts` is how many are known from it, fresh or not, rivals too (0: nothing
    was heard; None: nothing but what is heard over another, too); `is_up` says that any of those is fresh."""

    endpoint: str
    hosts: int | None
    is_up: bool
    rejected: int
    contact: Told | None


def reports(cache: Cache, now: float) -> list[Report]:
    """Return a report of every host by name, then of every endpoint that is silent."""
    return [*_heard(cache, now), *_unheard(cache, now)]


def rivals(cache: Cache, now: float) -> list[Report]:
    """Return a report of every collector that calls itself as another does that is shown, while it is heard."""
    told = [(report(cache, rival, now), name) for (name, _), rival in sorted(cache.rivals.items())]
    return [each._replace(shown_endpoint=cache.hosts[name].endpoint) for each, name in told if each.is_fresh]


def report(cache: Cache, host: Host, now: float) -> Report:
    """Return the report of one host."""
    age = host.age_seconds(now)
    state: HostState = "stale" if age > cache.stale_after(host) else host.snapshot.source.state
    rejected = cache.rejected.get(host.endpoint, 0)
    contact, offset = _contact(cache, host.endpoint, now), host.clock_offset_seconds
    return Report(state, host.snapshot, age, host.endpoint, host.received, host.lost, rejected, contact, offset)


def feeds(cache: Cache, now: float) -> list[FeedReport]:
    """Return a report of every endpoint."""
    known: dict[str, list[Host]] = {endpoint: [] for endpoint in cache.endpoints}
    for host in chain(cache.hosts.values(), cache.rivals.values()):
        known.setdefault(host.endpoint, []).append(host)
    silent = frozenset(cache.unheard())
    return [_feed(cache, endpoint, hosts, now, is_silent=endpoint in silent) for endpoint, hosts in known.items()]


def _feed(cache: Cache, endpoint: str, known: list[Host], now: float, *, is_silent: bool) -> FeedReport:
    hosts = len({host.snapshot.host for host in known}) if known or is_silent else None
    is_up = any(host.age_seconds(now) <= cache.stale_after(host) for host in known)
    return FeedReport(endpoint, hosts, is_up, cache.rejected.get(endpoint, 0), _contact(cache, endpoint, now))


def _heard(cache: Cache, now: float) -> Iterator[Report]:
    for name in sorted(cache.hosts):
        yield report(cache, cache.hosts[name], now)


def _unheard(cache: Cache, now: float) -> Iterator[Report]:
    for endpoint in cache.unheard():
        rejected, contact = cache.rejected.get(endpoint, 0), _contact(cache, endpoint, now)
        yield Report("unheard", None, None, endpoint, 0, 0, rejected, contact)


def _contact(cache: Cache, endpoint: str, now: float) -> Told | None:
    contact = cache.contacts.get(endpoint)
    return None if contact is None else contact.told(now)
