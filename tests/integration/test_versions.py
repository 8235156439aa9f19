"""A collector of another version than the API's and the tap's: real processes, and what such a one would send them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import zmq

from common import wire
from common.recording import Recording
from tests.builders import make_frame, make_snapshot
from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS, ROOT, Process, Reply, eventually, get
from tests.whole import frames_in, recordings, write_recording

HOSTS = "/api/v1/monitoring/hosts"
GPUS = "/api/v1/monitoring/gpus"
UNKNOWN = {"moon": {"phase": [1, 2.5, None, {"deep": b"\0"}]}}
"""A key, and all kinds of values in it, that no version knows yet."""


def body(**changes: Any) -> dict[str, Any]:
    """Return a snapshot as it is on the wire, to be changed."""
    told: dict[str, Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(make_snapshot(**changes)))
    return told


def newer() -> bytes:
    """Return what a newer collector might send: more keys everywhere, further states, reasons and kinds."""
    told = body()
    cost, gpu = told["collector"], told["gpus"][0]
    process = {"pid": 7, "kind": "mps", **UNKNOWN}
    gpu |= {"processes": [process], "unavailable": {"moon_percent": "eclipsed", "energy_joules": "eclipsed"}}
    cost |= {"version": "9.0.0", "slowest_call": cost["slowest_call"] | UNKNOWN}
    resetting = {**gpu, "index": 1, "uuid": "GPU-1", "state": "resetting", "error": "until noon"}
    told |= {"source": told["source"] | UNKNOWN, "collector": cost | UNKNOWN, "gpus": [gpu | UNKNOWN, resetting]}
    return make_frame(**told, **UNKNOWN)


def older() -> bytes:
    """Return what the oldest collector of all could send: nothing that has a default."""
    told = body()
    del told["collector"]["version"]
    gpu = {"index": 0, "uuid": "GPU-0", "name": "old", "temperature_gpu_celsius": 7}
    return make_frame(**told | {"source": {"state": "ok"}, "gpus": [gpu]})


def changed() -> bytes:
    """Return what breaks the promise: a key of another type."""
    return make_frame(interval_seconds="30 s")


class Peer:
    """In the collector's place: it sends whatever it is told to send."""

    def __init__(self) -> None:
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._socket.bind(self.endpoint)

    def send(self, *frames: bytes) -> None:
        """Send to all who are subscribed."""
        for frame in frames:
            self._socket.send(frame)

    def await_subscriber(self) -> None:
        """Wait until one more has subscribed."""
        assert self._socket.poll(int(PATIENCE_SECONDS * 1000))
        assert self._socket.recv() == b"\1" + wire.TOPIC_PREFIX

    def close(self) -> None:
        self._context.destroy(linger=0)


class Api(NamedTuple):
    """The real API, subscribed to a peer."""

    peer: Peer
    process: Process
    port: int

    def get(self, target: str) -> Reply:
        return get(self.port, target)

    def host(self) -> Any:
        """Return what `hosts` says of the one that there is."""
        (host,) = self.get(HOSTS).body["hosts"]
        return host

    def await_host(self, **told: object) -> Any:
        """Wait until `hosts` says that of it."""
        return eventually(self.host, lambda host: all(host[name] == value for name, value in told.items()))

    def await_rejected(self, count: int) -> Any:
        return eventually(self.host, lambda host: host["messages"]["rejected"] == count)


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def api(peer: Peer, tmp_path: Path) -> Iterator[Api]:
    port = free_port()
    settings = {"GPU_METRICS_API_PORT": str(port), "GPU_METRICS_FEED_CONNECT": peer.endpoint}
    process = Process("api", settings, tmp_path / "api.log")
    process.start()
    peer.await_subscriber()
    yield Api(peer, process, port)
    process.kill()


def test_of_a_newer_collector_the_api_shows_what_it_knows_and_says_what_it_does_not(api: Api) -> None:
    api.peer.send(newer())
    host = api.await_host(state="ok")
    assert host["collector"]["version"] == "9.0.0"
    assert host["messages"] == {"received": 1, "lost": 0, "rejected": 0}
    told = api.get(GPUS).body
    said = "'resetting' is a state that only a newer version knows: until noon"
    assert [(gpu["state"], gpu["error"]) for gpu in told["gpus"]] == [("ok", None), ("unknown", said)]
    assert [(gpu["power_draw_watts"], gpu["processes"][0]["kind"]) for gpu in told["gpus"]] == [(220.5, "mps")] * 2
    assert told["gpus"][0]["unavailable"] == {"moon_percent": "eclipsed", "energy_joules": "eclipsed"}
    assert told["status"] == "degraded"
    assert said in told["error"]["message"]
    metrics = api.get("/api/v1/monitoring/gpu-metrics")
    assert (metrics.status, [gpu["status"] for gpu in metrics.body["gpus"]]) == (200, ["ok", "unknown"])
    assert "moon" not in json.dumps([host, metrics.body])


