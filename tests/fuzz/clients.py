"""The door of HTTP's clients. A request is a method, a target and headers, each on a line of its own.

It is asked of an API that has heard nothing, of one with two hosts that share a GPU, and of one that lets in only who
has a token and pages of another origin.
"""

import re
import tempfile
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from api.access import Access
from api.answer import JSON, Answer, Follow, Refusal
from api.answers import Answers
from api.cache import Cache
from api.history.store import History
from api.naming import wanted_target
from api.openapi import ERROR_HEADERS, description, document
from api.page import page_routes
from api.resources import Resources
from api.responses.errors import ErrorBody
from api.routes import ROUTES, Route
from api.scraping.tally import Tally
from api.stream import Message, Stream
from api.tokens import Tokens
from common.snapshot import Snapshot
from tests.builders import ENDPOINT, made, make_gpu, make_lost_gpu, make_snapshot

TOKEN = "a-token-of-somebody-0123456789"  # noqa: S105 -- it opens nothing but these tests
NOW = 10.0

ANYWHERE = {200, 304, 400}
"""Statuses of the page's files, which the description leaves out."""

NO_PATH = {400, 404}
METHODS = {204, 405}
"""Statuses that depend on the method, on any path: those that OPTIONS has, and one that is not known."""

_DESCRIPTION = description(needs_token=True)
_STATUSES = {
    route.path: {int(status) for status in document(needs_token=True)["paths"][route.path]["get"]["responses"]}
    for route in ROUTES
}
_PAGE_PATHS = {route.path for route in page_routes()}


class House:
    """An API without its server, which has heard these snapshots, a second after each other."""

    def __init__(self, snapshots: Iterable[Snapshot], access: Access | None = None) -> None:
        access = access or Access()
        cache, history = Cache((ENDPOINT,)), History(3600.0, 16.0)
        self.stream = Stream(cache, history)
        cache.listeners.append(self.stream.add)
        for second, snapshot in enumerate(snapshots):
            cache.accept(ENDPOINT, snapshot, float(second))
        self.answers = Answers(Resources(cache, history, Tally().own, _DESCRIPTION), access)

    def ask(self, method: str, target: str, headers: Mapping[str, str], now: float = NOW) -> None:
        """Ask, do what work the answer takes, and fail if it is not as documented."""
        try:
            wanted = wanted_target(target, "HTTP/1.1", headers, is_local=True)
        except Refusal as refused:
            check(refused.answer, "GET", None)
            return
        sent = self.answers.answer(method, wanted, headers, now)
        route = route_of(wanted.partition("?")[0])
        if isinstance(sent, Follow):
            self._follow(sent, now)
            return
        answer = made(sent, now)
        assert answer.status in _statuses(wanted.partition("?")[0], route), answer
        check(answer, method, route)

    def _follow(self, follow: Follow, now: float) -> None:
        told = self.stream.read(follow.after, follow.host, now)
        messages: list[Message | None] = list(islice(told, 20))
        assert None in messages
        for message in messages:
            assert message is None or message.plain.endswith(b"\n\n")


def is_at(route: Route, path: str) -> bool:
    """Return whether a path is a route's."""
    return bool(re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route.path)), path))


def route_of(path: str) -> Route | None:
    """Return the route of a path that is described; None: it is a file of the page, or none at all."""
    return next((route for route in ROUTES if is_at(route, path)), None)


def check(answer: Answer, method: str, route: Route | None) -> None:
    """Fail if an answer is not well-formed: its head, its length, and what its JSON says."""
    head = "".join(name + value for name, value in answer.headers)
    assert not set(head.encode("latin-1")) & {*range(32), 127}
    headers = dict(answer.headers)
    assert headers.keys() >= {*ERROR_HEADERS.get(answer.status, ())}
    if method == "HEAD" or answer.status in (204, 304):
        assert answer.body == b""
        return
    assert headers["Content-Length"] == str(len(answer.body))
    if answer.status >= 400:
        assert headers["Content-Type"] == JSON
        assert msgspec.json.decode(answer.body, type=ErrorBody).error.message
    elif route is not None and route.body is not None and "Content-Encoding" not in headers:
        kind: Any = list[route.body] if route.is_list else route.body  # type: ignore[name-defined]
        msgspec.json.decode(answer.body, type=kind)


def _statuses(path: str, route: Route | None) -> set[int]:
    if route is not None:
        return _STATUSES[route.path] | METHODS
    return (ANYWHERE if path in _PAGE_PATHS else NO_PATH) | METHODS


def _locked() -> Access:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "tokens"
        path.touch(mode=0o600)
        path.write_text(f"somebody {TOKEN}\n")
        return Access(Tokens(str(path)), "https://example.org")


def _heard() -> list[Snapshot]:
    """Return snapshots of two hosts that share a GPU, at times that no clock should give."""
    times = (0, 1, 1_741_129_370_123_456_789, 1_741_129_370_123_456_789, 2**64 - 1)
    gpus = [make_gpu(0), make_lost_gpu(1), make_gpu(2, uuid=None), make_gpu(3, power_draw_watts=float("inf"))]
    first = [make_snapshot(sequence=number, sampled_at_ns=at, gpus=gpus) for number, at in enumerate(times)]
    return [*first, make_snapshot(host="node-2", run_id="a run\n-7", gpus=gpus[:1])]


HOUSES = (House([]), House(_heard()), House(_heard(), _locked()))


def request(data: bytes) -> None:
    """Ask each API; text comes to it as Tornado reads it, a byte a character."""
    method, target, *lines = [*data.decode("latin-1").split("\n"), ""]
    headers = {name: value for name, _, value in (line.partition(": ") for line in lines)}
    for house in HOUSES:
        house.ask(method, target, headers)
