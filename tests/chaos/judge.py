"""Judges what clients were told. Pure: one answer and what may be told now in, what is wrong with it out.

Every reading of the stand-in is known beforehand, but for the power of a GPU: that is the number of seconds since
`epoch`, on the clock by which ages are told, at which the driver was asked for it. So a client needs nobody's word for
how old a reading is, and one that was invented, or is another GPU's, does not match.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from api.routes import GPUS_PATH, METRICS_PATH
from tests.chaos.allowed import CALM, HOST, Allowed
from tests.chaos.shapes import Gpu, Gpus, Metrics, MetricsGpu, NotFresh, Refused
from tests.chaos.truth import physical, truth

READY_PATH, SCRAPE_PATH = "/readyz", "/metrics"

PHYSICAL = 2
"""How many GPUs there are as long as nothing is broken."""

SCRAPE_SECONDS = 2.0
"""For how long what `/metrics` tells may be told again."""

_SAMPLE = re.compile(r"^gpu_(power_draw_watts|temperature_celsius)\{([^}]*)\} (\S+)$", re.MULTILINE)
_UNAVAILABLE = {"unavailable": "placeholder"}
_BUSY = {"busy", "too_many_listeners"}
_ROUNDING_SECONDS = 0.002

Body = TypeVar("Body")


class Told(NamedTuple):
    """One answer, or none: then `status` is 0, and `failure` says why. Times are on the clock that tells ages."""

    path: str
    sent_at: float
    received_at: float
    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    failure: str = ""


class Finding(Struct):
    """What is to be said of an answer. `label` is what it says in one word, `age_seconds` how old the oldest reading in
    it was at least, `excess_seconds` by how much that is more than it may be, and `understated_seconds` and
    `overstated_seconds` by how much the header `Age` is less or more than the truth. `wrong` is whatever else a client
    must not be told."""

    label: str
    wrong: list[str] = []
    age_seconds: float | None = None
    excess_seconds: float = 0.0
    understated_seconds: float = 0.0
    overstated_seconds: float = 0.0
    is_calm: bool = False


def judge(told: Told, allowed: Allowed, epoch: float) -> Finding:
    """Judge an answer by what may be told between the moments at which it was asked and received."""
    if told.status == 0:
        return Finding(told.failure, [] if told.failure in allowed.statuses else [f"{told.path}: {told.failure}"])
    try:
        found = _JUDGES.get(told.path, _plain)(told, allowed, epoch)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Finding(str(told.status), [f"{told.status} of another shape than documented: {error}"])
    found.wrong = [f"{told.path}: {wrong}" for wrong in found.wrong]
    return found


def event(data: bytes, received_at: float, allowed: Allowed, epoch: float) -> Finding:
    """Judge what an event of the stream says, which is about one host, and not about what is missing beside it."""
    if not allowed.harmed and "degraded" in allowed.statuses:
        allowed = allowed | CALM
    return judge(Told(GPUS_PATH, received_at, received_at, 200, {}, data), allowed, epoch)


def _metrics(told: Told, allowed: Allowed, epoch: float) -> Finding:
    if told.status != 200:
        return _not_fresh(told, allowed)
    body = msgspec.json.decode(told.body, type=Metrics)
    found = _shown(body.status, body.gpus, told, allowed, epoch)
    if body.status != "ok" and body.error is None:
        found.wrong.append(f"{body.status}, and no word why")
    return found


def _gpus(told: Told, allowed: Allowed, epoch: float) -> Finding:
    if told.status != 200:
        return _not_fresh(told, allowed)
    body = msgspec.json.decode(told.body, type=Gpus)
    return _shown(_UNAVAILABLE.get(body.status, body.status), body.gpus, told, allowed, epoch)


def _not_fresh(told: Told, allowed: Allowed) -> Finding:
    if told.status == 503 and _code(told.body) in _BUSY:
        return Finding("busy", ["busy: 503"] if "busy" not in allowed.statuses else [])
    if told.status != 503:
        return Finding(str(told.status), [f"{told.status}: {told.body[:200]!r}"])
    body = msgspec.json.decode(told.body, type=NotFresh)
    found = Finding(body.status, _unless_allowed(body.status, allowed))
    if int(told.headers.get("retry-after", 0)) < 1:
        found.wrong.append("503 without Retry-After")
    return found


def _shown(status: str, gpus: "list[Gpu] | list[MetricsGpu]", told: Told, allowed: Allowed, epoch: float) -> Finding:
    found = Finding(status, _unless_allowed(status, allowed))
    found.is_calm = status == "ok" and all(gpu.host == HOST and _is_whole(gpu) for gpu in gpus)
    for gpu in gpus:
        state = gpu.status if isinstance(gpu, MetricsGpu) else gpu.state
        found.wrong += _wrong_state(status, state, gpu, allowed)
        if state == "ok":
            found.wrong += _wrong_numbers(gpu, allowed)
        else:
            found.wrong += [f"{gpu.uuid} is {state} and has a {name}" for name, _ in _taken(gpu)]
    own = [gpu for gpu in gpus if gpu.host == HOST]
    if status == "ok" and len(own) == len(gpus) and len({gpu.uuid for gpu in own}) < PHYSICAL:
        found.wrong.append(f"ok with {len(own)} GPUs, not {PHYSICAL} different ones")
    _tell_ages(found, [value for gpu in gpus for name, value in _taken(gpu) if name.startswith("power")], told, epoch)
    _limit_ages(found, told, allowed)
    return found


def _unless_allowed(status: str, allowed: Allowed) -> list[str]:
    return [] if status in allowed.statuses else [f"{status}, which is none of {', '.join(sorted(allowed.statuses))}"]


def _wrong_state(status: str, state: str, gpu: Gpu | MetricsGpu, allowed: Allowed) -> Iterator[str]:
    """What a GPU may be follows from what the whole is."""
    may_be = {"ok": {"ok"}, "stalled": {"unknown"}, "placeholder": {"unknown"}}.get(status, {"ok"})
    number = physical(gpu.uuid)
    if status == "degraded" and number in allowed.harmed:
        may_be = may_be | allowed.states
    if state not in may_be:
        yield f"{gpu.uuid} is {state} in an answer that is {status}"
    if gpu.host not in allowed.hosts:
        yield f"a GPU of {gpu.host}"


def _wrong_numbers(gpu: Gpu | MetricsGpu, allowed: Allowed) -> Iterator[str]:
    number = physical(gpu.uuid)
    if number is None:
        yield f"a GPU that there is not: {gpu.uuid}"
        return
    for name in gpu.unavailable:
        if name in gpu.numbers() and name not in allowed.untaken:
            yield f"{gpu.uuid} has no {name}"
    for name, value in _taken(gpu):
        if not name.startswith("power") and value != truth(name, number):
            yield f"{gpu.uuid} has {name} {value}, not {truth(name, number)}"


def _is_whole(gpu: Gpu | MetricsGpu) -> bool:
    return not any(name in gpu.unavailable for name in gpu.numbers())


def _taken(gpu: Gpu | MetricsGpu) -> Iterator[tuple[str, float]]:
    """Yield the readings that are told as taken: in `gpu-metrics` those that are not said not to be, or not zero."""
    for name, value in gpu.numbers().items():
        if value is not None and (name not in gpu.unavailable or value != 0):
            yield name, value


def _tell_ages(found: Finding, powers: list[float], told: Told, epoch: float) -> None:
    made = [epoch + power for power in powers]
    if made:
        found.age_seconds = told.sent_at - min(made)
        if max(made) > told.received_at + _ROUNDING_SECONDS:
            found.wrong.append(f"a reading of {max(made) - told.received_at:.3f} s in the future")


def _limit_ages(found: Finding, told: Told, allowed: Allowed, more_seconds: float = 0.0) -> None:
    if found.age_seconds is None:
        return
    found.excess_seconds = found.age_seconds - allowed.live_seconds - more_seconds
    if (stated := told.headers.get("age")) is not None:
        found.understated_seconds = found.age_seconds - allowed.sample_seconds - (int(stated) + 1)
        oldest = found.age_seconds + told.received_at - told.sent_at
        found.overstated_seconds = int(stated) - oldest - allowed.wait_seconds


def _scrape(told: Told, allowed: Allowed, epoch: float) -> Finding:
    if told.status != 200:
        return _plain(told, allowed, epoch)
    found = Finding("200", is_calm=True)
    powers = []
    for kind, labels, text in _SAMPLE.findall(told.body.decode()):
        number, host = physical(_label(labels, "uuid")), _label(labels, "host")
        found.is_calm = found.is_calm and host == HOST
        if number is None or host not in allowed.hosts:
            found.wrong.append(f"a GPU that there is not: {labels}")
        elif kind == "power_draw_watts":
            powers.append(float(text))
        elif float(text) != truth("temperature", number):
            found.wrong.append(f"{kind} {text} of {labels}")
    _tell_ages(found, powers, told, epoch)
    _limit_ages(found, told, allowed, SCRAPE_SECONDS)
    return found


def _ready(told: Told, allowed: Allowed, _epoch: float) -> Finding:
    if told.status == 200:
        is_true = not allowed.statuses.isdisjoint({"ok", "degraded"})
        return Finding("200", [] if is_true else ["ready, though nothing is"], is_calm=True)
    code = _code(told.body)
    wrong = _unless_allowed(code, allowed) if told.status == 503 else [str(told.status)]
    return Finding(f"{told.status} {code}", wrong)


def _plain(told: Told, _allowed: Allowed, _epoch: float) -> Finding:
    """Whatever is always 200, and JSON if it says so."""
    if told.status != 200:
        return Finding(str(told.status), [f"{told.status}: {told.body[:200]!r}"])
    if told.headers.get("content-type", "").startswith("application/json"):
        msgspec.json.decode(told.body)
    return Finding("200", is_calm=True)


_JUDGES = {METRICS_PATH: _metrics, GPUS_PATH: _gpus, SCRAPE_PATH: _scrape, READY_PATH: _ready}


def _code(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=Refused).error.code
    except msgspec.ValidationError:
        return msgspec.json.decode(body, type=NotFresh).error.code


def _label(labels: str, name: str) -> str:
    match = re.search(rf'(?:^|,){name}="([^"]*)"', labels)
    return match[1] if match else ""
