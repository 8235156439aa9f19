"""What is asked of one GPU in the next sample: everything that changes, a little of what hardly does, and nothing that
the GPU was found not to have."""

import sys
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from math import inf
from typing import Any, NamedTuple

from collector.nvml import codes
from collector.nvml.library import Library, Question
from collector.nvml.sheet import FIELD_VALUES, Sheet
from collector.nvml.table import FIELDS, PCIE_THROUGHPUT_READS, READS, Field, Given, Read
from collector.nvml.xid import Heard

RARE_SECONDS = 300.0
"""How often what hardly changes is asked for."""

RARE_CALLS = 3
"""At most so many calls of that kind in one sample, except in the first."""

ASK_AGAIN_SECONDS = 3600.0
"""For how long a reading that a GPU does not support, or may not show, is not asked for."""

MOST_CALLS = 30
"""So many calls on one GPU a sample makes at most, except its first: each is the driver's time, and GPUs are many."""

FINDING_CALLS = 3
"""Of these, what listing the GPUs anew takes for each: its handle, its uuid, and to hear its errors if that failed."""

UNLIMITED = sys.maxsize
"""The room that there is in the first sample of a GPU, which asks for everything."""

Key = tuple[str, tuple[int, ...]]
PROCESSES: Key = "processes", ()
"""What is no row of the table, but can be as silent."""
Take = tuple[str, int, Callable[[int], Any] | None]
"""A reading, the largest value of it that can be true, and what is made of the value (None: it is the reading)."""


class Asked(NamedTuple):
    """What every GPU is asked for, by the settings: calls and fields of the table, and whether its processes; and why
    the other readings are not there."""

    reads: tuple[Read, ...]
    fields: tuple[Field, ...]
    processes: bool
    left_out: dict[str, str]


def asked(*, processes: bool, pcie_throughput: bool) -> Asked:
    """Return what is asked for by these settings."""
    left_out = [] if processes else ["processes"]
    left_out += [] if pcie_throughput else [reading for read in PCIE_THROUGHPUT_READS for reading in readings(read)]
    reads = (*READS, *PCIE_THROUGHPUT_READS) if pcie_throughput else READS
    return Asked(reads, FIELDS, processes, dict.fromkeys(left_out, codes.NOT_COLLECTED_REASON))


class Silence(NamedTuple):
    """Something that is not asked for until then, and why."""

    until: float
    code: int


class Memory:
    """What is remembered of one GPU from sample to sample, whatever handle it had."""

    def __init__(self) -> None:
        self.silences: dict[Key, Silence] = {}
        self.due: dict[Key, float] = {}
        """When each rare row of the table is to be asked next."""
        self.kept: dict[str, Any] = {}
        self.kept_reasons: dict[str, str] = {}
        """What the rare rows gave when they were asked last, by reading."""
        self.lost_since_ns: int | None = None
        """When it was first found lost, Unix time in nanoseconds; None as long as it is not."""
        self.heard = Heard()
        """The XID errors since the collector started; nothing resets them."""
        self.reported_error: str | None = None
        self.reported: dict[str, str] = {}
        """What the log was last told of the GPU as a whole, and of readings while it answered."""

    def forget_answers(self) -> None:
        """The driver is a new one, or the GPU was gone: ask for everything again."""
        for answers in (self.silences, self.due, self.kept, self.kept_reasons):
            answers.clear()

    def keep(self, row: Read | Field, values: dict[str, Any], unavailable: dict[str, str], now: float) -> None:
        """Keep what a rare row has just given, until it is asked again; at once if it failed for a passing cause."""
        for reading in readings(row):
            self.kept.pop(reading, None)
            self.kept_reasons.pop(reading, None)
            if reading in values:
                self.kept[reading] = values[reading]
            else:
                self.kept_reasons[reading] = unavailable[reading]
        has_failed = any(unavailable.get(reading, "").startswith("error") for reading in readings(row))
        silence = self.silences.get(row.key)
        silent_until = silence.until if silence else now
        self.due[row.key] = max(silent_until, now if has_failed else now + RARE_SECONDS)


class Plan(NamedTuple):
    """The calls; the sheet that they fill in; what is taken from its values, one by one; which of these each call
    gives; the row that each reading comes from; the rare rows; why other readings are not asked for; how many other
    calls on the GPU the sample has room for; and when to plan anew."""

    questions: list[Question]
    sheet: Sheet
    takes: list[Take]
    spans: list[slice]
    rows: dict[str, Read | Field]
    rare: list[Read | Field]
    silent: dict[str, str]
    room: int
    until: float


