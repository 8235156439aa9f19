"""Readings in, numbered and timed snapshots out; and the watchdog over the thread that enters NVML.

Whoever asks for a sample gets a snapshot, whether the driver answers, is missing, or is stuck in a call that may never
return. A stuck call is never joined by a second one.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

from collector.nvml.library import InFlight
from collector.nvml.source import Nvml, SourceError
from collector.worker import Worker
from common.cost import own_cpu_seconds, own_resident_bytes
from common.gpu import Gpu, without_readings
from common.settings import CollectorSettings
from common.snapshot import Cost, SlowestCall, Snapshot, Source, SourceState, StalledCall
from common.version import VERSION

_log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 1.0, 60.0
"""How long after a failed sample the driver is asked again; doubled each time."""

CLOSE_GRACE_SECONDS = 0.5
"""How long NVML may take to be left at the end; SIGTERM ends the process within a second."""

RESTART_AFTER_SECONDS = 60.0
"""For how long a fault that only a new process can mend is published before this one ends."""


def nvml_of(settings: CollectorSettings) -> Nvml:
    """Return the library that the settings name, to be asked for what they ask for."""
    return Nvml(settings.nvml_library, processes=settings.processes, pcie_throughput=settings.pcie_throughput)


class _Taken(NamedTuple):
    """What entering NVML for one sample gave: GPUs, or why there are none."""

    gpus: list[Gpu]
    failure: SourceError | None
    seconds: float
    slowest_call: SlowestCall | None


class Sampler:
    """Takes samples of one NVML library. For the event loop's thread. `now` is the clock of `nvml` too."""

    def __init__(self, settings: CollectorSettings, nvml: Nvml, now: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._nvml = nvml
        self._now = now
        self._worker = Worker()
        self._run_id = secrets.token_hex(8)
        self._sequence = 0
        self._known: list[Gpu] = []
        self._given_up: asyncio.Future[_Taken] | None = None
        """The sample that is stuck in a call, or was when it was last looked at."""
        self._failure: SourceError | None = None
        self._restart_at: float | None = None
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._logged: tuple[SourceState, str | None] | None = None
        self.retry_at: float | None = None
        """When a driver that was not there is asked again; None if the last sample found it."""

    async def sample(self) -> Snapshot:
        """Return a snapshot of this moment, after what the driver takes for it, or the time after which a call counts
        as stalled."""
        if self._failure and self.retry_at is not None and self._now() < self.retry_at:
            return self._unavailable(self._failure, 0.0, None)
        if self._given_up is not None:
            stuck = self._stuck_call()
            if stuck is not None:
                return self._stalled(stuck)
            self._given_up.cancel()  # it goes on, or is done, but what it brings is old
        pending = self._worker.submit(self._take)
        stuck = await self._wait(pending)
        self._given_up = None if stuck is None else pending
        return self._finished(pending.result()) if stuck is None else self._stalled(stuck)

    def reason_to_end(self) -> str | None:
        """Return why this process should end, for the supervisor to start a new one; None while it should not."""
        now, call, limit = self._now(), self._nvml.in_flight, self._settings.stall_exit_seconds
        if call is not None and 0 < limit <= now - call.started:
            return f"{call.function} has not returned for {now - call.started:.0f} s"
        if self._failure and self._restart_at is not None and now >= self._restart_at:
            return f"only a new process can load the new library: {self._failure}"
        return None

    async def close(self, grace_seconds: float = CLOSE_GRACE_SECONDS) -> None:
        """Leave NVML. A call that is stuck is left alone: to enter the library beside it can crash the process."""
        await asyncio.wait({self._worker.submit(self._nvml.close)}, timeout=grace_seconds)

    def _take(self) -> _Taken:
        """On the worker's thread: enter NVML."""
        started = self._now()
        gpus, failure = [], None
        try:
            gpus = self._nvml.sample()
        except SourceError as error:
            failure = error
        return _Taken(gpus, failure, self._now() - started, self._nvml.slowest_call)

    async def _wait(self, pending: "asyncio.Future[_Taken]") -> InFlight | None:
        """Wait until the sample is there, or until one call has not returned for too long; return that call."""
        limit = self._settings.stall_after_seconds
        while not pending.done():
            if (stuck := self._stuck_call()) is not None:
                return stuck
            call = self._nvml.in_flight
            await asyncio.wait({pending}, timeout=limit if call is None else call.started + limit - self._now())
        return None

    def _stuck_call(self) -> InFlight | None:
        call = self._nvml.in_flight
        is_stuck = call is not None and self._now() - call.started >= self._settings.stall_after_seconds
        return call if is_stuck else None

    def _finished(self, taken: _Taken) -> Snapshot:
        if taken.failure is not None:
            self._failed(taken.failure)
            return self._unavailable(taken.failure, taken.seconds, taken.slowest_call)
        self._failure, self._restart_at, self.retry_at = None, None, None
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._known = taken.gpus
        return self._sealed(self._source("ok"), taken.gpus, taken.seconds, taken.slowest_call)

    def _failed(self, failure: SourceError) -> None:
        now = self._now()
        self._failure = failure
        self.retry_at = now + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)
        if not failure.restart:
            self._restart_at = None
        elif self._restart_at is None:
            self._restart_at = now + RESTART_AFTER_SECONDS

    def _unavailable(self, failure: SourceError, seconds: float, slowest: SlowestCall | None) -> Snapshot:
        gpus = [without_readings(gpu, "unknown", str(failure), f"error: {failure.name}") for gpu in self._known]
        return self._sealed(self._source("unavailable", str(failure)), gpus, seconds, slowest)

    def _stalled(self, call: InFlight) -> Snapshot:
        # It was asked again, and is stuck now: what it failed with before is over.
        self._failure, self._restart_at, self.retry_at = None, None, None
        seconds = self._now() - call.started
        where = "" if call.gpu_index is None else f" for GPU {call.gpu_index}"
        error = f"{call.function}{where} has not returned for {seconds:.0f} s"
        gpus = [without_readings(gpu, "unknown", error, "error: stalled") for gpu in self._known]
        stalled_call = StalledCall(function=call.function, gpu_index=call.gpu_index, seconds=seconds)
        return self._sealed(self._source("stalled", error, stalled_call), gpus, 0.0, None)

    def _source(self, state: SourceState, error: str | None = None, call: StalledCall | None = None) -> Source:
        versions = self._nvml.versions
        return Source(
            state=state,
            error=error,
            stalled_call=call,
            driver_version=versions.driver,
            nvml_version=versions.nvml,
            cuda_version=versions.cuda,
        )

    def _sealed(self, source: Source, gpus: list[Gpu], seconds: float, slowest: SlowestCall | None) -> Snapshot:
        self._log_change(source, len(gpus))
        sequence, self._sequence = self._sequence, self._sequence + 1
        return Snapshot(
            host=self._settings.host,
            run_id=self._run_id,
            sequence=sequence,
            sampled_at_ns=time.time_ns(),
            held_seconds=0.0,
            interval_seconds=self._settings.interval_seconds,
            duration_seconds=seconds,
            source=source,
            collector=Cost(
                cpu_seconds=own_cpu_seconds(),
                resident_bytes=own_resident_bytes(),
                nvml_calls=self._nvml.calls,
                slowest_call=slowest,
                version=VERSION,
            ),
            gpus=gpus,
        )

    def _log_change(self, source: Source, count: int) -> None:
        # What is stuck is so for longer each time; why there is no driver is news when it becomes another reason.
        state = source.state, source.error if source.state == "unavailable" else None
        if state != self._logged:
            self._logged = state
            if source.state == "ok":
                _log.info("source ok: %d GPUs", count)
            else:
                _log.error("source %s: %s", source.state, source.error)
