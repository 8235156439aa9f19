"""Which calls of the binding one sample makes: overheard, never listed by hand, and checked against `Nvml`'s count.

Where the service enters the library by a symbol that the binding has a function for, it is that function which counts:
the floor is what the binding makes of the same calls, whichever way the service makes them.
"""

import contextlib
import ctypes
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pynvml

from collector.nvml.source import Nvml

_POINTER = "_nvmlGetFunctionPointer"
_Reference = type(ctypes.byref(ctypes.c_int()))

#: A function of the binding, or of the library below it, and what it was called with.
Call = tuple[Callable[..., Any], tuple[Any, ...]]


class _Eavesdropper:
    """Stands before the binding's functions; what the binding calls of its own it does not note."""

    def __init__(self) -> None:
        self.heard: list[Call] = []
        self._is_inside = False

    def functions(self) -> dict[str, Any]:
        """Return what takes the place of the binding's functions, by name."""
        named = [(name, found) for name, found in vars(pynvml).items() if name.startswith("nvml")]
        noting = {name: self._noting(found) for name, found in named if inspect.isfunction(found)}
        return {_POINTER: self._pointer(getattr(pynvml, _POINTER)), **noting}

    def _noting(self, function: Callable[..., Any], symbol: str = "") -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            if self._is_inside:
                return function(*arguments)
            self.heard.append(_in_the_bindings_words(symbol, arguments) or (function, arguments))
            self._is_inside = True
            try:
                return function(*arguments)
            finally:
                self._is_inside = False

        return noted

    def _pointer(self, find: Callable[[str], Callable[..., Any]]) -> Callable[[str], Callable[..., Any]]:
        """What is called by its symbol is heard there."""
        return lambda symbol: find(symbol) if self._is_inside else self._noting(find(symbol), symbol)


_OWN = {name: found for name, found in vars(pynvml).items() if name.startswith("nvml") and inspect.isfunction(found)}


def _in_the_bindings_words(symbol: str, arguments: tuple[Any, ...]) -> Call | None:
    """Return the call as the binding's function of that name takes it, which makes its own places for the outputs; None
    where it has none."""
    inputs = tuple(argument for argument in arguments if not isinstance(argument, _Reference))
    if symbol not in _OWN or arguments[: len(inputs)] != inputs or inputs == arguments:
        return None
    return _OWN[symbol], inputs


@contextlib.contextmanager
def _in_place_of_the_binding(ear: _Eavesdropper) -> Iterator[None]:
    own = {name: getattr(pynvml, name) for name in ear.functions()}
    for name, function in ear.functions().items():
        setattr(pynvml, name, function)
    try:
        yield
    finally:
        for name, function in own.items():
            setattr(pynvml, name, function)


def steady_calls(nvml: Nvml) -> list[Call]:
    """Return the calls of a sample that finds all as it was before.

    Raises:
        RuntimeError: `Nvml` counted other calls than were overheard: the bare loop would not do the same work.
    """
    ear = _Eavesdropper()
    with _in_place_of_the_binding(ear):
        nvml.sample()
        ear.heard.clear()
        before = nvml.calls
        nvml.sample()
    if len(ear.heard) != nvml.calls - before:
        raise RuntimeError(f"overheard {len(ear.heard)} calls of {nvml.calls - before}")
    return ear.heard
