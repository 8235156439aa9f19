"""The two real processes, from a real library to the JSON, through what a driver can do to them."""

import contextlib
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from tests.processes import METRICS, Service, Start, eventually
from tests.standin import StandIn


def test_what_the_library_says_is_what_the_api_serves(start: Start) -> None:
    service = start()
    reply = service.until_status("ok")
    first, second = reply.body["gpus"]
    assert first == {
        "id": "gpu-0",
        "name": "NVIDIA Stand-In",
        "uuid": "GPU-5eed5eed-0000-4000-8000-000000000001",
        "utilization": 31,
        "memory": {"total": 24564, "used": 4791, "free": 19443},
        "temperature": 40,
        "power_usage": 76.543,
        "clock_speeds": {"graphics": 1815, "memory": 9501},
        "memory_utilization": 12,
        "status": "ok",
        "unavailable": [],
        "host": "node-1",
    }
    assert second["uuid"].endswith("2")
    assert (reply.body["host"], reply.body["error"]) == ("node-1", None)
    assert service.get("/readyz").status == service.get("/healthz").status == 200


def test_values_change_with_every_sample_and_so_does_the_tag(start: Start, standin: StandIn) -> None:
    service = start()
    before = service.until_status("ok")
    standin.value("temperature_gpu_celsius", 83, gpu=0)
    after = eventually(service.get, lambda reply: reply.body["gpus"][0]["temperature"] == 83)
    assert after.headers["ETag"] != before.headers["ETag"]
    assert after.body["timestamp"] > before.body["timestamp"]


def test_without_a_driver_there_is_a_placeholder_that_says_why_until_the_driver_appears(
    start: Start, standin: StandIn, tmp_path: Path
) -> None:
    library = tmp_path / "appears later.so"
    service = start(nvml_library=str(library))
    reply = service.until_status("placeholder")
    assert [gpu["name"] for gpu in reply.body["gpus"]] == ["placeholder"]
    assert "NVML_ERROR_LIBRARY_NOT_FOUND" in reply.body["error"]["message"]
    assert service.get("/readyz").body["error"]["code"] == "placeholder"
    shutil.copy(standin.library, library)
    assert len(service.until_status("ok").body["gpus"]) == 2


def test_a_missing_driver_is_asked_again_long_before_the_next_tick(
    start: Start, standin: StandIn, tmp_path: Path
) -> None:
    library = tmp_path / "appears later.so"
    service = start(nvml_library=str(library), interval_seconds="3600")
    service.until_status("placeholder")
    shutil.copy(standin.library, library)
    assert len(service.until_status("ok").body["gpus"]) == 2


def test_lost_gpu_stays_listed_while_the_others_go_on(start: Start, standin: StandIn) -> None:
    service = start()
    service.until_status("ok")
    standin.lose(0)
    lost, other = service.until_status("degraded").body["gpus"]
    assert (lost["status"], lost["uuid"][-1], lost["temperature"]) == ("lost", "1", 0)
    assert "temperature" in lost["unavailable"]
    assert (other["status"], other["temperature"]) == ("ok", 42)
    standin.restore(0)
    service.until_status("ok")


def test_a_reloaded_driver_is_initialised_again(start: Start, standin: StandIn) -> None:
    service = start()
    service.until_status("ok")
    standin.reload()
    eventually(lambda: "initialising NVML again" in service.collector.log)
    standin.value("temperature_gpu_celsius", 55)
    eventually(service.get, lambda reply: reply.body["gpus"][0]["temperature"] == 55)


def test_a_stuck_call_is_named_at_once_and_ends_with_the_call(start: Start, standin: StandIn) -> None:
    service = start(stall_after_seconds="0.3")
    service.until_status("ok")
    standin.hang("nvmlDeviceGetPowerUsage", gpu=1)
    stalled = service.until_status("stalled")
    assert "nvmlDeviceGetPowerUsage for GPU 1 has not returned" in stalled.body["error"]["message"]
    assert [gpu["uuid"][-1] for gpu in stalled.body["gpus"]] == ["1", "2"]
    assert [gpu["status"] for gpu in stalled.body["gpus"]] == ["unknown", "unknown"]
    assert service.get("/readyz").body["error"]["code"] == "stalled"
    assert service.get("/healthz").status == 200
    later = eventually(service.get, lambda reply: reply.body["timestamp"] > stalled.body["timestamp"])
    assert later.body["status"] == "stalled"
    standin.heal()
    service.until_status("ok")


def test_sigterm_ends_a_collector_that_is_stuck_in_the_driver(start: Start, standin: StandIn) -> None:
    service = start(stall_after_seconds="0.3")
    service.until_status("ok")
    standin.hang("nvmlDeviceGetTemperature")
    service.until_status("stalled")
    assert service.collector.stop() == 0
    assert "nvmlShutdown" not in service.collector.log


