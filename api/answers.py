"""Every GET: method, target, headers and the time in; status, headers and body out. Pure, and the only path."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote

from api import parameters
from api.access import Access
from api.answer import Answer, Follow, Later, Refusal, refusal
from api.page import page_routes
from api.remembered import remembered
from api.resources import Asked, Resources
from api.routes import METRICS_PATH, ROUTES, Route


class _Found(NamedTuple):
    """A route, how its queries are read, and the segment of the path that it leaves open."""

    route: Route
    read: Callable[[str], dict[str, Any]]
    segment: str = ""


class Answers:
    """Answers whatever the route table knows, to those who have access."""

    def __init__(self, resources: Resources, access: Access) -> None:
        self._resources = resources
        self.access = access
        found = [_Found(route, _reader(route)) for route in (*ROUTES, *page_routes())]
        self._exact = {one.route.path: one for one in found if "{" not in one.route.path}
        self._open = [(_pattern(one.route.path), one) for one in found if "{" in one.route.path]

    def answer(self, method: str, target: str, headers: Mapping[str, str], now: float) -> Answer | Later | Follow:
        """Return what is to be sent for one request. `target` is the request's path and query, `headers` its headers by
        their usual names, `now` the clock by which the cache tells ages. Never raises."""
        path, _, query = target.partition("?")
        try:
            found = self._find(path)
            self._check_method(method)
            sent = self.access.preflight() if method == "OPTIONS" else self._ask(found, query, headers, now)
        except Refusal as refused:
            sent = refused.answer
        return _headed(sent) if method == "HEAD" else sent

    def _ask(self, found: _Found, query: str, headers: Mapping[str, str], now: float) -> Answer | Later | Follow:
        holder = None if found.route.is_open else self.access.admit(headers)
        sent = found.route.answer(self._resources, Asked(found.read(query), headers, now, found.segment))
        return sent._replace(is_welcome=partial(self.access.is_welcome, holder)) if isinstance(sent, Follow) else sent

    def _find(self, path: str) -> _Found:
        """Return what answers a path. Raises Refusal: nothing does."""
        if path in self._exact:
            return self._exact[path]
        for pattern, found in self._open:
            if match := pattern.fullmatch(path):
                return found._replace(segment=unquote(match[1]))
        raise Refusal(refusal(404, "not_found", f"no such path; the metrics are at {METRICS_PATH}"))

    def _check_method(self, method: str) -> None:
        methods = self.access.methods
        if method not in methods:
            said = f"this path knows {', '.join(methods)} only"
            raise Refusal(refusal(405, "method_not_allowed", said, ("Allow", ", ".join(methods))))


def _headed(sent: Answer | Later | Follow) -> Answer | Later:
    """Return what HEAD is told: all but the body."""
    if isinstance(sent, Answer):
        return sent._replace(body=b"")
    if isinstance(sent, Later):
        then = sent.then
        return sent._replace(then=lambda content, now: _headed(then(content, now)))
    return Answer(200, sent.headers, b"")


def _reader(route: Route) -> Callable[[str], dict[str, Any]]:
    return remembered(partial(parameters.read, known={one.name: one for one in route.parameters}))


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "([^/]+)", re.escape(path)))
