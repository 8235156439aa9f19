"""XID errors: what the driver reports of a GPU, heard without waiting, counted and never reset."""

import ctypes
import logging
import time
from ctypes import byref, c_uint
from typing import Any

from collector.nvml import codes
from collector.nvml.library import CallError, Library
from collector.nvml.structs import EventData
from common.gpu import Xid, XidErrors

_log = logging.getLogger(__name__)

_XID_CRITICAL_ERROR = 8  # nvmlEventTypeXidCriticalError
_WAITS = ("nvmlEventSetWait_v2", "nvmlEventSetWait")
"""The second for drivers without the first; with room for what any driver writes, it is safe to call."""
_MOST_IN_ONE_SAMPLE = 100
"""A GPU that reports without end must not keep the sample from its end; the rest is heard in the next one."""

TEXTS = {
    13: "graphics engine exception",
    31: "memory page fault",
    32: "invalid or corrupted push buffer stream",
    38: "driver firmware error",
    43: "GPU stopped processing",
    45: "channel torn down after an earlier error",
    48: "double bit ECC error",
    61: "internal microcontroller breakpoint",
    62: "internal microcontroller halt",
    63: "page retired or row remapped",
    64: "page retirement or row remapping failed",
    68: "video decoder exception",
    69: "graphics engine class error",
    74: "NVLink error",
    79: "GPU has fallen off the bus",
    92: "high rate of single bit ECC errors",
    94: "contained memory error",
    95: "uncontained memory error",
    109: "context switch timed out",
    119: "GPU system processor did not answer",
    120: "GPU system processor error",
    121: "chip-to-chip link error",
    140: "unrecovered ECC error",
    154: "GPU needs recovery",
}
"""NVIDIA's XID catalogue, the codes that operators meet."""


class Heard:
    """What one GPU has reported since the collector started."""

    def __init__(self) -> None:
        self.errors = XidErrors(counts={}, last=None)

    def note(self, code: int, heard_at_ns: int) -> None:
        """Count one more report."""
        counts = {**self.errors.counts, str(code): self.errors.counts.get(str(code), 0) + 1}
        self.errors = XidErrors(counts=counts, last=Xid(code=code, heard_at_ns=heard_at_ns, text=TEXTS.get(code)))


class Listener:
    """The event set of one initialised library."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._set: Any = None
        self._heard: dict[int, tuple[int, Heard]] = {}
        self._data = EventData()
        self._arguments = (byref(self._data), c_uint(0))
        self.refusal = 0
        """NVML's code for why nothing could be heard the last time; 0 if it could."""

    def listen(self, index: int, handle: Any, heard: Heard) -> int:
        """Hear the GPU behind a handle from now on; return NVML's code for why it cannot be, 0 otherwise."""
        address = _address(handle)
        try:
            if self._set is None:
                self._set = self._library.call("nvmlEventSetCreate", None)
            if address not in self._heard:
                self._library.call("nvmlDeviceRegisterEvents", index, handle, _XID_CRITICAL_ERROR, self._set)
        except CallError as error:
            if error.code in codes.ABOUT_THE_SOURCE:
                raise
            return error.code
        self._heard[address] = index, heard
        return 0

    def drain(self) -> None:
        """Note what was reported since the last time; never waits."""
        self.refusal = 0
        if not self._heard:
            return
        for _ in range(_MOST_IN_ONE_SAMPLE):
            code = self._wait()
            if code in codes.ABOUT_THE_SOURCE:
                raise CallError(code)
            if code:
                self.refusal = code if code != codes.TIMEOUT else 0
                return
            self._note(self._data)

    def forget(self) -> None:
        """The library was left, and its event set with it."""
        self._set = None
        self._heard.clear()

    def _wait(self) -> int:
        code = 0
        for function in _WAITS:
            try:
                return self._library.enter_with(function, None, self._set, *self._arguments)
            except CallError as error:  # there is no such function
                code = error.code
        return code

    def _note(self, data: EventData) -> None:
        found = self._heard.get(data.device or 0)
        if found is not None and data.event_type == _XID_CRITICAL_ERROR:
            index, heard = found
            heard.note(data.event_data, time.time_ns())
            _log.warning(
                "GPU %d: Xid %d: %s", index, data.event_data, TEXTS.get(data.event_data, "see NVIDIA's catalogue")
            )


def _address(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0
