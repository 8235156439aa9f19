"""What scrapes are told: each kind written at most once a second, and always away from other requests. Pure."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from api.answer import Content
from api.cache import Cache
from api.prometheus import Exposition, Own, dcgm_exposition, exposition
from api.reports import Report, report, reports

WRITTEN_SECONDS = 1.0
"""For how long what was written is told to others who ask the same."""

MAX_HOSTS_MERGED = 100
"""Hosts in one scrape. To write those of 8 GPUs takes about half a second, and Prometheus can ask for each alone."""

_MAX_KEPT = 64
_MAX_ACCEPT = 500
"""Characters of an Accept header that are read. Prometheus sends 300."""


class Kind(NamedTuple):
    """What is scraped: one host or all (None), in whose names, and what the Accept header says."""

    host: str | None
    is_dcgm: bool
    accept: str


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

    def get(self, host: str | None, *, is_dcgm: bool, accept: str, now: float) -> Scrape:
        """Return what is kept of such a scrape, or one that is yet to be made."""
        kind = Kind(host, is_dcgm, accept[:_MAX_ACCEPT])
        scrape = self._kept.get(kind)
        if scrape is None or now >= scrape.made_at + WRITTEN_SECONDS:
            self._kept.pop(kind, None)
            scrape = self._kept[kind] = Scrape(partial(_written, self._reports(host, now), self._own(), kind), now)
        if len(self._kept) > _MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        return scrape

    def _reports(self, name: str | None, now: float) -> list[Report]:
        if name is None:
            return reports(self._cache, now)
        host = self._cache.hosts.get(name)
        return [] if host is None else [report(self._cache, host, now)]


def _written(told: list[Report], own: Own, kind: Kind) -> Content:
    written: Exposition = dcgm_exposition(told, kind.accept) if kind.is_dcgm else exposition(told, own, kind.accept)
    content = Content(written.body, written.content_type)
    # Now, where it keeps nobody waiting.
    _ = content.gzipped, content.digest
    return content
