"""The tap, and what it has recorded published again: real processes, as a person would start them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.recording import Recorded, Recorder, Recording
from tests.builders import make_snapshot
from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS, ROOT, Process, Start, eventually, get


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)


def lines(output: str) -> list[Any]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    recorder = Recorder(str(tmp_path / "recording"))
    for number in range(5):
        snapshot = make_snapshot(sequence=number, interval_seconds=1.0, sampled_at_ns=1000 + number)
        recorder.write(Recorded(100.0 + number, snapshot))
    recorder.close()
    return tmp_path / "recording"


@pytest.fixture
def replaying(recording: Path, tmp_path: Path) -> Iterator[Process]:
    settings = {"GPU_METRICS_FEED_BIND": f"tcp://127.0.0.1:{free_port()}"}
    process = Process("collector.replay", settings, tmp_path / "replay.log", str(recording), "--speed", "10")
    process.start()
    yield process
    process.kill()


def test_the_tap_prints_each_snapshot_as_a_line_of_json_and_records_it(start: Start, tmp_path: Path) -> None:
    service = start()
    recorded = tmp_path / "recorded"
    flags = ("--feed-connect", service.feed, "--record", str(recorded), "--count", "3", "--host", "node-1")
    done = run("api.tap", *flags)
    assert done.returncode == 0, done.stderr
    told = lines(done.stdout)
    assert [(one["host"], len(one["gpus"])) for one in told] == [("node-1", 2)] * 3
    assert told[0]["gpus"][0]["power_draw_watts"] is not None
    with Recording(str(recorded)) as recording:
        assert [one.snapshot.sequence for one in recording] == [one["sequence"] for one in told]


def test_the_table_has_what_came_last_before_the_end(start: Start) -> None:
    service = start()
    done = run("api.tap", "--feed-connect", service.feed, "--table", "--count", "1")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[-2:]] == ["node-1", "node-1"]


@pytest.mark.parametrize("count", ["0", "-1", "few"])
def test_a_count_that_cannot_be_is_said(count: str) -> None:
    done = run("api.tap", f"--count={count}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"argument --count: {count!r} is not a whole number from 1\n")


def test_a_tap_that_can_say_no_more_ends_with_one_line_and_status_1(start: Start) -> None:
    service = start()
    command = [sys.executable, "-m", "api.tap", "--feed-connect", service.feed]
    with Path("/dev/full").open("wb") as full:
        told = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE_SECONDS
        )
    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    assert told.stderr.endswith("ERROR api.tap: standard output: No space left on device\n")


def test_the_tap_leaves_out_other_hosts_and_shows_a_table(start: Start) -> None:
    service = start()
    done = run("api.tap", "--feed-connect", service.feed, "--table", "--count", "2")
    assert done.returncode == 0
    assert done.stdout.startswith("host")
    process = subprocess.Popen(
        [sys.executable, "-m", "api.tap", "--feed-connect", service.feed, "--host", "node-2", "--table"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert [process.stdout.readline().split()[0] for _ in range(2)] == ["host", "host"]
        process.terminate()


def test_a_reader_that_has_read_enough_ends_the_tap(start: Start) -> None:
    service = start()
    command = [sys.executable, "-m", "api.tap", "--feed-connect", service.feed]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(PATIENCE_SECONDS) == 0
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_a_tap_that_is_killed_leaves_a_recording_that_can_be_read(start: Start, tmp_path: Path) -> None:
    service = start()
    path = tmp_path / "recorded"
    tap = Process("api.tap", {}, tmp_path / "tap.log", "--feed-connect", service.feed, "--record", str(path))
    tap.start()
    eventually(lambda: path.exists() and path.stat().st_size > 20_000)
    tap.kill()
    with Recording(str(path)) as recording:
        assert recording.check() > 1


def test_a_file_that_exists_is_not_recorded_over(recording: Path) -> None:
    done = run("api.tap", "--record", str(recording))
    assert done.returncode == 1
    assert "cannot record there: File exists" in done.stderr


def test_a_replay_is_heard_as_if_live_and_marked_as_a_replay(replaying: Process, tmp_path: Path) -> None:
    feed, port = replaying.settings["GPU_METRICS_FEED_BIND"], free_port()
    settings = {"GPU_METRICS_FEED_CONNECT": feed, "GPU_METRICS_API_PORT": str(port)}
    api = Process("api", settings, tmp_path / "api.log")
    api.start()
    try:
        eventually(lambda: get(port, "/healthz").status == 200)
        hosts = eventually(lambda: get(port, "/api/v1/monitoring/hosts").body["hosts"], lambda told: told[0]["host"])
        (host,) = hosts
        assert (host["host"], host["state"]) == ("node-1", "ok")
        assert host["source"]["replay_of_ns"] in range(1000, 1005)
        assert abs(host["clock_offset_seconds"]) < 60
        gpus = get(port, "/api/v1/monitoring/gpus").body
        assert gpus["hosts"][0]["source"]["replay_of_ns"] in range(1000, 1005)
    finally:
        api.kill()


def test_a_replay_is_played_in_full_in_its_order_and_ends(replaying: Process) -> None:
    done = run("api.tap", "--feed-connect", replaying.settings["GPU_METRICS_FEED_BIND"], "--count", "4")
    told = lines(done.stdout)
    assert [one["sequence"] for one in told] in ([0, 1, 2, 3], [1, 2, 3, 4])
    assert {one["interval_seconds"] for one in told} == {0.1}
    assert {one["run_id"] for one in told}.isdisjoint({make_snapshot().run_id})
    assert replaying.ended() == 0


def test_a_corrupt_recording_is_told_with_its_place_and_nothing_of_it_is_published(recording: Path) -> None:
    content = bytearray(recording.read_bytes())
    content[-10] ^= 0xFF
    recording.write_bytes(content)
    done = run("collector.replay", str(recording), "--feed-bind", f"tcp://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert f"{recording}: corrupt at byte" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("speed", ["0", "-1", "x", "1e9", "1e-310", "nan"])
def test_a_speed_that_cannot_be_is_refused(speed: str) -> None:
    assert run("collector.replay", "recording", f"--speed={speed}").returncode == 2
