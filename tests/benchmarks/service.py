"""The two real processes on the stand-in, connected, with the settings of the README but those that are given."""

import http.client
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from api.routes import METRICS_PATH
from tests.benchmarks.surroundings import GPUS, START_SECONDS, driver, running, settings, wait_for
from tests.ports import free_port


class Service(NamedTuple):
    """The process numbers of the two, where the API listens, and the feed between them."""

    collector: int
    api: int
    port: int
    feed: str


@contextmanager
def service(library: Path, interval_seconds: float, history_seconds: float = 3600) -> Iterator[Service]:
    """Run both beside this process, heard of each other; end them with the block.

    Raises:
        RuntimeError: the API has no body of all the GPUs.
        TimeoutError: it does not listen.
    """
    feed, port = f"tcp://127.0.0.1:{free_port()}", free_port()
    collects = settings(
        HOST="benchmark", INTERVAL_SECONDS=str(interval_seconds), FEED_BIND=feed, NVML_LIBRARY=str(library)
    )
    serves = settings(API_PORT=str(port), FEED_CONNECT=feed, HISTORY_SECONDS=str(history_seconds))
    with ExitStack() as stack:
        collector = stack.enter_context(running("collector", extra={**driver(), **collects}))
        api = stack.enter_context(running("api", extra=serves))
        wait_for(port, api)
        _until_all_are_told(port)
        yield Service(collector.pid, api.pid, port, feed)


def body(port: int, path: str = METRICS_PATH) -> bytes:
    """Ask a server of this machine, over a connection of its own. What is no 200 is told as nothing."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        told = answer.read()
    return told if answer.status == http.HTTPStatus.OK else b""


def _until_all_are_told(port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while body(port).count(b'"gpu-') != GPUS:
        if time.monotonic() > until:
            raise RuntimeError(f"no body of {GPUS} GPUs")
        time.sleep(0.05)
