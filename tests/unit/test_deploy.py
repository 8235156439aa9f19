"""The files of deploy/ name what exists, keep to the shared places, and give each program the time that it needs."""

import configparser
import re
from pathlib import Path

import pytest

from api.__main__ import STOP_GRACE_SECONDS
from collector.sampler import CLOSE_GRACE_SECONDS
from common.settings import PREFIX, ApiSettings, CollectorSettings, names

DEPLOY = Path(__file__).parents[2] / "deploy"
README = (DEPLOY / "README.md").read_text()
HOST_FILES = [path for room in ("supervisord", "systemd") for path in sorted((DEPLOY / room).iterdir())]
PLACES = re.findall(r"(?m)^\| .* \| `(/[\w/-]+?)/?`", README.partition("\n## ")[0])
"""The paths of the table that the README begins with."""

OF_EVERY_LINUX = ("/bin/sh", "/dev/", "/proc")


def _read(path: str) -> configparser.ConfigParser:
    """Return a unit or supervisord's configuration; of settings that may stand in it again and again, the last."""
    parsed = configparser.ConfigParser(strict=False, interpolation=None, inline_comment_prefixes=None)
    parsed.read(DEPLOY / path)
    return parsed


@pytest.mark.parametrize("path", [*HOST_FILES, DEPLOY / "README.md"], ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    named = set(re.findall(rf"{PREFIX}([A-Z_]+)", path.read_text()))
    assert {name.lower() for name in named} <= {*names(CollectorSettings), *names(ApiSettings)}


@pytest.mark.parametrize("path", HOST_FILES, ids=lambda path: path.name)
def test_every_path_is_one_of_the_shared_places(path: Path) -> None:
    assert len(PLACES) == 5
    paths = re.findall(r"(?<![\w/])/[a-z][\w./:-]+", path.read_text())
    assert [one for one in paths if not one.startswith((*PLACES, *OF_EVERY_LINUX))] == []


def test_systemd_gives_the_programs_as_long_to_end_as_supervisord_does_and_both_more_than_they_need() -> None:
    programs = _read("supervisord/programs.conf")
    seconds = {name: programs.getfloat(f"program:{name}", "stopwaitsecs") for name in ("collector", "api")}
    assert seconds["collector"] > 2 * CLOSE_GRACE_SECONDS
    assert seconds["api"] > 2 * STOP_GRACE_SECONDS
    for name, limit in seconds.items():
        assert _read(f"systemd/gpu-metrics-{name}.service").getfloat("Service", "TimeoutStopSec") == limit
        assert f"which has {limit:g} s" in " ".join(README.split())
    assert _read("supervisord/gpu-metrics.service").getfloat("Service", "TimeoutStopSec") > sum(seconds.values())


def test_the_two_ways_name_each_other_as_what_must_not_run() -> None:
    rivals = {"gpu-metrics-collector.service", "gpu-metrics-api.service"}
    assert set(_read("supervisord/gpu-metrics.service")["Unit"]["Conflicts"].split()) == rivals
    for unit in rivals:
        assert _read(f"systemd/{unit}")["Unit"]["Conflicts"] == "gpu-metrics.service"
