"""The real supervisord with the configuration of the checkout, in a copy of it whose path has a space."""

import contextlib
import operator
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS, ROOT, Reply, eventually, get
from tests.standin import StandIn

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="supervisord is Unix only")


BIN = Path(sys.prefix) / "bin"
"""What `.venv/bin` of a checkout leads to here."""


class Checkout:
    """A copy of the checkout, run as its README says, on ports of its own."""

    def __init__(self, path: Path, settings: dict[str, str]) -> None:
        self.path = path
        self.port = free_port()
        self.feed_port = free_port()
        feed = f"tcp://127.0.0.1:{self.feed_port}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GPU_METRICS_")}
        self._environment = {
            **inherited,
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

    def start(self) -> "subprocess.Popen[bytes]":
        """Start supervisord."""
        with (self.path / "supervisord.out").open("wb") as output:
            self.popen = subprocess.Popen(
                [BIN / "supervisord"], cwd=self.path, env=self._environment, stdout=output, stderr=output
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
def started(copy: Checkout) -> Iterator[None]:
    """Have supervisord run."""
    popen = copy.start()
    try:
        yield
    finally:
        popen.terminate()
        popen.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def checkout(tmp_path: Path, settings: dict[str, str]) -> Iterator[Checkout]:
    copy = Checkout(tmp_path / "a checkout", settings)
    with started(copy):
        yield copy


@contextlib.contextmanager
def taken_port(copy: Checkout) -> Iterator[None]:
    """Keep the feed's port from the collector, as a second collector would."""
    with socket.create_server(("127.0.0.1", copy.feed_port)):
        yield


@contextlib.contextmanager
def missing_interpreter(copy: Checkout) -> Iterator[None]:
    """Have no interpreter, as there is none while another is installed."""
    away = (copy.path / ".venv").rename(copy.path / "away")
    yield
    away.rename(copy.path / ".venv")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_both_stay_up_without_a_driver_and_stop_in_order(tmp_path: Path) -> None:
    with checkout(tmp_path, {"GPU_METRICS_NVML_LIBRARY": "/nonexistent"}) as copy:
        pids = eventually(copy.are_running)
        reply = eventually(copy.metrics, lambda reply: reply.status == 200)
        assert reply.body["status"] == "placeholder"
        assert "NVML_ERROR_LIBRARY_NOT_FOUND" in copy.log("collector")
        assert "listening on" in copy.log("api")
        copy.popen.send_signal(signal.SIGTERM)
        assert copy.popen.wait(PATIENCE_SECONDS) == 0
        assert not any(is_alive(pid) for pid in (pids or {}).values())
        told = copy.log("supervisord")
        assert 0 < told.index("stopped: api (exit status 0)") < told.index("stopped: collector (exit status 0)")


@pytest.mark.parametrize("name", ["collector", "api"])
def test_a_program_that_is_killed_is_started_again(tmp_path: Path, standin: StandIn, name: str) -> None:
    with checkout(tmp_path, standin.environment()) as copy:
        before = eventually(copy.are_running)
        assert before is not None
        eventually(copy.metrics, lambda reply: reply.status == 200)
        os.kill(before[name], signal.SIGKILL)
        after = eventually(copy.are_running, lambda pids: pids is not None and pids[name] != before[name])
        assert after is not None
        other = "api" if name == "collector" else "collector"
        assert after[other] == before[other]
        stamp = eventually(copy.metrics, lambda reply: reply.status == 200).body["timestamp"]
        eventually(copy.metrics, lambda reply: reply.status == 200 and reply.body["timestamp"] > stamp)


def test_a_crash_inside_the_library_ends_in_a_new_collector(tmp_path: Path, standin: StandIn) -> None:
    with checkout(tmp_path, standin.environment()) as copy:
        before = eventually(copy.are_running)
        assert before is not None
        eventually(copy.metrics, lambda reply: reply.status == 200)
        standin.crash("nvmlDeviceGetUtilizationRates")
        eventually(lambda: not is_alive(before["collector"]))
        standin.heal()
        after = eventually(copy.are_running)
        assert after is not None
        assert after["collector"] != before["collector"]
        assert after["api"] == before["api"]
        assert eventually(copy.metrics, lambda reply: reply.status == 200).body["status"] == "ok"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("cause", [taken_port, missing_interpreter])
def test_a_program_that_cannot_start_is_tried_again_without_ever_longer_waits_until_it_can(
    tmp_path: Path, standin: StandIn, cause: Callable[[Checkout], AbstractContextManager[None]]
) -> None:
    copy = Checkout(tmp_path / "a checkout", standin.environment())
    with contextlib.ExitStack() as fault:
        fault.enter_context(cause(copy))
        with started(copy):
            # With waits of 1 s, 2 s, 3 s ... so many starts would take half a minute, and the next one 8 s more.
            for number in range(1, 9):
                eventually(copy.collector_starts, partial(operator.le, number))
            told = copy.log("supervisord")
            # Who cannot be started, or ends before it counts as running, waits for longer each time, up to FATAL.
            assert "spawnerr" not in told
            assert told.count("exited: collector") <= told.count("success: collector entered RUNNING")
            fault.close()
            assert eventually(copy.metrics, lambda reply: reply.status == 200).body["status"] == "ok"
