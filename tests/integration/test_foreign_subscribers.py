"""The subscribers of common/README.md, which know nothing of this project's code, against the real collector."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector import keys
from tests.processes import ROOT, Process, Service
from tests.standin import StandIn

FEED = (ROOT / "common/README.md").read_text()
MODULES = os.environ.get("GPU_TEST_NODE_MODULES", "")


def code(language: str) -> str:
    (found,) = re.findall(rf"(?s)```{language}\n(.*?)```", FEED)
    return str(found)


def python(directory: Path) -> list[str]:
    (directory / "subscriber.py").write_text(code("python"))
    return [sys.executable, "-I", str(directory / "subscriber.py")]


def node(directory: Path) -> list[str]:
    if not shutil.which("node") or not Path(MODULES).is_dir() or not MODULES:
        pytest.skip("needs node, and GPU_TEST_NODE_MODULES to name a node_modules with zeromq and @msgpack/msgpack")
    (directory / "node_modules").symlink_to(Path(MODULES).resolve())
    (directory / "subscriber.mjs").write_text(code("javascript"))
    return ["node", str(directory / "subscriber.mjs")]


@pytest.fixture
def collect(standin: StandIn, tmp_path: Path) -> Iterator[Callable[..., str]]:
    started: list[Process] = []

    def start(**settings: str) -> str:
        service = Service(standin, tmp_path, **settings)
        started.append(service.collector)
        service.collector.start()
        return service.feed

    yield start
    for process in started:
        process.kill()


def first_lines(command: list[str], lines: int) -> list[str]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            return [process.stdout.readline() for _ in range(lines)]
        finally:
            process.kill()


@pytest.mark.parametrize("language", [python, node])
def test_a_subscriber_that_knows_the_description_only_hears_every_snapshot(
    collect: Callable[..., str], tmp_path: Path, language: Callable[[Path], list[str]]
) -> None:
    told = [line.split() for line in first_lines([*language(tmp_path), collect()], 5)]
    assert [line[0] for line in told] == ["node-1"] * 5
    assert [line[2:] for line in told[1:]] == [["ok", "2", "GPUs", told[1][5], "lost"]] * 4
    numbers = [int(line[1]) for line in told]
    assert numbers == sorted(set(numbers))
    assert numbers[1:] == list(range(numbers[1], numbers[1] + 4))


@pytest.mark.parametrize("language", [python, node])
def test_a_subscriber_with_keys_is_let_in(
    collect: Callable[..., str], tmp_path: Path, language: Callable[[Path], list[str]]
) -> None:
    command = language(tmp_path)
    (tmp_path / "allowed").mkdir()
    for name in ("node-1", "subscriber"):
        assert keys.main([name, "--directory", str(tmp_path)]) == 0
    shutil.copy(tmp_path / "subscriber.public", tmp_path / "allowed")
    feed = collect(feed_secret_key=f"{tmp_path}/node-1.secret", feed_authorized_keys=f"{tmp_path}/allowed")
    told = first_lines([*command, feed, f"{tmp_path}/subscriber", f"{tmp_path}/node-1.public"], 3)
    assert [line.split()[0] for line in told] == ["node-1"] * 3
