"""The real supervisord with the configuration of the checkout, in a copy of it whose path has a space."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS, ROOT, Reply, eventually, get
from tests.standin import StandIn

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="supervisord is Unix only")


class Checkout:
    """A copy of the checkout, run as its README says, on ports of its own."""

    def __init__(self, path: Path, settings: dict[str, str]) -> None:
        self.path = path
        self.port = free_port()
        feed = f"tcp://127.0.0.1:{free_port()}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GPU_METRICS_")}
        self._environment = {
            **inherited,
            "GPU_METRICS_API_PORT": str(self.port),
            "GPU_METRICS_FEED_BIND": feed,
            "GPU_METRICS_FEED_CONNECT": feed,
            "GPU_METRICS_INTERVAL_SECONDS": "0.2",
            **settings,
        }
        for name in ("api", "collector", "common"):
            shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "supervisord.conf", path)
        (path / ".run").mkdir()
        (path / ".venv").symlink_to(sys.prefix)
        with (path / "supervisord.out").open("wb") as output:
            self.popen = subprocess.Popen(
                [path / ".venv/bin/supervisord"], cwd=path, env=self._environment, stdout=output, stderr=output
            )

    def status(self) -> dict[str, list[str]]:
        """Return the words that supervisorctl says of each program, by its name."""
        said = subprocess.run(
            [self.path / ".venv/bin/supervisorctl", "status"],
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

    def metrics(self) -> Reply:
        """Ask the API."""
        return get(self.port)

    def log(self, name: str) -> str:
        """Return what is in one of the logs in `.run`."""
        return (self.path / ".run" / f"{name}.log").read_text()


@contextlib.contextmanager
def checkout(tmp_path: Path, settings: dict[str, str]) -> Iterator[Checkout]:
    path = tmp_path / "a checkout"
    path.mkdir()
    copy = Checkout(path, settings)
    try:
        yield copy
    finally:
        if copy.popen.poll() is None:
            copy.popen.terminate()
            copy.popen.wait(PATIENCE_SECONDS)


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
