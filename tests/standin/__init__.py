"""The stand-in for libnvidia-ml.so.1: what it answers, how it is built, and how a test makes it misbehave.

No GPU and no driver are needed; the real binding loads it as it would load the real library. GPUs are named
by their physical number, which stays with a GPU when the order of indices changes. `answers.def` states what it and
`FakeNvml` answer, `control.h` what it can be told, `StandIn` tells it; `calls` has the calls as Python sees them.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.standin.answers import CALLS, FAILURES, FIELDS, NEWER, NUMBERS, SOURCE, TEXTS, answer
from tests.standin.control import StandIn

__all__ = [
    "CALLS",
    "FAILURES",
    "FIELDS",
    "NEWER",
    "NUMBERS",
    "TEXTS",
    "StandIn",
    "answer",
    "build",
    "has_compiler",
]

_COMPILE = ("cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread")


def has_compiler() -> bool:
    """Return whether this machine has a C compiler named `cc`."""
    return shutil.which(_COMPILE[0]) is not None


def build(directory: Path, *, old: bool = False, source: Path = SOURCE) -> Path:
    """Compile the stand-in into `directory` and return the library's path; `old`: without the symbols in NEWER;
    `source`: C code that includes the stand-in's and has more symbols.

    Raises:
        subprocess.CalledProcessError: it does not compile; the compiler has said why on stderr.
    """
    library = directory / "libnvidia-ml.so.1"
    options = ["-DOLD_DRIVER"] if old else []
    subprocess.run([*_COMPILE, *options, str(source), "-o", str(library)], check=True)
    return library
