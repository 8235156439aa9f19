"""The history: what was news, for as long and as far back as the settings admit, in the order of its arrival. Pure: no
I/O, and the clock is passed in.

Each host's snapshots stand in blocks. A block is dropped as a whole, and always the one whose newest snapshot arrived
before those of all others: because it is too old, or because there is no more memory for it.
"""

import math
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from functools import lru_cache
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from api.history.blocks import MOST_SNAPSHOTS, Block, Kept, Lineup
from api.history.series import HistoryQuery, Selected
from common.snapshot import Snapshot

_LEAST_BLOCKS = 16
"""A block is full when it has grown to this part of all memory, however few its snapshots: one that is dropped must
not be all there is."""


_UNPACKED_BLOCKS = 16
"""The sealed blocks that replays read last, kept unpacked for their next steps, beside the memory that is reckoned."""


class _Place(NamedTuple):
    """Where a snapshot is, and its number."""

    arrival: int
    block: Block
    row: int


class History:
    """The snapshots of all hosts, for `seconds` after they were sealed, in `megabytes` (of 2^20 bytes) in all.

    What is kept for longer is the rest of its block: at most `MOST_SNAPSHOTS` of a host, of at most half as many
    `seconds`. Snapshots are numbered in the order of their arrival: 1, 2, ..., over all hosts.
    """

    def __init__(self, seconds: float, megabytes: float) -> None:
        self._seconds = seconds
        self._most_bytes = megabytes * 2**20
        self._latest_arrival = 0
        self._now = -math.inf
        self._size_bytes = 0
        self._hosts: OrderedDict[str, list[Block]] = OrderedDict()
        """By host, who spoke last at the end; each host's blocks in the order of arrival, of which the last is open."""

        self._blocks: OrderedDict[Block, None] = OrderedDict()
        """All blocks, in the order of the arrival of their newest snapshots."""

        self._runs: dict[str, dict[Block, None]] = {}
        """By `run_id`."""

        self._unpacked = lru_cache(_UNPACKED_BLOCKS)(Block.unpacked)

    @property
    def size_bytes(self) -> int:
        """The memory that the history takes, as it reckons."""
        return self._size_bytes

    @property
    def latest_arrival(self) -> int:
        """The number of the snapshot that was added last, whether or not it is still kept; 0: none ever was."""
        return self._latest_arrival

    def add(self, snapshot: Snapshot, sealed_at: float) -> int:
        """Keep a snapshot that is news and was sealed at that moment of the monotonic clock, drop what must go for it,
        and return its number. One that is larger than all memory there may be is not kept."""
        self._latest_arrival += 1
        before = self._size_bytes
        block = self._open_block(snapshot, sealed_at)
        self._size_bytes -= block.size_bytes
        block.append(snapshot, self._latest_arrival, sealed_at)
        self._size_bytes += block.size_bytes
        self._blocks.move_to_end(block)
        self._hosts.move_to_end(snapshot.host)
        if self._size_bytes - before > self._most_bytes:
            self._drop(block)
        self._now = max(self._now, sealed_at)
        self.forget(self._now)
        return self._latest_arrival

    def forget(self, now: float) -> None:
        """Drop what is too old at that moment of the clock of `sealed_at`, and what there is no memory for."""
        while self._blocks:
            oldest = next(iter(self._blocks))
            is_old = oldest.newest_sealed_at < now - self._seconds
            if not is_old and self._size_bytes <= self._most_bytes:
                return
            self._drop(oldest)

    def arrival_of(self, run_id: str, sequence: int) -> int | None:
        """Return the number of a run's snapshot with that sequence number, the least if there are several; None: it is
        not kept."""
        numbers = (block.arrival_of(sequence) for block in self._runs.get(run_id, ()))
        return next((number for number in numbers if number is not None), None)

    def after(self, arrival: int, only: str | None = None) -> Iterator[Kept]:
        """Yield the snapshots with greater numbers, of all hosts or one, in the order of arrival, until there are no
        more.

        Snapshots may be added and dropped in the meantime: those added are yielded in their turn; a number that is
        left out is of one that was dropped. Begun anew after the last number, it goes on where it ended.
        """
        while waiting := self._waiting(arrival, only):
            until = self._latest_arrival
            while waiting:
                number, host = heappop(waiting)
                found = self._find(host, number - 1)
                if found is not None and found.arrival == number:
                    yield self._kept(found)
                    arrival = number
                    found = self._find(host, number)
                if found is not None and found.arrival <= until:
                    heappush(waiting, (found.arrival, host))

    def select(self, query: HistoryQuery, now: float) -> Selected:
        """Choose what answers a query, as it is at this moment; `Selected.body` makes the answer of it.

        Raises:
            TooMuch: the answer would be beyond the limits.
        """
        self.forget(now)
        names = sorted(self._hosts) if query.host is None else [query.host]
        return Selected(query, {name: self._hosts[name] for name in names if name in self._hosts})

    def _open_block(self, snapshot: Snapshot, sealed_at: float) -> Block:
        blocks = self._hosts.setdefault(snapshot.host, [])
        lineup = blocks[-1].lineup if blocks and blocks[-1].lineup.fits(snapshot) else None
        if lineup is not None and not self._is_full(blocks[-1], sealed_at):
            return blocks[-1]
        if blocks:
            self._seal(blocks[-1])
        block = Block(lineup or Lineup(snapshot))
        self._take(block)
        return block

    def _is_full(self, block: Block, sealed_at: float) -> bool:
        return (
            len(block) >= MOST_SNAPSHOTS
            or block.spans(sealed_at) > self._seconds / 2
            or block.grown_bytes > self._most_bytes / _LEAST_BLOCKS
        )

    def _take(self, block: Block) -> None:
        lineup = block.lineup
        self._size_bytes += block.size_bytes + (0 if lineup.blocks else lineup.size_bytes)
        lineup.blocks += 1
        self._blocks[block] = None
        self._hosts[lineup.host].append(block)
        self._runs.setdefault(lineup.run_id, {})[block] = None

    def _drop(self, block: Block) -> None:
        lineup = block.lineup
        lineup.blocks -= 1
        self._size_bytes -= block.size_bytes + (0 if lineup.blocks else lineup.size_bytes)
        del self._blocks[block], self._runs[lineup.run_id][block]
        if not self._runs[lineup.run_id]:
            del self._runs[lineup.run_id]
        self._hosts[lineup.host].remove(block)
        if not self._hosts[lineup.host]:
            del self._hosts[lineup.host]

    def _seal(self, block: Block) -> None:
        self._size_bytes -= block.size_bytes
        block.seal()
        self._size_bytes += block.size_bytes

    def _waiting(self, arrival: int, only: str | None) -> list[tuple[int, str]]:
        """Return, as a heap, the next number after that of each host that has one."""
        if only is not None:
            found = self._find(only, arrival)
            return [] if found is None else [(found.arrival, only)]
        waiting = []
        for host, blocks in reversed(self._hosts.items()):
            if blocks[-1].newest_arrival <= arrival:
                break
            if found := self._find(host, arrival):
                waiting.append((found.arrival, host))
        heapify(waiting)
        return waiting

    def _kept(self, found: _Place) -> Kept:
        block = found.block
        return block.kept(found.row, self._unpacked(block) if block.is_sealed else (block.envelope, block.gpus))

    def _find(self, host: str, arrival: int) -> _Place | None:
        """Return where the host's first snapshot with a greater number is; None: it has none."""
        blocks = self._hosts.get(host, [])
        place = bisect_right(blocks, arrival, key=lambda block: block.newest_arrival)
        if place == len(blocks):
            return None
        row = blocks[place].row_after(arrival)
        return _Place(blocks[place].arrivals[row], blocks[place], row)
