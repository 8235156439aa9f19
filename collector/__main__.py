"""Wiring and orderly shutdown of the collector: `python -m collector`."""

import asyncio
import logging
import sys
import time

from collector import findings
from collector.check import CHECK
from collector.loop import beat, keep_house
from collector.nvml import binding
from collector.publisher import EndpointError, Locked, Publisher, lock_of
from collector.sampler import Sampler, nvml_of
from common import process
from common.clock import elapsed_seconds
from common.reloading import Reloading
from common.settings import CollectorSettings

_log = logging.getLogger("collector")


async def main(settings: CollectorSettings, stop: asyncio.Event) -> int:
    """Sample and publish until told to stop (0); 1 if the endpoint cannot be had, or only a new process can help.

    Raises:
        SettingsError: a key that the settings name cannot be loaded.
    """
    locked = lock_of(settings)
    try:
        publisher = Publisher(settings.feed_bind, elapsed_seconds, locked)
        reason = await _collect(settings, publisher, locked, stop)
    except EndpointError as error:
        findings.refused(error).log(_log)
        return 1
    if reason is not None:
        _log.error("ending, to be started anew: %s", reason)
        return 1
    _log.info("stopped")
    return 0


async def _collect(
    settings: CollectorSettings, publisher: Publisher, locked: Locked | None, stop: asyncio.Event
) -> str | None:
    """Sample and publish; return why this process should end, None when told to stop."""
    binding.found().log(_log)
    sampler = Sampler(settings, nvml_of(settings))
    reloading = Reloading([locked.gate] if locked else [], time.time)
    beating = beat(sampler, publisher, settings.interval_seconds)
    try:
        reason: str | None = await process.serve(
            stop, keep_house(sampler, publisher), beating, publisher.serve(), reloading.serve()
        )
    finally:
        await sampler.close()
        publisher.close()
    return reason


if __name__ == "__main__":
    sys.exit(process.run(CollectorSettings, main, check=CHECK))
