"""The event sets of `FakeNvml`: what happens while nobody is registered is heard by nobody."""

from __future__ import annotations

import threading
from collections import deque
from ctypes import c_void_p, cast
from typing import Any, NamedTuple

import pynvml

from tests.standin.layouts import integer, view
from tests.standin.structs import EventData

XID_CRITICAL_ERROR = 8
_STEP = 0x100


class _Set(NamedTuple):
    hears: set[int]
    queue: deque[tuple[int, int]]


class EventSets:
    """The sets that there are, by address. Events come in on one thread and are waited for on another."""

    def __init__(self) -> None:
        """Start with none."""
        self._sets: dict[int, _Set] = {}
        self._next = _STEP
        self._came = threading.Condition()

    def forget(self) -> None:
        """Drop all."""
        self._sets.clear()

    def create(self, out: Any) -> None:
        """Put a new set's address where the caller wants it."""
        view(out, c_void_p).value = self._next
        self._sets[self._next] = _Set(set(), deque())
        self._next += _STEP

    def free(self, address: Any) -> None:
        """Drop one."""
        del self._sets[self._known(address)]

    def register(self, gpu: int, types: Any, address: Any) -> None:
        """Let a set hear of a GPU's XID errors from now on."""
        known = self._known(address)
        if not integer(types) & XID_CRITICAL_ERROR:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        self._sets[known].hears.add(gpu)

    def happen(self, gpu: int, handle: int, code: int) -> None:
        """Tell every set that hears of this GPU."""
        with self._came:
            for each in self._sets.values():
                if gpu in each.hears:
                    each.queue.append((handle, code))
            self._came.notify_all()

    def wait(self, address: Any, out: Any, timeout_ms: Any) -> None:
        """Put the oldest event where the caller wants it, as soon as there is one."""
        queue = self._sets[self._known(address)].queue
        data = view(out, EventData)
        with self._came:
            if not self._came.wait_for(lambda: bool(queue), integer(timeout_ms) / 1000):
                raise pynvml.NVMLError(pynvml.NVML_ERROR_TIMEOUT)
            data.device, data.eventData = queue.popleft()
        data.eventType = XID_CRITICAL_ERROR
        data.gpuInstanceId = data.computeInstanceId = 2**32 - 1

    def _known(self, address: Any) -> int:
        number = address_of(address)
        if number not in self._sets:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return number


def address_of(handle: Any) -> int:
    """Return the address that a handle of any type is; 0 for NULL."""
    return cast(handle, c_void_p).value or 0
