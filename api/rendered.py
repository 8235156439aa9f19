"""Bodies as bytes, made on the first request after a change and never per request."""

import gzip
import hashlib
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import msgspec

from api.cache import Cache
from api.selection import NotFresh, Selection, oldest, select

MERGED_SECONDS = 1.0
"""A body of several hosts is made at most once in this time, however many snapshots arrive."""

MAX_BODIES = 64
"""Bodies kept at once beside one for each host; `max_age` makes as many as somebody asks for."""

_encoder = msgspec.json.Encoder()


class Rendered:
    """A body, both its encodings and its tag. `sealed_at` is the oldest snapshot's moment, on the clock of `now`."""

    def __init__(self, selection: Selection, body: bytes, query: str, now: float) -> None:
        self.body = body
        self.sealed_at = now - oldest(chosen.host for chosen in selection.chosen).age_seconds(now)
        self.etag = f'W/"{hashlib.blake2b(body, digest_size=12, person=_person(query)).hexdigest()}"'

    @cached_property
    def gzipped(self) -> bytes:
        """The body, compressed when first asked for so."""
        return gzip.compress(self.body, compresslevel=6, mtime=0)


class _Kept(NamedTuple):
    rendered: Rendered
    is_merged: bool
    made_at: float
    version: tuple[str, int] | int
    expires: float


class Bodies:
    """Renders one kind of body for any choice of hosts, and keeps it while it is true."""

    def __init__(self, cache: Cache, body_of: Callable[[Selection], msgspec.Struct]) -> None:
        self._cache = cache
        self._body_of = body_of
        self._kept: dict[tuple[str | None, float | None], _Kept] = {}

    def get(self, host: str | None, max_age: float | None, now: float) -> Rendered | NotFresh:
        """Return the body for that host (None: all) and `max_age` (None: as long as fresh), or that none is fresh."""
        query = host, max_age
        kept = self._kept.get(query)
        if kept is not None and self._is_true(kept, host, now):
            return kept.rendered
        selection = select(self._cache, host, max_age, now)
        if isinstance(selection, NotFresh):
            return selection
        rendered = Rendered(selection, _encoder.encode(self._body_of(selection)), repr(query), now)
        self._kept.pop(query, None)
        if len(self._kept) >= MAX_BODIES + len(self._cache.hosts):
            del self._kept[next(iter(self._kept))]  # the one made first
        is_merged = len(selection.chosen) > 1
        self._kept[query] = _Kept(rendered, is_merged, now, self._version(host), selection.expires)
        return rendered

    def _is_true(self, kept: _Kept, host: str | None, now: float) -> bool:
        if now > kept.expires:
            return False
        return kept.version == self._version(host) or (kept.is_merged and now < kept.made_at + MERGED_SECONDS)

    def _version(self, host: str | None) -> tuple[str, int] | int:
        """What changes with every snapshot of the host, or of any host."""
        if host is None:
            return self._cache.version
        snapshot = self._cache.hosts[host].snapshot
        return snapshot.run_id, snapshot.sequence


def _person(query: str) -> bytes:
    return hashlib.blake2b(query.encode(), digest_size=hashlib.blake2b.PERSON_SIZE).digest()
