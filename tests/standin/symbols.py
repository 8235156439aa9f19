"""The C functions of an NVIDIA library, as Python: what is behind each symbol that `FakeNvml` gives out."""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import pynvml

from tests.standin import calls
from tests.standin.events import EventSets, address_of
from tests.standin.layouts import integer, require, view

#: Far enough apart, and never zero, as the addresses of real handles are. A GPU's MIG instances come after it.
_STRIDE = 0x1000


class Symbols(ABC):
    """A library's entry points: arguments in, an nvmlReturn_t out. What is answered, and to whom, others say."""

    def __init__(self) -> None:
        """Start with every symbol, and nobody listening to events."""
        #: The symbols that the library lacks.
        self.missing: set[str] = set()
        self._events = EventSets()

    @abstractmethod
    def answer(self, symbol: str, gpu: int | None, *inputs: int, instance: int | None = None) -> Any:
        """Return what a call answers when nothing is wrong."""

    @abstractmethod
    def _enter(self, call: str, gpu: int | None = None) -> None:
        """Begin a call: raise what it was told to fail with."""

    @abstractmethod
    def _init(self) -> None: ...

    @abstractmethod
    def _shutdown(self) -> None: ...

    @abstractmethod
    def _physical(self, index: int) -> int | None: ...

    @abstractmethod
    def _instances_of(self, gpu: int) -> int | None: ...

    def _pointer(self, symbol: str) -> Callable[..., int]:
        if symbol not in calls.ALL or symbol in self.missing:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return partial(self._code, self._function(symbol))

    def _function(self, symbol: str) -> Callable[..., None]:
        special: dict[str, Callable[..., None]] = {
            "nvmlInit_v2": self._init,
            "nvmlInitWithFlags": lambda _: self._init(),
            "nvmlShutdown": self._shutdown,
            "nvmlDeviceGetHandleByIndex_v2": self._handle,
            "nvmlDeviceGetMigDeviceHandleByIndex": self._mig_handle,
            "nvmlDeviceRegisterEvents": self._register,
            "nvmlEventSetCreate": partial(self._event_set, symbol, self._events.create),
            "nvmlEventSetFree": partial(self._event_set, symbol, self._events.free),
            "nvmlEventSetWait": partial(self._event_set, symbol, self._events.wait),
            "nvmlEventSetWait_v2": partial(self._event_set, symbol, self._events.wait),
        }
        reading = self._system if symbol in calls.SYSTEM else self._device
        return special.get(symbol) or partial(reading, symbol)

    @staticmethod
    def _code(function: Callable[..., None], *arguments: Any) -> int:
        try:
            function(*arguments)
        except pynvml.NVMLError as failure:
            return int(failure.value)
        return 0

    def _system(self, symbol: str, *arguments: Any) -> None:
        self._enter(short(symbol))
        calls.SYSTEM[symbol].layout.fill(arguments, partial(self.answer, symbol, None))

    def _device(self, symbol: str, handle: Any, *arguments: Any) -> None:
        gpu, instance = self._enter_device(symbol, handle)
        table = calls.table(gpu, instance)
        require(symbol in table)
        table[symbol].layout.fill(arguments, partial(self.answer, symbol, gpu, instance=instance))

    def _enter_device(self, symbol: str, handle: Any) -> tuple[int, int | None]:
        gpu, part = divmod(address_of(handle), _STRIDE)
        self._enter(short(symbol), gpu - 1 if gpu else None)
        require(gpu > 0 and part <= (self._instances_of(gpu - 1) or 0))
        return gpu - 1, part - 1 if part else None

    def _handle(self, index: Any, out: Any) -> None:
        gpu = self._physical(integer(index))
        self._enter("nvmlDeviceGetHandleByIndex", gpu)
        if gpu is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        place = view(out, ctypes.c_void_p)
        self.answer("nvmlDeviceGetHandleByIndex_v2", gpu)
        place.value = address(gpu)

    def _mig_handle(self, handle: Any, index: Any, out: Any) -> None:
        symbol = "nvmlDeviceGetMigDeviceHandleByIndex"
        gpu, instance = self._enter_device(symbol, handle)
        require(instance is None)
        place = view(out, ctypes.c_void_p)
        if integer(index) >= (self._instances_of(gpu) or 0):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        self.answer(symbol, gpu, integer(index))
        place.value = address(gpu) + 1 + integer(index)

    def _register(self, handle: Any, types: Any, event_set: Any) -> None:
        gpu, instance = self._enter_device("nvmlDeviceRegisterEvents", handle)
        require(instance is None)
        self.answer("nvmlDeviceRegisterEvents", gpu)
        self._events.register(gpu, types, event_set)

    def _event_set(self, symbol: str, act: Callable[..., None], *arguments: Any) -> None:
        self._enter(symbol)
        act(*arguments)


def address(gpu: int) -> int:
    """Return what a GPU's handle points at."""
    return (gpu + 1) * _STRIDE


def short(symbol: str) -> str:
    """Return the binding's name of a symbol, where that is another one."""
    return calls.SHORT.get(symbol, symbol)
