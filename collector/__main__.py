"""Wiring and orderly shutdown of the collector: `python -m collector`."""

import asyncio
import logging
import sys
import time

from collector.loop import beat, keep_house
from collector.nvml import binding
from collector.nvml.source import Nvml
from collector.publisher import Publisher, lock_of
from collector.sampler import Sampler
from common import process
from common.clock import elapsed_seconds
from common.reloading import Reloading
from common.settings import CollectorSettings

_log = logging.getLogger("collector")

CLOSE_GRACE_SECONDS = 0.5
"""How long NVML may take to be left at the end; SIGTERM ends the process within a second."""


async def main(settings: CollectorSettings, stop: asyncio.Event) -> int:
    """Sample and publish until told to stop (0); 1 if the endpoint cannot be had, or only a new process can help.

    Raises:
        SettingsError: a key that the settings name cannot be loaded.
    """
    locked = lock_of(settings)
    try:
        publisher = Publisher(settings.feed_bind, elapsed_seconds, locked)
    except OSError as error:
        _log.error("%s", error)
        return 1
    binding.report()
    nvml = Nvml(settings.nvml_library, processes=settings.processes, pcie_throughput=settings.pcie_throughput)
    sampler = Sampler(settings, nvml)
    house = asyncio.create_task(keep_house(sampler, publisher))
    tasks = {
        house,
        asyncio.create_task(beat(sampler, publisher, settings.interval_seconds)),
        asyncio.create_task(publisher.serve()),
        asyncio.create_task(stop.wait()),
    }
    if locked:
        tasks.add(asyncio.create_task(Reloading([locked.gate], time.time).serve()))
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await sampler.close(CLOSE_GRACE_SECONDS)
    publisher.close()
    for task in done:
        task.result()
    if house in done:
        _log.error("ending, to be started anew: %s", house.result())
        return 1
    _log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(process.run(CollectorSettings, main))