class Planner:
    """Makes the plans for one GPU."""

    def __init__(self, library: Library, index: int, handle: Any, memory: Memory, rows: Sequence[Read | Field]) -> None:
        self._library = library
        self._index = index
        self._handle = handle
        self._memory = memory
        self._rows = rows

    def plan(self, now: float, others: int) -> Plan:
        """Return what to ask at this moment, in a sample that makes so many other calls on the GPU."""
        is_first = not self._memory.due
        rows, silent = self._due_rows(now)
        if not is_first:
            rows = self._few_enough(rows, others)
        reads = [row for row in rows if isinstance(row, Read)]
        fields = [row for row in rows if isinstance(row, Field)]
        sheet = Sheet(reads, fields)
        questions = [
            self._question(read.function, *read.arguments, *outputs)
            for read, outputs in zip(reads, sheet.outputs, strict=True)
        ]
        given = [list(read.gives) for read in reads]
        if fields:
            questions.append(self._question(FIELD_VALUES, *sheet.field_outputs))
            given.append([field.gives for field in fields])
        owners = {reading: row for row in rows for reading in readings(row)}
        reasons = {reading: reason for reading, reason in silent.items() if reading not in owners}
        rare = [row for row in rows if row.is_rare]
        room = UNLIMITED if is_first else MOST_CALLS - FINDING_CALLS - len(questions)
        until = now if rare else self._next_due(now)
        return Plan(questions, sheet, _takes(given), _spans(given), owners, rare, reasons, room, until)

    def _question(self, function: str, *arguments: Any) -> Question:
        return self._library.question(function, self._index, self._handle, *arguments)

    def _next_due(self, now: float) -> float:
        ends = [silence.until for silence in self._memory.silences.values() if silence.until > now]
        return min([*self._memory.due.values(), *ends], default=inf)

    def _due_rows(self, now: float) -> tuple[list[Read | Field], dict[str, str]]:
        """Return the rows to ask, and why the readings of others are not there."""
        rows: list[Read | Field] = []
        silent = dict(self._memory.kept_reasons)
        for wanted in self._rows:
            row = self._known(wanted)
            if row is not wanted:
                silent |= dict.fromkeys(readings(wanted), codes.UNSUPPORTED_REASON)
            silence = self._memory.silences.get(row.key)
            if silence is not None and now < silence.until:
                silent |= dict.fromkeys(readings(row), codes.reason(silence.code))
            elif not row.is_rare or self._memory.due.get(row.key, 0.0) <= now:
                rows.append(row)
        return rows, silent

    def _few_enough(self, rows: list[Read | Field], others: int) -> list[Read | Field]:
        """Leave out the rare calls that are too many for one sample: those that were due first are made."""
        reads = [row for row in rows if isinstance(row, Read)]
        rare = sorted((row for row in reads if row.is_rare), key=lambda row: self._memory.due.get(row.key, 0.0))
        has_fields = len(reads) < len(rows)
        # One call is left for what is asked part by part, or it would wait for as long as these are due.
        room = MOST_CALLS - FINDING_CALLS - others - (len(reads) - len(rare)) - has_fields - 1
        too_many = {row.key for row in rare[max(1, min(RARE_CALLS, room)) :]}
        return [row for row in rows if row.key not in too_many]

    def _known(self, row: Read | Field) -> Read | Field:
        """Return the row, or the one that stands in for it where the driver has no such call."""
        if isinstance(row, Field) or row.instead is None:
            return row
        silence = self._memory.silences.get(row.key)
        return row.instead if silence and silence.code in codes.UNSUPPORTED else row


def _takes(given: list[list[Given]]) -> list[Take]:
    return [(one.reading, one.ceiling, one.convert) for several in given for one in several]


def _spans(given: list[list[Given]]) -> list[slice]:
    ends = [0, *accumulate(map(len, given))]
    return [slice(*span) for span in pairwise(ends)]


def readings(row: Read | Field) -> list[str]:
    """Return the names of the readings that a row of the table gives."""
    return [row.gives.reading] if isinstance(row, Field) else [given.reading for given in row.gives]
