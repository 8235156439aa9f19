"""The beat: a sample on every tick, published, then the wait for the next."""

import asyncio
import math
import time

from collector.publisher import Publisher
from collector.sampler import Sampler

HOUSEKEEPING_SECONDS = 1.0


def next_due(due: float, interval: float, now: float) -> float:
    """Return the first tick after `now` in the phase of the tick that was due: missed ticks are skipped."""
    return due + interval * max(1, math.floor((now - due) / interval) + 1)


async def beat(sampler: Sampler, publisher: Publisher, interval_seconds: float) -> None:
    """Sample and publish on every tick, for ever; between ticks only when a missing driver is to be asked again."""
    due = time.monotonic()
    while True:
        await publisher.publish(await sampler.sample())
        now = time.monotonic()
        if now >= due:
            due = next_due(due, interval_seconds, now)
        await asyncio.sleep(max(0.0, min(due, sampler.retry_at or due) - now))


async def keep_house(sampler: Sampler, publisher: Publisher) -> str:
    """Keep the welcome's age true, once a second; return the reason when this process should end."""
    while (reason := sampler.reason_to_end()) is None:
        publisher.refresh_welcome()
        await asyncio.sleep(HOUSEKEEPING_SECONDS)
    return reason
