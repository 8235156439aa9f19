"""Hosts that there are not, for a real API: a feed that says what it is told to say, of as many hosts as are wanted."""

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zmq

from common import wire
from common.gpu import Gpu
from common.snapshot import Snapshot
from tests.builders import make_gpu, make_snapshot
from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS, Process, eventually, get

GIB = 2**30
HOSTS = "/api/v1/monitoring/hosts"


def imagine_gpu(index: int, host: int = 0, load: float = 0.5, **overrides: Any) -> Gpu:
    """Return a GPU of a data centre, which is busy from 0 to 1."""
    used = round((4 + 70 * load) * GIB)
    whole: dict[str, Any] = {
        "uuid": f"GPU-0000{host:04x}-0000-4000-8000-{index:012x}",
        "name": "NVIDIA H100 80GB HBM3",
        "pci_bus_id": f"00000000:{index + 1:02x}:00.0",
        "utilization_gpu_percent": round(100 * load),
        "utilization_memory_percent": round(60 * load),
        "memory_total_bytes": 80 * GIB,
        "memory_used_bytes": used,
        "memory_reserved_bytes": GIB // 2,
        "memory_free_bytes": 80 * GIB - GIB // 2 - used,
        "temperature_gpu_celsius": round(32 + 40 * load),
        "temperature_memory_celsius": round(40 + 45 * load),
        "temperature_max_operating_celsius": 85,
        "temperature_slowdown_celsius": 87,
        "temperature_shutdown_celsius": 92,
        "power_draw_watts": round(90 + 600 * load, 3),
        "power_limit_enforced_watts": 700.0,
        "clock_graphics_megahertz": 1980,
        "clock_max_graphics_megahertz": 1980,
        "clock_sm_megahertz": 1980,
        "clock_max_sm_megahertz": 1980,
        "clock_memory_megahertz": 2619,
        "clock_max_memory_megahertz": 2619,
        "clock_event_reasons": ["sw_power_cap"] if load > 0.9 else [] if load > 0.05 else ["gpu_idle"],
        "performance_state": 0,
        "unavailable": {"fan_speed_percent": "unsupported", "processes": "not_collected"},
    }
    return make_gpu(index, **(whole | overrides))


def busy(at: float, host: int, index: int) -> float:
    """Return how busy a GPU is at a time in seconds: between 0.02 and 0.98, each in its own way."""
    phase = host * 1.7 + index * 0.9
    slow = math.sin(at / 613 + phase) + 0.5 * math.sin(at / 97 + 2 * phase) + 0.15 * math.sin(at / 11 + 3 * phase)
    return min(0.98, max(0.02, 0.55 + 0.4 * slow))


class Feed:
    """The feed's end that binds."""

    def __init__(self) -> None:
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.RCVTIMEO, round(PATIENCE_SECONDS * 1000))
        self._socket.bind(self.endpoint)
        self._sequences: dict[str, int] = {}

    def wait_for_subscriber(self) -> None:
        """Wait until somebody has subscribed."""
        self._socket.recv()

    def publish(self, host: str, gpus: list[Gpu], ago: float = 0.0, **overrides: Any) -> Snapshot:
        """Publish a host's next snapshot, which was sampled so many seconds ago by the host's own clock."""
        sequence = self._sequences[host] = self._sequences.get(host, -1) + 1
        sampled_at_ns = time.time_ns() - round(ago * 1e9)
        whole = {"host": host, "run_id": f"run-{host}", "sequence": sequence, "sampled_at_ns": sampled_at_ns}
        snapshot = make_snapshot(**(whole | {"gpus": gpus} | overrides))
        self._socket.send(wire.encode(snapshot))
        return snapshot

    def close(self) -> None:
        """Unbind."""
        self._context.destroy(linger=0)


class Imagined:
    """A real API that listens to an imagined feed."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.feed = Feed()
        self.port = free_port()
        given = {"api_port": str(self.port), "feed_connect": self.feed.endpoint, **settings}
        environment = {f"GPU_METRICS_{name.upper()}": value for name, value in given.items()}
        self.api = Process("api", environment, directory / "api.log")

    def until_heard(self, hosts: int) -> None:
        """Wait until the API has heard so many hosts."""
        eventually(
            lambda: get(self.port, HOSTS),
            lambda reply: sum(host["host"] is not None for host in (reply.body or {"hosts": []})["hosts"]) == hosts,
        )


@contextlib.contextmanager
def imagined(directory: Path, **settings: str) -> Iterator[Imagined]:
    """Run an API on an imagined feed, to which it has subscribed; settings are named as in the settings struct."""
    one = Imagined(directory, **settings)
    one.api.start()
    try:
        one.feed.wait_for_subscriber()
        yield one
    finally:
        one.api.kill()
        one.feed.close()
