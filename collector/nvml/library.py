"""The binding, called: the only module that imports pynvml.

In: a function's name and its arguments. Out: NVML's answer with texts decoded, or a `CallError`. Every call is
counted and timed, and while it runs it can be seen from outside, because any of them may never return.
"""

import ctypes
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pynvml

from collector.nvml import codes
from collector.nvml.fields import FUNCTION as FIELD_VALUES
from collector.nvml.fields import FieldArray
from collector.nvml.table import Field
from common.snapshot import SlowestCall

_log = logging.getLogger(__name__)

_WINDOWS_PLACES = (Path(r"C:\Windows\System32\nvml.dll"),)  # where drivers of today put it
_LINUX_PLACES = tuple(
    Path(directory) / "libnvidia-ml.so.1"
    for directory in (
        "/usr/local/nvidia/lib64",  # Kubernetes hosts that mount the driver there
        "/run/opengl-driver/lib",  # NixOS
        "/usr/lib/wsl/lib",  # Windows Subsystem for Linux
        "/usr/lib64/nvidia",
    )
)
OTHER_PLACES = _WINDOWS_PLACES if sys.platform == "win32" else _LINUX_PLACES
"""Where the library may be when the binding does not find it."""


class CallError(Exception):
    """NVML answered with an error: `code` is its `nvmlReturn_t`, the text says what it means. Never leaves this
    package."""

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(f"{codes.name(code)}: {detail}" if detail else codes.explain(code))
        self.code = code


class InFlight(NamedTuple):
    """A call that has not returned: its function, the GPU's index if it is about one, when it started."""

    function: str
    gpu_index: int | None
    started: float


Question = tuple[str, int, Callable[..., Any], tuple[Any, ...]]
"""A call that is made in every sample, ready: the function, the GPU's index, what to call, with what. A plain
tuple, which Python takes apart faster than a named one."""


