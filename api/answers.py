"""Every GET: method, target, headers and the time in; status, headers and body out. Pure, and the only path."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote

from api import parameters
from api.answer import Answer, Follow, Later, Refusal, refusal
from api.remembered import remembered
from api.resources import Asked, Resources
from api.routes import METHODS, METRICS_PATH, ROUTES, Route


class _Found(NamedTuple):
    """A route, how its queries are read, and the segment of the path that it leaves open."""

    route: Route
    read: Any
    segment: str = ""


class Answers:
    """Answers whatever the route table knows."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        found = [_Found(route, _reader(route)) for route in ROUTES]
        self._exact = {one.route.path: one for one in found if "{" not in one.route.path}
        self._open = [(_pattern(one.route.path), one) for one in found if "{" in one.route.path]

    def answer(self, method: str, target: str, headers: Mapping[str, str], now: float) -> Answer | Later | Follow:
        """Return what is to be sent for one request. `target` is the request's path and query, `headers` its headers by
        their usual names, `now` the clock by which the cache tells ages. Never raises."""
        path, _, query = target.partition("?")
        try:
            found = self._find(path)
            _check_method(method)
            asked = Asked(found.read(query), headers, now, found.segment)
            answer = found.route.answer(self._resources, asked)
        except Refusal as refused:
            answer = refused.answer
        return _headed(answer) if method == "HEAD" else answer

    def _find(self, path: str) -> _Found:
        """Return what answers a path. Raises Refusal: nothing does."""
        if path in self._exact:
            return self._exact[path]
        for pattern, found in self._open:
            if match := pattern.fullmatch(path):
                return found._replace(segment=unquote(match[1]))
        raise Refusal(refusal(404, "not_found", f"no such path; the metrics are at {METRICS_PATH}"))


def _check_method(method: str) -> None:
    if method not in METHODS:
        said = f"this path knows {' and '.join(METHODS)} only"
        raise Refusal(refusal(405, "method_not_allowed", said, ("Allow", ", ".join(METHODS))))


def _headed(sent: Answer | Later | Follow) -> Answer | Later | Follow:
    """Return what HEAD is told: all but the body."""
    if isinstance(sent, Answer):
        return sent._replace(body=b"")
    if isinstance(sent, Later):
        then = sent.then
        return sent._replace(then=lambda content, now: then(content, now)._replace(body=b""))
    return Answer(200, sent.headers, b"")


def _reader(route: Route) -> Any:
    return remembered(partial(parameters.read, known={one.name: one for one in route.parameters}))


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "([^/]+)", re.escape(path)))
