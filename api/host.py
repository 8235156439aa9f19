"""One host as it was heard: its latest snapshot, when that was sealed, what was lost, how its clock differs. Pure.

A snapshot's age is how long the publisher had held it when it sent it, and the time since it arrived. Neither a wall
clock nor a repeat ever makes one younger; a repeat that was held for longer than we thought makes it older.
"""

import math
from collections import deque
from dataclasses import dataclass, field

from common.snapshot import Snapshot

_CLOCK_SAMPLES = 16
"""Snapshots by which a host's clock is judged: of these, the one that was quickest here tells the truth."""

_EARLIER_RUNS = 8


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

    began_at: float = 0.0
    """When the latest run's first snapshot was sealed."""

    _earlier_runs: deque[str] = field(default_factory=lambda: deque(maxlen=_EARLIER_RUNS))
    _clock: deque[float] = field(default_factory=lambda: deque(maxlen=_CLOCK_SAMPLES))

    def __post_init__(self) -> None:
        self.began_at = self.sealed_at

    @property
    def clock_offset_seconds(self) -> float | None:
        """How far its wall clock is ahead of ours; too small by the time that its snapshots take to get here. None:
        not known."""
        return max(self._clock, default=None)

    def age_seconds(self, now: float) -> float:
        """Return how long ago the latest snapshot was sealed."""
        return now - self.sealed_at

    def has_said(self, snapshot: Snapshot, sealed_at: float) -> bool:
        """Return whether a snapshot is no news: a repeat, as a welcome is after a reconnect, or of a run that was over
        when the latest was sealed, as a path that lags may bring it."""
        if snapshot.run_id == self.snapshot.run_id:
            return snapshot.sequence <= self.snapshot.sequence
        return sealed_at < self.sealed_at

    def is_same(self, run_id: str, endpoint: str) -> bool:
        """Return whether a run is the same collector's: the run that we know, or a new one where we heard that. A
        collector that was started anew never speaks as before; two that take turns do."""
        if run_id == self.snapshot.run_id:
            return True
        return endpoint == self.endpoint and run_id not in self._earlier_runs

    def replace(self, snapshot: Snapshot, endpoint: str, sealed_at: float) -> int:
        """Take the next snapshot; the sequence numbers between are lost: return how many."""
        lost = 0
        if snapshot.run_id == self.snapshot.run_id:
            lost = snapshot.sequence - self.snapshot.sequence - 1
        else:
            self._earlier_runs.append(self.snapshot.run_id)
            self._clock.clear()
            self.began_at = sealed_at
        self.received += 1
        self.lost += lost
        self.snapshot, self.endpoint, self.sealed_at = snapshot, endpoint, sealed_at
        return lost

    def is_aged_by(self, repeat: Snapshot, sealed_at: float) -> bool:
        """Take from a repeat of the latest snapshot that it is older than we thought, and return whether it is."""
        is_repeat = (repeat.run_id, repeat.sequence) == (self.snapshot.run_id, self.snapshot.sequence)
        if not is_repeat or sealed_at >= self.sealed_at:
            return False
        self.sealed_at = sealed_at
        return True

    def compare_clocks(self, unix_seconds: float) -> None:
        """Judge the host's clock by the latest snapshot, which has just arrived at that time of ours."""
        self._clock.append(self.snapshot.sampled_at_ns / 1e9 + self.snapshot.held_seconds - unix_seconds)
