"""Query parameters: what each means, what it may be, and how it is read; what is wrong is said by name. Pure."""

import contextlib
import difflib
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args
from urllib.parse import parse_qsl

from api.answer import Refusal, refusal
from api.history.series import MOST_STEP_SECONDS
from api.wanted import Bound, Order, Wanted
from common.gpu import NUMERIC, READINGS, GpuState

_DECIMALS = r"-?([0-9]{1,300}(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]{1,3})?"
LEAST_STEP_SECONDS = 0.05
"""The shortest interval of a collector."""

MOST_GPUS = 1_000_000
"""A limit that no answer reaches."""


class Parameter(NamedTuple):
    """One parameter. `schema` is what OpenAPI says of its values; `read` makes the value from the text, or raises
    ValueError with what would be right."""

    name: str
    meaning: str
    schema: Mapping[str, Any]
    read: Callable[[str], Any]


def read(query: str, known: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return the values that a query gives, by name.

    Raises:
        Refusal: 400, naming the parameter that is unknown, repeated or unreadable.
    """
    given: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True, errors="replace"):
        if name not in known:
            raise _bad(f"{name[:100]}: no such parameter; {_known(known)}")
        if name in given:
            raise _bad(f"{name}: given more than once")
        try:
            given[name] = known[name].read(text)
        except ValueError as error:
            raise _bad(f"{name}: must be {error}") from None
    return given


def wanted(values: Mapping[str, Any]) -> Wanted:
    """Return which GPUs the values of a query to `gpus` ask for."""
    bounds = [Bound(name.removesuffix("_min"), least=value) for name, value in values.items() if name in _LEAST]
    bounds += [Bound(name.removesuffix("_max"), most=value) for name, value in values.items() if name in _MOST]
    return Wanted(tuple(bounds), values.get("state"), values.get("sort"), values.get("limit"))


def _bad(message: str) -> Refusal:
    return Refusal(refusal(400, "bad_parameter", message))


def _known(known: Mapping[str, Parameter]) -> str:
    if not known:
        return "this path takes none"
    plain = [name for name in known if name not in _LEAST and name not in _MOST]
    bounds = ", and a reading's name with _min or _max" if len(plain) < len(known) else ""
    return f"known here: {', '.join(plain)}{bounds}"


def _number(text: str) -> float:
    """Read a number as JSON has it, and with nothing before or behind the point."""
    if re.fullmatch(_DECIMALS, text, re.ASCII | re.IGNORECASE) and math.isfinite(float(text)):
        return float(text)
    raise ValueError("a number, such as 8000000000 or 0.5")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if (seconds := _number(text)) >= 0:
            return seconds
    raise ValueError("seconds, 0 or more, such as 30 or 2.5")


def _moment(text: str) -> float:
    with contextlib.suppress(ValueError):
        return _seconds(text)
    raise ValueError("Unix time in seconds, such as 1795629363")


def _step(text: str) -> float:
    with contextlib.suppress(ValueError):
        if LEAST_STEP_SECONDS <= (seconds := _number(text)) <= MOST_STEP_SECONDS:
            return seconds
    raise ValueError(f"seconds, from {LEAST_STEP_SECONDS} to {MOST_STEP_SECONDS:.0f}")


def _limit(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,7}", text, re.ASCII) and 1 <= int(text) <= MOST_GPUS:
        return int(text)
    raise ValueError(f"a whole number from 1 to {MOST_GPUS}")


def _state(text: str) -> str:
    if text in get_args(GpuState):
        return text
    raise ValueError(f"one of {', '.join(get_args(GpuState))}")


def _dialect(text: str) -> str:
    if text == "dcgm":
        return text
    raise ValueError("dcgm, or not given at all")


def _order(text: str) -> Order:
    if text.removeprefix("-") in NUMERIC:
        return Order(text.removeprefix("-"), text.startswith("-"))
    near = _near(text.removeprefix("-"))
    raise ValueError(f"the name of a numeric reading, or - and its name for the greatest first{near}")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    if all(names):
        return names
    raise ValueError("names separated by commas")


def _readings(text: str) -> tuple[str, ...]:
    names = _names(text)
    for name in names:
        if name not in NUMERIC:
            raise ValueError(f"names of numeric readings, separated by commas{_near(name)}")
    return names


def _near(name: str) -> str:
    near = difflib.get_close_matches(name[:100], NUMERIC, n=1)
    return f"; did you mean {near[0]}?" if near else ""


_NUMBER = {"type": "number"}
_SECONDS = {"type": "number", "minimum": 0}
_LIST = {"type": "string", "pattern": "^[^,]+(,[^,]+)*$"}
_ANY_READING = f"({'|'.join(NUMERIC)})"
_READINGS = {"type": "string", "pattern": f"^{_ANY_READING}(,{_ANY_READING})*$"}

HOST = Parameter("host", "Only this host.", {"type": "string"}, str)
MAX_AGE = Parameter(
    "max_age", "Show what is at most so many seconds old, in place of what is not stale.", _SECONDS, _seconds
)
GPU = Parameter("gpu", "Only these GPUs: uuids, separated by commas.", _LIST, _names)
READING = Parameter("reading", "Only these readings: names, separated by commas.", _READINGS, _readings)
SINCE = Parameter("since", "From this time on (Unix time, seconds).", _SECONDS, _moment)
UNTIL = Parameter("until", "Up to this time (Unix time, seconds).", _SECONDS, _moment)
STEP = Parameter(
    "step",
    "The mean over each step of so many seconds.",
    {"type": "number", "minimum": LEAST_STEP_SECONDS, "maximum": MOST_STEP_SECONDS},
    _step,
)
STATE = Parameter("state", "Only GPUs in this state.", {"type": "string", "enum": list(get_args(GpuState))}, _state)
SORT = Parameter(
    "sort",
    "Order by a reading, the least first; with a - before its name, the greatest. Not taken comes last.",
    {"type": "string", "enum": [sign + name for name in NUMERIC for sign in ("", "-")]},
    _order,
)
LIMIT = Parameter("limit", "At most so many GPUs.", {"type": "integer", "minimum": 1, "maximum": MOST_GPUS}, _limit)


def _bounds(suffix: str, words: str) -> dict[str, Parameter]:
    """Return the parameters that bound each numeric reading on one side, in its own unit."""
    told = ((f"{name}{suffix}", f"{READINGS[name].title} {words} ({READINGS[name].unit}).") for name in NUMERIC)
    return {name: Parameter(name, meaning, _NUMBER, _number) for name, meaning in told}


DIALECT = Parameter(
    "dialect", "In whose names: dcgm-exporter's, not ours.", {"type": "string", "enum": ["dcgm"]}, _dialect
)
_LEAST = _bounds("_min", "at least")
_MOST = _bounds("_max", "at most")
BOUNDS = (*_LEAST.values(), *_MOST.values())
