"""What a test tells the stand-in for libnvidia-ml.so.1, by its control file."""

from __future__ import annotations

import ctypes
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeAlias
from unittest import mock

import pynvml

from tests.standin.answers import CALLS, FIELDS, NUMBERS

#: What was told, by subject and GPU (None: all): the line of the control file that says so.
_Words: TypeAlias = dict[tuple[str, int | None], str]


class StandIn:
    """One control file, and the library that reads it: what is told here holds from the next NVML call on.

    Calls are named by their C symbols (`nvmlDeviceGetCount_v2`); an unknown one is a ValueError. `field:ID` is the
    call of one field's value, which can only fail. `gpu` is a physical GPU; None means all of them, and a word on
    one GPU goes before a word on all.
    """

    def __init__(self, library: Path, control: Path) -> None:
        """Start with two healthy GPUs in order, in a new control file at `control`."""
        self.library = library
        self.control = control
        self._gpus = 2
        self._order: tuple[int, ...] = ()
        self._generation = 0
        self._stamp = 0
        self._xids: Counter[tuple[int, int]] = Counter()
        self._faults: _Words = {}
        self._answers: _Words = {}
        self._write()

    def environment(self) -> dict[str, str]:
        """Return the environment variables that put a process of the service on this stand-in."""
        return {"NVML_STANDIN_CONTROL": str(self.control), "GPU_METRICS_NVML_LIBRARY": str(self.library)}

    @contextmanager
    def in_use(self) -> Iterator[Self]:
        """Put the real binding of this process on this stand-in, initialised; afterwards heal it and shut it down."""
        library = ctypes.CDLL(str(self.library))
        fresh: dict[str, Any] = {"nvmlLib": library, "_nvmlGetFunctionPointer_cache": {}, "_nvmlLib_refcount": 0}
        with mock.patch.dict(os.environ, self.environment()), mock.patch.multiple(pynvml, **fresh):
            pynvml.nvmlInit()
            try:
                yield self
            finally:
                self.heal()
                while library.nvmlShutdown() == 0:
                    pass

    def gpus(self, count: int) -> None:
        """Say how many GPUs there are, 0 to 16."""
        self._gpus = count
        self._write()

    def order(self, *physical: int) -> None:
        """Say which physical GPU each index is from now on; indices left out keep their own."""
        self._order = physical
        self._write()

    def lose(self, gpu: int) -> None:
        """Make every call on `gpu`, and getting its handle, fail with 15 (GPU_IS_LOST)."""
        self._tell(f"lost {gpu}")

    def restore(self, gpu: int) -> None:
        """Bring a lost GPU back."""
        self._faults.pop((f"lost {gpu}", None), None)
        self._write()

    def fail(self, call: str, code: int, gpu: int | None = None) -> None:
        """Make `call` fail with NVML's `code`."""
        self._tell(f"error {known(call, CALLS | FIELD_CALLS)}", gpu, code)

    def hang(self, call: str, gpu: int | None = None) -> None:
        """Keep whoever is in `call` there until `heal()`; then the call goes on as if nothing had been."""
        self._tell(f"hang {known(call, CALLS)}", gpu)

    def crash(self, call: str, gpu: int | None = None) -> None:
        """Let `call` kill its process by a segmentation fault."""
        self._tell(f"crash {known(call, CALLS)}", gpu)

    def reload(self) -> None:
        """Reload the driver: all but nvmlInit_v2 fails with 1 (UNINITIALIZED) until that was called again."""
        self._generation += 1
        self._write()

    def value(self, name: str, number: int | None, gpu: int | None = None) -> None:
        """Make one of NUMBERS be `number`; None: what it was at first.

        Raises:
            ValueError: there is no such number.
        """
        self._answer(f"value {known_number(name)}", None if number is None else str(number), gpu)

    def elapsed(self, name: str, since_milliseconds: int, gpu: int | None = None) -> None:
        """Make one of NUMBERS tell the time: the milliseconds since CLOCK_BOOTTIME showed so many of them.

        Raises:
            ValueError: there is no such number.
        """
        self._answers[f"value {known_number(name)}", gpu] = _line(f"elapsed {name}", since_milliseconds, gpu)
        self._write()

    def slow(self, milliseconds: int) -> None:
        """Let every call take that long."""
        self._faults["slow", None] = f"slow {milliseconds}"
        self._write()

    def name(self, raw: bytes | None, gpu: int | None = None) -> None:
        """Make the device's name these 1 to 127 bytes, valid UTF-8 or not; None: what it was at first."""
        self._answer("name", None if raw is None else raw.hex(), gpu)

    def mig(self, gpu: int, instances: int | None) -> None:
        """Put a GPU into MIG mode with so many instances, 0 to 7; None: out of it, as it was at first."""
        self._of_one("mig", gpu, None if instances is None else [instances])

    def xid(self, gpu: int, code: int, times: int = 1) -> None:
        """Let XID error `code` happen; only who has registered before hears of it."""
        self._xids[gpu, code] += times
        self._write()

    def processes(self, gpu: int, *processes: tuple[int, int]) -> None:
        """Say which compute processes a GPU has: each one's pid and bytes (2**64 - 1: not available)."""
        self._of_one("processes", gpu, _colons(processes))

    def graphics(self, gpu: int, *processes: tuple[int, int]) -> None:
        """Say which graphics processes a GPU has, as `processes`."""
        self._of_one("graphics", gpu, _colons(processes))

    def process_utilization(self, gpu: int, *samples: tuple[int, int, int, int, int]) -> None:
        """Say what processes use of a GPU: pid, and percent of its SMs, memory, encoder and decoder.

        They were sampled at `process_sampled_microseconds`, each a microsecond after the one before.
        """
        self._of_one("processutil", gpu, _colons(samples))

    def stride(self, length: int) -> None:
        """Let the running-processes calls _v3 write records of 16, 24 (as they do at first) or 32 bytes."""
        self._answers["stride", None] = f"stride {length}"
        self._write()

    def heal(self) -> None:
        """Drop every fault: lost GPUs, errors, hangs, crashes, slowness. All else that was told stays."""
        self._faults.clear()
        self._write()

    def _tell(self, fault: str, gpu: int | None = None, code: int | None = None) -> None:
        self._faults[fault, gpu] = _line(fault, code, gpu)
        self._write()

    def _answer(self, what: str, answer: str | None, gpu: int | None) -> None:
        self._answers[what, gpu] = "" if answer is None else _line(what, answer, gpu)
        self._write()

    def _of_one(self, what: str, gpu: int, words: list[object] | None) -> None:
        self._answers[what, gpu] = "" if words is None else _line(what, gpu, *words)
        self._write()

    def _lines(self) -> list[str]:
        state = [f"gpus {self._gpus}", f"reload {self._generation}", _line("order", *self._order)]
        state += [_line("xid", gpu, code, times) for (gpu, code), times in self._xids.items()]
        # The library lets the last line win, so those on all GPUs come before those on one.
        words = [*self._answers.items(), *self._faults.items()]
        words.sort(key=lambda word: word[0][1] is not None)
        return [*state, *(line for _, line in words)]

    def _write(self) -> None:
        fresh = self.control.with_name(self.control.name + ".new")
        fresh.write_text("\n".join(self._lines()) + "\n")
        # The kernel's own times are too coarse to tell two writes in a row apart.
        self._stamp = max(time.time_ns(), self._stamp + 1)
        os.utime(fresh, ns=(self._stamp, self._stamp))
        fresh.replace(self.control)


def _line(*words: object) -> str:
    return " ".join(str(word) for word in words if word is not None)


def _colons(records: tuple[tuple[int, ...], ...]) -> list[object]:
    return [":".join(map(str, record)) for record in records]


FIELD_CALLS = frozenset(f"field:{number}" for number in FIELDS)


def known(call: str, calls: frozenset[str]) -> str:
    """Return the call's name.

    Raises:
        ValueError: it is none of `calls`.
    """
    if call not in calls:
        raise ValueError(f"there is no call {call!r} here")
    return call


def known_number(name: str) -> str:
    """Return the number's name.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in NUMBERS:
        raise ValueError(f"the stand-in has no number {name!r}")
    return name
