"""The C stand-in where a process of its own is needed: to die in, or to be started without a control file."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.standin import StandIn


def _run(library: Path, program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `program` in a process of its own, after an nvmlInit of `library`."""
    start = f"import ctypes, pynvml; pynvml.nvmlLib = ctypes.CDLL({str(library)!r}); pynvml.nvmlInit()\n"
    command = [sys.executable, "-c", start + program]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_without_a_control_file_two_gpus_are_well(standin_library: Path) -> None:
    done = _run(standin_library, "print(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(1)))")
    assert done.stdout == "b'GPU-5eed5eed-0000-4000-8000-000000000002'\n"


def test_a_control_file_that_is_not_there_yet_means_no_faults(standin: StandIn) -> None:
    standin.control.unlink()
    done = _run(standin.library, "print(pynvml.nvmlDeviceGetCount())", **standin.environment())
    assert done.stdout == "2\n"


def test_a_crash_kills_the_process(standin: StandIn) -> None:
    standin.crash("nvmlDeviceGetCount_v2")
    assert _run(standin.library, "pynvml.nvmlShutdown()", **standin.environment()).returncode == 0
    dead = _run(standin.library, "pynvml.nvmlDeviceGetCount()", **standin.environment())
    assert dead.returncode == -signal.SIGSEGV


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("gpu 3", "gpu"),
        ("stride 20", "stride"),
        ("processes 0 4711", "process"),
        ("processes 0 4711:1:2", "process"),
        ("processes 16 4711:1", "no such GPU"),
        ("mig 0 8", "mig"),
        ("value fan_speed 3", "fan_speed"),
    ],
)
def test_a_mistyped_control_line_is_not_overlooked(standin: StandIn, line: str, complaint: str) -> None:
    standin.control.write_text(f"{line}\n")
    dead = _run(standin.library, "", **standin.environment())
    assert dead.returncode == -signal.SIGABRT
    assert f"bad control line: {complaint}" in dead.stderr
