"""What scrapes are told: each kind written at most once a second, and always away from other requests. Pure."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from api.answer import Content
from api.cache import Cache
from api.prometheus import Exposition, Own, api_exposition, chosen_media, dcgm_exposition, exposition, host_exposition
from api.reports import Report, feeds, report, reports

WRITTEN_SECONDS = 1.0
"""For how long what was written is told to others who ask the same."""

LATE_SECONDS = 2.0
"""What was written of an earlier moment than that is written again."""

MAX_HOSTS_MERGED = 100
"""Hosts in one scrape. To write those of 8 GPUs takes about half a second, and Prometheus can ask for each alone."""

_MAX_KEPT = 64


Part = Literal["all", "dcgm", "api"]
"""All there is in our names, or of one host what is its own; GPUs in those of dcgm-exporter; the API and its endpoints,
without hosts."""


class Kind(NamedTuple):
    """What is scraped: which part, of one host or all (None), and in which format (a media type)."""

    part: Part
    host: str | None
    media: str


class Scrape:
    """What one kind of scrape is told, once it is made: `make` may be called in any thread."""

    content: Content | None = None

    def __init__(self, make: Callable[[], Content], now: float) -> None:
        self.make = make
        self.made_at = now


class Scrapes:
    """Writes the hosts of one cache. `own` tells what the API itself costs."""

    def __init__(self, cache: Cache, own: Callable[[], Own]) -> None:
        self._cache = cache
        self._own = own
        self._kept: dict[Kind, Scrape] = {}

    def get(self, part: Part, host: str | None, accept: str, now: float) -> Scrape:
        """Return what is kept of such a scrape, or one that is yet to be made."""
        kind = Kind(part, host, chosen_media(accept))
        scrape = self._kept.get(kind)
        if scrape is None or now >= scrape.made_at + WRITTEN_SECONDS:
            self._kept.pop(kind, None)
            scrape = self._kept[kind] = Scrape(partial(_written, self._exposition(kind, now)), now)
        self._let_go(now)
        return scrape

    def _let_go(self, now: float) -> None:
        """Keep nothing that is old by now; those at the front are the oldest."""
        while len(self._kept) > _MAX_KEPT or next(iter(self._kept.values())).made_at + LATE_SECONDS < now:
            del self._kept[next(iter(self._kept))]

    def _exposition(self, kind: Kind, now: float) -> Callable[[], Exposition]:
        """Return what writes that kind of what is known at this moment, in any thread."""
        match kind.part:
            case "api":
                return partial(api_exposition, feeds(self._cache, now), self._own(), kind.media)
            case "dcgm":
                return partial(dcgm_exposition, self._reports(kind.host, now), kind.media)
            case "all" if kind.host is None:
                return partial(exposition, reports(self._cache, now), feeds(self._cache, now), self._own(), kind.media)
            case "all":
                return partial(host_exposition, self._reports(kind.host, now), kind.media)

    def _reports(self, name: str | None, now: float) -> list[Report]:
        if name is None:
            return reports(self._cache, now)
        host = self._cache.hosts.get(name)
        return [] if host is None else [report(self._cache, host, now)]


def _written(write: Callable[[], Exposition]) -> Content:
    written = write()
    return Content(written.body, written.content_type).finish()
