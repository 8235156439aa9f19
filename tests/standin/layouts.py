"""How NVML's calls pass what they answer: each layout can ask a library, and fill in what a caller of the fake passed.

What is asked of and what is filled in is the same plain value: bytes, numbers, or lists and dicts of those.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import byref, c_char, c_int, c_uint, c_ulonglong
from typing import Any, Protocol

import pynvml

from tests.standin.structs import PROCESSES, VALUE_MEMBERS, FieldValue, Sample

_SENTINEL = 0xAA
_TEXT_BYTES = 96
_ROOM = 128

Answer = Callable[..., Any]


class Layout(Protocol):
    """What follows the handle, in one kind of call."""

    def ask(self, entry: Callable[..., int], *before: Any) -> Any:
        """Call a C function, with the arguments `before` what it fills in, and return what it answers."""

    def fill(self, arguments: Sequence[Any], answer: Answer) -> None:
        """Do as the C function does with a caller's arguments, where `answer(*inputs)` is what it answers."""


class Text:
    """`char *text, unsigned int size`."""

    def ask(self, entry: Callable[..., int], *before: Any) -> bytes:
        """See `Layout`."""
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        check(entry(*before, text, c_uint(_TEXT_BYTES)))
        return text.value

    def fill(self, arguments: Sequence[Any], answer: Answer) -> None:
        """See `Layout`."""
        buffer, size = arguments
        room = array(buffer, c_char, integer(size))
        said: bytes = answer()
        if len(said) >= len(room):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INSUFFICIENT_SIZE)
        room.value = said


class Numbers:
    """`T *number, ...`, after what tells which, if anything does."""

    def __init__(self, kind: type[Any], count: int = 1) -> None:
        """Of `count` numbers, all of one type."""
        self._kind, self._count = kind, count

    def ask(self, entry: Callable[..., int], *before: Any) -> list[int]:
        """See `Layout`."""
        numbers = [self._kind() for _ in range(self._count)]
        check(entry(*before, *map(byref, numbers)))
        return [number.value for number in numbers]

    def fill(self, arguments: Sequence[Any], answer: Answer) -> None:
        """See `Layout`."""
        views = [view(argument, self._kind) for argument in arguments[-self._count :]]
        for number, said in zip(views, answer(*map(integer, arguments[: -self._count])), strict=True):
            number.value = said


class Struct:
    """`T *struct`, which may have to say its version first."""

    def __init__(self, kind: type[ctypes.Structure]) -> None:
        """Of one type."""
        self._kind = kind
        self._names = [field[0] for field in kind._fields_ if field[0] not in {"version", "reserved"}]
        self._version = ctypes.sizeof(kind) | 2 << 24 if hasattr(kind, "version") else None

    def ask(self, entry: Callable[..., int], *before: Any) -> dict[str, Any]:
        """See `Layout`."""
        struct: Any = self._kind()
        if self._version is not None:
            struct.version = self._version
        check(entry(*before, byref(struct)))
        return {name: getattr(struct, name) for name in self._names}

    def fill(self, arguments: Sequence[Any], answer: Answer) -> None:
        """See `Layout`."""
        (argument,) = arguments
        struct = view(argument, self._kind)
        if self._version is not None and struct.version != self._version:
            raise pynvml.NVMLError(_ARGUMENT_VERSION_MISMATCH)
        for name, said in answer().items():
            setattr(struct, name, said)


class Fields:
    """`int count, nvmlFieldValue_t *values`; one at a time, told by field id and scope: its type and value."""

    def ask(self, entry: Callable[..., int], handle: Any, field: int, scope: int) -> list[Any]:
        """See `Layout`."""
        values = (FieldValue * 1)(FieldValue(fieldId=field, scopeId=scope))
        check(entry(handle, c_int(1), values))
        check(values[0].nvmlReturn)
        return [values[0].valueType, getattr(values[0].value, VALUE_MEMBERS.get(values[0].valueType, "ullVal"))]

    def fill(self, arguments: Sequence[Any], answer: Answer) -> None:
        """See `Layout`."""
        count, values = arguments
        require(integer(count) > 0)
        for value in array(values, FieldValue, integer(count)):
            value.timestamp, value.latencyUsec, value.nvmlReturn = 1700000000000000, 7, 0
            try:
                value_type, said = answer(value.fieldId, value.scopeId)
            except pynvml.NVMLError as failure:
                value.nvmlReturn = failure.value
            else:
                ctypes.memset(ctypes.byref(value.value), _SENTINEL, ctypes.sizeof(value.value))
                value.valueType = value_type
                setattr(value.value, VALUE_MEMBERS[value_type], said)


