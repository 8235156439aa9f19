"""What was heard: the hosts, each by its name, and their rivals. Pure: `now` is passed in.

Two collectors that call themselves by one name are never mixed: the host is the one that was heard first, for as long
as it is fresh, and the other is its rival, kept apart until then.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from api.contact import Contact
from api.host import Host
from common.seldom import Seldom
from common.snapshot import Snapshot

_log = logging.getLogger(__name__)

STALE_INTERVALS = 2.5
LEAST_STALE_SECONDS = 2.0
RIVAL_SECONDS = 60.0
"""For how long, after two collectors were last heard to take turns under one name, that is said."""

MAX_HOSTS = 10_000
"""Hosts that are kept; more could only come from a peer that invents names."""


class Listener(Protocol):
    """Who is told what is news."""

    def __call__(self, snapshot: Snapshot, sealed_at: float, *, is_stale: bool, has_rival: bool) -> None:
        """Take a snapshot."""


@dataclass(slots=True)
class Cache:
    """All hosts that were heard, by name. `stale_after_setting` of 0 leaves it to each snapshot."""

    endpoints: tuple[str, ...]
    stale_after_setting: float = 0.0
    hosts: dict[str, Host] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)
    """Called with every snapshot that is news, when it was sealed, whether it was stale when it was read, and whether
    another collector has its name."""

    version: int = 0
    """Grows with every snapshot that is news or turns out to be older, with every endpoint heard at last, with those
    that are left, and when a rival is noticed."""

    rivals: dict[tuple[str, str], Host] = field(default_factory=dict)
    """By name and the endpoint that it was heard over last: collectors that call themselves as another does that is
    shown."""

    contacts: Mapping[str, Contact] = field(default_factory=dict)
    """How the way to each endpoint is, where that is known."""

    unix_seconds: Callable[[], float] = time.time
    """The time of day, with which hosts' clocks are compared, and nothing else."""

    _heard: set[str] = field(default_factory=set)
    _lost: Seldom = field(default_factory=Seldom)
    _refused: Seldom = field(default_factory=Seldom)

    def accept(self, endpoint: str, snapshot: Snapshot, arrived: float, now: float | None = None) -> bool:
        """Keep a snapshot that is news and return whether it was. `arrived` is the earliest moment at which it may have
        arrived, `now` is this one (None: the same)."""
        if endpoint not in self._heard:
            self._heard.add(endpoint)
            self.version += 1
        host = self.hosts.get(snapshot.host)
        sealed_at = arrived - snapshot.held_seconds
        if host is None:
            host = self._begin(endpoint, snapshot, arrived)
            if host is None:
                return False
        elif host.has_said(snapshot, sealed_at):
            self.version += host.is_aged_by(snapshot, sealed_at)
            return False
        elif host.is_same(snapshot.run_id, endpoint):
            self._drop_rivals(snapshot, arrived)
            self._log_lost(snapshot.host, host.replace(snapshot, endpoint, sealed_at), arrived)
        elif host.age_seconds(arrived) > self.stale_after(host):
            host = self._succeed(host, endpoint, snapshot, arrived)
        else:
            self._keep_apart(host, endpoint, snapshot, arrived)
            return False
        host.compare_clocks(self.unix_seconds())
        self.version += 1
        is_stale = host.age_seconds(arrived if now is None else now) > self.stale_after(host)
        for tell in self.listeners:
            tell(snapshot, host.sealed_at, is_stale=is_stale, has_rival=arrived < host.rival_until)
        return True

    def follow(self, endpoints: tuple[str, ...]) -> None:
        """Forget what was heard from endpoints that are not among these."""
        self.endpoints = endpoints
        kept = set(endpoints)
        self.hosts = {name: host for name, host in self.hosts.items() if host.endpoint in kept}
        self.rivals = {key: rival for key, rival in self.rivals.items() if rival.endpoint in kept}
        self.rejected = {endpoint: times for endpoint, times in self.rejected.items() if endpoint in kept}
        self._heard &= kept
        self.version += 1

    def reject(self, endpoint: str) -> None:
        """Count a message from an endpoint that could not be taken."""
        self.rejected[endpoint] = self.rejected.get(endpoint, 0) + 1

    def unheard(self) -> list[str]:
        """Return the endpoints from which no host was heard yet. One that repeats what another said was heard."""
        return [endpoint for endpoint in self.endpoints if endpoint not in self._heard]

    def stale_after(self, host: Host) -> float:
        """Return the age from which the host's latest snapshot is stale."""
        if self.stale_after_setting > 0:
            return self.stale_after_setting
        snapshot = host.snapshot
        longer = max(snapshot.interval_seconds, snapshot.duration_seconds)
        return max(LEAST_STALE_SECONDS, STALE_INTERVALS * longer)

    def _begin(self, endpoint: str, snapshot: Snapshot, arrived: float) -> Host | None:
        """Return a new host; None: there are too many."""
        if len(self.hosts) + len(self.rivals) >= MAX_HOSTS:
            self._refuse(endpoint, snapshot.host, arrived)
            return None
        host = self.hosts[snapshot.host] = Host(snapshot, endpoint, arrived - snapshot.held_seconds)
        return host

    def _succeed(self, host: Host, endpoint: str, snapshot: Snapshot, arrived: float) -> Host:
        """Let another collector take the place of one that is silent, and return the host as it is then."""
        name, sealed_at = snapshot.host, arrived - snapshot.held_seconds
        heir = self._take_rival(endpoint, snapshot)
        if heir is None:
            host.replace(snapshot, endpoint, sealed_at)
            return host
        heir.replace(snapshot, endpoint, sealed_at)
        heir.rival_until = host.rival_until
        self.hosts[name] = heir
        self.rivals[name, host.endpoint] = host
        return heir

    def _take_rival(self, endpoint: str, snapshot: Snapshot) -> Host | None:
        """Remove the rival whose snapshot this is, whichever way it was heard over before, and return it; None: there
        is none."""
        name, run_id = snapshot.host, snapshot.run_id
        ways = (way for way, rival in self.rivals.items() if way[0] == name and rival.snapshot.run_id == run_id)
        return self.rivals.pop(next(ways, (name, endpoint)), None)

    def _keep_apart(self, host: Host, endpoint: str, snapshot: Snapshot, arrived: float) -> None:
        """Keep a snapshot of the host's rival. It is one once the host is heard after it: a collector that was started
        anew, and is heard over another endpoint first, never is."""
        name, sealed_at = snapshot.host, arrived - snapshot.held_seconds
        rival = self._take_rival(endpoint, snapshot)
        if rival is None:
            self._drop_rivals(snapshot, arrived)
            if len(self.hosts) + len(self.rivals) >= MAX_HOSTS:
                self._refuse(endpoint, name, arrived)
                return
            rival = Host(snapshot, endpoint, sealed_at)
        elif rival.has_said(snapshot, sealed_at):
            self.rivals[name, rival.endpoint] = rival
            return
        else:
            rival.replace(snapshot, endpoint, sealed_at)
        self.rivals[name, endpoint] = rival
        rival.compare_clocks(self.unix_seconds())
        if rival.began_at < host.sealed_at or endpoint == host.endpoint:
            self._note_rivals(host, rival, arrived)

    def _drop_rivals(self, snapshot: Snapshot, now: float) -> None:
        """Forget rivals of that name that are silent, or turn out to be the host itself, heard over another way."""
        for key in [key for key in self.rivals if key[0] == snapshot.host]:
            rival = self.rivals[key]
            if rival.snapshot.run_id == snapshot.run_id or rival.age_seconds(now) > self.stale_after(rival):
                del self.rivals[key]

    def _note_rivals(self, host: Host, rival: Host, now: float) -> None:
        if now >= host.rival_until:
            self.version += 1
            _log.warning(
                "two collectors call themselves %s, at %s (shown) and %s: give each a GPU_METRICS_HOST of its own",
                host.snapshot.host,
                host.endpoint,
                rival.endpoint,
            )
        host.rival_until = now + max(RIVAL_SECONDS, self.stale_after(rival))

    def _refuse(self, endpoint: str, name: str, now: float) -> None:
        self.reject(endpoint)
        if refused := self._refused.count(endpoint, now):
            _log.warning(
                "dropped a snapshot of %s from %s: %d hosts are known, and no more are taken (%d more since the last "
                "such line)",
                name,
                endpoint,
                len(self.hosts),
                refused - 1,
            )

    def _log_lost(self, name: str, lost: int, now: float) -> None:
        if lost and (unsaid := self._lost.count(name, now, lost)):
            _log.warning("lost %d snapshots of %s", unsaid, name)
