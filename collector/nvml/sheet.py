"""The sheet that the driver fills in: one piece of memory for all that is asked of a GPU, read at once.

It is blank before each sample, so that what a driver leaves out is never a number of the sample before.
"""

import ctypes
import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from collector.nvml.structs import FieldValue
from collector.nvml.table import Field, Read

FIELD_VALUES = "nvmlDeviceGetFieldValues"
"""The call that asks for all fields, each with its own type and its own error."""

_NARROW = {1: 2**32 - 1, 5: 2**32 - 1, 6: 2**16 - 1}
"""What counts of a field's eight bytes, by nvmlValueType_t: all of them, for types that are not here."""


class Sheet:
    """The places for what the driver answers to some rows of the table, made once for what is asked again and again."""

    def __init__(self, reads: Sequence[Read], fields: Sequence[Field]) -> None:
        self._taken: list[int] = []
        """Of all the numbers that the driver writes, the places of those that are taken."""
        self._narrow: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        blanks: list[Any] = []
        count = 0
        for read in reads:
            outputs = [output() for output in read.outputs]
            self._taken += [count + given.place for given in read.gives]
            count += sum(len(_codes(output)) for output in outputs)
            blanks += outputs
        self._field = len(self._taken)
        """The first of the values that is a field's."""
        self._types, self._errors = slice(count, None, 3), slice(count + 1, None, 3)
        self._taken += [count + 3 * field + 2 for field in range(len(fields))]
        blanks.append((FieldValue * len(fields))(*(FieldValue(field.number, field.scope) for field in fields)))
        *places, array = self._laid_out(blanks)
        references = map(ctypes.byref, places)
        self.outputs: list[tuple[Any, ...]] = [tuple(next(references) for _ in read.outputs) for read in reads]
        """For each read, what it takes behind its arguments: references to the places that it fills in."""
        self.field_outputs = (len(fields), array)
        """The same for the call that asks for the fields."""

    def clear(self) -> None:
        """Make all of it blank."""
        self._filled[:] = self._blank

    def values(self) -> list[int]:
        """Return what is filled in: a number for each reading of the reads, then one for each field; where a field was
        refused, minus NVML's code."""
        whole = self._layout.unpack(self._filled)
        values = [whole[place] for place in self._taken]
        for place, mask in self._narrow_ones(whole[self._types]):
            values[place] &= mask
        errors = whole[self._errors]
        if any(errors):
            for place, error in enumerate(errors, self._field):
                values[place] = -error if error else values[place]
        return values

    def _laid_out(self, blanks: Sequence[Any]) -> list[Any]:
        """Put blank outputs one behind the other; return them as they lie there."""
        layouts = list(accumulate(map(_codes, blanks), "{}0Q{}".format, initial="@"))
        self._layout = struct.Struct(layouts[-1])
        self._blank = bytearray(self._layout.size)
        starts = [struct.calcsize(before + "0Q") for before in layouts[:-1]]
        for start, blank in zip(starts, blanks, strict=True):
            self._blank[start : start + ctypes.sizeof(blank)] = bytes(blank)
        self._filled = self._blank[:]
        return [type(blank).from_buffer(self._filled, start) for start, blank in zip(starts, blanks, strict=True)]

    def _narrow_ones(self, types: tuple[int, ...]) -> list[tuple[int, int]]:
        """Return which of the values have fewer than eight bytes, each with the mask of those that count."""
        found = self._narrow.get(types)
        if found is None:
            found = [(place, _NARROW[kind]) for place, kind in enumerate(types, self._field) if kind in _NARROW]
            # A driver gives a field always the same type, but for those it refuses.
            self._narrow = {types: found}
        return found


def _codes(output: Any) -> str:
    """Return how `struct` calls the numbers of one output; of the array of fields, each one's type, code and value."""
    if isinstance(output, ctypes.Array):
        return "24xIIQ" * len(output)
    members: list[Any] = [kind for _, kind in output._fields_] if hasattr(output, "_fields_") else [output]
    return "".join(member._type_ for member in members)
