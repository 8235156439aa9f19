"""Values for tests, whole and healthy, any field to be given by name; and the files they are compared with.

`tests/golden/` holds whole bodies as they must be, byte for byte. After a deliberate change of what is said,
`REWRITE_GOLDEN=1 pytest tests/unit/test_responses.py` writes them anew and fails, so that it is never left on; read
the difference before you commit it. What versions put on the feed is the exception: `frame.json`, the very first
frame, and `feed-VERSION.recording`, all that a version can say. Every later one must understand these, and nothing
rewrites them but, until it is released, that version's own test.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.access import Access
from api.answer import Answer, Follow, Later, Refusal
from api.answers import Answers
from api.cache import Cache
from api.history.store import History
from api.openapi import description
from api.resources import Resources
from api.routes import METRICS_PATH
from api.scraping.tally import Tally
from api.stream import Stream
from common import wire
from common.gpu import Gpu, without_readings
from common.snapshot import Cost, SlowestCall, Snapshot, Source, StalledCall

GOLDEN = Path(__file__).parent / "golden"
ENDPOINT = "tcp://127.0.0.1:8481"
MEBIBYTE = 2**20
NOT_COLLECTED = dict.fromkeys(
    ("processes", "pcie_throughput_sent_bytes_per_second", "pcie_throughput_received_bytes_per_second"), "not_collected"
)
"""What `Gpu.unavailable` says of a healthy GPU where no setting asks for more."""
NO_DRIVER = "NVML cannot be loaded: libnvidia-ml.so.1 was not found"


def make_gpu(index: int = 0, **overrides: Any) -> Gpu:
    """Return a healthy GPU with every reading, those of the example in the requirements."""
    whole: dict[str, Any] = {
        "index": index,
        "uuid": f"GPU-05a9ed06-0ddb-1882-ccba-3e5f3694399{index}",
        "name": "NVIDIA GeForce RTX 3080",
        "pci_bus_id": f"00000000:0{index + 1}:00.0",
        "utilization_gpu_percent": 75,
        "utilization_memory_percent": 40,
        "memory_total_bytes": 10240 * MEBIBYTE,
        "memory_used_bytes": 8192 * MEBIBYTE,
        "memory_free_bytes": 2048 * MEBIBYTE,
        "temperature_gpu_celsius": 65,
        "power_draw_watts": 220.5,
        "clock_graphics_megahertz": 1800,
        "clock_memory_megahertz": 8000,
    }
    return Gpu(**(whole | overrides))


def make_lost_gpu(index: int = 0) -> Gpu:
    """Return a GPU that has fallen off the bus."""
    reason = "error: NVML_ERROR_GPU_IS_LOST"
    return without_readings(make_gpu(index), "lost", "GPU is lost", reason, 1_741_129_000_123_456_789)


def make_unknown_gpu(index: int = 0) -> Gpu:
    """Return a GPU that was seen before its source failed."""
    return without_readings(make_gpu(index), "unknown", "stuck", "error: stalled")


def make_source(**overrides: Any) -> Source:
    """Return a driver that answers."""
    whole: dict[str, Any] = {
        "state": "ok",
        "driver_version": "550.54.15",
        "nvml_version": "12.550.54.15",
        "cuda_version": "12.4",
    }
    return Source(**(whole | overrides))


def make_missing_source(error: str | None = NO_DRIVER) -> Source:
    """Return a driver that is not there."""
    return Source(state="unavailable", error=error)


def make_stalled_source(**overrides: Any) -> Source:
    """Return a driver that is stuck in a call."""
    whole: dict[str, Any] = {
        "state": "stalled",
        "error": "nvmlDeviceGetPowerUsage for GPU 0 has not returned for 12 s",
        "stalled_call": StalledCall(function="nvmlDeviceGetPowerUsage", gpu_index=0, seconds=12.25),
    }
    return make_source(**(whole | overrides))


def make_snapshot(**overrides: Any) -> Snapshot:
    """Return the first snapshot of a run on `node-1`, of one healthy GPU."""
    whole: dict[str, Any] = {
        "host": "node-1",
        "run_id": "0123456789abcdef",
        "sequence": 0,
        "sampled_at_ns": 1_741_129_370_123_456_789,
        "held_seconds": 0.0,
        "interval_seconds": 30.0,
        "duration_seconds": 0.25,
        "source": make_source(),
        "collector": Cost(
            cpu_seconds=1.5,
            resident_bytes=30 * MEBIBYTE,
            nvml_calls=80,
            slowest_call=SlowestCall(function="nvmlDeviceGetPowerUsage", seconds=0.125),
            version="0.1.0",
        ),
        "gpus": [make_gpu()],
    }
    return Snapshot(**(whole | overrides))


def make_cache(*snapshots: Snapshot, now: float = 0.0, **overrides: Any) -> Cache:
    """Return a cache of one endpoint that has heard these snapshots, all at the time `now`."""
    cache = Cache(**({"endpoints": (ENDPOINT,)} | overrides))
    for snapshot in snapshots:
        cache.accept(ENDPOINT, snapshot, now)
    return cache


def make_answers(cache: Cache | None = None, access: Access | None = None) -> Answers:
    """Return the answers from a cache, by default an empty one, and by default to everybody."""
    access = access or Access()
    described = description(needs_token=access.needs_token)
    return Answers(Resources(cache or make_cache(), make_history(), Tally().own, described), access)


def make_stream() -> Stream:
    """Return a stream of nothing."""
    return Stream(make_cache(), make_history())


def make_history(*snapshots: Snapshot) -> History:
    """Return a history of an hour, to which these snapshots were added, each a second after the other."""
    history = History(3600.0, 64.0)
    for second, snapshot in enumerate(snapshots):
        history.add(snapshot, float(second))
    return history


def make_frame(**changes: Any) -> bytes:
    """Return the frame of a snapshot as a peer might write it: any key with any value, `...` for left out."""
    body = msgspec.msgpack.decode(msgspec.msgpack.encode(make_snapshot())) | changes
    kept = {key: value for key, value in body.items() if value is not ...}
    return wire.topic("node-1") + msgspec.msgpack.encode(kept)


def ask(
    answers: Answers,
    target: str = METRICS_PATH,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    now: float = 0.0,
) -> Answer:
    """Ask for something, by default for the metrics, and do what work the answer takes."""
    return made(answers.answer(method, target, headers or {}, now), now)


def made(sent: Answer | Later | Follow, now: float) -> Answer:
    """Do what work an answer takes, as the server does, and return it."""
    while isinstance(sent, Later):
        try:
            sent = sent.then(sent.make(), now)
        except Refusal as refused:
            sent = refused.answer
    assert isinstance(sent, Answer)
    return sent


def read(answer: Answer) -> Any:
    """Return what the JSON of an answer says."""
    return msgspec.json.decode(answer.body)


def assert_golden(name: str, produced: bytes) -> None:
    """Compare with a file of `tests/golden/`, byte for byte."""
    path = GOLDEN / name
    if os.environ.get("REWRITE_GOLDEN"):
        path.write_bytes(produced)
        pytest.fail(f"{name} was written anew; read the difference, then run without REWRITE_GOLDEN")
    assert produced == path.read_bytes()
