"""Many rows of one type, of each field only what changed from row to row. Pure.

Values are of their field's type, as decoding a message makes sure: the type says how a field is kept.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from functools import cache, partial
from itertools import chain, compress, repeat
from operator import ne
from sys import getsizeof
from types import NoneType
from typing import Any, Generic, NamedTuple, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Struct

from api.history.runs import MOST_ROWS, Codec, Encoded, Floats, Integers, Runs, Sealed

Row = TypeVar("Row", bound=Struct)

Cells = tuple[Any, ...]
"""A row's values, in the order of its type's fields."""

# msgpack ends at 64 bits; JSON does not.
_BEYOND_64_BITS = Codec(msgspec.json.encode, msgspec.json.Decoder(int | None).decode)

_BARE_BYTES = 300
"""What `Columns` without rows take, beside a place for each of the latest row's values."""

_BEGUN_BYTES = 300
"""What the first change of a field costs beside the change: the objects of its runs, and its place in a dict."""


class Columns(Generic[Row]):
    """Up to `MOST_ROWS` rows of one type, numbered from 0.

    `whole` is the row that the first is compared with, by default the first itself: given one that it resembles, what
    they have in common is kept once for both. `size_bytes` is the memory that the rows take, without `whole`.

    While rows are added, another thread may read the columns of those that were there before.
    """

    __slots__ = ("_last", "_layout", "_open", "_rows", "_runs", "_whole", "size_bytes")

    def __init__(self, kind: type[Row], whole: Cells | None = None) -> None:
        self._layout = _layout(kind)
        self._whole: Cells = whole or ()
        self._last = list(self._whole)
        self._rows = 0
        self._open: dict[int, Runs] | None = {}
        self._runs: Mapping[int, Runs] = self._open
        self.size_bytes = _BARE_BYTES + 8 * len(self._layout.fields)

    def __len__(self) -> int:
        return self._rows

    def append(self, row: Row) -> None:
        """Add a row.

        Raises:
            ValueError: there are `MOST_ROWS` already, or they are sealed.
        """
        if self._open is None or self._rows >= MOST_ROWS:
            raise ValueError("no more rows can be added")
        if not self._last:
            self._whole = whole_of(row)
            self._last = list(self._whole)
        cells, last = msgspec.structs.astuple(row), self._last
        for field in compress(self._layout.fields, map(ne, last, cells)):
            last[field] = cell = cells[field]
            runs = self._open.get(field) or self._begin(self._open, field)
            try:
                self.size_bytes += runs.append(self._rows, cell)
            except OverflowError:
                self._open[field] = runs = self._widened(field, runs)
                self.size_bytes += runs.append(self._rows, cell)
        self._rows += 1

    def row(self, number: int) -> Row:
        """Return the row of that number, equal to what was added but for NaN, which has become None."""
        cells = list(self._whole)
        for field, runs in self._runs.items():
            if run := bisect_right(runs.starts, number):
                cells[field] = runs.cells(run - 1, run)[0]
        row: Row = self._layout.kind(**dict(zip(self._layout.names, cells, strict=True)))
        return row

    def column(self, name: str, start: int, stop: int) -> list[Any]:
        """Return what the rows from `start` to before `stop` have in one field."""
        field = self._layout.numbers[name]
        runs = self._runs.get(field)
        if runs is None or start >= stop:
            return [self._whole[field]] * (stop - start)
        first, beyond = bisect_right(runs.starts, start), bisect_right(runs.starts, stop - 1)
        changes = runs.starts[first:beyond]
        cells = runs.cells(first - 1, beyond) if first else [self._whole[field], *runs.cells(0, beyond)]
        if len(cells) == stop - start:
            return cells
        lengths = (end - begin for begin, end in zip((start, *changes), (*changes, stop), strict=True))
        return list(chain.from_iterable(map(repeat, cells, lengths)))

    def sealed(self) -> "Columns[Row]":
        """Return the same rows in less memory; none can be added. These here stay as they are, for who reads them."""
        runs = Sealed(self._runs, self._layout.codecs)
        sealed = self._closed(runs)
        sealed.size_bytes = getsizeof(sealed) + getsizeof([]) + runs.size_bytes()
        return sealed

    def unpacked(self) -> "Columns[Row]":
        """Return the same rows, none to be added, for a reader of many single rows, which takes longer if sealed."""
        return self._closed(dict(self._runs))

    def _closed(self, runs: Mapping[int, Runs]) -> "Columns[Row]":
        closed = Columns(self._layout.kind, self._whole)
        closed._last, closed._rows, closed._open, closed._runs = [], self._rows, None, runs
        return closed

    def _begin(self, open_runs: dict[int, Runs], field: int) -> Runs:
        self.size_bytes += _BEGUN_BYTES
        open_runs[field] = runs = self._layout.begin[field]()
        return runs

    def _widened(self, field: int, runs: Runs) -> Runs:
        """Return runs that have a place for any integer, with what was noted so far."""
        wider = Encoded(self._layout.codecs[field])
        for number, cell in zip(runs.starts, runs.cells(0, len(runs.starts)), strict=True):
            self.size_bytes += wider.append(number, cell)
        return wider


def whole_of(row: Struct, like: Cells | None = None) -> Cells:
    """Return a row's values, to be compared with; those that another row has too are that row's, so that they are in
    memory once."""
    cells = (None if cell != cell else cell for cell in msgspec.structs.astuple(row))  # noqa: PLR0124 -- NaN differs
    if like is None:
        return tuple(cells)
    return tuple(known if known == cell else cell for known, cell in zip(like, cells, strict=True))


def whole_bytes(whole: Cells, like: Cells | None = None) -> int:
    """Return the memory that a row's values take, but for those that it shares with another."""
    shared = {id(cell) for cell in like or ()}
    return getsizeof(whole) + sum(_deep_bytes(cell) for cell in whole if id(cell) not in shared)


def _deep_bytes(cell: Any) -> int:
    if isinstance(cell, Struct):
        return getsizeof(cell) + sum(map(_deep_bytes, msgspec.structs.astuple(cell)))
    if isinstance(cell, dict):
        return getsizeof(cell) + sum(map(_deep_bytes, chain.from_iterable(cell.items())))
    if isinstance(cell, list):
        return getsizeof(cell) + sum(map(_deep_bytes, cell))
    return 0 if cell is None or isinstance(cell, bool) else getsizeof(cell)


class _Layout(NamedTuple):
    """The fields of a type: their numbers and names, how the runs of each begin, and how it is written if it must."""

    kind: Any
    fields: range
    names: tuple[str, ...]
    numbers: dict[str, int]
    begin: tuple[Callable[[], Runs], ...]
    codecs: tuple[Codec, ...]


@cache
def _layout(kind: type[Struct]) -> _Layout:
    hints = get_type_hints(kind)
    kept = [_kept(hints[name]) for name in kind.__struct_fields__]
    return _Layout(
        kind,
        range(len(kept)),
        kind.__struct_fields__,
        {name: number for number, name in enumerate(kind.__struct_fields__)},
        tuple(begin for begin, _ in kept),
        tuple(codec for _, codec in kept),
    )


def _kept(hint: Any) -> tuple[Callable[[], Runs], Codec]:
    """Return how a field of that type is kept."""
    taken = [kind for kind in get_args(hint) or (hint,) if kind is not NoneType]
    if taken == [int]:
        return Integers, _BEYOND_64_BITS
    codec = Codec(msgspec.msgpack.encode, msgspec.msgpack.Decoder(hint).decode)
    return (Floats if taken == [float] else partial(Encoded, codec)), codec
