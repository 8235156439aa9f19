"""The Docker image, built by what its Dockerfile says in a bare Debian, and run as the Compose file and the Kubernetes
manifest ask for."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import bare_debian
from tests.container import Container
from tests.image import Image, build, instructions
from tests.manifest import CONTAINERS, POD, environment
from tests.ports import free_port
from tests.processes import ROOT, Reply, eventually, get
from tests.standin import StandIn

pytestmark = pytest.mark.timeout(900)  # The first test has the image built.

DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
BASE = dict(instructions(DOCKERFILE))["ARG"]
RELEASES = {"13": "trixie"}
TMPFS = "/run/gpu-metrics"


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Return the image, built by what the Dockerfile says on the release of Debian that it names."""
    if (reason := bare_debian.lacking()) is not None:
        pytest.skip(reason)
    number = re.sub(r".*:([0-9]+).*", r"\1", BASE)
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


def test_each_container_of_the_kubernetes_manifest_runs_in_it(image: Image, tmp_path: Path) -> None:
    # The secret as the kubelet mounts it with `defaultMode: 0400` and `fsGroup`.
    secret = image.root / "etc/gpu-metrics/tokens"
    secret.parent.mkdir()
    secret.write_text("prometheus a-token-of-prometheus-0123456789\n")
    os.chown(secret, 0, POD["spec"]["securityContext"]["fsGroup"])
    secret.chmod(0o440)
    feed, port = f"tcp://127.0.0.1:{free_port()}", free_port()
    own = {"GPU_METRICS_FEED_BIND": feed, "GPU_METRICS_FEED_CONNECT": feed, "GPU_METRICS_API_PORT": str(port)}
    with contextlib.ExitStack() as stack:
        running = {}
        for name, container in CONTAINERS.items():
            one = replace(image, command=container["command"])
            running[name] = Container(one, "", environment(name) | own, tmp_path / f"{name}.log")
            stack.callback(running[name].kill)
        eventually(
            lambda: get(port, "/readyz").body, lambda body: bool(body) and body["error"]["code"] == "placeholder"
        )
        assert get(port).status == 401
        assert (
            running["collector"].execute(*CONTAINERS["collector"]["livenessProbe"]["exec"]["command"]).returncode == 0
        )
        assert [one.stop() for one in running.values()] == [0, 0]
