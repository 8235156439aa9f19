"""What the collector's `--check` looks at: the binding, the driver, each GPU, the keys, the feed's endpoint.

The driver is entered as the collector itself enters it, on a thread that may get stuck there, and the endpoint is bound
for an instant, so that both are judged as at a start. Nothing is published.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from msgspec.structs import replace

from collector import findings, processes
from collector.gate import Gate
from collector.neighbour import neighbour
from collector.nvml import binding
from collector.nvml.source import Nvml
from collector.publisher import LIBZMQ_VERSION, EndpointError, Publisher, lock_of, public_key
from collector.sampler import Sampler, nvml_of
from collector.socket_file import path_of
from common import curve, named_file, surroundings
from common.checking import Check
from common.clock import elapsed_seconds
from common.finding import Finding, loaded, ok, wrong
from common.settings import CollectorSettings, SettingsError
from common.snapshot import Snapshot

MOST_CALL_SECONDS = 10.0
"""An NVML call that takes longer is stuck here, however patient the service may be."""

MOST_SAMPLE_SECONDS = 60.0
NEIGHBOUR_SECONDS = 5.0
"""How long who has our endpoint may take to show that it is a collector; one that is well does at once."""


async def look(settings: CollectorSettings) -> AsyncIterator[Finding]:
    """Look at all that the collector needs. What the driver can hang or crash comes last."""
    for finding in _keys(settings):
        yield finding
    yield await _feed(settings)
    if settings.processes:
        yield findings.processes(processes.blindness())
    yield binding.found()
    async for finding in _source(settings):
        yield finding


async def _source(settings: CollectorSettings) -> AsyncIterator[Finding]:
    nvml = nvml_of(settings)
    patience = min(settings.stall_after_seconds, MOST_CALL_SECONDS)
    sampler = Sampler(replace(settings, stall_after_seconds=patience), nvml)
    first = await _sampled(sampler)
    yield findings.library(nvml.library_path)
    if first is None:
        yield _late(nvml)
    else:
        yield findings.driver(first.source)
        yield findings.devices(_devices(), surroundings.user(), is_answering=first.source.state == "ok")
        for finding in findings.gpus(first):
            yield finding
        if first.source.state == "ok":
            second = await _sampled(sampler)
            yield findings.sample(first, second, settings.interval_seconds) if second else _late(nvml)
    await sampler.close()


async def _sampled(sampler: Sampler) -> Snapshot | None:
    """Return a snapshot; None: there is none yet, though no single call is stuck."""
    sampling = asyncio.create_task(sampler.sample())
    done, _ = await asyncio.wait({sampling}, timeout=MOST_SAMPLE_SECONDS)
    if done:
        return sampling.result()
    sampling.cancel()
    return None


def _late(nvml: Nvml) -> Finding:
    call = nvml.in_flight
    return findings.never_sampled(call.function if call else "no call", MOST_SAMPLE_SECONDS)


def _devices() -> dict[str, bool]:
    """Return the device files that NVML opens, and whether each may be opened."""
    found = sorted(map(str, [*Path("/dev").glob("nvidiactl"), *Path("/dev").glob("nvidia[0-9]*")]))
    return {path: os.access(path, os.R_OK | os.W_OK) for path in found}


def _keys(settings: CollectorSettings) -> Iterator[Finding]:
    if not settings.feed_secret_key:
        yield ok("keys", "none: the feed is not encrypted, and stays on this machine")
        return
    yield loaded("secret key", lambda: _secret_key(settings.feed_secret_key))
    yield loaded("who may hear", lambda: _gate(settings.feed_authorized_keys))


def _secret_key(path: str) -> str:
    key = public_key(curve.read_secret("feed_secret_key", path)).decode()
    return f"{path}, mode {named_file.mode(path)}; the public key, for the APIs, is {key}"


def _gate(directory: str) -> str:
    names = Gate(directory, elapsed_seconds).names
    count = f"{len(names)} public {'key' if len(names) == 1 else 'keys'}"
    return f"{count} in {directory}, mode {named_file.mode(directory)}: {', '.join(names)}"


async def _feed(settings: CollectorSettings) -> Finding:
    endpoint = settings.feed_bind
    try:
        locked = lock_of(settings)
    except SettingsError:
        return wrong("feed", f"{endpoint} was not tried without the keys")
    try:
        Publisher(endpoint, elapsed_seconds, locked).close()
    except EndpointError as error:
        if error.is_taken:
            return findings.taken(error, await neighbour(endpoint, locked, NEIGHBOUR_SECONDS), settings.host)
        return findings.refused(error)
    if path := path_of(endpoint):
        # libzmq leaves the socket's file behind, which is now the checker's: the service's user may not even ask it
        # whether anybody is there.
        path.unlink(missing_ok=True)
    return findings.free(endpoint)


def versions() -> dict[str, str | None]:
    """Return the versions of what the collector is made of."""
    return surroundings.versions("pyzmq", "msgspec", *binding.packages()) | {"libzmq": LIBZMQ_VERSION}


CHECK = Check(look, versions)
