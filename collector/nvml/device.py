"""One GPU: who it is, and its readings in one sample. What it cannot say is None with a reason, and logged once."""

import logging
import time
from math import inf
from typing import Any

import msgspec

from collector.nvml import codes
from collector.nvml.identity import identify
from collector.nvml.library import CallError, Library
from collector.nvml.parts import Parts
from collector.nvml.plan import ASK_AGAIN_SECONDS, PROCESSES, Asked, Memory, Plan, Planner, Silence, Take
from collector.nvml.running import Running
from collector.nvml.table import NOT_AVAILABLE, Field, Read
from collector.nvml.xid import Listener
from collector.processes import described
from common.gpu import Gpu, GpuState, Process, XidErrors, without_readings

_log = logging.getLogger(__name__)


class Device:
    """One GPU between samples: its identity, NVML's handle for it, and what is remembered of it."""

    def __init__(self, library: Library, asked: Asked, identity: Gpu, handle: Any, fault: int = 0) -> None:
        self.identity = identity
        self.untold: frozenset[str] = frozenset()
        """The fields of its identity that it did not tell for a cause that may pass."""
        self.handle = handle
        """None where NVML gave none; `fault` is its error then."""
        self.fault = fault
        self.memory = Memory()
        self.failed_with = 0
        """NVML's code for why the last sample has nothing of this GPU; 0 if it has something."""
        self._library = library
        self._asked = asked
        self._plan: Plan | None = None
        self._last = identity
        self._last_values: list[int] = []
        self._last_heard: XidErrors | int = 0
        self._steady_until = -inf
        """The last sample, the values it was taken from, and until when what has the same value is the same."""
        index = identity.index
        self._parts = Parts(library, index, handle)
        self._running = Running(library, index, handle)
        self._listener: Listener | None = None
        self._deaf, self._deaf_until = 0, -inf

    @property
    def key(self) -> str:
        """What it is known by: its uuid, or its index as long as it has not told."""
        return self.identity.uuid or f"index {self.identity.index}"

    def identify_further(self) -> None:
        """Ask again who it is, as far as it did not tell for a cause that may have passed.

        Raises:
            CallError: with a code about the source.
        """
        if self.untold and not self.failed_with:
            self.identity, self.untold = identify(self._library, self.identity, self.handle, self.untold)
            self._steady_until = -inf

    def listen(self, listener: Listener, now: float) -> None:
        """Hear this GPU's XID errors from now on, if it can be heard."""
        if self.handle is not None and now >= self._deaf_until:
            self._listener = listener
            self._deaf = listener.listen(self.identity.index, self.handle, self.memory.heard)
            self._deaf_until = now + ASK_AGAIN_SECONDS if self._deaf in codes.LASTING else now

    def read(self, now: float) -> Gpu:
        """Return this GPU with every reading that it would give.

        Raises:
            CallError: with a code about the source, not about this GPU.
        """
        return self._reported(self._silent_as_a_whole(self.fault)) if self.handle is None else self._ask(now)

    def _ask(self, now: float) -> Gpu:
        plan = self._plan
        if plan is None or now >= plan.until:
            rows: list[Read | Field] = [*self._asked.reads, *self._asked.fields]
            planner = Planner(self._library, self.identity.index, self.handle, self.memory, rows)
            plan = self._plan = planner.plan(now, self._parts.calls)
        plan.sheet.clear()
        refused = self._library.ask(plan.questions)
        values = plan.sheet.values()
        if not refused and now < self._steady_until and self._hearing() is self._last_heard:
            changes = _changes(plan.takes, values, self._last_values)
            if changes is not None:
                self._last, self._last_values = msgspec.structs.replace(self._last, **changes), values
                return self._last
        return self._reported(self._asked_anew(plan, values, refused, now))

    def _asked_anew(self, plan: Plan, values: list[int], refused: dict[int, int], now: float) -> Gpu:
        # The last call that was made is the only one that can be about more than itself.
        code = max(refused.items(), default=(0, 0))[1]
        if code in codes.ABOUT_THE_SOURCE:
            raise CallError(code)
        if code in codes.ABOUT_THE_GPU:
            return self._silent_as_a_whole(code)
        self.memory.lost_since_ns = None
        for question, refusal in refused.items():
            span = plan.spans[question]
            values[span] = [-refusal] * (span.stop - span.start)
        taken, odd = _taken(plan.takes, values)
        self.failed_with = 0 if taken else next((c for c in refused.values() if c not in codes.UNSUPPORTED), 0)
        unavailable = self._asked.left_out | plan.silent
        for reading, value in odd:
            unavailable[reading] = self._reason(plan.rows[reading], value, now, is_answering=bool(taken))
        if any(_has_other_call(plan.rows[reading]) and -value in codes.UNSUPPORTED for reading, value in odd):
            return self._ask(now)
        gpu = self._sealed(plan, taken, unavailable, now)
        self._last, self._last_values, self._last_heard = gpu, values, self._hearing()
        holds = not odd and not gpu.mig_enabled and not self._asked.processes
        self._steady_until = min(plan.until, self._parts.due) if holds else -inf
        return gpu

    def _reason(self, row: Read | Field, value: int, now: float, *, is_answering: bool) -> str:
        """Return why a value is no reading; below zero it is minus the code by which NVML refused it."""
        if value >= 0:
            return codes.UNSUPPORTED_REASON if value in NOT_AVAILABLE else codes.IMPLAUSIBLE_REASON
        # A driver that answers other calls on the handle does not know the argument, and will not until it is another.
        is_unknown = -value == codes.INVALID_ARGUMENT and bool(row.key[1]) and is_answering
        if is_unknown or -value in codes.LASTING:
            self.memory.silences[row.key] = Silence(now + ASK_AGAIN_SECONDS, -value)
            self._plan = None
        return codes.reason(-value)

    def _sealed(self, plan: Plan, values: dict[str, Any], unavailable: dict[str, str], now: float) -> Gpu:
        refusals = [] if values else [r for r in unavailable.values() if r not in codes.NO_FAULTS]
        for row in plan.rare:
            self.memory.keep(row, values, unavailable, now)
        whole = self.memory.kept | values
        self._add_parts(plan, whole, unavailable, now)
        if refusals:
            # A GPU that gives nothing now, for any other reason than having nothing to give, is in error.
            whole["state"], whole["error"] = "error", f"no reading could be taken: {refusals[0]}"
        return msgspec.structs.replace(self.identity, unavailable=unavailable, **whole)

    def _add_parts(self, plan: Plan, whole: dict[str, Any], unavailable: dict[str, str], now: float) -> None:
        """Add the readings that are not one number from one call; a text in the place of one is the reason."""
        is_divided = whole.get("mig_enabled")
        links, instances = self._parts.read(now, plan.room, is_divided=is_divided)
        heard = self._hearing()
        if is_divided is None:
            instances = unavailable.get("mig_enabled", codes.UNSUPPORTED_REASON)
        parts: dict[str, Any] = {
            "nvlink_links_up_count": links,
            "mig_instances": instances,
            "xid_errors": codes.reason(heard) if isinstance(heard, int) else heard,
        }
        if self._asked.processes:
            parts["processes"] = self._processes(whole.get("memory_total_bytes"), now)
        for reading, value in parts.items():
            if isinstance(value, str):
                unavailable[reading] = value
            else:
                whole[reading] = value

    def _hearing(self) -> XidErrors | int:
        """Return the XID errors heard, or NVML's code for why none can be."""
        return self._deaf or (self._listener.refusal if self._listener else 0) or self.memory.heard.errors

    def _processes(self, memory_total_bytes: int | None, now: float) -> list[Process] | str:
        silence = self.memory.silences.get(PROCESSES)
        if silence is not None and now < silence.until:
            return codes.reason(silence.code)
        try:
            return [described(process) for process in self._running.read(memory_total_bytes)]
        except CallError as error:
            if error.code in codes.ABOUT_THE_SOURCE:
                raise
            if error.code in codes.LASTING:
                self.memory.silences[PROCESSES] = Silence(now + ASK_AGAIN_SECONDS, error.code)
            return codes.reason(error.code)

    def _silent_as_a_whole(self, code: int) -> Gpu:
        self.failed_with = code
        self.memory.forget_answers()
        self._parts.begin_anew()
        self._plan, self._steady_until = None, -inf
        state: GpuState = "lost" if code in codes.LOST else "error"
        since = self.memory.lost_since_ns or time.time_ns() if state == "lost" else None
        self.memory.lost_since_ns = since
        return without_readings(self.identity, state, codes.explain(code), codes.reason(code), since)

    def _reported(self, gpu: Gpu) -> Gpu:
        """Log what changed since the last sample, not every sample; return the GPU."""
        if gpu.error != self.memory.reported_error:
            self.memory.reported_error = gpu.error
            level = logging.WARNING if gpu.error else logging.INFO
            _log.log(level, "GPU %s (%r): %s", gpu.index, gpu.uuid, gpu.error or "answers again")
        if not gpu.error and gpu.unavailable is not self.memory.reported:
            before, self.memory.reported = self.memory.reported, gpu.unavailable
            for reason, names in _by_reason(gpu.unavailable.items() - before.items()).items():
                _log.info("GPU %s (%r): %s: %s", gpu.index, gpu.uuid, reason, ", ".join(names))
            if back := sorted(before.keys() - gpu.unavailable.keys()):
                _log.info("GPU %s (%r): available: %s", gpu.index, gpu.uuid, ", ".join(back))
        return gpu


def _taken(takes: list[Take], values: list[int]) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    """Return the readings, and with their names the values that are none; of what was refused, minus NVML's code."""
    taken: dict[str, Any] = {}
    odd: list[tuple[str, int]] = []
    for (reading, ceiling, convert), value in zip(takes, values, strict=True):
        if 0 <= value <= ceiling:
            taken[reading] = convert(value) if convert else value
        else:
            odd.append((reading, value))
    return taken, odd


def _changes(takes: list[Take], values: list[int], before: list[int]) -> dict[str, Any] | None:
    """Return the readings whose values are others than before; None if some value is no reading now."""
    changes: dict[str, Any] = {}
    for take, value, old in zip(takes, values, before, strict=True):
        if value != old:
            reading, ceiling, convert = take
            if not 0 <= value <= ceiling:
                return None
            changes[reading] = convert(value) if convert else value
    return changes


def _by_reason(unavailable: set[tuple[str, str]]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for name, reason in sorted(unavailable):
        names.setdefault(reason, []).append(name)
    return names


def _has_other_call(row: Read | Field) -> bool:
    return isinstance(row, Read) and row.instead is not None
