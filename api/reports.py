"""How each host is: the cache and the clock in, a report of every host and every silent endpoint out. Pure.

A report holds what is frozen only, so that it can be read in another thread while the cache goes on.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from api.cache import Cache, Host
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

    @property
    def is_fresh(self) -> bool:
        """Whether the snapshot may be shown as what is now."""
        return self.state not in ("stale", "unheard")


def reports(cache: Cache, now: float) -> list[Report]:
    """Return a report of every host by name, then of every endpoint that is silent."""
    return [*_heard(cache, now), *_unheard(cache)]


def report(cache: Cache, host: Host, now: float) -> Report:
    """Return the report of one host."""
    age = host.age_seconds(now)
    state: HostState = "stale" if age > cache.stale_after(host) else host.snapshot.source.state
    rejected = cache.rejected.get(host.endpoint, 0)
    return Report(state, host.snapshot, age, host.endpoint, host.received, host.lost, rejected)


def _heard(cache: Cache, now: float) -> Iterator[Report]:
    for name in sorted(cache.hosts):
        yield report(cache, cache.hosts[name], now)


def _unheard(cache: Cache) -> Iterator[Report]:
    for endpoint in cache.unheard():
        yield Report("unheard", None, None, endpoint, 0, 0, cache.rejected.get(endpoint, 0))
