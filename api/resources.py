"""What each path answers, from the cache: one method each, called with what was asked. Pure: the time is passed in.

Freshness is judged first, then the tag: what is stale is 503, never 304.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from api import parameters
from api.answer import Answer, Content, Follow, Later, Refusal, json_answer, json_content, refusal
from api.cache import Cache
from api.conditional import conditional
from api.history.series import HistoryQuery, Selected, TooMuch
from api.history.store import History
from api.prometheus import Own
from api.rendered import Bodies, Choice, Making, Rendered
from api.reports import reports, rivals
from api.responses.errors import StatusBody, not_fresh_body
from api.responses.gpus import gpu_body, gpus_body
from api.responses.hosts import hosts_body
from api.responses.metrics import metrics_body
from api.responses.targets import targets
from api.scraping.scrapes import LATE_SECONDS, MAX_HOSTS_MERGED, Part, Scrapes
from api.selection import Chosen, NotFresh, Selection, select, unready
from api.wanted import EVERYTHING, Wanted
from common.gpu import Gpu

_UNREADY_MESSAGES = {
    "placeholder": "no host has a driver that answers",
    "stalled": "the driver is stuck in a call on every host that is heard",
    "stale": "no host has a fresh snapshot",
    "unheard": "no snapshot was heard yet",
}


_STREAM_HEADERS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-store"),
    ("X-Accel-Buffering", "no"),  # nginx would keep events back until there are many
)


class Asked(NamedTuple):
    """One question: the values of the query's parameters, the request's headers by their usual names, the time on the
    clock by which the cache tells ages, and what stands in the path's braces."""

    values: Mapping[str, Any]
    headers: Mapping[str, str]
    now: float
    segment: str = ""


_Answering = Callable[[Asked], Answer | Later]


