"""The real supervisord with the configuration of the checkout, in a copy of it whose path has a space."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS, ROOT, Reply, get, inherited

BIN = Path(sys.prefix) / "bin"
"""What `.venv/bin` of a checkout leads to here."""


class Checkout:
    """A copy of the checkout, run as its README says, on ports of its own."""

    def __init__(self, path: Path, settings: Mapping[str, str]) -> None:
        self.path = path
        self.port = free_port()
        self.feed_port = free_port()
        feed = f"tcp://127.0.0.1:{self.feed_port}"
        self._environment = {
            **inherited(),
            "GPU_METRICS_API_PORT": str(self.port),
            "GPU_METRICS_FEED_BIND": feed,
            "GPU_METRICS_FEED_CONNECT": feed,
            "GPU_METRICS_INTERVAL_SECONDS": "0.2",
            **settings,
        }
        path.mkdir()
        for name in ("api", "collector", "common"):
            shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "deploy/supervisord", path / "deploy/supervisord")
        shutil.copy(ROOT / "supervisord.conf", path)
        (path / ".run").mkdir()
        (path / ".venv").symlink_to(sys.prefix)

    def start(self, around: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
        """Start supervisord; `around` are words of a command before it, which becomes it in the end."""
        with (self.path / "supervisord.out").open("wb") as output:
            self.popen = subprocess.Popen(
                [*around, BIN / "supervisord"], cwd=self.path, env=self._environment, stdout=output, stderr=output
            )
        return self.popen

    def status(self) -> dict[str, list[str]]:
        """Return the words that supervisorctl says of each program, by its name."""
        said = subprocess.run(
            [BIN / "supervisorctl", "status"],
            cwd=self.path,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        ).stdout
        return {line.split()[0]: line.split()[1:] for line in said.splitlines()}

    def are_running(self) -> dict[str, int] | None:
        """Return both programs' process ids, None while not both are running."""
        told = self.status()
        if [told.get(name, ["?"])[0] for name in ("api", "collector")] != ["RUNNING", "RUNNING"]:
            return None
        return {name: int(words[2].rstrip(",")) for name, words in told.items()}

    def collector_starts(self) -> int:
        """Return how often the collector was started, or was to be."""
        log = self.path / ".run/supervisord.log"
        return len(re.findall("spawned: 'collector'|spawnerr: ", log.read_text())) if log.exists() else 0

    def metrics(self) -> Reply:
        """Ask the API."""
        return get(self.port)

    def log(self, name: str) -> str:
        """Return what is in one of the logs in `.run`."""
        return (self.path / ".run" / f"{name}.log").read_text()


@contextlib.contextmanager
def started(copy: Checkout, around: Sequence[str] = ()) -> Iterator[None]:
    """Have supervisord run."""
    popen = copy.start(around)
    try:
        yield
    finally:
        popen.terminate()
        popen.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def checkout(directory: Path, settings: Mapping[str, str], around: Sequence[str] = ()) -> Iterator[Checkout]:
    """Run a copy in a directory until the end of the block."""
    copy = Checkout(directory / "a checkout", settings)
    with started(copy, around):
        yield copy


def is_alive(pid: int) -> bool:
    """Return whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
