"""Where the publisher binds, and where it must not."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.publisher import Publisher
from common.clock import elapsed_seconds


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
