"""The two real processes, as a person would start them, on ports of their own."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tests.ports import free_port
from tests.standin import StandIn

ROOT = Path(__file__).parent.parent
METRICS = "/api/v1/monitoring/gpu-metrics"
PATIENCE_SECONDS = 20.0
"""How long a test waits for what must come; far more than it takes, for machines that are busy."""

Seen = TypeVar("Seen")


def eventually(look: Callable[[], Seen], is_right: Callable[[Seen], bool] = bool) -> Seen:
    """Look again and again until what is seen is right, and return it; fail with what was seen last."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_right(seen := look()):
        assert time.monotonic() < deadline, f"still {seen!r}"
        time.sleep(0.02)
    return seen


class Reply(NamedTuple):
    """What the API answered; `status` is 0 if it did not."""

    status: int
    headers: Mapping[str, str]
    body: Any


def get(port: int, target: str = METRICS, **headers: str) -> Reply:
    """Ask the API on a port of loopback, once."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", target, headers=headers)
        response = connection.getresponse()
        body = response.read()
    except ConnectionError:
        return Reply(0, {}, None)
    finally:
        connection.close()
    return Reply(response.status, dict(response.headers), json.loads(body) if body else None)


def inherited() -> dict[str, str]:
    """Return the environment of the tests without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GPU_METRICS_")}


class Process:
    """One of our processes. Its standard output and error go to a file."""

    def __init__(self, module: str, settings: Mapping[str, str], log: Path, *arguments: str) -> None:
        self.module = module
        self.arguments = arguments
        self.settings = dict(settings)
        self.log_path = log
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, with no settings but those given."""
        with self.log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", self.module, *self.arguments],
                cwd=ROOT,
                env=inherited() | self.settings,
                stdout=log,
                stderr=log,
            )

    @property
    def popen(self) -> "subprocess.Popen[bytes]":
        """The process, started."""
        assert self._popen is not None
        return self._popen

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self.log_path.read_text()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.popen.send_signal(number)

    def ended(self) -> int:
        """Wait until it has ended, and return its exit status."""
        return self.popen.wait(PATIENCE_SECONDS)

    def stop(self) -> int:
        """End it as a supervisor does, and return its exit status."""
        self.signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """End it as a crash does, if it still runs."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.send_signal(signal.SIGCONT)
            self._popen.kill()
            self._popen.wait(PATIENCE_SECONDS)


class Service:
    """Collector and API, connected, on the stand-in for the NVIDIA library."""

    def __init__(self, standin: StandIn, directory: Path, **settings: str) -> None:
        self.standin = standin
        self.port = free_port()
        self.feed = f"tcp://127.0.0.1:{free_port()}"
        given = {
            "GPU_METRICS_HOST": "node-1",
            "GPU_METRICS_INTERVAL_SECONDS": "0.1",
            "GPU_METRICS_FEED_BIND": self.feed,
            "GPU_METRICS_FEED_CONNECT": self.feed,
            "GPU_METRICS_API_PORT": str(self.port),
            **standin.environment(),
            **{f"GPU_METRICS_{name.upper()}": value for name, value in settings.items()},
        }
        self.collector = Process("collector", given, directory / "collector.log")
        self.api = Process("api", given, directory / "api.log")

    def get(self, target: str = METRICS, **headers: str) -> Reply:
        """Ask this service's API."""
        return get(self.port, target, **headers)

    def until_status(self, status: str) -> Reply:
        """Wait until the metrics have a status, and return that answer."""
        return eventually(self.get, lambda reply: reply.body is not None and reply.body.get("status") == status)


@contextlib.contextmanager
def running(standin: StandIn, directory: Path, **settings: str) -> Iterator[Service]:
    """Run both processes; settings are named as in the settings structs."""
    service = Service(standin, directory, **settings)
    service.collector.start()
    service.api.start()
    try:
        yield service
    finally:
        service.collector.kill()
        service.api.kill()


Start = Callable[..., Service]
