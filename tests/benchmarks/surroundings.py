"""Where a measurement runs: processes of its own, cores, ports, and an environment without the operator's settings."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from common.settings import PREFIX

ROOT = Path(__file__).parents[2]
START_SECONDS = 20.0
STOP_SECONDS = 5.0
GPUS = 8
_SCHEDULED = 2
"""Which clock of a process clock_getcpuclockid(3) means, in the lowest bits of the clock's number."""


def driver(spin_us: int = 0) -> dict[str, str]:
    """Return the variables by which the stand-in has `GPUS` GPUs and costs next to nothing, or so much a call."""
    return {"NVML_STANDIN_GPUS": str(GPUS), "NVML_STANDIN_SPIN_US": str(spin_us)}


def settings(**given: str) -> dict[str, str]:
    """Return the variables that tell one of the processes so, and to log no more than errors: that the feed ends with
    the measurement is none."""
    return {PREFIX + name: value for name, value in {"LOG_LEVEL": "ERROR", **given}.items()}


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of the project's modules with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without settings of the service or words to the stand-in, and `extra`."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "NVML_STANDIN_"))}
    return {**ours, **extra}


def output_of(module: str, *arguments: str, extra: Mapping[str, str]) -> bytes:
    """Run a module in a process of its own and return what it prints.

    Raises:
        subprocess.CalledProcessError: it failed; standard error says why.
    """
    done = subprocess.run(
        command(module, *arguments), cwd=ROOT, env=environment(extra), stdout=subprocess.PIPE, check=True, timeout=120
    )
    return done.stdout


@contextmanager
def running(module: str, *arguments: str, extra: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module beside this process, and end it with the block."""
    with begun(command(module, *arguments), extra, stdout=subprocess.DEVNULL) as process:
        yield process


@contextmanager
def begun(
    line: Sequence[str],
    extra: Mapping[str, str],
    *,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command beside this process, and end it with the block."""
    with subprocess.Popen(line, cwd=ROOT, env=environment(extra), stdin=stdin, stdout=stdout, stderr=stderr) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process listens on its port.

    Raises:
        TimeoutError: it ended, or has not begun to listen.
    """
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"{process.args!r} does not listen on port {port}")


@contextmanager
def pinned(place: int) -> Iterator[None]:
    """Keep this thread, and the processes that it starts meanwhile, on one core: 0 for the first of those that may
    be used, -1 for the last. Does nothing where the platform cannot."""
    if sys.platform != "linux":
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(cores)[place]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def resident_mebibytes(pid: int) -> float:
    """Return a process's resident memory in MiB of 2^20 bytes; Linux only."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+([0-9]+) kB", status)[0]) / 2**10


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, that of its ended threads included, to the nanosecond; Linux only."""
    return time.clock_gettime(~pid << 3 | _SCHEDULED)
