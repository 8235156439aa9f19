"""Resident memory of the two real processes, started as the README has it, after some samples and a request."""

import asyncio
import sys
from pathlib import Path

from api.feeds import Feed
from api.subscriber import Subscriber
from common.clock import elapsed_seconds
from common.snapshot import Snapshot
from tests.benchmarks.service import body, service
from tests.benchmarks.surroundings import START_SECONDS, resident_mebibytes
from tests.benchmarks.table import Promise, Row, figure

PROMISED_COLLECTOR, PROMISED_API = Promise(36), Promise(45)
INTERVAL_SECONDS = 0.05


def rows(library: Path, samples: int = 100) -> list[Row]:
    """Measure after so many samples; nothing where the platform has no `/proc`."""
    if sys.platform != "linux":
        return []
    with service(library, INTERVAL_SECONDS) as running:
        asyncio.run(_hear(running.feed, samples))
        body(running.port)
        held = [resident_mebibytes(pid) for pid in (running.collector, running.api)]
    how = f"memory: VmRSS in MiB of 2^20 bytes, after {samples} samples of 8 GPUs and a request"
    return [
        figure("memory of the collector", "MiB", held[:1], PROMISED_COLLECTOR, how),
        figure("memory of the API", "MiB", held[1:], PROMISED_API, how),
    ]


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
