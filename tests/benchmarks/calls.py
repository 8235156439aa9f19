"""Which calls of the binding one sample makes: overheard, never listed by hand, and checked against `Nvml`'s count."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pynvml

from collector.nvml.source import Nvml

_POINTER = "_nvmlGetFunctionPointer"

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

    def _noting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            if self._is_inside:
                return function(*arguments)
            self.heard.append((function, arguments))
            self._is_inside = True
            try:
                return function(*arguments)
            finally:
                self._is_inside = False

        return noted

    def _pointer(self, find: Callable[[str], Callable[..., Any]]) -> Callable[[str], Callable[..., Any]]:
        """A function that the binding lacks is called by its symbol, and heard there."""
        return lambda symbol: find(symbol) if self._is_inside else self._noting(find(symbol))


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
