"""Resident memory of the two real processes, started as the README has it, after some samples and a request."""

import asyncio
import http.client
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from api.feeds import Feed
from api.routes import METRICS_PATH
from api.subscriber import Subscriber
from common.clock import elapsed_seconds
from common.settings import PREFIX
from common.snapshot import Snapshot
from tests.benchmarks.surroundings import GPUS, START_SECONDS, driver, resident_mebibytes, running, wait_for
from tests.benchmarks.table import Promise, Row, figure
from tests.ports import free_port

PROMISED_COLLECTOR, PROMISED_API = Promise(36), Promise(45)
INTERVAL_SECONDS = 0.05


def rows(library: Path, samples: int = 100) -> list[Row]:
    """Measure after so many samples; nothing where the platform has no `/proc`."""
    if sys.platform != "linux":
        return []
    feed, port = f"tcp://127.0.0.1:{free_port()}", free_port()
    with ExitStack() as stack:
        collector = stack.enter_context(running("collector", extra=_collector_settings(library, feed)))
        api = stack.enter_context(running("api", extra=_api_settings(feed, port)))
        wait_for(port, api)
        asyncio.run(_hear(feed, samples))
        _ask(port)
        held = [resident_mebibytes(process.pid) for process in (collector, api)]
    how = f"memory: VmRSS in MiB of 2^20 bytes, after {samples} samples of 8 GPUs and one request"
    return [
        figure("memory of the collector", "MiB", held[:1], PROMISED_COLLECTOR, how),
        figure("memory of the API", "MiB", held[1:], PROMISED_API, how),
    ]


def _collector_settings(library: Path, feed: str) -> dict[str, str]:
    settings = {"HOST": "benchmark", "INTERVAL_SECONDS": str(INTERVAL_SECONDS), "FEED_BIND": feed}
    return {**driver(), **_prefixed({**settings, "NVML_LIBRARY": str(library), "LOG_LEVEL": "WARNING"})}


def _api_settings(feed: str, port: int) -> dict[str, str]:
    return _prefixed({"API_PORT": str(port), "FEED_CONNECT": feed, "LOG_LEVEL": "WARNING"})


def _prefixed(settings: Mapping[str, str]) -> dict[str, str]:
    return {PREFIX + name: value for name, value in settings.items()}


async def _hear(feed: str, samples: int) -> None:
    """Listen to the feed until so many samples were published. Raises TimeoutError: they were not."""
    enough = asyncio.Event()

    def accept(_endpoint: str, snapshot: Snapshot, _arrived: float) -> None:
        if snapshot.sequence + 1 >= samples:
            enough.set()

    subscriber = Subscriber((Feed(feed),), accept, lambda _endpoint: None, elapsed_seconds)
    serving = asyncio.create_task(subscriber.serve())
    try:
        await asyncio.wait_for(enough.wait(), START_SECONDS + 2 * samples * INTERVAL_SECONDS)
    finally:
        serving.cancel()
        subscriber.close()


def _ask(port: int) -> None:
    """Let the API render its body, once it has heard the feed. Raises RuntimeError: it has none of all the GPUs."""
    until = time.monotonic() + START_SECONDS
    while not _is_answered(port):
        if time.monotonic() > until:
            raise RuntimeError(f"no body of {GPUS} GPUs")
        time.sleep(0.05)


def _is_answered(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", METRICS_PATH)
        answer = connection.getresponse()
        body = answer.read()
    return answer.status == http.HTTPStatus.OK and body.count(b'"gpu-') == GPUS