def test_a_collector_stuck_for_too_long_ends_itself_for_the_supervisor(start: Start, standin: StandIn) -> None:
    service = start(stall_after_seconds="0.2", stall_exit_seconds="0.5")
    service.until_status("ok")
    standin.hang("nvmlDeviceGetCount_v2")
    assert service.collector.ended() == 1
    assert "nvmlDeviceGetCount has not returned" in service.collector.log.splitlines()[-1]


@pytest.mark.parametrize("call", ["nvmlDeviceGetBAR1MemoryInfo", "nvmlDeviceGetMemoryInfo_v2", "nvmlEventSetWait_v2"])
def test_a_crash_inside_the_library_leaves_the_api_answering_and_the_call_in_the_log(
    start: Start, standin: StandIn, call: str
) -> None:
    service = start(stale_after_seconds="0.5")
    service.until_status("ok")
    standin.crash(call)
    assert service.collector.ended() == -signal.SIGSEGV
    assert f"in {call}\n" in service.collector.log
    stale = service.until_status("stale")
    assert (stale.status, stale.body["error"]["code"]) == (503, "stale")
    assert stale.body["age_seconds"] >= 0.5  # in milliseconds, rounded
    assert int(stale.headers["Retry-After"]) >= 1
    standin.heal()
    service.collector.start()
    service.until_status("ok")


def test_a_killed_collector_makes_the_api_stale_and_a_new_one_makes_it_fresh(start: Start) -> None:
    service = start(stale_after_seconds="0.5")
    tag = service.until_status("ok").headers["ETag"]
    service.collector.kill()
    service.until_status("stale")
    assert service.get(**{"If-None-Match": tag}).status == 503
    assert service.get(f"{METRICS}?max_age=3600").body["status"] == "stale"
    assert service.get("/healthz").status == 200
    service.collector.start()
    service.until_status("ok")


def test_a_frozen_collector_is_stale_and_comes_back(start: Start) -> None:
    service = start(stale_after_seconds="0.5")
    service.until_status("ok")
    service.collector.signal(signal.SIGSTOP)
    service.until_status("stale")
    service.collector.signal(signal.SIGCONT)
    service.until_status("ok")


def test_an_api_that_starts_late_gets_the_welcome_and_its_true_age(start: Start) -> None:
    service = start(interval_seconds="3600")
    service.until_status("ok")
    service.api.kill()
    eventually(lambda: service.collector.popen.poll() is None)
    service.api.start()
    reply = eventually(service.get, lambda reply: reply.status == 200 and int(reply.headers["Age"]) >= 3)
    assert reply.body["status"] == "ok"
    service.api.kill()
    service.api.start()
    assert int(eventually(service.get, lambda reply: reply.status == 200).headers["Age"]) >= 2


def test_an_api_that_hears_nothing_says_so(standin: StandIn, tmp_path: Path) -> None:
    service = Service(standin, tmp_path)
    service.api.start()
    try:
        reply = eventually(service.get, lambda reply: reply.status != 0)
        assert (reply.status, reply.body["status"], reply.body["age_seconds"]) == (503, "unheard", None)
        assert service.feed in reply.body["error"]["message"]
        assert service.get("/readyz").body["error"]["code"] == "unheard"
        assert service.api.stop() == 0
    finally:
        service.api.kill()


def test_either_process_may_start_first_and_both_end_with_0(start: Start) -> None:
    service = start()
    service.until_status("ok")
    assert service.api.stop() == 0
    service.api.start()
    service.until_status("ok")
    assert service.collector.stop() == 0
    assert service.api.stop() == 0


@contextlib.contextmanager
def flooding(endpoint: str) -> Iterator[None]:
    """Send the feed what no subscriber would, as fast as it goes."""
    done = threading.Event()

    def flood() -> None:
        with zmq.Context() as context, context.socket(zmq.XSUB) as client:
            client.setsockopt(zmq.LINGER, 0)
            client.connect(endpoint)
            while not done.is_set():
                client.send(b"\x02flood")

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def until_later(service: Service, than: str) -> str:
    """Wait for a snapshot that was taken later, and return when."""
    return str(eventually(service.get, lambda reply: reply.body["timestamp"] > than).body["timestamp"])


def test_a_client_that_floods_the_feed_stops_neither_the_samples_nor_the_end(start: Start) -> None:
    service = start(stale_after_seconds="3600")
    service.until_status("ok")
    with flooding(service.feed):
        latest = ""
        for _ in range(10):
            latest = until_later(service, latest)
        assert service.collector.stop() == 0
