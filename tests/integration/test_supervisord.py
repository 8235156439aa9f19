"""Both programs under the real supervisord: they stay up, are started again, and stop in order."""

import contextlib
import operator
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.processes import PATIENCE_SECONDS, eventually
from tests.standin import StandIn
from tests.supervised import Checkout, checkout, is_alive, started

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="supervisord is Unix only")


@contextlib.contextmanager
def taken_port(copy: Checkout) -> Iterator[None]:
    """Keep the feed's port from the collector, as a second collector would."""
    with socket.create_server(("127.0.0.1", copy.feed_port)):
        yield


@contextlib.contextmanager
def missing_interpreter(copy: Checkout) -> Iterator[None]:
    """Have no interpreter, as there is none while another is installed."""
    away = (copy.path / ".venv").rename(copy.path / "away")
    yield
    away.rename(copy.path / ".venv")


def test_both_stay_up_without_a_driver_and_stop_in_order(tmp_path: Path) -> None:
    with checkout(tmp_path, {"GPU_METRICS_NVML_LIBRARY": "/nonexistent"}) as copy:
        pids = eventually(copy.are_running)
        reply = eventually(copy.metrics, lambda reply: reply.status == 200)
        assert reply.body["status"] == "placeholder"
        assert "NVML_ERROR_LIBRARY_NOT_FOUND" in copy.log("collector")
        assert "listening on" in copy.log("api")
        copy.popen.send_signal(signal.SIGTERM)
        assert copy.popen.wait(PATIENCE_SECONDS) == 0
        assert not any(is_alive(pid) for pid in (pids or {}).values())
        told = copy.log("supervisord")
        assert 0 < told.index("stopped: api (exit status 0)") < told.index("stopped: collector (exit status 0)")


@pytest.mark.parametrize("name", ["collector", "api"])
def test_a_program_that_is_killed_is_started_again(tmp_path: Path, standin: StandIn, name: str) -> None:
    with checkout(tmp_path, standin.environment()) as copy:
        before = eventually(copy.are_running)
        assert before is not None
        eventually(copy.metrics, lambda reply: reply.status == 200)
        os.kill(before[name], signal.SIGKILL)
        after = eventually(copy.are_running, lambda pids: pids is not None and pids[name] != before[name])
        assert after is not None
        other = "api" if name == "collector" else "collector"
        assert after[other] == before[other]
        stamp = eventually(copy.metrics, lambda reply: reply.status == 200).body["timestamp"]
        eventually(copy.metrics, lambda reply: reply.status == 200 and reply.body["timestamp"] > stamp)


def test_a_crash_inside_the_library_ends_in_a_new_collector(tmp_path: Path, standin: StandIn) -> None:
    with checkout(tmp_path, standin.environment()) as copy:
        before = eventually(copy.are_running)
        assert before is not None
        eventually(copy.metrics, lambda reply: reply.status == 200)
        standin.crash("nvmlDeviceGetUtilizationRates")
        eventually(lambda: not is_alive(before["collector"]))
        standin.heal()
        after = eventually(copy.are_running)
        assert after is not None
        assert after["collector"] != before["collector"]
        assert after["api"] == before["api"]
        assert eventually(copy.metrics, lambda reply: reply.status == 200).body["status"] == "ok"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("cause", [taken_port, missing_interpreter])
def test_a_program_that_cannot_start_is_tried_again_without_ever_longer_waits_until_it_can(
    tmp_path: Path, standin: StandIn, cause: Callable[[Checkout], AbstractContextManager[None]]
) -> None:
    copy = Checkout(tmp_path / "a checkout", standin.environment())
    with contextlib.ExitStack() as fault:
        fault.enter_context(cause(copy))
        with started(copy):
            # With waits of 1 s, 2 s, 3 s ... so many starts would take half a minute, and the next one 8 s more.
            for number in range(1, 9):
                eventually(copy.collector_starts, partial(operator.le, number))
            told = copy.log("supervisord")
            # Who cannot be started, or ends before it counts as running, waits for longer each time, up to FATAL.
            assert "spawnerr" not in told
            assert told.count("exited: collector") <= told.count("success: collector entered RUNNING")
            fault.close()
            assert eventually(copy.metrics, lambda reply: reply.status == 200).body["status"] == "ok"
