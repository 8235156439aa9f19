"""What the files for Docker say holds together, and says what the rest of the project says."""

import configparser
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.settings import ApiSettings, load
from tests.image import Context, instructions
from tests.linters import lint
from tests.processes import ROOT

DOCKER = ROOT / "deploy/docker"
DOCKERFILE = DOCKER / "Dockerfile"
IGNORE = DOCKER / "Dockerfile.dockerignore"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICE: dict[str, Any] = COMPOSE["services"]["gpu-metrics"]
TOKENS: str = COMPOSE["secrets"]["tokens"]["file"]
TMPFS = "/run/gpu-metrics"
STOP_SECONDS = 10.0
"""How long `docker stop` waits before it kills."""


def said(instruction: str) -> str:
    """Return what the Dockerfile says with the last instruction of a kind."""
    return [text for name, text in instructions(DOCKERFILE) if name == instruction][-1]


def configuration(*paths: str) -> configparser.RawConfigParser:
    read = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    read.read([ROOT / path for path in paths])
    return read


@pytest.mark.parametrize(
    "command",
    [
        ("hadolint", DOCKERFILE),
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DOCKER / "compose.yaml"),
    ],
    ids=lambda command: command[0],
)
def test_a_linter_finds_no_fault(command: tuple[str, ...]) -> None:
    ran = lint(*command)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout


def test_the_base_is_one_release_of_debian_in_its_slim_form() -> None:
    assert re.fullmatch(r"DEBIAN=debian:[0-9]+\.[0-9]+-slim", said("ARG"))
    assert all(text.split()[0] == "${DEBIAN}" for name, text in instructions(DOCKERFILE) if name == "FROM")


def test_no_secret_that_lies_in_a_clone_is_sent_to_the_engine(tmp_path: Path) -> None:
    sources = ["api/app.py", "common/README.md", "deploy/requirements.lock", "deploy/docker/container.conf"]
    others = [
        ".run/tokens",
        "api/node-1.secret",
        "api/__pycache__/app.cpython-311.pyc",
        "tests/demo.py",
        "my.key",
        "x.pem",
    ]
    for name in (*sources, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(str(path) for path in Context(tmp_path, IGNORE).files("*")) == sorted(sources)


def test_what_the_compose_file_says_of_the_image_is_so() -> None:
    user, group = said("USER").split(":")
    port = int(said("EXPOSE"))
    assert port == ApiSettings().api_port
    assert SERVICE["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert SERVICE["tmpfs"] == [f"{TMPFS}:mode=0700,uid={user},gid={group},size=1m"]
    assert (DOCKER / SERVICE["build"]["context"]).resolve() == ROOT
    assert ROOT / SERVICE["build"]["dockerfile"] == DOCKERFILE


def test_all_who_tell_how_to_build_and_run_it_tell_the_same() -> None:
    built = "docker build --file deploy/docker/Dockerfile --tag gpu-metrics .\n"
    assert f"\n#   {built}" in DOCKERFILE.read_text()
    assert f"\n{built}docker run --rm --gpus all --network host gpu-metrics\n" in (ROOT / "README.md").read_text()
    deployed = (ROOT / "deploy/README.md").read_text()
    assert f"\n{built}docker run --rm --gpus all --network host gpu-metrics\n" in deployed
    assert f"-g {said('USER').split(':')[1]} /dev/stdin {TOKENS}\n" in deployed


def test_the_compose_file_lets_in_nobody_without_a_token_and_gives_nothing_but_the_gpus() -> None:
    settings = load(ApiSettings, [], {name: str(value) for name, value in SERVICE["environment"].items()})
    assert (settings.api_token_file, settings.api_allow_anonymous) == ("/run/secrets/tokens", False)
    assert SERVICE["secrets"] == ["tokens"]
    (device,) = SERVICE["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu", "utility"]}
    assert SERVICE["read_only"] is True
    assert SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "pid", "network_mode", "user", "volumes", "cap_add"} & SERVICE.keys()


def test_the_programs_are_those_of_everywhere_and_both_end_before_docker_kills() -> None:
    shared = configuration("deploy/supervisord/programs.conf")
    own = configuration("deploy/docker/container.conf")
    assert own.sections() == shared.sections() == ["program:collector", "program:api"]
    assert all(section.keys() <= shared[name].keys() for name, section in own.items())
    assert sum(own.getfloat(name, "stopwaitsecs") for name in own.sections()) < STOP_SECONDS
