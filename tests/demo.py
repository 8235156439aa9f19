"""`python -m tests.demo`: both real processes, on imaginary GPUs, for someone who has none.

The collector runs in this process, for that is where a fake library can take the binding's place; the API is a child.
It lives among the tests, which are not part of what is installed, so that imaginary data can never ship.
"""

import asyncio
import math
import os
import sys
import time

import pynvml

from collector.__main__ import main as collect
from common import process
from common.settings import PREFIX, ApiSettings, CollectorSettings, SettingsError, load
from tests.fakes import FakeNvml

GPUS = 4
PERIOD_SECONDS = 60.0
API_GRACE_SECONDS = 5.0

_GIB = 2**30
_MEMORY = 24 * _GIB
_DEFAULTS = {"HOST": "imaginary", "INTERVAL_SECONDS": "1"}

_BANNER = """\
This is a demonstration: {gpus} imaginary GPUs, made up in this process. No driver is asked and no number is real.
Try, in another terminal:  curl http://{address}:{port}/api/v1/monitoring/gpu-metrics
The feed is on {feed}. Ctrl-C ends both processes.
"""


class _Imaginary(FakeNvml):
    """The fake library without its diary, which would grow for as long as the demo is left on."""

    def _enter(self, call: str, gpu: int | None = None) -> None:
        super()._enter(call, gpu)
        self.calls.clear()


def imaginary() -> FakeNvml:
    """Return a library of GPUs whose numbers move, and whose last cannot tell its power draw, as some cannot."""
    fake = _Imaginary(gpus=GPUS)
    fake.name(b"Imaginary GPU")
    fake.value("driver_version", b"imaginary")
    fake.value("utilization_gpu_percent", lambda gpu: _between(0, 100, gpu))
    fake.value("utilization_memory_percent", lambda gpu: _between(0, 60, gpu))
    fake.value("memory_total_bytes", _MEMORY)
    fake.value("memory_used_bytes", _memory_used)
    fake.value("memory_free_bytes", lambda gpu: _MEMORY - _memory_used(gpu))
    fake.value("temperature_gpu_celsius", lambda gpu: _between(34, 78, gpu))
    fake.value("power_draw_milliwatts", lambda gpu: _between(55_000, 345_000, gpu))
    fake.value("clock_graphics_megahertz", lambda gpu: _between(210, 1980, gpu))
    fake.value("clock_memory_megahertz", 9501)
    fake.fail("nvmlDeviceGetPowerUsage", pynvml.NVML_ERROR_NOT_SUPPORTED, gpu=GPUS - 1)
    return fake


def run() -> int:
    """Run the demonstration until it is told to stop, and return the exit status."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(PREFIX + name, value)
    imaginary().install_everywhere()
    return process.run(CollectorSettings, main)


async def main(settings: CollectorSettings, stop: asyncio.Event) -> int:
    """Run the collector here and the API beside it; return 0 when told to stop, else the status of what ended."""
    # Whoever moves the feed by one setting finds both ends there.
    environment = {PREFIX + "FEED_CONNECT": settings.feed_bind} | os.environ
    try:
        api_settings = load(ApiSettings, [], environment)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    address, port = api_settings.api_address, api_settings.api_port
    print(_BANNER.format(gpus=GPUS, address=address, port=port, feed=settings.feed_bind), end="", flush=True)
    api = await asyncio.create_subprocess_exec(sys.executable, "-m", "api", env=environment)
    collecting = asyncio.create_task(collect(settings, stop))
    answering = asyncio.create_task(api.wait())
    await asyncio.wait({collecting, answering}, return_when=asyncio.FIRST_COMPLETED)
    was_told = stop.is_set()
    stop.set()
    await _end(api, answering)
    return await collecting or (0 if was_told else api.returncode or 1)


async def _end(api: asyncio.subprocess.Process, answering: "asyncio.Task[int]") -> None:
    if not answering.done():
        api.terminate()
        await asyncio.wait({answering}, timeout=API_GRACE_SECONDS)
    if not answering.done():
        api.kill()
    await answering


def _load(gpu: int) -> float:
    """Return how busy a GPU is, 0 to 1: each a part of a period behind the one before."""
    return (1 - math.cos(2 * math.pi * (time.monotonic() / PERIOD_SECONDS - gpu / GPUS))) / 2


def _between(idle: int, busy: int, gpu: int) -> int:
    return round(idle + (busy - idle) * _load(gpu))


def _memory_used(gpu: int) -> int:
    """Return what a job would hold: it changes by the minute, for used and free are asked for one after the other."""
    return _GIB * (2 + 5 * ((int(time.monotonic() / PERIOD_SECONDS) + gpu) % GPUS))


if __name__ == "__main__":
    sys.exit(run())
