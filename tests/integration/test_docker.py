"""The Docker image: what its files say holds together, and, in a bare Debian, what its Dockerfile says comes true."""

import configparser
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.settings import ApiSettings, load
from tests import bare_debian
from tests.container import Container
from tests.image import Context, Image, build, instructions
from tests.ports import free_port
from tests.processes import ROOT, Reply, eventually, get
from tests.standin import StandIn

DOCKER = ROOT / "deploy/docker"
DOCKERFILE = DOCKER / "Dockerfile"
IGNORE = DOCKER / "Dockerfile.dockerignore"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICE: dict[str, Any] = COMPOSE["services"]["gpu-metrics"]
TOKENS: str = COMPOSE["secrets"]["tokens"]["file"]
TMPFS = "/run/gpu-metrics"
pytestmark = pytest.mark.timeout(900)  # The first test that takes the image has it built.

STOP_SECONDS = 10.0
"""How long `docker stop` waits before it kills."""

RELEASES = {"13": "trixie"}

LINTERS = os.environ.get("GPU_TEST_LINTERS", "")
"""The directory of the commands `hadolint`, `check-jsonschema` and `kubernetes-validate`."""


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
        ("hadolint", "--strict-labels", DOCKERFILE),
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DOCKER / "compose.yaml"),
    ],
    ids=lambda command: command[0],
)
def test_a_linter_finds_no_fault(command: tuple[str, ...]) -> None:
    if not (linter := shutil.which(command[0], path=LINTERS)):
        pytest.skip(f"needs {command[0]}, in the directory that GPU_TEST_LINTERS names")
    ran = subprocess.run([linter, *command[1:]], capture_output=True, text=True, check=False)
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


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Return the image, built by what the Dockerfile says on the release of Debian that it names."""
    if (reason := bare_debian.lacking()) is not None:
        pytest.skip(reason)
    number = re.sub(r".*:([0-9]+).*", r"\1", said("ARG"))
    tarball = Path(request.config.cache.mkdir("bare_debian"), f"debian-{number}.tar")
    if not tarball.exists():
        bare_debian.make_tarball(tarball, RELEASES[number])
    where = tmp_path_factory.mktemp("image")
    yield build(DOCKERFILE, ROOT, tarball, where)
    shutil.rmtree(where)


class Run:
    """The image, running, on ports of its own."""

    def __init__(self, image: Image, directory: Path, settings: dict[str, str]) -> None:
        self.port, self.feed_port = free_port(), free_port()
        given = {
            "GPU_METRICS_API_PORT": str(self.port),
            "GPU_METRICS_FEED_BIND": f"tcp://127.0.0.1:{self.feed_port}",
            "GPU_METRICS_FEED_CONNECT": f"tcp://127.0.0.1:{self.feed_port}",
            "GPU_METRICS_INTERVAL_SECONDS": "0.2",
            **settings,
        }
        self.container = Container(image, TMPFS, given, directory / "container.log")

    def get(self) -> Reply:
        return get(self.port)

    def take_feed_port(self) -> socket.socket | None:
        """End the collector, and take its port; None: it has the port still, or again."""
        with contextlib.suppress(KeyError, ProcessLookupError):
            os.kill(self.container.processes()["collector"], signal.SIGKILL)
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", self.feed_port))
        return None

    def until_status(self, status: str) -> None:
        eventually(self.get, lambda reply: reply.body is not None and reply.body.get("status") == status)


@pytest.fixture
def run(image: Image, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    started: list[Run] = []

    def start(**settings: str) -> Run:
        started.append(Run(image, tmp_path, settings))
        return started[-1]

    yield start
    for one in started:
        one.container.kill()


def test_the_image_has_what_the_service_needs_and_no_tool_to_build_or_fetch_anything(image: Image) -> None:
    where = image.root / "opt/gpu-metrics/lib"
    names = {path.name.partition("-")[0] for path in where.glob("python3*/site-packages/*.dist-info")}
    assert names == {
        "gpu_fleet_manager",
        "msgspec",
        "nvidia_ml_py3",
        "prometheus_client",
        "pyzmq",
        "supervisor",
        "tornado",
    }
    for tool in ("pip", "pip3", "cc", "gcc", "curl", "wget"):
        assert not [path for place in ("opt/gpu-metrics/bin", "usr/bin") for path in (image.root / place).glob(tool)]


def test_without_a_driver_it_is_healthy_says_why_and_ends_in_time(run: Callable[..., Run]) -> None:
    service = run()
    service.until_status("placeholder")
    assert service.container.health() == (0, "ok\n")
    assert service.container.execute("supervisorctl", "status").returncode == 0
    processes = service.container.processes()
    assert service.container.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in processes.values())
    for line in ("supervisord started with pid 1", "NVML_ERROR_LIBRARY_NOT_FOUND", "listening on", "api: stopped"):
        assert line in service.container.log


def test_it_can_write_nowhere_else_and_has_no_rights(run: Callable[..., Run]) -> None:
    container = run().container
    assert container.execute("id", "--user").stdout == "8480\n"
    found = container.execute(*["find", "/", "-xdev", "-writable", "-not", "-type", "l", "-not", "-path", "/dev/*"])
    assert found.stdout == f"{TMPFS}\n"
    status = container.execute("cat", "/proc/1/status").stdout
    assert re.findall(r"(?m)^(?:Cap\w+|NoNewPrivs):\t0*(.*)$", status) == ["", "", "", "", "", "1"]


@pytest.mark.parametrize("name", ["collector", "api"])
def test_a_collector_or_api_that_ends_is_started_again(run: Callable[..., Run], name: str) -> None:
    service = run()
    service.until_status("placeholder")
    before = service.container.processes()
    os.kill(before[name], signal.SIGKILL)
    after = eventually(service.container.processes, lambda now: now.keys() == before.keys() and now != before)
    assert [one for one in before if before[one] != after[one]] == [name]


def test_a_collector_that_cannot_start_any_more_makes_it_unhealthy_until_it_can(run: Callable[..., Run]) -> None:
    service = run()
    service.until_status("placeholder")
    assert service.container.health() == (0, "ok\n")
    # Whoever has the feed's port keeps the collector from starting.
    taken = eventually(service.take_feed_port)
    assert taken is not None
    with taken:
        status, told = eventually(service.container.health, lambda health: health[0] != 0)
        assert (status, told[:16]) == (1, "/readyz: stale: ")
        # As a restart of the container does.
        assert service.container.stop() == 0
    service = run()
    service.until_status("placeholder")
    assert service.container.health() == (0, "ok\n")


def test_it_shows_the_gpus_that_the_container_toolkit_brings(
    image: Image, standin: StandIn, run: Callable[..., Run]
) -> None:
    standin.gpus(3)
    # As the toolkit does: the library lies among those of the system, where nothing names it.
    library = image.root / "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"
    shutil.copy(standin.library, library)
    shutil.copy(standin.control, image.root / "usr/share/nvml.control")
    subprocess.run(["chroot", image.root, "ldconfig"], check=True)
    try:
        service = run(NVML_STANDIN_CONTROL="/usr/share/nvml.control")
        service.until_status("ok")
        assert [gpu["id"] for gpu in service.get().body["gpus"]] == ["gpu-0", "gpu-1", "gpu-2"]
        assert service.container.health() == (0, "ok\n")
    finally:
        library.unlink()
