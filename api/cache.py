"""What was heard: each host's latest snapshot, when it arrived, and how old that makes it. Pure: `now` is passed in.

A snapshot's age is how long the publisher had held it when it sent it, and the time since it arrived. Neither a wall
clock nor a repeat ever makes one younger; a repeat that was held for longer than we thought makes it older.
"""

import logging
import math
from dataclasses import dataclass, field
from typing import Protocol

from api.seldom import Seldom
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

    def __call__(self, snapshot: Snapshot, sealed_at: float, *, has_rival: bool) -> None:
        """Take a snapshot."""


@dataclass(slots=True)
class Host:
    """One host: its latest snapshot, where from, when it was sealed (on the clock of `now`), and what was counted."""

    snapshot: Snapshot
    endpoint: str
    sealed_at: float
    received: int = 1
    lost: int = 0
    rival_until: float = -math.inf
    """Until when another collector is held to publish under this host's name."""

    _earlier_run: str = ""

    def age_seconds(self, now: float) -> float:
        """Return how long ago the latest snapshot was sealed."""
        return now - self.sealed_at

    def is_followed_by(self, snapshot: Snapshot, sealed_at: float) -> bool:
        """Return whether a snapshot is news: neither a repeat, as a welcome is after a reconnect, nor of a run that was
        over when the latest was sealed, as a path that lags may bring it."""
        if snapshot.run_id == self.snapshot.run_id:
            return snapshot.sequence > self.snapshot.sequence
        return sealed_at >= self.sealed_at

    def replace(self, snapshot: Snapshot, endpoint: str, arrived: float) -> int:
        """Take the next snapshot; the sequence numbers between are lost: return how many."""
        lost = 0
        if snapshot.run_id == self.snapshot.run_id:
            lost = snapshot.sequence - self.snapshot.sequence - 1
        else:
            self._note_run(snapshot.run_id, arrived)
        self.received += 1
        self.lost += lost
        self.snapshot, self.endpoint, self.sealed_at = snapshot, endpoint, arrived - snapshot.held_seconds
        return lost

    def is_aged_by(self, repeat: Snapshot, sealed_at: float) -> bool:
        """Take from a repeat of the latest snapshot that it is older than we thought, and return whether it is."""
        is_same = (repeat.run_id, repeat.sequence) == (self.snapshot.run_id, self.snapshot.sequence)
        if not is_same or sealed_at >= self.sealed_at:
            return False
        self.sealed_at = sealed_at
        return True

    def _note_run(self, run_id: str, now: float) -> None:
        """A collector that was started anew never speaks as before; two that take turns do."""
        if run_id == self._earlier_run:
            if now >= self.rival_until:
                _log.warning(
                    "two collectors call themselves %s: give each a GPU_METRICS_HOST of its own", self.snapshot.host
                )
            self.rival_until = now + RIVAL_SECONDS
        self._earlier_run = self.snapshot.run_id


@dataclass(slots=True)
class Cache:
    """All hosts that were heard, by name. `stale_after_setting` of 0 leaves it to each snapshot."""

    endpoints: tuple[str, ...]
    stale_after_setting: float = 0.0
    hosts: dict[str, Host] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)
    """Called with every snapshot that is news, when it was sealed, and whether another collector has its name."""

    version: int = 0
    """Grows with every snapshot that is news or turns out to be older, and with every endpoint heard at last."""

    _heard: set[str] = field(default_factory=set)
    _lost: Seldom = field(default_factory=Seldom)
    _refused: Seldom = field(default_factory=Seldom)

    def accept(self, endpoint: str, snapshot: Snapshot, arrived: float) -> bool:
        """Keep a snapshot that is news and return whether it was. `arrived` is the earliest moment at which it may have
        arrived."""
        if endpoint not in self._heard:
            self._heard.add(endpoint)
            self.version += 1
        host = self.hosts.get(snapshot.host)
        sealed_at = arrived - snapshot.held_seconds
        if host is None:
            if len(self.hosts) >= MAX_HOSTS:
                self._refuse(endpoint, snapshot.host, arrived)
                return False
            host = self.hosts[snapshot.host] = Host(snapshot, endpoint, sealed_at)
        elif host.is_followed_by(snapshot, sealed_at):
            self._log_lost(snapshot.host, host.replace(snapshot, endpoint, arrived), arrived)
        else:
            self.version += host.is_aged_by(snapshot, sealed_at)
            return False
        self.version += 1
        for tell in self.listeners:
            tell(snapshot, host.sealed_at, has_rival=arrived < host.rival_until)
        return True

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