class Resources:
    """Answers from one cache."""

    def __init__(self, cache: Cache, history: History, own: Callable[[], Own], description: Content) -> None:
        """`own` tells what the API itself costs, `description` is this API's in OpenAPI."""
        self._cache = cache
        self._history = history
        self._description = description
        self._scrapes = Scrapes(cache, own)
        self._metrics = Bodies(cache, lambda selection, _: metrics_body(selection))
        self._gpus = Bodies(cache, gpus_body)

    def gpu_metrics(self, asked: Asked) -> Answer | Later:
        """Answer in the form of the first API."""
        return self._rendered(self._metrics, EVERYTHING, asked)

    def gpus(self, asked: Asked) -> Answer | Later:
        """Answer with every reading of the GPUs wanted."""
        return self._rendered(self._gpus, parameters.wanted(asked.values), asked)

    def gpu(self, asked: Asked) -> Answer:
        """Answer with every reading of one GPU."""
        selection = self._select(self._host(asked), asked)
        found = _having(asked.segment, selection)
        if not found and (silent := self._silent_host_of(asked.segment, selection)):
            found = _having(asked.segment, self._select(silent, asked))
        chosen, gpu = _only(found)
        content = json_content(gpu_body(chosen, gpu))
        return conditional(content, content.tag(), asked.headers, _age(asked.now - chosen.sealed_at))

    def hosts(self, asked: Asked) -> Answer:
        """Answer how each host is."""
        return json_answer(200, hosts_body([*reports(self._cache, asked.now), *rivals(self._cache, asked.now)]))

    def targets(self, asked: Asked) -> Answer:
        """Answer with the hosts, as targets of Prometheus that are scraped from this API."""
        return json_answer(200, targets(sorted(self._cache.hosts), asked.headers.get("Host", "")))

    def history(self, asked: Asked) -> Later:
        """Answer with series of readings."""
        values = asked.values
        query = HistoryQuery(
            gpus=values.get("gpu"),
            readings=values.get("reading"),
            host=self._host(asked),
            since=values.get("since"),
            until=values.get("until"),
            step=values.get("step"),
        )
        try:
            selected = self._history.select(query, asked.now)
        except TooMuch as error:
            raise Refusal(refusal(400, "too_much", str(error))) from None
        return Later(partial(_series, selected), lambda content, _: _told(content, asked.headers), "long")

    def stream(self, asked: Asked) -> Follow:
        """Answer with events."""
        return Follow(asked.headers.get("Last-Event-ID"), self._host(asked), list(_STREAM_HEADERS))

    def metrics(self, asked: Asked) -> Answer | Later:
        """Answer a scrape of hosts."""
        host = self._host(asked)
        if host is None and len(self._cache.hosts) > MAX_HOSTS_MERGED:
            said = f"host: needed, for more than {MAX_HOSTS_MERGED} hosts are known; scrape each by itself, ?host=NAME"
            raise Refusal(refusal(400, "too_many_hosts", said))
        return self._scrape(asked.values.get("dialect", "all"), host, asked, self.metrics)

    def api_metrics(self, asked: Asked) -> Answer | Later:
        """Answer a scrape of the API and its endpoints."""
        return self._scrape("api", None, asked, self.api_metrics)

    def _scrape(self, part: Part, host: str | None, asked: Asked, again: _Answering) -> Answer | Later:
        """Answer with what was written, or with what is to be: if that waits for too long for its turn, `again`."""
        scrape = self._scrapes.get(part, host, asked.headers.get("Accept", ""), asked.now)
        if scrape.content is not None:
            return _scraped(scrape.content, asked)

        def then(content: Content, now: float) -> Answer | Later:
            scrape.content = content
            is_old = now > scrape.made_at + LATE_SECONDS
            return again(asked._replace(now=now)) if is_old else _scraped(content, asked)

        return Later(scrape.make, then)

    def openapi(self, asked: Asked) -> Answer:
        """Answer what the API can be asked."""
        return _told(self._description, asked.headers)

    def healthz(self, _asked: Asked) -> Answer:
        """Answer that this process does."""
        return json_answer(200, StatusBody("ok"))

    def readyz(self, asked: Asked) -> Answer:
        """Answer whether any host is fresh and its driver answers."""
        reason = unready(self._cache, asked.now)
        if reason is not None:
            raise Refusal(refusal(503, reason, _UNREADY_MESSAGES[reason], ("Retry-After", "1")))
        return json_answer(200, StatusBody("ready"))

    def _rendered(self, bodies: Bodies, wanted: Wanted, asked: Asked) -> Answer | Later:
        choice = Choice(self._host(asked), asked.values.get("max_age"), wanted)
        found = bodies.get(choice, asked.now)
        if isinstance(found, NotFresh):
            raise self._not_fresh(found)
        if not isinstance(found, Making):
            return _fresh(found, asked.headers, asked.now)
        making = found

        def then(content: Content, now: float) -> Answer | Later:
            rendered = making.keep(content)
            # It may have waited for its turn until it may not be shown any more.
            is_old = now > rendered.expires
            return (
                self._rendered(bodies, wanted, asked._replace(now=now))
                if is_old
                else _fresh(rendered, asked.headers, now)
            )

        return Later(making.make, then)

    def _select(self, host: str | None, asked: Asked) -> Selection:
        selection = select(self._cache, host, asked.values.get("max_age"), asked.now)
        if isinstance(selection, NotFresh):
            raise self._not_fresh(selection)
        return selection

    def _host(self, asked: Asked) -> str | None:
        """Return the host that is asked for; None: all. Raises Refusal: no such host, though others were heard."""
        host: str | None = asked.values.get("host")
        if host is not None and self._cache.hosts and host not in self._cache.hosts:
            raise Refusal(refusal(404, "unknown_host", "host: no snapshot of a host of that name was heard"))
        return host

    def _silent_host_of(self, uuid: str, selection: Selection) -> str | None:
        """Return a host that had the GPU when it was heard last, but may not be shown now."""
        for name in selection.missing:
            host = self._cache.hosts.get(name)
            if host is not None and any(gpu.uuid == uuid for gpu in host.snapshot.gpus):
                return name
        return None

    def _not_fresh(self, refusal: NotFresh) -> Refusal:
        body = not_fresh_body(refusal, self._cache.endpoints)
        return Refusal(json_answer(503, body, ("Retry-After", str(refusal.retry_seconds))))


def _having(uuid: str, selection: Selection) -> list[tuple[Chosen, Gpu]]:
    return [(one, gpu) for one in selection.chosen for gpu in one.snapshot.gpus if gpu.uuid == uuid]


def _only(found: list[tuple[Chosen, Gpu]]) -> tuple[Chosen, Gpu]:
    """Return the one that was found. Raises Refusal: there is none, or there are several."""
    if not found:
        raise Refusal(refusal(404, "unknown_gpu", "no GPU of that uuid was seen; the path without it lists all"))
    if len(found) > 1:
        hosts = ", ".join(one.snapshot.host for one, _ in found)
        raise Refusal(refusal(409, "ambiguous_gpu", f"seen on several hosts, choose one with ?host=: {hosts}"))
    return found[0]


def _fresh(rendered: Rendered, headers: Mapping[str, str], now: float) -> Answer:
    return conditional(rendered.content, rendered.etag, headers, _age(now - rendered.sealed_at))


def _series(selected: Selected) -> Content:
    """Return the body. Raises Refusal: it turns out to be too much."""
    try:
        return json_content(selected.body()).finish()
    except TooMuch as error:
        raise Refusal(refusal(400, "too_much", str(error))) from None


def _scraped(content: Content, asked: Asked) -> Answer:
    return _told(content, asked.headers, "Accept, Accept-Encoding")


def _told(content: Content, headers: Mapping[str, str], vary: str = "Accept-Encoding") -> Answer:
    return conditional(content, content.tag(), headers, vary=vary)


def _age(seconds: float) -> tuple[str, str]:
    return "Age", str(int(seconds))
