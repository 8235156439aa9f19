"""Where the publisher binds, and where it must not."""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from collector.publisher import Publisher
from common.clock import elapsed_seconds
from tests.ports import free_port
from tests.processes import Process, Service, eventually
from tests.standin import StandIn


@contextlib.contextmanager
def publishing(endpoint: str) -> Iterator[Publisher]:
    async def start() -> Publisher:
        return Publisher(endpoint, elapsed_seconds)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        publisher = runner.run(start())
        try:
            yield publisher
        finally:
            publisher.close()


def test_a_port_in_use_is_named_with_the_cause() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(OSError, match=f"cannot publish on {endpoint}: Address already in use"),
            publishing(endpoint),
        ):
            pass


def test_a_path_with_a_live_publisher_is_not_taken_from_it(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/feed"
    with publishing(endpoint), pytest.raises(OSError, match="Address already in use"), publishing(endpoint):
        pass


def test_a_file_that_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "feed"
    path.write_text("precious")
    with pytest.raises(OSError, match="no socket"), publishing(f"ipc://{path}"):
        pass
    assert path.read_text() == "precious"


def test_a_path_left_behind_by_a_publisher_that_was_killed_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "feed"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with publishing(f"ipc://{path}"):
        assert path.is_socket()


@contextlib.contextmanager
def locked_collector(standin: StandIn, place: Path, endpoint: str) -> Iterator[Process]:
    """Run a collector whose feed has one key at its gate, until it has published."""
    keys = place / "keys"
    keys.mkdir()
    (place / "node-1.secret").touch(mode=0o600)
    (place / "node-1.secret").write_bytes(zmq.curve_keypair()[1])
    (keys / "api-1.public").write_bytes(zmq.curve_keypair()[0])
    lock = {"feed_secret_key": str(place / "node-1.secret"), "feed_authorized_keys": str(keys)}
    collector = Service(standin, place, feed_bind=endpoint, **lock).collector
    collector.start()
    try:
        eventually(lambda: collector.log, lambda log: "source ok" in log)
        yield collector
    finally:
        collector.kill()


def change_who_may_subscribe(keys: Path, collector: Process, number: int) -> None:
    """Let somebody in and nobody else any more, which makes the collector open its socket anew."""
    for path in keys.iterdir():
        path.unlink()
    (keys / f"api-{number}.public").write_bytes(zmq.curve_keypair()[0])
    collector.signal(signal.SIGHUP)


def last_line(collector: Process) -> str:
    assert "Traceback" not in collector.log
    return collector.log.splitlines()[-1]


def test_a_path_that_another_took_when_everybody_was_dropped_is_one_line_and_status_1(
    standin: StandIn, tmp_path: Path
) -> None:
    feed = tmp_path / "feed"
    with locked_collector(standin, tmp_path, f"ipc://{feed}") as collector:
        feed.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(feed))
            other.listen()
            change_who_may_subscribe(tmp_path / "keys", collector, 2)
            assert collector.ended() == 1
            assert f" cannot publish on ipc://{feed}: Address already in use: " in last_line(collector)


def take(port: int, taken: threading.Event, given_up: threading.Event) -> None:
    """Try to have a port, again and again, and keep it."""
    while not given_up.is_set():
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            taken.set()
            given_up.wait()


def test_a_port_that_another_took_when_everybody_was_dropped_is_one_line_and_status_1(
    standin: StandIn, tmp_path: Path
) -> None:
    port, taken, given_up = free_port(), threading.Event(), threading.Event()
    with locked_collector(standin, tmp_path, f"tcp://127.0.0.1:{port}") as collector:
        rival = threading.Thread(target=take, args=(port, taken, given_up))
        rival.start()
        try:
            for number in range(2, 22):  # it has the port for an instant only, and may be quicker than the rival
                change_who_may_subscribe(tmp_path / "keys", collector, number)
                if taken.wait(2):
                    break
            assert collector.ended() == 1
            assert f" cannot publish on tcp://127.0.0.1:{port}: Address already in use: " in last_line(collector)
        finally:
            given_up.set()
            rival.join()
