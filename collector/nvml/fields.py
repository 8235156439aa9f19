"""nvmlDeviceGetFieldValues: many numbers in one call, each with its own type and its own error."""

import ctypes
import struct
from collections.abc import Sequence
from operator import and_

from collector.nvml.structs import FieldValue
from collector.nvml.table import Field

FUNCTION = "nvmlDeviceGetFieldValues"

_WHOLE = 2**64 - 1
_MASKS = {1: 2**32 - 1, 5: 2**32 - 1, 6: 2**16 - 1}
"""What counts of a value's eight bytes, by nvmlValueType_t: all of them, for types that are not here."""


class FieldArray:
    """The places that the driver fills, made once for the fields that are asked for again and again."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.places: ctypes.Array[FieldValue] = (FieldValue * len(fields))()
        for place, field in zip(self.places, fields, strict=True):
            place.field_id, place.scope_id = field.number, field.scope
        # All types, codes and values in a row: one call takes them apart faster than one for each.
        self._layout = struct.Struct("=" + "24xIIQ" * len(fields))
        self._masks: dict[tuple[int, ...], list[int]] = {}

    def values(self) -> list[int]:
        """Return what the driver has filled in: for each field a number, or minus NVML's code if it was refused."""
        whole = self._layout.unpack(self.places)
        refusals = whole[1::3]
        values = list(map(and_, whole[2::3], self._masks_of(whole[0::3])))
        if any(refusals):
            return [-code if code else value for code, value in zip(refusals, values, strict=True)]
        return values

    def _masks_of(self, kinds: tuple[int, ...]) -> list[int]:
        masks = self._masks.get(kinds)
        if masks is None:
            masks = [_MASKS.get(kind, _WHOLE) for kind in kinds]
            # A driver gives a field always the same type, but for those it refuses.
            self._masks = {kinds: masks}
        return masks
