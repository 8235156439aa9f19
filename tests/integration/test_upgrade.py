"""The procedure of deploy/README.md, on a checkout under supervisord: to a newer version, and back to the older one."""

import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from common.version import VERSION
from tests.processes import PATIENCE_SECONDS, ROOT, eventually, get
from tests.standin import StandIn
from tests.supervised import Checkout, checkout

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="supervisord is Unix only")

OLD = "0.0.9"
HOSTS = "/api/v1/monitoring/hosts"


def procedure(name: str) -> list[str]:
    """Return the commands of a procedure, but for pip: the copies here share an environment that is not theirs."""
    text = (ROOT / "deploy/README.md").read_text()
    (block,) = re.findall(rf"(?m)^<!-- procedure: {name} -->\n```sh\n((?:.*\n)*?)```$", text)
    return [line for line in block.splitlines() if not line.startswith(".venv/bin/pip ")]


def run(copy: Checkout, command: str) -> None:
    done = subprocess.run(
        shlex.split(command), cwd=copy.path, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def commit(copy: Checkout, tag: str, version: str) -> None:
    """Make a version of the code that differs from others in what it calls itself."""
    home = copy.path / "common/version.py"
    home.write_text(re.sub(r'(?m)^VERSION = ".*"$', f'VERSION = "{version}"', home.read_text()))
    for command in ("add --all", f"commit --quiet --message {tag}", f"tag {tag}"):
        run(copy, f"git -c user.name=tests -c user.email=tests@localhost -c commit.gpgsign=false {command}")


class Client:
    """Asks for the metrics again and again, and notes what it was answered."""

    def __init__(self, copy: Checkout) -> None:
        self._copy = copy
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.answers: set[tuple[int, Any]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ends.wait(0.01):
            reply = self._copy.metrics()
            self.answers.add((reply.status, reply.body and reply.body["status"]))


@pytest.fixture
def copy(tmp_path: Path, standin: StandIn) -> Iterator[Checkout]:
    settings = {**standin.environment(), "GPU_METRICS_INTERVAL_SECONDS": "30", "PYTHONDONTWRITEBYTECODE": "1"}
    with checkout(tmp_path, settings) as running:
        eventually(running.are_running)
        eventually(running.metrics, lambda reply: reply.status == 200)
        yield running


def versions(copy: Checkout) -> tuple[Any, Any]:
    """Return those of the API and of the collector, as the API tells them; None while it cannot."""
    described, hosts = get(copy.port, "/openapi.json").body, get(copy.port, HOSTS).body
    collector = hosts["hosts"][0]["collector"] if hosts else None
    return described and described["info"]["version"], collector and collector["version"]


def until_versions(copy: Checkout, expected: tuple[str, str]) -> None:
    eventually(lambda: versions(copy), lambda told: told == expected)


NOTICED: dict[str, set[tuple[int, Any]]] = {
    "collector": {(200, "ok")},
    "api": {(200, "ok"), (0, None), (503, "unheard")},
}
"""What may be answered while one of the two is restarted; 0 is no answer."""


@pytest.mark.timeout(180)
def test_both_ways_the_api_is_back_and_a_collector_s_restart_is_not_noticed(copy: Checkout) -> None:
    run(copy, "git init --quiet")
    (copy.path / ".gitignore").write_text(".run\n*.out\n")
    commit(copy, "new", VERSION)
    commit(copy, "old", OLD)
    for name, tag, steps in (
        ("rollback", "old", {"collector": (VERSION, OLD), "api": (OLD, OLD)}),
        ("upgrade", "new", {"api": (VERSION, OLD), "collector": (VERSION, VERSION)}),
    ):
        check_out, *restarts = procedure(name)
        assert [restart.split()[-1] for restart in restarts] == list(steps)
        run(copy, check_out.replace("VERSION", tag))
        for restart, (program, expected) in zip(restarts, steps.items(), strict=True):
            with Client(copy) as client:
                run(copy, restart)
                until_versions(copy, expected)
                eventually(copy.metrics, lambda reply: reply.status == 200)
            assert client.answers <= NOTICED[program]