class Library:
    """The loaded NVML library. Not safe for two threads, save `in_flight`, which any thread may read."""

    def __init__(self, path: str, now: Callable[[], float]) -> None:
        """`path` names the library, empty: where the binding looks. `now` gives seconds, as `time.monotonic`."""
        self.calls = 0
        self._path = path
        self._now = now
        self._running: tuple[Any, ...] | None = None
        self._started = 0.0
        self._slowest = ""
        self._slowest_seconds = 0.0

    @property
    def in_flight(self) -> InFlight | None:
        """The call that is running now, None between calls."""
        running, started = self._running, self._started
        # Read twice, for the sampling thread goes on meanwhile: a new call must not be given an old one's start.
        if running is None or running is not self._running:
            return None
        return InFlight(running[0], running[1], started)

    def forget_slowest(self) -> None:
        """Begin a new sample: calls made before it no longer count for `slowest_call`."""
        self._slowest, self._slowest_seconds = "", 0.0

    @property
    def slowest_call(self) -> SlowestCall | None:
        """The slowest call since `forget_slowest`, None if there was no call."""
        return SlowestCall(function=self._slowest, seconds=self._slowest_seconds) if self._slowest else None

    def call(self, function: str, gpu_index: int | None, *arguments: Any) -> Any:
        """Call one function of the binding and return what it returns.

        Raises:
            CallError: NVML answered with an error.
        """
        return self._timed(function, gpu_index, getattr(pynvml, function), arguments)

    def question(
        self, function: str, gpu_index: int, arguments: tuple[Any, ...], outputs: Sequence[Callable[[], Any]] = ()
    ) -> Question:
        """Return a call, to be made by `ask`: of the binding's function or, with `outputs`, of an entry point of the
        driver's library that the binding has no function for."""
        call = _prepared(function, outputs) if outputs else getattr(pynvml, function)
        return function, gpu_index, call, arguments

    def field_question(self, fields: Sequence[Field], gpu_index: int, handle: Any) -> Question:
        """Return a call, to be made by `ask`, that gives a list with a number for each field (see `FieldArray`)."""
        array = FieldArray(fields)

        def call() -> list[int]:
            _check(_entry(FIELD_VALUES)(handle, len(fields), array.places))
            return array.values()

        return FIELD_VALUES, gpu_index, call, ()

    def ask(self, questions: Iterable[Question]) -> tuple[list[Any], dict[int, int]]:
        """Make one call after the other. Return their answers in order, None where NVML refused, and NVML's codes of
        those by their places; after a code that is about more than the one call, nothing more is asked.

        This loop is most of what a sample costs: the end of one call is the start of the next.
        """
        answers: list[Any] = []
        refused: dict[int, int] = {}
        now, slowest = self._now, self._slowest_seconds
        self._started = started = now()
        try:
            for question in questions:
                self._running = question
                function, _, call, arguments = question
                try:
                    answers.append(call(*arguments))
                except pynvml.NVMLError as error:
                    refused[len(answers)] = error.value
                    answers.append(None)
                    if error.value in codes.ABOUT_MORE_THAN_ONE_CALL:
                        break
                self._started = ended = now()
                if ended - started > slowest:
                    slowest = ended - started
                    self._slowest, self._slowest_seconds = function, slowest
                started = ended
        finally:
            self._running = None
            self.calls += len(answers)
        return answers, refused

    def text(self, function: str, gpu_index: int | None, *arguments: Any) -> str:
        """Call a function that gives a text: whatever bytes the driver sends become a `str`."""
        try:
            return decoded(self.call(function, gpu_index, *arguments))
        except UnicodeDecodeError as error:  # the official binding decodes by itself, and strictly
            return decoded(error.object)

    def initialise(self) -> None:
        """Load the library if it is not yet, and initialise it."""
        self._timed("nvmlInit", None, self._load_and_initialise, ())

    def enter(self, function: str, gpu_index: int | None, *arguments: Any, outputs: Sequence[Callable[[], Any]]) -> Any:
        """Call an entry point of the driver's library that the binding has no function for. Return its output, a tuple
        of several: numbers as such, structs as they are."""
        return self._timed(function, gpu_index, _prepared(function, outputs), arguments)

    def enter_with(self, function: str, gpu_index: int | None, *arguments: Any) -> int:
        """The same with all arguments given, whatever they point to; return NVML's code."""
        return int(self._timed(function, gpu_index, partial(_call_entry, function), arguments))

    def _timed(self, function: str, gpu_index: int | None, call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        self._started = started = self._now()
        self._running = (function, gpu_index)
        try:
            return call(*arguments)
        except pynvml.NVMLError as error:
            raise CallError(error.value) from None
        finally:
            self._running = None
            self.calls += 1
            seconds = self._now() - started
            if seconds > self._slowest_seconds:
                self._slowest, self._slowest_seconds = function, seconds

    def _load_and_initialise(self) -> None:
        if self._path and pynvml.nvmlLib is None:
            pynvml.nvmlLib = self._load(Path(self._path))
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            place = next(filter(Path.exists, OTHER_PLACES), None)
            if error.value != codes.LIBRARY_NOT_FOUND or place is None:
                raise
            pynvml.nvmlLib = self._load(place)
            pynvml.nvmlInit()

    def _load(self, path: Path) -> ctypes.CDLL:
        try:
            library = ctypes.CDLL(str(path))
        except OSError as error:
            raise CallError(codes.LIBRARY_NOT_FOUND, f"{error}; see GPU_METRICS_NVML_LIBRARY") from error
        _log.info("loaded the NVML library %s", path)
        return library


def decoded(text: bytes | str) -> str:
    """Return the driver's text; bytes that are not UTF-8 become replacement characters."""
    return text.decode(errors="replace") if isinstance(text, bytes) else text


def _entry(function: str) -> Callable[..., int]:
    """Return an entry point of the library that the binding loaded; raises the binding's error where there is none."""
    return pynvml._nvmlGetFunctionPointer(function)  # type: ignore[no-any-return]  # noqa: SLF001 -- its only handle


def _call_entry(function: str, *arguments: Any) -> int:
    return _entry(function)(*arguments)


def _check(code: int) -> None:
    if code:
        raise pynvml.NVMLError(code)


def _prepared(function: str, outputs: Sequence[Callable[[], Any]]) -> Callable[..., Any]:
    """Return what calls an entry point with the same places for its outputs each time. It gives the one output, or a
    tuple: numbers as such; a struct is the place itself, to be read before the next call."""
    places = [output() for output in outputs]
    references = [ctypes.byref(place) for place in places]
    only = places[0] if len(places) == 1 else None
    is_struct = isinstance(only, ctypes.Structure)
    entry: Callable[..., int] | None = None

    def call(*arguments: Any) -> Any:
        nonlocal entry
        if entry is None:
            entry = _entry(function)
        code = entry(*arguments, *references)
        if code:
            raise pynvml.NVMLError(code)
        if only is not None:
            return only if is_struct else only.value
        return tuple([place.value for place in places])

    return call
