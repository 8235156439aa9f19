"""The service as it is broken: both processes under the real supervisord, and what surrounds them.

supervisord runs in a mount namespace of its own, where `.run` is a small disk, and with libfaketime, which sets the
wall clock of all three processes to what a file says, and no other clock. The feed is encrypted, and a file lists it.
"""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from collector import keys
from common.clock import elapsed_seconds
from tests.chaos.allowed import HOST, INTERVAL_SECONDS
from tests.ports import free_port
from tests.processes import ROOT, Reply, eventually, get
from tests.standin import StandIn, has_compiler
from tests.supervised import Checkout, checkout

STALL_AFTER_SECONDS = 1.0
STALL_EXIT_SECONDS = 8.0
DISK_MEGABYTES = 16
START_SECONDS = 60.0
NOISE_SECONDS = 2.0
"""What a busy machine may add to a time that was promised."""

EPOCH_BEFORE_SECONDS = 1000
"""The readings of time begin with this, so that none is like what a GPU of the stand-in reads otherwise."""

_FAKETIME = tuple(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
_NAMESPACE = ("unshare", "--mount")
_ON_A_DISK_OF_ITS_OWN = (
    *_NAMESPACE,
    "sh",
    "-c",
    f'mount -t tmpfs -o size={DISK_MEGABYTES}m tmpfs .run && exec "$@"',
    "sh",
)


class Rig:
    """The service and its surroundings, all well."""

    def __init__(self, library: Path, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self.library = directory / "libnvidia-ml.so.1"
        shutil.copy(library, self.library)
        self.standin = StandIn(self.library, directory / "nvml.control")
        self.epoch = round(elapsed_seconds()) - EPOCH_BEFORE_SECONDS
        self.standin.elapsed("power_draw_milliwatts", self.epoch * 1000)
        self.feed = f"tcp://127.0.0.1:{free_port()}"
        self.rogue = f"tcp://127.0.0.1:{free_port()}"
        """Where a test may publish; it is no feed of the API's unless that is listed."""

        self.allowed_keys = directory / "allowed"
        self.allowed_keys.mkdir()
        with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
            for name in ("collector", "api", "other"):
                keys.main([name, "--directory", str(directory)])
        for name in ("api", "other"):
            self.allow(name)
        self.list_feeds(self.own_line())
        self.set_clock(0)
        self._checkout: Checkout | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator["Rig"]:
        """Run until the end of the block."""
        with checkout(self._directory, self._settings(), _ON_A_DISK_OF_ITS_OWN) as self._checkout:
            assert within(START_SECONDS, lambda: self.checkout.metrics().status == 200), self.log("collector")
            try:
                yield self
            finally:
                self._forget_clock()

    @property
    def checkout(self) -> Checkout:
        """The service, started."""
        assert self._checkout is not None
        return self._checkout

    @property
    def port(self) -> int:
        """The API's."""
        return self.checkout.port

    def pid(self, program: str) -> int | None:
        """Return the process id of `api` or `collector`; None: it does not run now."""
        supervisord = self.checkout.popen.pid
        with contextlib.suppress(OSError):
            for child in Path(f"/proc/{supervisord}/task/{supervisord}/children").read_text().split():
                with contextlib.suppress(OSError):
                    if Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[1:3] == [b"-m", program.encode()]:
                        return int(child)
        return None

    def pids(self) -> list[int]:
        """Return the process ids of those that run now."""
        return [pid for pid in map(self.pid, ("api", "collector")) if pid]

    def running_pid(self, program: str) -> int:
        """Return a program's process id, once it runs."""
        return eventually(lambda: self.pid(program) or 0)

    def signal(self, program: str, number: signal.Signals) -> int:
        """Send a program a signal, and return the process id that it has."""
        pid = self.running_pid(program)
        os.kill(pid, number)
        return pid

    def kill(self, program: str) -> None:
        """End a program as a crash does; return once it has ended."""
        pid = self.signal(program, signal.SIGKILL)
        eventually(lambda: self.pid(program) != pid)

    def end(self, program: str, within_seconds: float) -> None:
        """End a program as an operator does. Raises AssertionError: not in that time, or not with status 0."""
        told = f"exited: {program} (exit status 0"
        before = self.log("supervisord").count(told)
        pid = self.signal(program, signal.SIGTERM)
        began = time.monotonic()
        eventually(lambda: self.pid(program) != pid)
        took = time.monotonic() - began
        assert took < within_seconds + NOISE_SECONDS, f"{program} took {took:.1f} s to end"
        eventually(lambda: self.log("supervisord").count(told) > before)

    def get(self, target: str) -> Reply:
        """Ask the API."""
        return get(self.port, target)

    def error_message(self) -> str:
        """Return what the metrics say of why not all is well; empty if all is."""
        body = self.checkout.metrics().body
        return str((body["error"] or {}).get("message", "")) if body else ""

    def uuids(self) -> list[str]:
        """Return the uuids of the GPUs that are shown, in their order; none, if nothing is."""
        return [gpu["uuid"] for gpu in (self.checkout.metrics().body or {}).get("gpus", [])]

    def states(self) -> list[str]:
        """Return how the GPUs that are shown are, in their order; none, if nothing is."""
        return [gpu["status"] for gpu in (self.checkout.metrics().body or {}).get("gpus", [])]

    def log(self, name: str) -> str:
        """Return what is in a log: of `api`, `collector` or `supervisord`."""
        return (self.disk / f"{name}.log").read_text(errors="replace")

    @property
    def disk(self) -> Path:
        """The directory with the logs, as the service sees it."""
        return Path(f"/proc/{self.checkout.popen.pid}/root{self.checkout.path}/.run")

    def set_clock(self, seconds: int) -> None:
        """Set the wall clock of the service so far ahead of the machine's, or behind it; it is noticed in a second."""
        fresh = self._directory / "clock.new"
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self._directory / "clock")

    def list_feeds(self, *lines: str) -> None:
        """Say which feeds there are; it is noticed within two seconds."""
        fresh = self._directory / "feeds.new"
        fresh.write_text("".join(f"{line}\n" for line in lines))
        fresh.replace(self._directory / "feeds")

    def own_line(self, key: str = "collector") -> str:
        """Return the line for the collector, with its own public key or another's."""
        return f"{self.feed} {self.key(f'{key}.public')}"

    def key(self, name: str) -> str:
        """Return a key."""
        return (self._directory / name).read_text().strip()

    def allow(self, name: str) -> None:
        """Let who has that key subscribe."""
        shutil.copy(self._directory / f"{name}.public", self.allowed_keys)

    def disallow(self, name: str) -> None:
        """Let who has that key subscribe no more."""
        (self.allowed_keys / f"{name}.public").unlink()

    def _forget_clock(self) -> None:
        """Remove what libfaketime leaves behind of processes that were killed."""
        for name in ("faketime_shm_", "sem.faketime_sem_"):
            Path(f"/dev/shm/{name}{self.checkout.popen.pid}").unlink(missing_ok=True)  # noqa: S108 -- its place

    def _settings(self) -> dict[str, str]:
        settings = {
            "HOST": HOST,
            "INTERVAL_SECONDS": str(INTERVAL_SECONDS),
            "STALL_AFTER_SECONDS": str(STALL_AFTER_SECONDS),
            "STALL_EXIT_SECONDS": str(STALL_EXIT_SECONDS),
            "FEED_BIND": self.feed,
            "FEED_SECRET_KEY": str(self._directory / "collector.secret"),
            "FEED_AUTHORIZED_KEYS": str(self.allowed_keys),
            "FEED_CONNECT": f"file:{self._directory / 'feeds'}",
            "FEED_CLIENT_KEY": str(self._directory / "api.secret"),
        }
        return {
            **{f"GPU_METRICS_{name}": value for name, value in settings.items()},
            **self.standin.environment(),
            "LD_PRELOAD": str(_FAKETIME[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._directory / "clock"),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


def start_seconds() -> float:
    """Return how long it takes this machine now to start a process with the libraries of ours, and to end it."""
    began = time.monotonic()
    command = [sys.executable, "-c", "import api.__main__, collector.__main__"]
    subprocess.run(command, cwd=ROOT, check=True)
    return time.monotonic() - began


def missing() -> list[str]:
    """Return what this machine lacks for all of it, each with what to do."""
    lacks = []
    if not _FAKETIME:
        lacks.append("libfaketime, to set the service's wall clock: apt-get install faketime")
    if subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode:
        lacks.append("a mount namespace, for a log disk that can be full: run it as root")
    if not has_compiler():
        lacks.append("a C compiler named cc, for the NVML stand-in")
    return lacks


def within(seconds: float, look: Callable[[], object]) -> bool:
    """Return whether what is looked for comes about in that time."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
