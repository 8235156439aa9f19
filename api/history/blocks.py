"""A block: a stretch of one host's history, while the same GPUs were there in the same order. Pure."""

from array import array
from bisect import bisect_right
from typing import NamedTuple

import msgspec

from api.history.columns import Columns, whole_bytes, whole_of
from common.gpu import Gpu
from common.snapshot import Snapshot

MOST_SNAPSHOTS = 64
"""In one block. More would take less memory each; but the open block of each host, which is what takes most, would
grow, and more would be dropped at once."""

_LINEUP_BYTES = 600
_BLOCK_BYTES = 1500
_SNAPSHOT_BYTES = 18
"""What there is beside rows and columns: objects, their places in the history, and of each snapshot two numbers."""

Readable = tuple[Columns[Snapshot], list[Columns[Gpu]]]
"""Of a block: the columns of the snapshots without their GPUs, and those of each GPU."""


class Kept(NamedTuple):
    """A snapshot from the history, its number in the order of arrival, and when it was sealed (on the clock of the
    cache)."""

    arrival: int
    snapshot: Snapshot
    sealed_at: float


class Lineup:
    """The GPUs of one run of one host, in their order, and what all its blocks share: the first of its snapshots whole,
    part by part. `blocks` is how many blocks share it."""

    __slots__ = ("blocks", "envelope", "gpus", "host", "run_id", "size_bytes", "uuids")

    def __init__(self, snapshot: Snapshot) -> None:
        self.host = snapshot.host
        self.run_id = snapshot.run_id
        self.uuids = [gpu.uuid for gpu in snapshot.gpus]
        self.blocks = 0
        self.envelope = whole_of(_envelope(snapshot))
        self.gpus = []
        self.size_bytes = _LINEUP_BYTES + whole_bytes(self.envelope)
        like = None
        for gpu in snapshot.gpus:
            whole = whole_of(gpu, like)
            self.gpus.append(whole)
            self.size_bytes += 16 + whole_bytes(whole, like)
            like = whole

    def fits(self, snapshot: Snapshot) -> bool:
        """Return whether a snapshot has the same GPUs, in the same order, and is of the same run."""
        return snapshot.run_id == self.run_id and [gpu.uuid for gpu in snapshot.gpus] == self.uuids


class Block:
    """Snapshots of one lineup, in the order of their arrival; none is dropped alone. Never empty but when made."""

    def __init__(self, lineup: Lineup) -> None:
        self.lineup = lineup
        self.envelope = Columns(Snapshot, lineup.envelope)
        self.gpus = [Columns(Gpu, whole) for whole in lineup.gpus]
        self.arrivals = array("q")
        self._sealed_at = array("d")
        self.earliest_ns = self.latest_ns = 0
        """The least and the greatest time of sampling, Unix time in nanoseconds; clocks may be set back."""

        self._sequences = range(0)
        self._first_bytes = 0
        self.is_sealed = False

    def __len__(self) -> int:
        return len(self.arrivals)

    @property
    def size_bytes(self) -> int:
        """The memory that the block takes, without its lineup."""
        columns = self.envelope.size_bytes + sum([gpu.size_bytes for gpu in self.gpus])
        return _BLOCK_BYTES + _SNAPSHOT_BYTES * len(self.arrivals) + columns

    @property
    def grown_bytes(self) -> int:
        """The memory that the block takes for all snapshots but the first."""
        return self.size_bytes - self._first_bytes

    @property
    def newest_arrival(self) -> int:
        """The number of the latest snapshot."""
        return self.arrivals[-1]

    @property
    def newest_sealed_at(self) -> float:
        """When the latest snapshot was sealed."""
        return self._sealed_at[-1]

    def spans(self, sealed_at: float) -> float:
        """Return how many seconds before that moment the first snapshot was sealed."""
        return sealed_at - self._sealed_at[0]

    def append(self, snapshot: Snapshot, arrival: int, sealed_at: float) -> None:
        """Add a snapshot of the block's lineup."""
        sampled_at, first = snapshot.sampled_at_ns, not self.arrivals
        self.envelope.append(_envelope(snapshot))
        for columns, gpu in zip(self.gpus, snapshot.gpus, strict=True):
            columns.append(gpu)
        self._sealed_at.append(sealed_at)
        self.arrivals.append(arrival)
        self.earliest_ns = sampled_at if first else min(sampled_at, self.earliest_ns)
        self.latest_ns = sampled_at if first else max(sampled_at, self.latest_ns)
        self._sequences = range(snapshot.sequence if first else self._sequences.start, snapshot.sequence + 1)
        if first:
            self._first_bytes = self.size_bytes

    def seal(self) -> None:
        """Take less memory from now on; nothing more can be added."""
        self.is_sealed = True
        self.envelope = self.envelope.sealed()
        self.gpus = [columns.sealed() for columns in self.gpus]

    def arrival_of(self, sequence: int) -> int | None:
        """Return the number of the snapshot with that sequence number; None: it is not in this block."""
        if sequence not in self._sequences:
            return None
        sequences = self.envelope.column("sequence", 0, len(self))
        return self.arrivals[sequences.index(sequence)] if sequence in sequences else None

    def row_after(self, arrival: int) -> int:
        """Return the row of the first snapshot with a greater number; the block's length, if there is none."""
        return bisect_right(self.arrivals, arrival)

    def unpacked(self) -> Readable:
        """Return what `kept` reads, so that it is quick for many rows, as the sealed block is not."""
        return self.envelope.unpacked(), [columns.unpacked() for columns in self.gpus]

    def kept(self, row: int, readable: Readable) -> Kept:
        """Return the snapshot of a row, whole."""
        envelope, gpus = readable
        snapshot = msgspec.structs.replace(envelope.row(row), gpus=[columns.row(row) for columns in gpus])
        return Kept(self.arrivals[row], snapshot, self._sealed_at[row])


def _envelope(snapshot: Snapshot) -> Snapshot:
    return msgspec.structs.replace(snapshot, gpus=[])
