"""The runs of one field in many rows: at which rows it changed, and to what. Open, they grow by what changed; sealed,
those of all fields are a few bytes. Pure.

A row's number is one byte, so there is an end to how many rows belong together. Whoever reads in another thread takes
`starts` first: a value is always there before its row's number.
"""

import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from sys import getsizeof
from typing import Any, NamedTuple

import msgspec

MOST_ROWS = 256

NOTHING = {code: -(1 << (8 * array(code).itemsize - 1)) for code in "bhiq"}
"""What stands for None in an array of integers, by the array's type: its least number, which therefore does not fit."""

_NONE = NOTHING["q"]
_NAN = float("nan")
_ENCODED = "m"
_THOUSANDTHS = "t"


class Codec(NamedTuple):
    """How what is no number is written, and read again."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


class Integers:
    """Runs of whole numbers, or None."""

    __slots__ = ("starts", "values")

    def __init__(self, starts: bytes = b"", values: "array[int] | None" = None) -> None:
        self.starts = bytearray(starts)
        self.values = array("q") if values is None else values

    def append(self, number: int, cell: int | None) -> int:
        """Note that the row of that number differs, and return what that costs in bytes.

        Raises:
            OverflowError: the value does not fit into 64 bits; nothing was noted.
        """
        if cell is None:
            cell = _NONE
        elif cell == _NONE:
            raise OverflowError
        self.values.append(cell)
        self.starts.append(number)
        return 10

    def cells(self, start: int, stop: int) -> list[Any]:
        """Return what the runs from one to before another have as their values."""
        values = self.values[start:stop]
        nothing = NOTHING[values.typecode]
        if nothing in values:
            return [None if value == nothing else value for value in values]
        return values.tolist()

    def packed(self) -> tuple[str, bytes]:
        """Return the values in as few bytes each as hold them all, and the type of array that is."""
        has_none = _NONE in self.values
        taken = [value for value in self.values if value != _NONE] if has_none else self.values
        least, most = min(taken, default=0), max(taken, default=0)
        for code in "bhi":
            nothing = NOTHING[code]
            if nothing < least and most < -nothing:
                fits = [nothing if value == _NONE else value for value in self.values] if has_none else self.values
                return code, array(code, fits).tobytes()
        return "q", self.values.tobytes()


class Floats:
    """Runs of fractions, or None, which is kept as NaN: so NaN, which is no reading, becomes None. Where `values` are
    integers, they are thousandths."""

    __slots__ = ("starts", "values")

    def __init__(self, starts: bytes = b"", values: "array[Any] | None" = None) -> None:
        self.starts = bytearray(starts)
        self.values: array[Any] = array("d") if values is None else values

    def append(self, number: int, cell: float | None) -> int:
        """Note that the row of that number differs, and return what that costs in bytes."""
        self.values.append(_NAN if cell is None else cell)
        self.starts.append(number)
        return 10

    def cells(self, start: int, stop: int) -> list[Any]:
        """Return what the runs from one to before another have as their values."""
        values = self.values[start:stop]
        if values.typecode != "d":
            return [thousandths / 1000 for thousandths in values]
        return [value if value == value else None for value in values]  # noqa: PLR0124 -- NaN differs

    def packed(self) -> tuple[str, bytes]:
        """Return the values as bytes, and the type of array that is; those of the driver, which reckons in milliwatts
        and the like, as whole thousandths, if that is exact."""
        try:
            thousandths = array("i", [round(value * 1000) for value in self.values])
        except (OverflowError, ValueError):  # more than 32 bits; None
            return "d", self.values.tobytes()
        if [count / 1000 for count in thousandths] == self.values.tolist():
            return _THOUSANDTHS, thousandths.tobytes()
        return "d", self.values.tobytes()


class Encoded:
    """Runs of anything else."""

    __slots__ = ("_codec", "starts", "values")

    def __init__(self, codec: Codec, starts: bytes = b"", values: list[bytes] | None = None) -> None:
        self._codec = codec
        self.starts = bytearray(starts)
        self.values: list[bytes] = [] if values is None else values

    def append(self, number: int, cell: Any) -> int:
        """Note that the row of that number differs, and return what that costs in bytes."""
        encoded = self._codec.encode(cell)
        self.values.append(encoded)
        self.starts.append(number)
        return 10 + getsizeof(encoded)

    def cells(self, start: int, stop: int) -> list[Any]:
        """Return what the runs from one to before another have as their values."""
        return [self._codec.decode(value) for value in self.values[start:stop]]

    def packed(self) -> tuple[str, bytes]:
        """Return the values as bytes. They resemble one another, and are far larger than numbers: worth compressing."""
        return _ENCODED, zlib.compress(msgspec.msgpack.encode(self.values), 1)


Runs = Integers | Floats | Encoded


class Sealed(Mapping[int, Runs]):
    """The runs of many fields, by the field's number, in a few bytes. They are made anew each time one is asked for.

    Of each field there is, in `_data`: how many runs, less one; where they start; their values. The type of the values
    is the field's letter in `_codes`, a capital where each row from the first of them on starts another run, so that
    the first alone is told.
    """

    __slots__ = ("_codecs", "_codes", "_data", "_ends", "_fields")

    def __init__(self, runs: Mapping[int, Runs], codecs: tuple[Codec, ...]) -> None:
        self._codecs = codecs
        self._fields = bytes(runs)
        packed = [_packed(one) for one in runs.values()]
        self._codes = "".join(code for code, _ in packed)
        self._ends = array("I", accumulate(len(data) for _, data in packed))
        self._data = b"".join(data for _, data in packed)

    def __getitem__(self, field: int) -> Runs:
        place = self._fields.find(field)
        if place < 0:
            raise KeyError(field)
        begin, end = self._ends[place - 1] if place else 0, self._ends[place]
        code, count = self._codes[place], self._data[begin] + 1
        values = begin + 2 if code.isupper() else begin + 1 + count
        starts = self._data[begin + 1 : values]
        if code.isupper():
            starts = bytes(range(starts[0], starts[0] + count))
        return self._unpacked(field, code.lower(), starts, self._data[values:end])

    def __iter__(self) -> Iterator[int]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def size_bytes(self) -> int:
        """Return what they take of memory."""
        return sum(map(getsizeof, (self, self._codes, self._data, self._ends, self._fields)))

    def _unpacked(self, field: int, code: str, starts: bytes, data: bytes) -> Runs:
        if code == _ENCODED:
            return Encoded(self._codecs[field], starts, msgspec.msgpack.decode(zlib.decompress(data), type=list[bytes]))
        if code == _THOUSANDTHS:
            return Floats(starts, array("i", data))
        if code == "d":
            return Floats(starts, array("d", data))
        return Integers(starts, array(code, data))


def _packed(runs: Runs) -> tuple[str, bytes]:
    code, values = runs.packed()
    starts, count = runs.starts, len(runs.starts)
    head = bytes((count - 1,))
    if starts[-1] - starts[0] == count - 1:
        return code.upper(), head + starts[:1] + values
    return code, head + starts + values
