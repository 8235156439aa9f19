"""One GPU: who it is, and its readings in one sample. What it cannot say is None with a reason, and logged once."""

import logging
from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple

import msgspec

from collector.nvml import codes
from collector.nvml.library import CallError, Library, Question
from collector.nvml.table import NOT_AVAILABLE, READS
from common.snapshot import Gpu, GpuState, without_readings

_log = logging.getLogger(__name__)

ASK_AGAIN_SECONDS = 3600.0
"""For how long a reading that a GPU does not support, or may not show, is not asked for."""


class _Silence(NamedTuple):
    """A call that is not made until then, and the reason that its readings carry meanwhile."""

    until: float
    reason: str


_Take = tuple[int, str, Callable[[Any], int] | None, int, Callable[[int], float] | None]


class _Plan(NamedTuple):
    """What is asked of a GPU in each sample until some moment: the calls, what is taken from their answers (by the
    call's place), and why other readings are not asked for. Plain tuples, which Python takes apart faster."""

    questions: list[Question]
    takes: list[_Take]
    silent: dict[str, str]
    until: float


class Learnt:
    """What is known of one GPU from earlier samples, whatever handle it had then."""

    def __init__(self) -> None:
        self.error: str | None = None
        self.reasons: dict[str, str] = {}
        """What the log was last told of the GPU as a whole, and of readings while it answered."""
        self.silences: dict[str, _Silence] = {}
        """Calls that are not made for now, by the first reading that they give."""


class Device:
    """One GPU between samples: its identity, NVML's handle for it, and what was learnt of it."""

    def __init__(self, library: Library, identity: Gpu, handle: Any, fault: int = 0) -> None:
        self.identity = identity
        self.handle = handle
        """None where NVML gave none; `fault` is its error then."""
        self.fault = fault
        self.learnt = Learnt()
        self.failed_with = 0
        """NVML's code for why the last sample has nothing of this GPU; 0 if it has something."""
        self._library = library
        self._plan: _Plan | None = None

    @property
    def key(self) -> str:
        """What it is known by: its uuid, or its index as long as it has not told."""
        return self.identity.uuid or f"index {self.identity.index}"

    def read(self, now: float) -> Gpu:
        """Return this GPU with every reading that it would give.

        Raises:
            CallError: with a code about the source, not about this GPU.
        """
        gpu = self._silent_as_a_whole(self.fault) if self.handle is None else self._ask(now)
        self._report(gpu)
        return gpu

    def _ask(self, now: float) -> Gpu:
        plan = self._plan
        if plan is None or now >= plan.until:
            plan = self._plan = self._planned(now)
        answers, refused = self._library.ask(plan.questions)
        unavailable, takes = plan.silent.copy(), plan.takes
        if refused:
            # The last one asked is the only one that can be about more than itself.
            code = refused.get(len(answers) - 1, 0)
            if code in codes.ABOUT_THE_SOURCE:
                raise CallError(code)
            if code in codes.ABOUT_THE_GPU:
                return self._silent_as_a_whole(code)
            takes = self._without(refused, plan, now, unavailable)
        values = _taken(takes, answers, unavailable)
        self.failed_with = 0 if values else next((c for c in refused.values() if c not in codes.UNSUPPORTED), 0)
        return self._sealed(values, unavailable)

    def _planned(self, now: float) -> _Plan:
        plan = _Plan([], [], {}, min((s.until for s in self.learnt.silences.values() if s.until > now), default=inf))
        for read in READS:
            silence = self.learnt.silences.get(read.key)
            if silence is not None and now < silence.until:
                plan.silent.update((given.reading, silence.reason) for given in read.gives)
                continue
            plan.takes.extend((len(plan.questions), *given) for given in read.gives)
            index = self.identity.index
            plan.questions.append(self._library.question(read.function, index, self.handle, *read.arguments))
        return plan

    def _without(self, refused: dict[int, int], plan: _Plan, now: float, unavailable: dict[str, str]) -> list[_Take]:
        """Return what can be taken from the answers beside those refused; say why of the others, and remember it."""
        for place, code in refused.items():
            reason = codes.reason(code)
            given = [take[1] for take in plan.takes if take[0] == place]
            unavailable.update(dict.fromkeys(given, reason))
            if code in codes.LASTING:
                self.learnt.silences[given[0]] = _Silence(now + ASK_AGAIN_SECONDS, reason)
                self._plan = None
        return [take for take in plan.takes if take[0] not in refused]

    def _sealed(self, values: dict[str, Any], unavailable: dict[str, str]) -> Gpu:
        """A GPU that gives nothing, for any other reason than having nothing to give, is in error."""
        refusals = [] if values else [r for r in unavailable.values() if r != codes.UNSUPPORTED_REASON]
        if refusals:
            values["state"], values["error"] = "error", f"no reading could be taken: {refusals[0]}"
        return msgspec.structs.replace(self.identity, unavailable=unavailable, **values)

    def _silent_as_a_whole(self, code: int) -> Gpu:
        self.failed_with = code
        state: GpuState = "lost" if code in codes.LOST else "error"
        return without_readings(self.identity, state, codes.explain(code), codes.reason(code))

    def _report(self, gpu: Gpu) -> None:
        """Log what changed since the last sample, not every sample."""
        if gpu.error != self.learnt.error:
            self.learnt.error = gpu.error
            level = logging.WARNING if gpu.error else logging.INFO
            _log.log(level, "GPU %s (%r): %s", gpu.index, gpu.uuid, gpu.error or "answers again")
        if not gpu.error and gpu.unavailable != self.learnt.reasons:
            before, self.learnt.reasons = self.learnt.reasons, gpu.unavailable
            for name, reason in gpu.unavailable.items() - before.items():
                _log.info("GPU %s (%r): %s: %s", gpu.index, gpu.uuid, name, reason)
            for name in before.keys() - gpu.unavailable.keys():
                _log.info("GPU %s (%r): %s: available", gpu.index, gpu.uuid, name)


def _taken(takes: list[_Take], answers: list[Any], unavailable: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for place, reading, value_of, ceiling, convert in takes:
        value = value_of(answers[place]) if value_of else answers[place]
        if 0 <= value <= ceiling:
            values[reading] = convert(value) if convert else value
        elif value in NOT_AVAILABLE:
            unavailable[reading] = codes.UNSUPPORTED_REASON
        else:
            _log.debug("%s: implausible value %s", reading, value)
            unavailable[reading] = codes.IMPLAUSIBLE_REASON
    return values
