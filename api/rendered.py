"""Bodies as bytes, made on the first request after a change and never per request."""

import gzip
import hashlib
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import NamedTuple, TypeVar

import msgspec

from api.cache import Cache
from api.selection import NotFresh, Selection, oldest, select

MERGED_SECONDS = 1.0
"""A body of several hosts is made at most once in this time, however many snapshots arrive."""

MAX_KEPT = 16
"""Bodies, and queries answered, that are kept at once for one host, and for all: `max_age` makes many of both."""

_encoder = msgspec.json.Encoder()

Key = TypeVar("Key")
Value = TypeVar("Value")


class _Body:
    """The body of one choice of hosts, both its encodings, and until when it may be shown."""

    def __init__(self, selection: Selection, plain: bytes, version: Hashable, now: float) -> None:
        self.plain = plain
        self.sealed_at = oldest(chosen.host for chosen in selection.chosen).sealed_at
        self._digest = hashlib.blake2b(plain).digest()
        self._fresh_until = selection.fresh_until
        self._is_merged = len(selection.chosen) > 1
        self._version = version
        self._made_at = now

    @cached_property
    def gzipped(self) -> bytes:
        """The body, compressed when first asked for so."""
        return gzip.compress(self.plain, compresslevel=6, mtime=0)

    def tag(self, query: str) -> str:
        """Return the tag of this body as the answer to that query."""
        return f'W/"{hashlib.blake2b(self._digest + query.encode(), digest_size=12).hexdigest()}"'

    def expires(self, max_age: float | None) -> float:
        """Return until when what is in it is as fresh as it says, and no older than the request admits."""
        return self._fresh_until if max_age is None else min(self._fresh_until, self.sealed_at + max_age)

    def is_latest(self, version: Hashable, now: float) -> bool:
        """Return whether there is no news, or news that must wait."""
        return self._version == version or (self._is_merged and now < self._made_at + MERGED_SECONDS)


class Rendered(NamedTuple):
    """The answer to one query: a body, which others may share, its tag, and until when it holds."""

    of: _Body
    etag: str
    expires: float

    @property
    def body(self) -> bytes:
        """The body as it is."""
        return self.of.plain

    @property
    def gzipped(self) -> bytes:
        """The body, compressed."""
        return self.of.gzipped

    @property
    def sealed_at(self) -> float:
        """When the oldest snapshot in it was sealed, on the clock of `now`."""
        return self.of.sealed_at


class _Kept(NamedTuple):
    """What is kept for one host, or for all: the answers by `max_age`, and the bodies by what was chosen."""

    rendered: dict[float | None, Rendered]
    bodies: dict[Hashable, _Body]


class Bodies:
    """Renders one kind of body for any choice of hosts, and keeps it while it is true."""

    def __init__(self, cache: Cache, body_of: Callable[[Selection], msgspec.Struct]) -> None:
        self._cache = cache
        self._body_of = body_of
        self._kept: dict[str | None, _Kept] = {}

    def get(self, host: str | None, max_age: float | None, now: float) -> Rendered | NotFresh:
        """Return the body for that host (None: all) and `max_age` (None: as long as fresh), or that none is fresh."""
        kept = self._kept.get(host)
        rendered = None if kept is None else kept.rendered.get(max_age)
        if rendered is not None and now <= rendered.expires and rendered.of.is_latest(self._version(host), now):
            return rendered
        selection = select(self._cache, host, max_age, now)
        if isinstance(selection, NotFresh):
            return selection
        kept = self._kept.setdefault(host, _Kept({}, {}))
        body = self._body(kept.bodies, selection, self._version(host), max_age, now)
        rendered = Rendered(body, body.tag(repr((host, max_age))), body.expires(max_age))
        _keep(kept.rendered, max_age, rendered)
        return rendered

    def _body(
        self, bodies: dict[Hashable, _Body], selection: Selection, version: Hashable, max_age: float | None, now: float
    ) -> _Body:
        """Return what is kept of that choice, whoever asked for it, or make it."""
        choice = tuple((host.snapshot.host, *judged) for host, *judged in selection.chosen), tuple(selection.missing)
        body = bodies.get(choice)
        if body is None or now > body.expires(max_age) or not body.is_latest(version, now):
            body = _Body(selection, _encoder.encode(self._body_of(selection)), version, now)
            _keep(bodies, choice, body)
        return body

    def _version(self, host: str | None) -> Hashable:
        """What changes with every snapshot of the host, or of any host, and when one turns out to be older."""
        if host is None:
            return self._cache.version
        heard = self._cache.hosts[host]
        return heard.snapshot.run_id, heard.snapshot.sequence, heard.sealed_at


def _keep(kept: dict[Key, Value], key: Key, value: Value) -> None:
    """Keep it in place of the one kept for longest; what is asked for without `max_age` is never pushed out."""
    kept.pop(key, None)
    if len(kept) >= MAX_KEPT:
        del kept[next(other for other in kept if other is not None)]
    kept[key] = value
