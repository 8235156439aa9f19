"""The processes on one GPU, as NVML tells of them: whose records have changed their layout more than once.

The layout is told by how far the driver writes into a buffer full of marks, never guessed from versions.
"""

import ctypes
import struct
from collections.abc import Iterator
from ctypes import byref, c_uint, c_ulonglong
from typing import Any, Literal, NamedTuple

from collector.nvml import codes
from collector.nvml.identity import told
from collector.nvml.library import CallError, Library
from collector.nvml.structs import ProcessUtilization
from collector.nvml.table import PERCENT
from common.gpu import Process

Kind = Literal["compute", "graphics"]

_FUNCTIONS: dict[Kind, str] = {
    "compute": "nvmlDeviceGetComputeRunningProcesses",
    "graphics": "nvmlDeviceGetGraphicsRunningProcesses",
}
_SUFFIXES = ("_v3", "_v2", "")
_NOT_A_PROCESS = (0, 2**32 - 1)
_MARK = b"\xaa"
_MOST_PROCESSES = 2**16
_STRIDES = (16, 24, 32, 40)
"""Bytes of one record in the layouts that drivers have had; each begins with the process id and the memory."""

_RECORD = struct.Struct("=I4xQ")


class _Use(NamedTuple):
    """What one process uses of a GPU; a utilization is percent."""

    sm: int
    memory: int
    encoder: int
    decoder: int


class Running:
    """The processes on one GPU."""

    def __init__(self, library: Library, index: int, handle: Any) -> None:
        self._library = library
        self._index = index
        self._handle = handle
        self._room, self._room_for_uses = 16, 128
        self._last_seen = 0

    def read(self, memory_total_bytes: int | None) -> list[Process]:
        """Return who uses the GPU now.

        Raises:
            CallError: the driver does not tell.
        """
        uses = self._uses()
        return [
            Process(
                pid=pid,
                kind=kind,
                memory_used_bytes=memory if memory <= (memory_total_bytes or 2**63) else None,
                utilization_sm_percent=use.sm if use else None,
                utilization_memory_percent=use.memory if use else None,
                utilization_encoder_percent=use.encoder if use else None,
                utilization_decoder_percent=use.decoder if use else None,
            )
            for kind in _FUNCTIONS
            for pid, memory in self._records(kind)
            for use in (uses.get(pid),)
        ]

    def _records(self, kind: Kind) -> list[tuple[int, int]]:
        refusal = 0
        for suffix in _SUFFIXES:
            try:
                return self._list(_FUNCTIONS[kind] + suffix)
            except CallError as error:
                if error.code not in codes.UNSUPPORTED:
                    raise
                refusal = error.code
        raise CallError(refusal)

    def _list(self, function: str) -> list[tuple[int, int]]:
        while True:
            count = c_uint(self._room)
            buffer = ctypes.create_string_buffer(_MARK * (self._room * max(_STRIDES)))
            code = self._library.enter_with(function, self._index, self._handle, byref(count), buffer)
            if code == codes.INSUFFICIENT_SIZE and self._room < count.value <= _MOST_PROCESSES:
                self._room = _more_than(count.value)
            elif code:
                raise CallError(code)
            else:
                return list(_parsed(buffer.raw[:-1], min(count.value, self._room)))

    def _uses(self) -> dict[int, _Use]:
        """Return the latest utilization of each process; NVML says NOT_FOUND where there is nothing new."""
        room = self._room_for_uses
        count, samples = c_uint(room), (ProcessUtilization * room)()
        arguments = (self._handle, samples, byref(count), c_ulonglong(self._last_seen))
        code = told(lambda: self._library.enter_with("nvmlDeviceGetProcessUtilization", self._index, *arguments))
        if code in codes.ABOUT_THE_SOURCE:
            raise CallError(code)
        if code == codes.INSUFFICIENT_SIZE and room < count.value <= _MOST_PROCESSES:
            self._room_for_uses = _more_than(count.value)
            return self._uses()
        if code != 0:
            return {}
        latest = sorted(samples[: min(count.value, room)], key=lambda sample: sample.timestamp)
        self._last_seen = max((sample.timestamp for sample in latest), default=self._last_seen)
        uses = {sample.pid: _Use(sample.sm, sample.memory, sample.encoder, sample.decoder) for sample in latest}
        return {pid: use for pid, use in uses.items() if max(use) <= PERCENT}


def _more_than(count: int) -> int:
    """Return room for so many processes, and for those that start before the driver is asked again."""
    return 2 * count + 5


def _parsed(written: bytes, count: int) -> Iterator[tuple[int, int]]:
    length = len(written.rstrip(_MARK))
    stride = next((stride for stride in _STRIDES if stride * count >= length), max(_STRIDES))
    for place in range(count):
        pid, memory = _RECORD.unpack_from(written, place * stride)
        if pid not in _NOT_A_PROCESS:
            yield pid, memory
