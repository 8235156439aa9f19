"""Named fakes, for tests and for the demo. No pytest, no compiler and no driver is needed here.

`FakeNvml` stands in for the NVIDIA library behind the binding: whoever asks the binding for one of the library's
functions gets the fake's, be it the binding itself or who calls it by its symbol. All above the library stays real;
a caller's buffer of the wrong size is a TypeError. Its answers are the C stand-in's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

import pynvml

from tests import standin
from tests.standin import calls
from tests.standin.control import FIELD_CALLS, known
from tests.standin.symbols import Symbols, address, short

if TYPE_CHECKING:
    import pytest

#: A number or text, or what makes it anew in each call, given the physical GPU (0 where there is none).
Value: TypeAlias = int | bytes | Callable[[int], int | bytes]
_Where: TypeAlias = tuple[str, int | None]


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        """Start somewhere."""
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the seconds, as `time.monotonic` does."""
        return self.now


class FakeNvml(Symbols):
    """An NVIDIA library of `gpus` GPUs that does what a test tells it.

    GPUs are named by their physical number, which stays with a GPU when `order` changes; None means all of
    them, and a word on one GPU goes before a word on all. Calls are named by their C symbols, or by the binding's
    functions of another name (`nvmlInit`, which is how `calls` notes it); an unknown one is a ValueError.
    """

    def __init__(self, gpus: int = 2, *, old: bool = False) -> None:
        """Start uninitialised, with healthy GPUs in order and the answers of the C stand-in, or of its `old` build."""
        super().__init__()
        #: How many GPUs there are, and which physical GPU each index is (indices left out keep their own).
        self.gpus = gpus
        self.order: list[int] = []
        #: Numbers and texts that are not the stand-in's, by name (standin.NUMBERS, TEXTS) and physical GPU.
        self.values: dict[_Where, Value] = {}
        self.missing.update(standin.NEWER if old else ())
        #: What was called so far: the function and the physical GPU, None if it was about none.
        self.calls: list[_Where] = []
        #: Set once a call that was told to hang is inside.
        self.entered = threading.Event()
        self._released = threading.Event()
        self._hanging: set[_Where] = set()
        self._failing: dict[_Where, int] = {}
        self._lost: set[int] = set()
        self._users = 0
        self._instances: dict[int, int] = {}
        self._records: dict[_Where, Sequence[Sequence[int]]] = {}
        self._stride = 24

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
            "_nvmlGetFunctionPointer": self._pointer,
        }

    def lose(self, gpu: int) -> None:
        """Make every call on `gpu`, and getting its handle, fail with GPU_IS_LOST."""
        self._lost.add(gpu)

    def restore(self, gpu: int) -> None:
        """Bring a lost GPU back."""
        self._lost.discard(gpu)

    def fail(self, call: str, code: int, gpu: int | None = None) -> None:
        """Make `call`, or the field value `field:ID` in a call that goes on, fail with NVML's `code`."""
        self._failing[_named(call, FIELD_CALLS), gpu] = code

    def hang(self, call: str, gpu: int | None = None) -> None:
        """Keep whoever is in `call` there until `release()` or `heal()`; `entered` tells when someone is."""
        self.entered.clear()
        self._released.clear()
        self._hanging.add((_named(call), gpu))

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

    def mig(self, gpu: int, instances: int | None) -> None:
        """Put a GPU into MIG mode with so many instances, 0 to 7; None: out of it, as it was at first."""
        self._instances.pop(gpu, None)
        if instances is not None:
            self._instances[gpu] = instances

    def xid(self, gpu: int, code: int, times: int = 1) -> None:
        """Let XID error `code` happen; only who has registered before hears of it."""
        for _ in range(times):
            self._events.happen(gpu, address(gpu), code)

    def processes(self, gpu: int, *processes: tuple[int, int]) -> None:
        """Say which compute processes a GPU has: each one's pid and bytes (2**64 - 1: not available)."""
        self._records["compute", gpu] = processes

    def graphics(self, gpu: int, *processes: tuple[int, int]) -> None:
        """Say which graphics processes a GPU has, as `processes`."""
        self._records["graphics", gpu] = processes

    def process_utilization(self, gpu: int, *samples: tuple[int, int, int, int, int]) -> None:
        """Say what processes use of a GPU: pid, and percent of its SMs, memory, encoder and decoder.

        They were sampled at `process_sampled_microseconds`, each a microsecond after the one before.
        """
        self._records["utilization", gpu] = samples

    def stride(self, length: int) -> None:
        """Let the running-processes calls _v3 write records of 16, 24 (as they do at first) or 32 bytes."""
        self._stride = length

    def heal(self) -> None:
        """Drop every fault: lost GPUs, errors, hangs. All else that was told stays."""
        self._lost.clear()
        self._failing.clear()
        self.release()

    def answer(self, symbol: str, gpu: int | None, *inputs: int, instance: int | None = None) -> Any:
        """Return what a call of `calls.SYSTEM`, `DEVICE` or `MIG` answers when nothing is wrong; None of the others.

        Raises:
            pynvml.NVMLError: an input is out of range, or what is asked for is not supported.
        """
        call = calls.table(gpu, instance).get(symbol)
        return None if call is None else call.answer(_Asked(self, gpu or 0, instance), *inputs)

    def _enter(self, call: str, gpu: int | None = None) -> None:
        self.calls.append((call, gpu))
        if {(call, gpu), (call, None)} & self._hanging:
            self.entered.set()
            self._released.wait()
        if self._users == 0 and call != "nvmlInit":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        if gpu in self._lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        code = self._fault(call, gpu)
        if code:
            raise pynvml.NVMLError(code)

    def _fault(self, call: str, gpu: int | None) -> int:
        return self._failing.get((call, gpu), self._failing.get((call, None), 0))

    def _init(self) -> None:
        self._enter("nvmlInit")
        if self._users == 0:
            self._events.forget()
        self._users += 1

    def _shutdown(self) -> None:
        self._enter("nvmlShutdown")
        self._users -= 1

    def _instances_of(self, gpu: int) -> int | None:
        return self._instances.get(gpu)

    def _physical(self, index: int) -> int | None:
        if not 0 <= index < self.gpus:
            return None
        return self.order[index] if index < len(self.order) else index


class _Asked(NamedTuple):
    """See `Asked` in the recipes."""

    fake: FakeNvml
    gpu: int
    instance: int | None

    def look(self, name: str) -> Any:
        default = standin.answer(name, self.gpu, self.instance or 0)
        value = self.fake.values.get((name, self.gpu), self.fake.values.get((name, None), default))
        return value(self.gpu) if callable(value) else value

    def gpus(self) -> int:
        return self.fake.gpus

    def instances(self) -> int | None:
        return self.fake._instances_of(self.gpu)

    def records(self, name: str) -> Sequence[Sequence[int]]:
        return self.fake._records.get((name, self.gpu), ())

    def stride(self) -> int:
        return self.fake._stride

    def fault(self, call: str) -> int:
        return self.fake._fault(call, self.gpu)


def _error_string(code: int) -> bytes:
    return standin.FAILURES.get(code, "Unknown Error").encode()


def _named(call: str, more: frozenset[str] = frozenset()) -> str:
    return short(known(call, calls.ALL | more | frozenset(calls.SHORT.values())))
