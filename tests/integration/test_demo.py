"""The demo as someone starts it who has no GPU: its two real processes, on ports of their own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS, ROOT, inherited

DEADLINE_SECONDS = 30.0


@contextmanager
def _demo(api_port: int, feed_port: int, interval: str = "0.05") -> Iterator["subprocess.Popen[str]"]:
    environment = inherited() | {
        "GPU_METRICS_API_PORT": str(api_port),
        "GPU_METRICS_FEED_BIND": f"tcp://127.0.0.1:{feed_port}",
        "GPU_METRICS_INTERVAL_SECONDS": interval,
    }
    command = [sys.executable, "-m", "tests.demo"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE_SECONDS)


def _body(port: int) -> dict[str, Any] | None:
    """Return the answer's body, None as long as there is no good one."""
    url = f"http://127.0.0.1:{port}/api/v1/monitoring/gpu-metrics"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            body: dict[str, Any] = json.load(answer)
            return body
    except OSError:  # refused, or urllib's HTTPError: it has not heard the feed yet
        return None


def _wait_for_body(port: int, unlike: str = "") -> dict[str, Any]:
    """Return the first body whose timestamp is another."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        body = _body(port)
        if body is not None and body["timestamp"] != unlike:
            return body
        time.sleep(0.02)
    raise AssertionError("the demo's API gave no such answer")


def _is_refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_demo_serves_imaginary_gpus_that_nobody_can_take_for_real_ones() -> None:
    api_port, feed_port = free_port(), free_port()
    with _demo(api_port, feed_port):
        body = _wait_for_body(api_port)
    assert body["host"] == "imaginary"
    assert [gpu["name"] for gpu in body["gpus"]] == ["Imaginary GPU"] * 4
    assert len({gpu["uuid"] for gpu in body["gpus"]}) == 4
    assert [gpu["unavailable"] for gpu in body["gpus"]] == [[], [], [], ["power_usage"]]
    assert all(gpu["memory"]["used"] + gpu["memory"]["free"] == gpu["memory"]["total"] for gpu in body["gpus"])


def test_the_demo_s_numbers_move() -> None:
    api_port, feed_port = free_port(), free_port()
    with _demo(api_port, feed_port):
        body = _wait_for_body(api_port)
        first = [gpu["power_usage"] for gpu in body["gpus"]]
        while [gpu["power_usage"] for gpu in body["gpus"]] == first:
            body = _wait_for_body(api_port, unlike=body["timestamp"])


def _wait_until_refused(port: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not _is_refused(port):
        assert time.monotonic() < deadline, "the port is still held"
        time.sleep(0.02)


def test_the_demo_says_first_what_it_is_and_what_to_try_once_that_works() -> None:
    api_port, feed_port = free_port(), free_port()
    with _demo(api_port, feed_port) as process:
        assert process.stdout is not None
        first, second, third = (process.stdout.readline() for _ in range(3))
        assert _body(api_port) is not None
    assert "imaginary GPUs" in first
    assert f"tcp://127.0.0.1:{feed_port}." in second
    assert f"curl http://127.0.0.1:{api_port}/api/v1/monitoring/gpu-metrics\n" in third


def test_help_says_what_the_demo_is_and_what_it_can_be_told() -> None:
    command = [sys.executable, "-m", "tests.demo", "--help"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    assert told.stdout.startswith("usage: python -m tests.demo ")
    assert "imaginary GPUs" in told.stdout
    for name in ("GPU_METRICS_API_PORT", "GPU_METRICS_FEED_BIND", "GPU_METRICS_INTERVAL_SECONDS=1"):
        assert name in told.stdout


def test_a_flag_is_refused_for_the_demo_takes_none() -> None:
    command = [sys.executable, "-m", "tests.demo", "--api-port", "1"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert told.returncode == 2
    assert told.stderr.endswith("error: unrecognized arguments: --api-port 1\n")


def test_a_subscriber_copied_from_the_feed_s_description_sees_the_demo() -> None:
    api_port, feed_port = free_port(), free_port()
    (code,) = re.findall(r"(?s)```python\n(.*?)```", (ROOT / "common/README.md").read_text())
    command = [sys.executable, "-u", "-c", code, f"tcp://127.0.0.1:{feed_port}"]
    with _demo(api_port, feed_port), subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as subscriber:
        try:
            assert subscriber.stdout is not None
            lines = [subscriber.stdout.readline().split() for _ in range(2)]
        finally:
            subscriber.kill()
    assert [line[0:1] + line[2:] for line in lines] == [["imaginary", "ok", "4", "GPUs", "0", "lost"]] * 2
    assert int(lines[1][1]) > int(lines[0][1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_ends_both_processes_of_the_demo_with_status_0(number: signal.Signals) -> None:
    api_port, feed_port = free_port(), free_port()
    with _demo(api_port, feed_port) as process:
        _wait_for_body(api_port)
        process.send_signal(number)
        _, log = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, log
    assert _is_refused(api_port)
    assert _is_refused(feed_port)
    assert log.count("stopped") == 2


def test_a_demo_that_is_killed_leaves_no_api_behind() -> None:
    api_port, feed_port = free_port(), free_port()
    with _demo(api_port, feed_port) as process:
        _wait_for_body(api_port)
        process.kill()
        _, log = process.communicate(timeout=PATIENCE_SECONDS)
        _wait_until_refused(api_port)
    assert process.returncode == -signal.SIGKILL
    assert log.count("stopped") == 1


def test_a_demo_whose_api_dies_says_how_and_ends_with_status_1() -> None:
    api_port, feed_port = free_port(), free_port()
    with _demo(api_port, feed_port) as process:
        _wait_for_body(api_port)
        (api,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(api), signal.SIGKILL)
        _, log = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert "The demonstration ends: its API was killed by SIGKILL.\n" in log


@pytest.mark.parametrize("end", ["api", "feed"])
def test_a_port_in_use_is_one_line_and_status_1(end: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        taken, free = occupied.getsockname()[1], free_port()
        with _demo(*(taken, free) if end == "api" else (free, taken)) as process:
            out, log = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert "curl" not in out
    assert ("its API ended with status 1." in log) == (end == "api")
    (line,) = (line for line in log.splitlines() if "ERROR" in line)
    assert str(taken) in line
    assert "Address already in use" in line
    assert "Traceback" not in log


@pytest.mark.parametrize(("name", "api_port", "interval"), [("INTERVAL_SECONDS", 1, "0"), ("API_PORT", 0, "1")])
def test_a_bad_setting_of_either_process_is_one_line_and_status_2(name: str, api_port: int, interval: str) -> None:
    with _demo(api_port, 1, interval) as process:
        out, log = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert out == ""
    assert log.startswith(f"GPU_METRICS_{name} ")
    assert log.count("\n") == 1