def test_a_source_in_a_state_that_only_a_newer_collector_knows_is_not_well(api: Api) -> None:
    api.peer.send(make_frame(**body(gpus=[]) | {"source": {"state": "updating", "error": "until noon"}}))
    said = "'updating' is a state that only a newer version knows: until noon"
    assert api.await_host(state="unavailable")["source"]["error"] == said
    metrics = api.get("/api/v1/monitoring/gpu-metrics").body
    assert (metrics["status"], metrics["error"]["message"]) == ("placeholder", f"node-1: {said}")
    assert api.get("/readyz").status == 503


def test_of_an_older_collector_what_it_does_not_tell_is_null(api: Api) -> None:
    api.peer.send(older())
    host = api.await_host(state="ok")
    assert (host["collector"]["version"], host["source"]["driver_version"]) == (None, None)
    (gpu,) = api.get("/api/v1/monitoring/gpu-metrics").body["gpus"]
    assert (gpu["status"], gpu["temperature"], gpu["power_usage"]) == ("ok", 7, 0)
    assert "power_usage" in gpu["unavailable"]
    assert "temperature" not in gpu["unavailable"]


def test_a_feed_that_has_gone_over_to_another_topic_looks_connected_and_silent(api: Api) -> None:
    api.peer.send(make_frame().replace(b".v1.", b".v2."))
    host = eventually(api.host, lambda host: host["connection"]["state"] == "connected")
    assert host["state"] == "unheard"
    api.peer.send(make_frame().replace(b".v1.", b".v2."), make_frame())
    assert api.await_host(state="ok")["messages"] == {"received": 1, "lost": 0, "rejected": 0}


def test_what_breaks_the_promise_is_dropped_counted_told_and_logged_once(api: Api) -> None:
    api.peer.send(changed(), changed(), changed())
    assert api.await_rejected(3)["state"] == "unheard"
    api.peer.send(make_frame(), changed())
    assert api.await_rejected(4)["state"] == "ok"
    told = [line for line in api.process.log.splitlines() if "dropped a message" in line]
    assert len(told) == 1
    assert "Expected `float`, got `str` - at `$.interval_seconds`" in told[0]
    assert api.process.stop() == 0


def test_the_tap_shows_and_records_of_other_versions_what_the_api_takes(peer: Peer, tmp_path: Path) -> None:
    recorded = tmp_path / "recorded"
    flags = ("--feed-connect", peer.endpoint, "--record", str(recorded), "--count", "2")
    command = [sys.executable, "-m", "api.tap", *flags]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tap:
        peer.await_subscriber()
        peer.send(changed(), changed(), newer(), make_frame().replace(b".v1.", b".v2."), older())
        output, errors = tap.communicate(timeout=PATIENCE_SECONDS)
    assert tap.returncode == 0
    told = [json.loads(line) for line in output.splitlines()]
    assert [[gpu["state"] for gpu in one["gpus"]] for one in told] == [["ok", "unknown"], ["ok"]]
    assert errors.count("dropped a message") == 1
    with Recording(str(recorded)) as recording:
        assert [one.snapshot for one in recording] == [wire.decode(newer()), wire.decode(older())]


@pytest.mark.parametrize(
    "recording", [None, *recordings()], ids=lambda path: path.stem if path else "of a newer version"
)
def test_what_other_versions_have_recorded_is_read_and_published(recording: Path | None, tmp_path: Path) -> None:
    path = recording or write_recording(tmp_path / "recorded", [newer(), older()])
    feed, port, count = f"tcp://127.0.0.1:{free_port()}", free_port(), len(frames_in(path))
    api = {
        "GPU_METRICS_API_PORT": str(port),
        "GPU_METRICS_FEED_CONNECT": feed,
        "GPU_METRICS_STALE_AFTER_SECONDS": "999",
    }
    replaying = Process("collector.replay", {}, tmp_path / "replay.log", str(path), "--speed=1000", "--feed-bind", feed)
    listening = Process("api", api, tmp_path / "api.log")
    replaying.start()
    listening.start()
    try:
        assert replaying.ended() == 0
        assert f"replaying {count} snapshots" in replaying.log
        (host,) = eventually(lambda: get(port, HOSTS).body["hosts"])
        # The first can be gone before the subscription is known.
        assert host["messages"]["received"] in (count - 1, count)
        assert (host["state"], host["messages"]["rejected"]) == ("ok", 0)
    finally:
        replaying.kill()
        listening.kill()
