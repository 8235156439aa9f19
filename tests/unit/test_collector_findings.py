"""What the collector's check says of what was seen."""

import errno
import os

import pytest

from collector import findings
from collector.neighbour import Neighbour
from collector.publisher import EndpointError
from common.finding import Finding
from common.gpu import READINGS
from tests.builders import make_gpu, make_lost_gpu, make_missing_source, make_snapshot, make_source, make_stalled_source

IN_USE = EndpointError("tcp://127.0.0.1:8481", os.strerror(errno.EADDRINUSE))


def told(finding: Finding) -> tuple[str, str]:
    return finding.state, f"{finding.found}: {finding.todo}"


def test_a_library_is_told_with_its_path() -> None:
    assert findings.library("/lib/libnvidia-ml.so.1").line.endswith("/lib/libnvidia-ml.so.1")
    assert findings.library(None).state == "wrong"


def test_a_driver_that_answers_tells_its_versions_as_far_as_it_does() -> None:
    driver = findings.driver(make_source(cuda_version=None))
    assert (driver.state, driver.found) == ("ok", "driver 550.54.15, NVML 12.550.54.15, CUDA untold")


def test_a_driver_that_is_missing_or_stuck_is_wrong_and_its_error_is_told() -> None:
    assert told(findings.driver(make_missing_source("no library"))) == ("wrong", "no library: ")
    state, words = told(findings.driver(make_stalled_source()))
    assert state == "wrong"
    assert "nvmlDeviceGetPowerUsage for GPU 0 has not returned for 12 s: the driver hangs" in words


@pytest.mark.parametrize(
    ("may_open", "is_answering", "state", "words"),
    [
        ({"/dev/nvidiactl": True, "/dev/nvidia0": True}, True, "ok", "ann may open /dev/nvidiactl, /dev/nvidia0"),
        ({"/dev/nvidiactl": True, "/dev/nvidia0": False}, True, "warning", "ann may not open /dev/nvidia0"),
        ({"/dev/nvidiactl": False}, False, "wrong", "ann may not open /dev/nvidiactl"),
        ({}, True, "ok", "no /dev/nvidia* here"),
        ({}, False, "wrong", "no /dev/nvidia* here"),
    ],
)
def test_device_files_that_may_not_be_opened_are_named(
    may_open: dict[str, bool], state: str, words: str, *, is_answering: bool
) -> None:
    found = findings.devices(may_open, "ann", is_answering=is_answering)
    assert found.state == state
    assert words in found.found


def test_hidden_processes_are_a_warning_with_the_reason() -> None:
    assert findings.processes("").state == "ok"
    assert told(findings.processes("hidden")) == ("warning", "names, users and command lines stay null: hidden: ")


def test_each_gpu_tells_how_many_readings_were_taken_and_which_were_refused_and_why() -> None:
    unavailable = {
        "fan_speed_percent": "no_permission",
        "mig_instances": "error: not listed yet",
        "processes": "not_collected",
        "power_draw_watts": "error: NVML_ERROR_TIMEOUT",
        "energy_joules": "unsupported",
    }
    well, refused = findings.gpus(make_snapshot(gpus=[make_gpu(1, unavailable=unavailable), make_gpu(0)]))
    assert (well.what, well.state) == ("GPU 0", "ok")
    assert f": {len(READINGS)} readings" in well.found
    assert (refused.what, refused.state) == ("GPU 1", "warning")
    assert f": {len(READINGS) - 5} readings; 1 no_permission; 1 error: not listed yet;" in refused.found
    assert refused.found.endswith(": fan_speed_percent, power_draw_watts")


def test_a_lost_gpu_is_wrong_and_the_others_are_told_too() -> None:
    lost, well = findings.gpus(make_snapshot(gpus=[make_lost_gpu(0), make_gpu(1)]))
    assert (lost.state, well.state) == ("wrong", "ok")
    assert "is lost: GPU is lost" in lost.found


def test_a_driver_without_gpus_is_a_warning_and_one_that_fails_says_nothing_of_gpus() -> None:
    assert [finding.state for finding in findings.gpus(make_snapshot(gpus=[]))] == ["warning"]
    assert list(findings.gpus(make_snapshot(gpus=[], source=make_missing_source()))) == []


def test_a_sample_is_measured_against_the_interval_by_those_that_follow_the_first() -> None:
    first, second = make_snapshot(duration_seconds=5.0), make_snapshot(duration_seconds=0.25)
    found = findings.sample(first, second, 1.0)
    assert found.state == "ok"
    assert "5.000 s at first, then in 0.250 s (slowest call nvmlDeviceGetPowerUsage, 125 ms)" in found.found
    assert found.found.endswith(": fits the interval of 1 s")
    late = findings.sample(first, second, 0.2)
    assert late.state == "warning"
    assert "longer than the interval of 0.2 s: ticks will be skipped; raise GPU_METRICS_INTERVAL_SECONDS" in late.line
    stuck = findings.sample(first, make_snapshot(source=make_stalled_source()), 1.0)
    gone = findings.sample(first, make_snapshot(source=make_missing_source("no driver")), 1.0)
    assert (stuck.state, "the driver hangs" in stuck.todo) == ("wrong", True)
    assert told(gone) == ("wrong", "the second failed: no driver: ")


def test_a_sample_that_never_ends_names_the_call_it_is_in() -> None:
    assert "not done within 60 s, now in nvmlInit" in findings.never_sampled("nvmlInit", 60.0).line


def test_an_endpoint_in_use_is_no_fault_where_this_collector_has_it() -> None:
    running = findings.taken(IN_USE, Neighbour(make_snapshot(held_seconds=2.5), has_our_key=False), "node-1")
    assert (running.state, running.found) == (
        "ok",
        "tcp://127.0.0.1:8481 is in use by this collector, which runs: source ok, latest snapshot 2.5 s old",
    )
    assert findings.taken(IN_USE, Neighbour(None, has_our_key=True), "node-1").state == "ok"


def test_an_endpoint_in_use_by_another_is_wrong() -> None:
    unknown = findings.taken(IN_USE, Neighbour(None, has_our_key=False), "node-1")
    assert (unknown.state, unknown.found) == (
        "wrong",
        "cannot publish on tcp://127.0.0.1:8481: Address already in use",
    )
    assert "ss -ltnp" in unknown.todo
    assert "GPU_METRICS_FEED_BIND" in unknown.todo
    other = findings.taken(IN_USE, Neighbour(make_snapshot(), has_our_key=False), "node-2")
    assert other.state == "wrong"
    assert "a collector that calls itself node-1 publishes there" in other.found


def test_an_endpoint_that_cannot_be_had_is_wrong_in_the_words_of_a_start() -> None:
    error = EndpointError("tcp://192.0.2.1:1", "Cannot assign requested address")
    assert not error.is_taken
    assert findings.refused(error).found == "cannot publish on tcp://192.0.2.1:1: Cannot assign requested address"
