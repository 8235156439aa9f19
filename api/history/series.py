"""What the history answers: each reading of each GPU over time. Pure.

`Selected` is made on the thread that adds to the history: it takes references to what there is, and refuses what would
be too much. `Selected.body` may run on another thread, while more is added and what was taken is dropped.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from api.history.blocks import Block
from api.history.moments import NANOSECONDS, Moments, Part, Steps, Values, moments, steps
from common.gpu import NUMERIC

MOST_TIMESTAMPS = 10_000
MOST_VALUES = 500_000

MOST_READ = 20_000_000
"""Values to read for one answer, which with a step may have far fewer."""

MOST_STEP_SECONDS = 1e9


class TooMuch(Exception):  # noqa: N818 -- it is raised as it reads
    """A query asks for more than one answer may hold; the message says how much, and how to ask for less."""

    def __init__(self, count: int, what: str, most: int) -> None:
        super().__init__(
            f"that would be up to {count} {what}, of which an answer may have {most}: "
            "narrow it by reading, gpu, host, since, until or step"
        )


class HistoryQuery(Struct, frozen=True, kw_only=True):
    """What is asked for: GPUs by uuid, readings by name, one host (None: all of each); from `since` to `until`,
    inclusive (Unix seconds; None: without end); and means over so many seconds (None: each sample by itself).

    Raises:
        ValueError: a reading is no number of the catalogue, or the step is not above 0 and at most 10^9 seconds.
    """

    gpus: tuple[str, ...] | None = None
    readings: tuple[str, ...] | None = None
    host: str | None = None
    since: float | None = None
    until: float | None = None
    step: float | None = None

    def __post_init__(self) -> None:
        for name in self.readings or ():
            if name not in NUMERIC:
                raise ValueError(f"reading: {name!r} is none that is a number")
        if self.step is not None and not 0 < self.step <= MOST_STEP_SECONDS:
            raise ValueError(f"step: {self.step} is not above 0 and at most {MOST_STEP_SECONDS:.0f} seconds")

    @property
    def step_ns(self) -> int | None:
        """The step in nanoseconds, at least one."""
        return None if self.step is None else max(1, round(self.step * NANOSECONDS))

    def admits(self, sampled_at_ns: int) -> bool:
        """Return whether a time lies between `since` and `until`. It is compared as an answer's timestamp would tell
        it, so that a timestamp from an answer includes its own sample."""
        at = sampled_at_ns / NANOSECONDS
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)


class Series(Struct, frozen=True):
    """One reading of one GPU on one host, a value for each timestamp: null where the host has no sample of that GPU at
    that time, or the reading was not taken."""

    host: str
    uuid: str
    reading: str
    values: Values


class HistoryBody(Struct, frozen=True):
    """The body of `GET /api/v1/monitoring/history`.

    Without a step, `timestamps` (Unix seconds, ascending) are when those hosts took samples that have any of the GPUs
    asked for. With a step, they are its multiples, each naming the START of its step, without a gap from that of the
    first sample to that of the last; the value at t is the mean of those from t to before t + step, for counters too.

    Of readings that were not asked for by name, those without any value have no series; GPUs without a uuid never do.
    """

    timestamps: list[float]
    series: list[Series]


class Selected:
    """What answers a query, as it was when it was chosen."""

    def __init__(self, query: HistoryQuery, blocks: Mapping[str, Iterable[Block]]) -> None:
        """Choose among the blocks of each host.

        Raises:
            TooMuch: the answer would be beyond the limits.
        """
        self._query = query
        self._readings = tuple(dict.fromkeys(NUMERIC if query.readings is None else query.readings))
        uuids = None if query.gpus is None else frozenset(query.gpus)
        hosts = {host: [part for block in of if (part := _part(query, uuids, block))] for host, of in blocks.items()}
        self._hosts = {host: parts for host, parts in hosts.items() if any(part.gpus for part in parts)}
        self._parts = [part for parts in self._hosts.values() for part in parts]
        self._refuse_too_much()

    def body(self) -> HistoryBody:
        """Return the answer: series by host as they were given, GPU in the order of appearance, and reading as asked
        for or else in the catalogue's order.

        Raises:
            TooMuch: all readings are asked for, and those that have values are beyond the limit.
        """
        step_ns, admits = self._query.step_ns, self._query.admits
        scale = Moments(self._parts, admits) if step_ns is None else Steps(self._parts, admits, step_ns)
        series: list[Series] = []
        for host, parts in self._hosts.items():
            for uuid, placed in _placed(parts, scale).items():
                for reading in self._readings:
                    values = scale.values(placed, reading)
                    if self._query.readings is not None or any(value is not None for value in values):
                        series.append(Series(host, uuid, reading, values))
                _refuse(len(series) * len(scale.timestamps), "values", MOST_VALUES)
        return HistoryBody(scale.timestamps, series)

    def _refuse_too_much(self) -> None:
        read = sum(part.rows * len(part.gpus) for part in self._parts) * len(self._readings)
        uuids = sum(len({uuid for part in parts for uuid, _ in part.gpus}) for parts in self._hosts.values())
        timestamps = self._count_timestamps(uuids)
        _refuse(timestamps, "timestamps", MOST_TIMESTAMPS)
        if self._query.readings is not None:
            _refuse(uuids * len(self._readings) * timestamps, "values", MOST_VALUES)
        _refuse(read, "values to make it of", MOST_READ)

    def _count_timestamps(self, uuids: int) -> int:
        """Return how many timestamps there are, or at most are, if those are not too many."""
        if self._query.step_ns is not None:
            return steps(self._parts, self._query.step_ns)
        samples = sum(part.admitted for part in self._parts)
        if samples <= MOST_TIMESTAMPS and samples * uuids * len(self._readings) <= MOST_VALUES:
            return samples
        distinct = moments(self._parts, self._query.admits, MOST_TIMESTAMPS)
        return distinct if distinct <= MOST_TIMESTAMPS else samples


def _part(query: HistoryQuery, uuids: frozenset[str] | None, block: Block) -> Part | None:
    """Return what of a block is asked for; None: nothing."""
    rows, earliest, latest = len(block), block.earliest_ns, block.latest_ns
    if (query.since is not None and latest / NANOSECONDS < query.since) or (
        query.until is not None and earliest / NANOSECONDS > query.until
    ):
        return None
    gpus = [
        (uuid, columns)
        for uuid, columns in zip(block.lineup.uuids, block.gpus, strict=True)
        if uuid is not None and (uuids is None or uuid in uuids)
    ]
    part = Part(block.envelope, gpus, rows, rows, earliest, latest)
    if query.admits(earliest) and query.admits(latest):
        return part
    times = [at for at in part.times() if query.admits(at)]
    return part._replace(admitted=len(times), earliest_ns=min(times), latest_ns=max(times)) if times else None


def _placed(parts: list[Part], scale: Moments | Steps) -> dict[str, list[tuple[Any, Any]]]:
    """Return, by uuid, where the rows of each part that has the GPU stand, and the GPU's columns."""
    placed: dict[str, list[tuple[Any, Any]]] = {}
    for part in parts:
        places = scale.places(part)
        for uuid, columns in part.gpus:
            placed.setdefault(uuid, []).append((places, columns))
    return placed


def _refuse(count: int, what: str, most: int) -> None:
    if count > most:
        raise TooMuch(count, what, most)
