"""The stand-in for libnvidia-ml.so.1: what it answers, how it is built, and how a test makes it misbehave.

No GPU and no driver are needed; the real binding loads it as it would load the real library. GPUs are named
by their physical number, which stays with a GPU when the order of indices changes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TypeAlias

_HERE = Path(__file__).parent
_SOURCE = _HERE / "nvml_standin.c"
_ANSWERS = (_HERE / "answers.def").read_text()
_COMPILE = ("cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread")

#: Each number's (first, step): physical GPU g answers first + g * step, in the unit that the name says.
NUMBERS = {
    name: (int(first), int(step)) for name, first, step in re.findall(r"(?m)^NUMBER\((\w+), (\d+), (\d+)\)", _ANSWERS)
}
#: Each text's format, to be filled with the physical GPU's number plus one.
TEXTS: dict[str, str] = dict(re.findall(r'(?m)^TEXT\((\w+), "(.*)"\)', _ANSWERS))
#: What nvmlErrorString says of each code.
FAILURES: dict[int, str] = {int(code): text for code, text in re.findall(r'(?m)^FAILURE\((\d+), "(.*)"\)', _ANSWERS)}
#: The C symbols that the stand-in has and that can be told to misbehave.
CALLS = frozenset(re.findall(r"\bnvml(?:Init|Shutdown|System|Device)\w*(?=[(,])", _SOURCE.read_text()))


#: What was told, by subject and GPU (None: all): the line of the control file that says so.
_Words: TypeAlias = dict[tuple[str, int | None], str]


def answer(name: str, gpu: int) -> int | bytes:
    """Return the number or text that physical GPU `gpu` answers unless told otherwise.

    Raises:
        KeyError: there is no such number or text.
    """
    if name in NUMBERS:
        first, step = NUMBERS[name]
        return first + gpu * step
    text = TEXTS[name]
    return (text % (gpu + 1) if "%" in text else text).encode()


def has_compiler() -> bool:
    """Return whether this machine has a C compiler named `cc`."""
    return shutil.which(_COMPILE[0]) is not None


def build(directory: Path) -> Path:
    """Compile the stand-in into `directory` and return the library's path.

    Raises:
        subprocess.CalledProcessError: it does not compile; the compiler has said why on stderr.
    """
    library = directory / "libnvidia-ml.so.1"
    subprocess.run([*_COMPILE, str(_SOURCE), "-o", str(library)], check=True)
    return library


class StandIn:
    """One control file, and the library that reads it: what is told here holds from the next NVML call on.

    Calls are named by their C symbols (`nvmlDeviceGetCount_v2`); an unknown one is a ValueError. `gpu` is a
    physical GPU; None means all of them, and a word on one GPU goes before a word on all.
    """

    def __init__(self, library: Path, control: Path) -> None:
        """Start with two healthy GPUs in order, in a new control file at `control`."""
        self.library = library
        self.control = control
        self._gpus = 2
        self._order: tuple[int, ...] = ()
        self._generation = 0
        self._stamp = 0
        self._faults: _Words = {}
        self._answers: _Words = {}
        self._write()

    def environment(self) -> dict[str, str]:
        """Return the environment variables that put a process of the service on this stand-in."""
        return {"NVML_STANDIN_CONTROL": str(self.control), "GPU_METRICS_NVML_LIBRARY": str(self.library)}

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
        self._tell(f"error {_known(call)}", gpu, code)

    def hang(self, call: str, gpu: int | None = None) -> None:
        """Keep whoever is in `call` there until `heal()`; then the call goes on as if nothing had been."""
        self._tell(f"hang {_known(call)}", gpu)

    def crash(self, call: str, gpu: int | None = None) -> None:
        """Let `call` kill its process by a segmentation fault."""
        self._tell(f"crash {_known(call)}", gpu)

    def reload(self) -> None:
        """Reload the driver: all but nvmlInit_v2 fails with 1 (UNINITIALIZED) until that was called again."""
        self._generation += 1
        self._write()

    def value(self, name: str, number: int | None, gpu: int | None = None) -> None:
        """Make one of NUMBERS be `number`; None: what it was at first.

        Raises:
            ValueError: there is no such number.
        """
        self._answer(f"value {_number(name)}", None if number is None else str(number), gpu)

    def name(self, raw: bytes | None, gpu: int | None = None) -> None:
        """Make the device's name these 1 to 127 bytes, valid UTF-8 or not; None: what it was at first."""
        self._answer("name", None if raw is None else raw.hex(), gpu)

    def heal(self) -> None:
        """Drop every fault: lost GPUs, errors, hangs, crashes. Count, order, values and names stay."""
        self._faults.clear()
        self._write()

    def _tell(self, fault: str, gpu: int | None = None, code: int | None = None) -> None:
        self._faults[fault, gpu] = _line(fault, code, gpu)
        self._write()

    def _answer(self, what: str, answer: str | None, gpu: int | None) -> None:
        self._answers[what, gpu] = "" if answer is None else _line(what, answer, gpu)
        self._write()

    def _lines(self) -> list[str]:
        state = [f"gpus {self._gpus}", f"reload {self._generation}", _line("order", *self._order)]
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


def _known(call: str) -> str:
    if call not in CALLS:
        raise ValueError(f"the stand-in has no call {call!r}")
    return call


def _number(name: str) -> str:
    if name not in NUMBERS:
        raise ValueError(f"the stand-in has no number {name!r}")
    return name
