"""Records what an NVIDIA library answers, and replays it: `python -m tests.capture FILE [--library PATH]`.

A capture is JSON: when and with what it was made, and every call with its arguments (GPU indices stand for
handles) and its `result`, or the `error` that NVML gave instead. Bytes are latin-1 text, one character each;
structs are objects of their fields; what returns nothing, or a handle, is null.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pynvml

from tests.fakes import FakeNvml
from tests.standin import calls

_HANDLE_CALL = "nvmlDeviceGetHandleByIndex"


def record() -> Iterator[dict[str, Any]]:
    """Ask the library behind the binding everything, and yield each call with what came of it.

    Raises:
        pynvml.NVMLError: the library cannot be initialised.
    """
    pynvml.nvmlInit()
    yield {"call": "nvmlInit", "arguments": [], "result": None}
    for call in calls.SYSTEM:
        yield _ask(call, [], getattr(pynvml, call))
    for symbol in calls.RAW:
        yield _ask(symbol, [], partial(_raw, symbol))
    count = _ask("nvmlDeviceGetCount", [], pynvml.nvmlDeviceGetCount)
    yield count
    for index in range(count.get("result", 0)):
        yield from _record_gpu(index)
    yield _ask("nvmlShutdown", [], pynvml.nvmlShutdown)


def replay(path: Path) -> FakeNvml:
    """Return a fake library that answers as the captured one did, and 13 to what was not captured."""
    return ReplayedNvml(json.loads(path.read_text())["calls"])


class ReplayedNvml(FakeNvml):
    """A `FakeNvml` whose answers were recorded; it can be told to misbehave, but not other values."""

    def __init__(self, entries: Sequence[dict[str, Any]]) -> None:
        """Answer as `entries`, the calls of a capture."""
        self._entries = {(entry["call"], *entry["arguments"]): entry for entry in entries}
        super().__init__(gpus=self._entries["nvmlDeviceGetCount",].get("result", 0))

    def answer(self, call: str, gpu: int | None, *arguments: int) -> Any:
        """Return what was recorded, in the binding's own types.

        Raises:
            pynvml.NVMLError: that is what was recorded, or nothing was.
        """
        where = () if gpu is None else (gpu,)
        entry = self._entries.get((call, *where, *arguments), _MISSING)
        if "error" in entry:
            raise pynvml.NVMLError(entry["error"]["code"])
        return _revive(entry["result"], super().answer(call, gpu, *arguments))


_MISSING = {"error": {"code": pynvml.NVML_ERROR_FUNCTION_NOT_FOUND}}


def _record_gpu(index: int) -> Iterator[dict[str, Any]]:
    handles: list[Any] = []
    yield _ask(_HANDLE_CALL, [index], lambda: handles.append(pynvml.nvmlDeviceGetHandleByIndex(index)))
    for handle in handles:
        for call in calls.DEVICE:
            yield from _record_reading(call, index, handle)


def _record_reading(call: str, index: int, handle: Any) -> Iterator[dict[str, Any]]:
    function = getattr(pynvml, call)
    if call not in calls.ARGUMENTS:
        yield _ask(call, [index], partial(function, handle))
    for argument in calls.ARGUMENTS.get(call, ()):
        yield _ask(call, [index, argument], partial(function, handle, argument))


def _ask(call: str, arguments: list[int], function: Callable[[], Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"call": call, "arguments": arguments}
    try:
        return {**entry, "result": _plain(function())}
    except pynvml.NVMLError as failure:
        return {**entry, "error": {"code": failure.value, "name": _name(failure.value)}}


def _raw(symbol: str) -> int:
    out = ctypes.c_int()
    code = pynvml._nvmlGetFunctionPointer(symbol)(ctypes.byref(out))
    if code:
        raise pynvml.NVMLError(code)
    return out.value


def _plain(result: Any) -> Any:
    if isinstance(result, bytes):
        return result.decode("latin-1")
    if isinstance(result, ctypes.Structure):
        return {field[0]: _plain(getattr(result, field[0])) for field in result._fields_}
    return result


def _revive(plain: Any, like: Any) -> Any:
    if isinstance(plain, str):
        return plain.encode("latin-1")
    if isinstance(plain, dict):
        return type(like)(**{name: _revive(value, None) for name, value in plain.items()})
    return plain


_NAMES = {code: name for name, code in vars(pynvml).items() if name.startswith("NVML_ERROR_")}


def _name(code: int) -> str:
    return _NAMES.get(code) or str(pynvml.nvmlErrorString(code).decode("latin-1"))


def _capture(library: str | None) -> dict[str, Any]:
    if library is not None:
        pynvml.nvmlLib = ctypes.CDLL(library)
    entries = list(record())
    answers = {entry["call"]: entry.get("result") for entry in entries}
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
