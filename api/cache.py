"""What was heard: each host's latest snapshot, when it arrived, and how old that makes it. Pure: `now` is passed in.

A snapshot's age is how long the publisher had held it when it sent it, and the time since it arrived. Neither a wall
clock nor a repeat ever makes one younger.
"""

from dataclasses import dataclass, field

from common.snapshot import Snapshot

STALE_INTERVALS = 2.5
LEAST_STALE_SECONDS = 2.0
MAX_HOSTS = 10_000
"""Hosts that are kept; more could only come from a peer that invents names."""


@dataclass(slots=True)
class Host:
    """One host: its latest snapshot, where from and when (`now` of its arrival), and what was counted."""

    snapshot: Snapshot
    endpoint: str
    arrived: float
    received: int = 1
    lost: int = 0

    def age_seconds(self, now: float) -> float:
        """Return how long ago the latest snapshot was sealed."""
        return self.snapshot.held_seconds + now - self.arrived

    def follows(self, snapshot: Snapshot) -> bool:
        """Return whether a snapshot is news, not a repeat: a welcome that comes again after a reconnect is one."""
        return snapshot.run_id != self.snapshot.run_id or snapshot.sequence > self.snapshot.sequence

    def replace(self, snapshot: Snapshot, endpoint: str, now: float) -> None:
        """Take the next snapshot; the sequence numbers between are lost."""
        if snapshot.run_id == self.snapshot.run_id:
            self.lost += snapshot.sequence - self.snapshot.sequence - 1
        self.received += 1
        self.snapshot, self.endpoint, self.arrived = snapshot, endpoint, now


@dataclass(slots=True)
class Cache:
    """All hosts that were heard, by name. `stale_after_setting` of 0 leaves it to each snapshot."""

    endpoints: tuple[str, ...]
    stale_after_setting: float = 0.0
    hosts: dict[str, Host] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    version: int = 0
    """Grows with every snapshot that is news, and with every endpoint that is heard at last."""

    _heard: set[str] = field(default_factory=set)

    def accept(self, endpoint: str, snapshot: Snapshot, now: float) -> bool:
        """Keep a snapshot that is news and return whether it was."""
        if endpoint not in self._heard:
            self._heard.add(endpoint)
            self.version += 1
        host = self.hosts.get(snapshot.host)
        if host is None:
            if len(self.hosts) >= MAX_HOSTS:
                self.reject(endpoint)
                return False
            self.hosts[snapshot.host] = Host(snapshot, endpoint, now)
        elif host.follows(snapshot):
            host.replace(snapshot, endpoint, now)
        else:
            return False
        self.version += 1
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
