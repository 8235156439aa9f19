"""Which hosts may be shown now: the cache and the clock in, a judgement out. Pure: nothing here performs I/O."""

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

from api.cache import Cache
from api.host import Host
from common.snapshot import Snapshot

Unready = Literal["placeholder", "stalled", "stale", "unheard"]
_UNREADY: tuple[Unready, ...] = ("placeholder", "stalled", "stale", "unheard")


class Chosen(NamedTuple):
    """A host that may be shown: its latest snapshot and when that was sealed, whether it is stale all the same, because
    the request admits that, and whether another collector publishes under its name. Nothing in it changes any more."""

    snapshot: Snapshot
    sealed_at: float
    is_stale: bool
    has_rival: bool = False


class Selection(NamedTuple):
    """The hosts to show, by name, and the names of those left out (an endpoint, where no host was heard yet). None of
    the chosen grows stale until `fresh_until`, on the clock of `now`."""

    chosen: list[Chosen]
    missing: list[str]
    fresh_until: float


class NotFresh(NamedTuple):
    """No host may be shown: the youngest that there is (None: nothing heard yet), its age, whether it is stale (or only
    older than the request admits), and in how many seconds, at least 1, the next snapshot is expected."""

    host: str | None
    age_seconds: float | None
    is_stale: bool
    retry_seconds: int


def select(cache: Cache, name: str | None, max_age: float | None, now: float) -> Selection | NotFresh:
    """Choose among all hosts, or the one of that name, those not older than `max_age` or, for None, not stale."""
    hosts = [cache.hosts[known] for known in sorted(cache.hosts) if name in (None, known)]
    chosen, missing, fresh_until = [], [], math.inf
    for host in hosts:
        stale_after, age = cache.stale_after(host), host.age_seconds(now)
        if age > (stale_after if max_age is None else max_age):
            missing.append(host.snapshot.host)
            continue
        chosen.append(Chosen(host.snapshot, host.sealed_at, age > stale_after, now < host.rival_until))
        if age <= stale_after:
            fresh_until = min(fresh_until, host.sealed_at + stale_after)
    if not chosen:
        return _not_fresh(cache, hosts, now)
    return Selection(chosen, missing + cache.unheard() if name is None else missing, fresh_until)


def oldest(chosen: Iterable[Chosen]) -> Chosen:
    """Return the one whose snapshot is oldest."""
    return min(chosen, key=lambda one: one.sealed_at)


def unready(cache: Cache, now: float) -> Unready | None:
    """Return None if any host is fresh and its source ok, else the least bad of the reasons why none is."""
    reasons: set[Unready] = set()
    for host in cache.hosts.values():
        state = host.snapshot.source.state
        if host.age_seconds(now) > cache.stale_after(host):
            reasons.add("stale")
        elif state == "ok":
            return None
        else:
            reasons.add("placeholder" if state == "unavailable" else "stalled")
    return next((reason for reason in _UNREADY if reason in reasons), "unheard")


def _not_fresh(cache: Cache, hosts: list[Host], now: float) -> NotFresh:
    if not hosts:
        return NotFresh(None, None, is_stale=True, retry_seconds=1)
    youngest = min(hosts, key=lambda host: host.age_seconds(now))
    age = youngest.age_seconds(now)
    expected = max(1, math.ceil(youngest.snapshot.interval_seconds - age))
    return NotFresh(youngest.snapshot.host, age, age > cache.stale_after(youngest), expected)
