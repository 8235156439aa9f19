"""Records what an NVIDIA library answers, and replays it: `python -m tests.capture FILE [--library PATH]`.

A capture is JSON: when and with what it was made, and every call by its C symbol, with its arguments (GPU indices
stand for handles; "mig" is the number of the GPU's MIG instance that was asked) and its `result`, or the `error` that
NVML gave instead. `tests/standin/layouts.py` makes the results: texts, lists of numbers, structs as objects of their
fields. Bytes are latin-1 text, one character each; what returns nothing, or a handle, is null.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from ctypes import byref, c_uint, c_ulonglong, c_void_p
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pynvml

from tests.fakes import FakeNvml
from tests.standin import calls
from tests.standin.events import XID_CRITICAL_ERROR
from tests.standin.layouts import check
from tests.standin.recipes import Call
from tests.standin.structs import EventData

_INIT, _SHUTDOWN, _COUNT = "nvmlInit_v2", "nvmlShutdown", "nvmlDeviceGetCount_v2"
_HANDLE, _MIG_HANDLE = "nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetMigDeviceHandleByIndex"
_MAX_MIG = "nvmlDeviceGetMaxMigDeviceCount"
_WAITS = ("nvmlEventSetWait", "nvmlEventSetWait_v2")
_Entry = dict[str, Any]


def record() -> Iterator[_Entry]:
    """Ask the library behind the binding everything, and yield each call with what came of it.

    Raises:
        pynvml.NVMLError: the library cannot be initialised.
    """
    pynvml.nvmlInit()
    yield {"call": _INIT, "arguments": [], "result": None}
    count = 0
    for entry in _record_system():
        count = entry["result"][0] if entry["call"] == _COUNT and _worked(entry) else count
        yield entry
    handles: dict[int, Any] = {}
    for index in range(count):
        yield from _record_gpu(index, handles)
    yield from _record_events(handles)
    yield _ask(_SHUTDOWN, [], partial(_call_checked, _SHUTDOWN))


def replay(path: Path) -> FakeNvml:
    """Return a fake library that answers as the captured one did, and 13 to what was not captured."""
    return ReplayedNvml(json.loads(path.read_text())["calls"])


class ReplayedNvml(FakeNvml):
    """A `FakeNvml` whose answers were recorded; it can be told to misbehave and of XID errors, but not other values.

    What the captured library lacked, it lacks.
    """

    def __init__(self, entries: Sequence[_Entry]) -> None:
        """Answer as `entries`, the calls of a capture."""
        self._entries = {(entry["call"], entry.get("mig"), *entry["arguments"]): entry for entry in entries}
        super().__init__(gpus=self._entries[_COUNT, None].get("result", [0])[0])
        there = {entry["call"] for entry in entries if entry.get("error", {}).get("code") != _FUNCTION_NOT_FOUND}
        self.missing = set(calls.ALL - there)
        for entry in entries:
            if entry["call"] == _MIG_HANDLE and _worked(entry):
                self.mig(entry["arguments"][0], entry["arguments"][1] + 1)

    def answer(self, symbol: str, gpu: int | None, *inputs: int, instance: int | None = None) -> Any:
        """Return what was recorded.

        Raises:
            pynvml.NVMLError: that is what was recorded, or nothing was.
        """
        where = () if gpu is None else (gpu,)
        entry = self._entries.get((symbol, instance, *where, *inputs), _MISSING)
        check(entry.get("error", {}).get("code", 0))
        return _revive(entry["result"])


_FUNCTION_NOT_FOUND = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
_MISSING: _Entry = {"error": {"code": _FUNCTION_NOT_FOUND}}


def _record_system() -> Iterator[_Entry]:
    for symbol, call in calls.SYSTEM.items():
        yield _ask(symbol, [], partial(call.layout.ask, partial(_call, symbol)))


def _record_gpu(index: int, handles: dict[int, Any]) -> Iterator[_Entry]:
    handle = c_void_p()
    opened = _ask(_HANDLE, [index], partial(_call_checked, _HANDLE, c_uint(index), byref(handle)))
    yield opened
    if not _worked(opened):
        return
    handles[index] = handle
    most = 0
    for entry in _record_readings(calls.DEVICE, index, handle):
        most = entry["result"][0] if entry["call"] == _MAX_MIG and _worked(entry) else most
        yield entry
    # One more than there can be, to record what is said of those.
    for instance in range(most + 1):
        yield from _record_mig(index, instance, handle)


def _record_mig(index: int, instance: int, parent: Any) -> Iterator[_Entry]:
    handle = c_void_p()
    opened = _ask(
        _MIG_HANDLE, [index, instance], partial(_call_checked, _MIG_HANDLE, parent, c_uint(instance), byref(handle))
    )
    yield opened
    if _worked(opened):
        for entry in _record_readings(calls.MIG, index, handle):
            yield {**entry, "mig": instance}


def _record_readings(table: dict[str, Call], index: int, handle: Any) -> Iterator[_Entry]:
    for symbol, call in table.items():
        for inputs in call.inputs:
            asking = partial(call.layout.ask, partial(_call, symbol), handle, *inputs)
            yield _ask(symbol, [index, *inputs], asking)


def _record_events(handles: dict[int, Any]) -> Iterator[_Entry]:
    events = c_void_p()
    yield _ask("nvmlEventSetCreate", [], partial(_call_checked, "nvmlEventSetCreate", byref(events)))
    for index, handle in handles.items():
        symbol, types = "nvmlDeviceRegisterEvents", c_ulonglong(XID_CRITICAL_ERROR)
        yield _ask(symbol, [index], partial(_call_checked, symbol, handle, types, events))
    for symbol in _WAITS:
        yield _ask(symbol, [], partial(_call_checked, symbol, events, byref(EventData()), c_uint(0)))
    yield _ask("nvmlEventSetFree", [], partial(_call_checked, "nvmlEventSetFree", events))


def _ask(symbol: str, arguments: list[int], function: Callable[[], Any]) -> _Entry:
    entry: _Entry = {"call": symbol, "arguments": arguments}
    try:
        return {**entry, "result": _plain(function())}
    except pynvml.NVMLError as failure:
        return {**entry, "error": {"code": failure.value, "name": _name(failure.value)}}


def _call(symbol: str, *arguments: Any) -> int:
    return int(pynvml._nvmlGetFunctionPointer(symbol)(*arguments))


def _call_checked(symbol: str, *arguments: Any) -> None:
    check(_call(symbol, *arguments))


def _worked(entry: _Entry) -> bool:
    return "result" in entry


def _plain(result: Any) -> Any:
    if isinstance(result, bytes):
        return result.decode("latin-1")
    if isinstance(result, dict):
        return {name: _plain(value) for name, value in result.items()}
    return result


def _revive(plain: Any) -> Any:
    if isinstance(plain, str):
        return plain.encode("latin-1")
    if isinstance(plain, dict):
        return {name: _revive(value) for name, value in plain.items()}
    return plain


_NAMES = {code: name for name, code in vars(pynvml).items() if name.startswith("NVML_ERROR_")}


def _name(code: int) -> str:
    return _NAMES.get(code) or str(pynvml.nvmlErrorString(code).decode("latin-1"))


def _capture(library: str | None) -> dict[str, Any]:
    if library is not None:
        pynvml.nvmlLib = ctypes.CDLL(library)
    entries = list(record())
    answers = {entry["call"]: entry.get("result") for entry in entries if not entry["arguments"]}
    return {
        "captured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "binding": f"nvidia-ml-py3 {version('nvidia-ml-py3')}",
        "library": library or "libnvidia-ml.so.1",
        "driver_version": answers["nvmlSystemGetDriverVersion"],
        "nvml_version": answers["nvmlSystemGetNVMLVersion"],
        "calls": entries,
    }


def main() -> int:
    """Write one capture; return the exit status, 1 where there is no library or driver to ask."""
    parser = argparse.ArgumentParser(prog="python -m tests.capture", description="Record what NVML answers here.")
    parser.add_argument("file", type=Path, help="where the capture goes")
    parser.add_argument("--library", help="an NVML library by path, instead of the system's")
    options = parser.parse_args()
    try:
        capture = _capture(options.library)
    except OSError as failure:
        return _refuse(str(failure))
    except pynvml.NVMLError as failure:
        return _refuse(f"nvmlInit gave {_name(failure.value)} ({failure.value})")
    options.file.write_text(json.dumps(capture, indent=1) + "\n")
    return 0


def _refuse(reason: str) -> int:
    print(f"no capture: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
