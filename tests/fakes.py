"""Named fakes, for tests and for the demo. No pytest, no compiler and no driver is needed here.

`FakeNvml` stands in for the NVIDIA library behind the binding: it takes the place of the `pynvml` functions
that the service calls, answers what the binding would answer (bytes for texts, the binding's own structs) and
fails with the binding's own errors. All above the binding stays real. Its answers are the C stand-in's.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import pynvml

from tests import standin
from tests.standin import calls

if TYPE_CHECKING:
    import pytest

#: A number or text, or what makes it anew in each call, given the physical GPU (0 where there is none).
Value: TypeAlias = int | bytes | Callable[[int], int | bytes]
_Where: TypeAlias = tuple[str, int | None]


class FakeNvml:
    """An NVIDIA library of `gpus` GPUs that does what a test tells it.

    GPUs are named by their physical number, which stays with a GPU when `order` changes; None means all of
    them, and a word on one GPU goes before a word on all. Calls are named by the binding's functions (those
    without one by their symbols); an unknown one is a ValueError.
    """

    def __init__(self, gpus: int = 2) -> None:
        """Start uninitialised, with healthy GPUs in order and the answers of the C stand-in."""
        #: How many GPUs there are, and which physical GPU each index is (indices left out keep their own).
        self.gpus = gpus
        self.order: list[int] = []
        #: Numbers and texts that are not the stand-in's, by name (standin.NUMBERS, TEXTS) and physical GPU.
        self.values: dict[_Where, Value] = {}
        #: What was called so far: the function and the physical GPU, None if it was about none.
        self.calls: list[_Where] = []
        #: Set once a call that was told to hang is inside.
        self.entered = threading.Event()
        self._released = threading.Event()
        self._hanging: set[_Where] = set()
        self._failing: dict[_Where, int] = {}
        self._lost: set[int] = set()
        self._users = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Self:
        """Take the binding's place until the test ends, and return self."""
        for name, function in self.functions().items():
            monkeypatch.setattr(pynvml, name, function)
        return self

    def install_everywhere(self) -> Self:
        """Take the binding's place for the rest of this process, and return self."""
        for name, function in self.functions().items():
            setattr(pynvml, name, function)
        return self

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Return what takes the place of the binding's functions, by name."""
        return {
            "nvmlInit": self._init,
            "nvmlShutdown": self._shutdown,
            "nvmlErrorString": _error_string,
            "nvmlDeviceGetCount": self._count,
            "nvmlDeviceGetHandleByIndex": self._handle,
            "_nvmlGetFunctionPointer": self._pointer,
            **{call: partial(self._system, call) for call in calls.SYSTEM},
            **{call: partial(self._device, call) for call in calls.DEVICE},
        }

    def lose(self, gpu: int) -> None:
        """Make every call on `gpu`, and getting its handle, fail with GPU_IS_LOST."""
        self._lost.add(gpu)

    def restore(self, gpu: int) -> None:
        """Bring a lost GPU back."""
        self._lost.discard(gpu)

    def fail(self, call: str, code: int, gpu: int | None = None) -> None:
        """Make `call` fail with NVML's `code`."""
        self._failing[_known(call), gpu] = code

    def hang(self, call: str, gpu: int | None = None) -> None:
        """Keep whoever is in `call` there until `release()` or `heal()`; `entered` tells when someone is."""
        self.entered.clear()
        self._released.clear()
        self._hanging.add((_known(call), gpu))

    def release(self) -> None:
        """Let every hanging call go on as if nothing had been, and hang no more."""
        self._hanging.clear()
        self._released.set()

    def reload(self) -> None:
        """Reload the driver: everything but nvmlInit fails with UNINITIALIZED until that was called again."""
        self._users = 0

    def value(self, name: str, value: Value | None, gpu: int | None = None) -> None:
        """Make a number or text be `value`; None: what it was at first."""
        self.values.pop((name, gpu), None)
        if value is not None:
            self.values[name, gpu] = value

    def name(self, raw: bytes | None, gpu: int | None = None) -> None:
        """Make the device's name these bytes, valid UTF-8 or not; None: what it was at first."""
        self.value("name", raw, gpu)

    def heal(self) -> None:
        """Drop every fault: lost GPUs, errors, hangs. Count, order, values and names stay."""
        self._lost.clear()
        self._failing.clear()
        self.release()

    def answer(self, call: str, gpu: int | None, *arguments: int) -> Any:
        """Return what `call` answers when nothing is wrong; handles are made elsewhere.

        Raises:
            pynvml.NVMLError: an argument is out of range.
        """
        if call in calls.DEVICE:
            return calls.DEVICE[call](partial(self._look, gpu or 0), *arguments)
        if call == "nvmlDeviceGetCount":
            return self.gpus
        name = {**calls.SYSTEM, **calls.RAW}.get(call)
        return None if name is None else self._look(0, name)

    def _look(self, gpu: int, name: str) -> int | bytes:
        default = standin.answer(name, gpu)
        value = self.values.get((name, gpu), self.values.get((name, None), default))
        return value(gpu) if callable(value) else value

    def _enter(self, call: str, gpu: int | None = None) -> None:
        self.calls.append((call, gpu))
        if {(call, gpu), (call, None)} & self._hanging:
            self.entered.set()
            self._released.wait()
        if self._users == 0 and call != "nvmlInit":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        if gpu in self._lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        code = self._failing.get((call, gpu), self._failing.get((call, None)))
        if code is not None:
            raise pynvml.NVMLError(code)

    def _init(self) -> None:
        self._enter("nvmlInit")
        self._users += 1

    def _shutdown(self) -> None:
        self._enter("nvmlShutdown")
        self._users -= 1

    def _count(self) -> Any:
        self._enter("nvmlDeviceGetCount")
        return self.answer("nvmlDeviceGetCount", None)

    def _system(self, call: str) -> Any:
        self._enter(call)
        return self.answer(call, None)

    def _device(self, call: str, handle: Any, *arguments: int) -> Any:
        gpu = _gpu_of(handle)
        self._enter(call, gpu)
        if gpu is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return self.answer(call, gpu, *arguments)

    def _physical(self, index: int) -> int | None:
        if not 0 <= index < self.gpus:
            return None
        return self.order[index] if index < len(self.order) else index

    def _handle(self, index: int) -> Any:
        gpu = self._physical(index)
        self._enter("nvmlDeviceGetHandleByIndex", gpu)
        if gpu is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        self.answer("nvmlDeviceGetHandleByIndex", gpu)
        return ctypes.cast((gpu + 1) * _STRIDE, pynvml.c_nvmlDevice_t)

    def _pointer(self, symbol: str) -> Callable[..., int]:
        if symbol not in calls.RAW:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return partial(self._raw, symbol)

    def _raw(self, call: str, out: Any) -> int:
        try:
            self._enter(call)
            out._obj.value = self.answer(call, None)
        except pynvml.NVMLError as failure:
            return int(failure.value)
        return 0


#: Far enough apart, and never zero, as the addresses of real handles are.
_STRIDE = 0x1000


def _gpu_of(handle: Any) -> int | None:
    address = ctypes.cast(handle, ctypes.c_void_p).value
    return None if address is None else address // _STRIDE - 1


def _error_string(code: int) -> bytes:
    return standin.FAILURES.get(code, "Unknown Error").encode()


def _known(call: str) -> str:
    if call not in calls.ALL:
        raise ValueError(f"the fake has no call {call!r}")
    return call
