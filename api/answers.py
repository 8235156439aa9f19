"""Every cached GET: method, target, headers and the time in; status, headers and body out. Pure, and the only path.

Freshness is judged first, then the tag: what is stale is 503, never 304.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

import msgspec

from api.cache import Cache
from api.remembered import remembered
from api.rendered import Bodies, Rendered
from api.responses import Error, ErrorBody, StatusBody, metrics_body, not_fresh_body
from api.selection import NotFresh, unready

METRICS_PATH = "/api/v1/monitoring/gpu-metrics"
METHODS = ("GET", "HEAD")

_UNREADY_MESSAGES = {
    "placeholder": "no host has a driver that answers",
    "stalled": "the driver is stuck in a call on every host that is heard",
    "stale": "no host has a fresh snapshot",
    "unheard": "no snapshot was heard yet",
}

Headers = list[tuple[str, str]]


class Answer(NamedTuple):
    """What to send. The headers are complete but for the date and the connection's own."""

    status: int
    headers: Headers
    body: bytes


class _Refusal(Exception):  # noqa: N818 -- an answer on its way out, not an error of ours
    """A request that cannot be answered as it stands; carries the answer that says so."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = refusal(status, code, message)


class Answers:
    """Answers from one cache."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._metrics = Bodies(cache, metrics_body)
        self._routes: dict[str, Callable[[str, Mapping[str, str], float], Answer]] = {
            METRICS_PATH: self._gpu_metrics,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
        }

    def answer(self, method: str, target: str, headers: Mapping[str, str], now: float) -> Answer:
        """Return the answer to one request. `target` is the request's path and query, `headers` its headers by their
        usual names, `now` the clock by which the cache tells ages. Never raises."""
        path, _, query = target.partition("?")
        route = self._routes.get(path)
        if route is None:
            answer = refusal(404, "not_found", f"no such path; the metrics are at {METRICS_PATH}")
        elif method not in METHODS:
            answer = refusal(405, "method_not_allowed", f"this path knows {' and '.join(METHODS)} only")
            answer.headers.append(("Allow", ", ".join(METHODS)))
        else:
            try:
                answer = route(query, headers, now)
            except _Refusal as refused:
                answer = refused.answer
        return answer._replace(body=b"") if method == "HEAD" else answer

    def _gpu_metrics(self, query: str, headers: Mapping[str, str], now: float) -> Answer:
        host, max_age = _metrics_parameters(query)
        if host is not None and self._cache.hosts and host not in self._cache.hosts:
            raise _Refusal(404, "unknown_host", "host: no snapshot of a host of that name was heard")
        rendered = self._metrics.get(host, max_age, now)
        if isinstance(rendered, NotFresh):
            answer = _json(503, not_fresh_body(rendered, self._cache.endpoints))
            answer.headers.append(("Retry-After", str(rendered.retry_seconds)))
            return answer
        return _fresh(rendered, headers, now)

    def _healthz(self, query: str, _headers: Mapping[str, str], _now: float) -> Answer:
        _parameters(query, ())
        return _json(200, StatusBody("ok"))

    def _readyz(self, query: str, _headers: Mapping[str, str], now: float) -> Answer:
        _parameters(query, ())
        reason = unready(self._cache, now)
        if reason is not None:
            raise _Refusal(503, reason, _UNREADY_MESSAGES[reason])
        return _json(200, StatusBody("ready"))


def refusal(status: int, code: str, message: str) -> Answer:
    """Return an error answer; all of them have this form."""
    return _json(status, ErrorBody(Error(code, message)))


def _fresh(rendered: Rendered, headers: Mapping[str, str], now: float) -> Answer:
    answer_headers = [
        ("ETag", rendered.etag),
        ("Age", str(int(now - rendered.sealed_at))),
        ("Vary", "Accept-Encoding"),
        ("Cache-Control", "no-cache"),
    ]
    tags = headers.get("If-None-Match")
    if tags is not None and _matches(tags, rendered.etag):
        return Answer(304, answer_headers, b"")
    body = rendered.body
    if _accepts_gzip(headers.get("Accept-Encoding", "")):
        body = rendered.gzipped
        answer_headers.append(("Content-Encoding", "gzip"))
    answer_headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return Answer(200, answer_headers, body)


def _json(status: int, body: msgspec.Struct) -> Answer:
    encoded = msgspec.json.encode(body)
    headers = [
        ("Cache-Control", "no-store"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(encoded))),
    ]
    return Answer(status, headers, encoded)


def _matches(tags: str, etag: str) -> bool:
    """Compare weakly, as RFC 9110 section 13.1.2 has it for If-None-Match."""
    return tags.strip() == "*" or etag.removeprefix("W/") in re.findall(r'"[^"]*"', tags)


@remembered
def _accepts_gzip(accepted: str) -> bool:
    """Read Accept-Encoding (RFC 9110 section 12.5.3): gzip, or anything, with a weight other than 0."""
    weights = {}
    for part in accepted.lower().split(","):
        coding, _, parameter = part.partition(";")
        weights[coding.strip()] = not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", parameter)
    return weights.get("gzip", weights.get("*", False))


@remembered
def _metrics_parameters(query: str) -> tuple[str | None, float | None]:
    given = _parameters(query, ("host", "max_age"))
    max_age = given.get("max_age")
    return given.get("host"), None if max_age is None else _seconds("max_age", max_age)


def _parameters(query: str, known: tuple[str, ...]) -> dict[str, str]:
    """Return the query's parameters; refuse those that are unknown or repeated, by name."""
    given: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        if name not in known:
            right = f"known here: {', '.join(known)}" if known else "this path takes none"
            raise _Refusal(400, "bad_parameter", f"{name[:100]}: no such parameter; {right}")
        if name in given:
            raise _Refusal(400, "bad_parameter", f"{name}: given more than once")
        given[name] = value
    return given


def _seconds(name: str, text: str) -> float:
    """Return a number of seconds, as decimals, finite and not negative."""
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", text, re.ASCII) and math.isfinite(float(text)):
        return float(text)
    raise _Refusal(400, "bad_parameter", f"{name}: must be seconds in plain digits, such as 30 or 2.5")
