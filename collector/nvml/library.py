"""The binding, called: the only module that imports pynvml.

In: a function's name and its arguments. Out: NVML's answer with texts decoded, or a `CallError`. Every call is
counted and timed, and while it runs it can be seen from outside, because any of them may never return.
"""

import ctypes
import logging
import os
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import pynvml

from collector.nvml import codes, places
from common.snapshot import SlowestCall

_log = logging.getLogger(__name__)


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


_Entry = Callable[..., int]
Question = tuple[str, int, Callable[[_Entry, tuple[Any, ...]], int], _Entry, tuple[Any, ...]]
"""A call that is made in every sample, ready: the function, the GPU's index, who makes the call, its entry point, all
that it takes. A plain tuple, which Python takes apart faster than a named one."""


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

    @property
    def path(self) -> str | None:
        """Where the library was loaded from, None as long as none is. Any thread may ask."""
        loaded = pynvml.nvmlLib
        return None if loaded is None else places.path_of(loaded)

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

    def question(self, function: str, gpu_index: int, *arguments: Any) -> Question:
        """Return a call, to be made by `ask`, of an entry point of the driver's library, whose outputs are places that
        are kept. A function of the binding would make new ones, each time, which costs more than the call."""
        return function, gpu_index, _caller(function), _entry_or_its_absence(function), arguments

    def ask(self, questions: Sequence[Question]) -> dict[int, int]:
        """Make one call after the other. Return the codes of those that NVML refused, by their places; after a code
        that is about more than the one call, nothing more is asked.

        This loop is most of what a sample costs: the end of one call is the start of the next.
        """
        refused: dict[int, int] = {}
        asked = 0
        now, slowest = self._now, self._slowest_seconds
        self._started = started = now()
        try:
            for asked, question in enumerate(questions, 1):
                self._running = question
                function, _, call, entry, arguments = question
                code = call(entry, arguments)
                self._started = ended = now()
                if ended - started > slowest:
                    slowest = ended - started
                    self._slowest, self._slowest_seconds = function, slowest
                started = ended
                if code:
                    refused[asked - 1] = code
                    if code in codes.ABOUT_MORE_THAN_ONE_CALL:
                        break
        finally:
            self._running = None
            self.calls += asked
        return refused

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
        places = [output() for output in outputs]
        references = map(ctypes.byref, places)
        self._timed(function, gpu_index, partial(_call_and_check, function), (*arguments, *references))
        values = [place if isinstance(place, ctypes.Structure) else place.value for place in places]
        return values[0] if len(values) == 1 else tuple(values)

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
            place = next((place for place in places.OTHERS if os.access(place, os.R_OK)), None)
            if error.value != codes.LIBRARY_NOT_FOUND or place is None:
                raise
            pynvml.nvmlLib = self._load(place)
            pynvml.nvmlInit()

    def _load(self, path: Path) -> ctypes.CDLL:
        try:
            library = ctypes.CDLL(str(path))
        except (OSError, UnicodeDecodeError) as error:
            # Of a path that is no UTF-8, ctypes cannot read what the loader says.
            words = str(error) if isinstance(error, OSError) else f"{decoded(os.fsencode(path))}: cannot be loaded"
            raise CallError(codes.LIBRARY_NOT_FOUND, f"{words}; see GPU_METRICS_NVML_LIBRARY") from error
        _log.info("loaded the NVML library %s", path)
        return library


def decoded(text: bytes | str) -> str:
    """Return the driver's text; bytes that are not UTF-8 become replacement characters."""
    return text.decode(errors="replace") if isinstance(text, bytes) else text


@cache
def _caller(function: str) -> Callable[[_Entry, tuple[Any, ...]], int]:
    """Return what makes a call under the name of the function: of a crash inside the driver's library, the log has the
    names of Python's functions, and nothing else could tell which call it was."""

    def call(entry: _Entry, arguments: tuple[Any, ...]) -> int:
        return entry(*arguments)

    call.__code__ = call.__code__.replace(co_name=function)
    return call


def _entry(function: str) -> _Entry:
    """Return an entry point of the library that the binding loaded; raises the binding's error where there is none."""
    return pynvml._nvmlGetFunctionPointer(function)  # type: ignore[no-any-return]  # noqa: SLF001 -- its only handle


def _entry_or_its_absence(function: str) -> _Entry:
    try:
        return _entry(function)
    except pynvml.NVMLError as error:
        code = int(error.value)
        return lambda *_: code


def _call_entry(function: str, *arguments: Any) -> int:
    return _caller(function)(_entry(function), arguments)


def _call_and_check(function: str, *arguments: Any) -> None:
    code = _call_entry(function, *arguments)
    if code:
        raise pynvml.NVMLError(code)
