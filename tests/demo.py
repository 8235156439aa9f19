"""`python -m tests.demo`: both real processes, on imaginary GPUs, for someone who has none.

The collector runs in this process, for that is where a fake library can take the binding's place; the API is a child
(`tests.demo_api`), which ends with this process, however that ends.
It lives among the tests, which are not part of what is installed, so that imaginary data can never ship.
"""

import argparse
import asyncio
import math
import os
import signal
import sys
import time

import pynvml

from collector.__main__ import main as collect
from common import process
from common.settings import PREFIX, ApiSettings, CollectorSettings, SettingsError, load, names
from tests.fakes import FakeNvml

GPUS = 4
PERIOD_SECONDS = 60.0
API_GRACE_SECONDS = 5.0
ASK_SECONDS = 0.1
"""How often the API is asked whether it shows the imaginary GPUs yet."""

PATH = "/api/v1/monitoring/gpu-metrics"

_GIB = 2**30
_MEMORY = 24 * _GIB
_DEFAULTS = {"HOST": "imaginary", "INTERVAL_SECONDS": "1"}

_BANNER = """\
This is a demonstration: {gpus} imaginary GPUs, made up in this process. No driver is asked and no number is real.
The feed is on {feed}. Ctrl-C ends both processes.
"""
_HINT = "Try, in another terminal:  curl http://{address}:{port}{path}"

_DESCRIPTION = f"""\
A demonstration: runs the collector and the API on {GPUS} imaginary GPUs, for someone who has none. No driver is asked
and no number is real. It takes no flags but this one; the settings of both processes are taken from the environment,
and mean what the README says: {{settings}}. What is not set has its usual value, but for {{defaults}}.
"""


class _Imaginary(FakeNvml):
    """The fake library without its diary, which would grow for as long as the demo is left on."""

    def _enter(self, call: str, gpu: int | None = None) -> None:
        super()._enter(call, gpu)
        self.calls.clear()


_FAULTS = (
    "ecc_corrected_volatile_count",
    "ecc_uncorrected_volatile_count",
    "ecc_corrected_aggregate_count",
    "ecc_uncorrected_aggregate_count",
    "retired_pages_single_bit_count",
    "retired_pages_double_bit_count",
    "retired_pages_pending",
    "remapped_rows_correctable_count",
    "remapped_rows_uncorrectable_count",
    "remapped_rows_failed",
)
"""What imaginary GPUs, being new, have none of."""


def imaginary() -> FakeNvml:
    """Return a library of GPUs whose numbers move, and whose last cannot tell its power draw, as some cannot."""
    fake = _Imaginary(gpus=GPUS)
    fake.name(b"Imaginary GPU")
    fake.value("driver_version", b"imaginary")
    fake.value("utilization_gpu_percent", lambda gpu: _between(0, 100, gpu))
    fake.value("utilization_memory_percent", lambda gpu: _between(0, 60, gpu))
    fake.value("memory_reserved_bytes", 0)
    fake.value("memory_total_bytes", _MEMORY)
    fake.value("memory_used_bytes", _memory_used)
    fake.value("memory_free_bytes", lambda gpu: _MEMORY - _memory_used(gpu))
    fake.value("temperature_gpu_celsius", lambda gpu: _between(34, 78, gpu))
    fake.value("power_draw_milliwatts", lambda gpu: _between(55_000, 345_000, gpu))
    fake.value("clock_graphics_megahertz", lambda gpu: _between(210, 1980, gpu))
    fake.value("clock_memory_megahertz", 9501)
    fake.value("clock_event_reasons", 0)
    fake.value("pcie_generation", 5)
    fake.value("pcie_width", 16)
    for name in _FAULTS:
        fake.value(name, 0)
    fake.fail("nvmlDeviceGetPowerUsage", pynvml.NVML_ERROR_NOT_SUPPORTED, gpu=GPUS - 1)
    return fake


def run() -> int:
    """Run the demonstration until it is told to stop, and return the exit status."""
    _parser().parse_args()
    for name, value in _DEFAULTS.items():
        # An empty variable counts as not set.
        os.environ[PREFIX + name] = os.environ.get(PREFIX + name) or value
    imaginary().install_everywhere()
    return process.run(CollectorSettings, main)


async def main(settings: CollectorSettings, stop: asyncio.Event) -> int:
    """Run the collector here and the API beside it; return 0 when told to stop, else the status of what ended."""
    _stop_on_hangup(stop)
    # Whoever moves the feed by one setting finds both ends there.
    connect = PREFIX + "FEED_CONNECT"
    environment = os.environ | {connect: os.environ.get(connect) or settings.feed_bind}
    try:
        api_settings = load(ApiSettings, [], environment)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    print(_BANNER.format(gpus=GPUS, feed=settings.feed_bind), end="", flush=True)
    # Nothing is ever written to the pipe: the API ends when it does.
    command = (sys.executable, "-m", "tests.demo_api")
    api = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, env=environment)
    hinting = asyncio.create_task(_hint(api_settings, settings.host))
    collecting = asyncio.create_task(collect(settings, stop))
    answering = asyncio.create_task(api.wait())
    await asyncio.wait({collecting, answering}, return_when=asyncio.FIRST_COMPLETED)
    hinting.cancel()
    has_died = answering.done() and not stop.is_set()
    if has_died:
        sys.stderr.write(f"The demonstration ends: its API {_ending(answering.result())}.\n")
    stop.set()
    await _end(api, answering)
    return await collecting or int(has_died)


def _parser() -> argparse.ArgumentParser:
    settings = [PREFIX + name.upper() for name in dict.fromkeys([*names(CollectorSettings), *names(ApiSettings)])]
    defaults = [f"{PREFIX}{name}={value}" for name, value in _DEFAULTS.items()]
    return argparse.ArgumentParser(
        prog="python -m tests.demo",
        description=_DESCRIPTION.format(settings=", ".join(settings), defaults=" and ".join(defaults)),
        allow_abbrev=False,
    )


def _stop_on_hangup(stop: asyncio.Event) -> None:
    """End as on SIGTERM when the terminal is closed, unless that is to be ignored, as under nohup."""
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stop.set)


async def _hint(settings: ApiSettings, host: str) -> None:
    """Say what to try, once that works."""
    address, port = settings.api_address, settings.api_port
    while not await _shows(address, port, host):
        await asyncio.sleep(ASK_SECONDS)
    shown = f"[{address}]" if ":" in address else address
    print(_HINT.format(address=shown, port=port, path=PATH), flush=True)


async def _shows(address: str, port: int, host: str) -> bool:
    """Return whether this demonstration's host is shown there: another program may have the port."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(f"GET {PATH} HTTP/1.0\r\n\r\n".encode())
                answer = await reader.read()
            finally:
                writer.close()
    except OSError:  # TimeoutError is one
        return False
    return f'"host":"{host}"'.encode() in answer


def _ending(status: int) -> str:
    """Return how a process ended, in words."""
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


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