class Processes:
    """`unsigned int *count, void *records`, of a length that only what was written tells: {"stride", "records"}."""

    def ask(self, entry: Callable[..., int], handle: Any) -> dict[str, Any]:
        """See `Layout`."""
        count = c_uint(_ROOM)
        room = (c_ulonglong * (5 * _ROOM))()
        ctypes.memset(room, _SENTINEL, ctypes.sizeof(room))
        check(entry(handle, byref(count), room))
        stride = len(bytes(room).rstrip(bytes([_SENTINEL]))) // max(count.value, 1)
        # A length that nobody has met yet is worth a capture too.
        records: Any = (PROCESSES[stride] * count.value).from_buffer(room) if stride in PROCESSES else []
        return {"stride": stride, "records": [_values(record) for record in records]}

    def fill(self, arguments: Sequence[Any], answer: Answer) -> None:
        """See `Layout`."""
        count, records = arguments
        room = view(count, c_uint)
        said = answer()
        place_records(room, records, PROCESSES.get(said["stride"], PROCESSES[16]), said["records"])


class Samples:
    """`nvmlProcessUtilizationSample_t *samples, unsigned int *count, unsigned long long lastSeenTimeStamp`."""

    def ask(self, entry: Callable[..., int], handle: Any) -> list[list[int]]:
        """See `Layout`."""
        count, samples = c_uint(_ROOM), (Sample * _ROOM)()
        check(entry(handle, samples, byref(count), c_ulonglong(0)))
        return [_values(sample) for sample in samples[: count.value]]

    def fill(self, arguments: Sequence[Any], answer: Answer) -> None:
        """See `Layout`."""
        samples, count, last_seen = arguments
        room = view(count, c_uint)
        newer = [sample for sample in answer() if sample[1] > integer(last_seen)]
        if not newer:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        place_records(room, samples, Sample, newer)


_ARGUMENT_VERSION_MISMATCH = 25


def check(code: int) -> None:
    """Raise what a C function returned, unless it is success."""
    if code:
        raise pynvml.NVMLError(code)


def require(usable: bool) -> None:  # noqa: FBT001 -- a condition is what it takes
    """Raise INVALID_ARGUMENT, unless a call's arguments are usable."""
    if not usable:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)


def integer(argument: Any) -> int:
    """Return a number that was passed by value, in a ctypes object or as it is."""
    return int(getattr(argument, "value", argument))


def view(argument: Any, kind: type[Any]) -> Any:
    """Return what a caller passed by reference, as an object of `kind`.

    Raises:
        pynvml.NVMLError: it is NULL.
        TypeError: it has another size than `kind`: a driver would write past it, or leave a part of it as it was.
    """
    target = _target(argument)
    if ctypes.sizeof(target) != ctypes.sizeof(kind):
        raise TypeError(f"{type(target).__name__} has {ctypes.sizeof(target)} bytes, NVML's {ctypes.sizeof(kind)}")
    return kind.from_address(ctypes.addressof(target))


def array(argument: Any, kind: type[Any], count: int) -> Any:
    """Return a caller's array, as one of `count` objects of `kind`.

    Raises:
        pynvml.NVMLError: it is NULL.
        TypeError: it is too short: a driver would write past it.
    """
    target, size = _target(argument), ctypes.sizeof(kind) * count
    # A pointer to the first element does not tell how many there are.
    if not isinstance(argument, ctypes._Pointer) and ctypes.sizeof(target) < size:
        raise TypeError(f"{type(target).__name__} has {ctypes.sizeof(target)} bytes, NVML writes {size}")
    return (kind * count).from_address(ctypes.addressof(target))


def place_records(count: Any, records: Any, kind: type[Any], said: Sequence[Sequence[int]]) -> None:
    """Put records into a caller's array, if it is long enough; `count` becomes how many there are either way."""
    room, count.value = count.value, len(said)
    if not said:
        return
    if records is None or room < len(said):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_INSUFFICIENT_SIZE)
    for place, record in zip(array(records, kind, len(said)), said, strict=True):
        for field, value in zip(kind._fields_, record, strict=True):
            setattr(place, field[0], value)


def _target(argument: Any) -> Any:
    if argument is None or (isinstance(argument, ctypes._Pointer) and not argument):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
    if isinstance(argument, ctypes._Pointer):
        return argument.contents
    return getattr(argument, "_obj", argument)


def _values(struct: ctypes.Structure) -> list[int]:
    return [getattr(struct, field[0]) for field in struct._fields_]
