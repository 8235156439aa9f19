"""Bodies of chosen hosts, made on the first request after a change and never per request.

What is asked for is a `Choice`. A body of very many GPUs is not made here and now, but given out as work: `Later`.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeVar

import msgspec

from api.answer import Content, json_content
from api.cache import Cache
from api.selection import NotFresh, Selection, oldest, select
from api.wanted import EVERYTHING, Wanted

MERGED_SECONDS = 1.0
"""A body of several hosts is made at most once in this time, however many snapshots arrive."""

MAX_KEPT = 8
"""Bodies, and queries answered, that are kept at once for one host, and for all: filters make many of both."""

MOST_KEPT_BYTES = 64 * 2**20
"""Of all bodies that are kept; beyond that, the hosts that were asked for longest ago are let go."""

MANY_GPUS = 64
"""A body of more GPUs takes more than a millisecond or two."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Choice(NamedTuple):
    """What is asked for: one host or all (None), how old it may be (None: as long as fresh), and which GPUs."""

    host: str | None = None
    max_age: float | None = None
    wanted: Wanted = EVERYTHING


class _Body:
    """The body of one selection of hosts, once it is made, and until when it may be shown."""

    content: Content | None = None

    def __init__(self, selection: Selection, make: Callable[[], Content], version: Hashable, now: float) -> None:
        self.make = make
        self.sealed_at = oldest(selection.chosen).sealed_at
        self._fresh_until = selection.fresh_until
        self._is_merged = len(selection.chosen) > 1
        self._version = version
        self._made_at = now

    def expires(self, max_age: float | None) -> float:
        """Return until when what is in it is as fresh as it says, and no older than the request admits."""
        return self._fresh_until if max_age is None else min(self._fresh_until, self.sealed_at + max_age)

    def is_latest(self, version: Hashable, now: float) -> bool:
        """Return whether there is no news, or news that must wait."""
        return self._version == version or (self._is_merged and now < self._made_at + MERGED_SECONDS)


class Rendered(NamedTuple):
    """The answer to one choice: a body, which others may share, when the oldest snapshot in it was sealed, its tag, and
    until when it holds; both times on the clock of `now`."""

    content: Content
    sealed_at: float
    etag: str
    expires: float
    of: _Body


class Making(NamedTuple):
    """A body that takes a while: `make` may be called in any thread, once for all who ask for the same, and what it
    returns is to be given to `keep`."""

    make: Callable[[], Content]
    keep: Callable[[Content], Rendered]


@dataclass(slots=True)
class _Kept:
    """What is kept for one host, or for all: the answers by what was asked, and the bodies by what is in them."""

    rendered: dict[Choice, Rendered] = field(default_factory=dict)
    bodies: dict[Hashable, _Body] = field(default_factory=dict)
    counted_bytes: int = 0
    """What it was reckoned to take when something was last put into it."""

    @property
    def size_bytes(self) -> int:
        """The bytes of all bodies, but those that are being made."""
        contents = {one.content for one in self.rendered.values()} | {body.content for body in self.bodies.values()}
        return sum(content.size_bytes for content in contents if content is not None)


class Bodies:
    """Renders one kind of body for any choice, and keeps it while it is true."""

    def __init__(self, cache: Cache, body_of: Callable[[Selection, Wanted], msgspec.Struct]) -> None:
        self._cache = cache
        self._body_of = body_of
        self._kept: OrderedDict[str | None, _Kept] = OrderedDict()
        """Who was asked for last is at the end."""

        self._size_bytes = 0

    def get(self, choice: Choice, now: float) -> Rendered | NotFresh | Making:
        """Return the body that was chosen, or that no host is fresh, or what must be done for it first."""
        kept = self._kept.get(choice.host)
        rendered = None if kept is None else kept.rendered.get(choice)
        if rendered is not None and now <= rendered.expires and rendered.of.is_latest(self._version(choice.host), now):
            return rendered
        selection = select(self._cache, choice.host, choice.max_age, now)
        if isinstance(selection, NotFresh):
            return selection
        kept = self._kept.setdefault(choice.host, _Kept())
        self._kept.move_to_end(choice.host)
        body = self._body(kept.bodies, choice, selection, now)
        if body.content is None and _is_small(selection):
            body.content = body.make()
        making = Making(body.make, partial(self._rendered, kept, choice, body))
        return making if body.content is None else making.keep(body.content)

    def _body(self, bodies: dict[Hashable, _Body], choice: Choice, selection: Selection, now: float) -> _Body:
        """Return what is kept of that selection, whoever asked for it, or one that is yet to be made."""
        shown = _shown(selection), choice.wanted
        version = self._version(choice.host)
        body = bodies.get(shown)
        if body is None or now > body.expires(choice.max_age) or not body.is_latest(version, now):
            body = _Body(selection, partial(self._content, selection, choice.wanted), version, now)
            _keep(bodies, shown, body)
        return body

    def _content(self, selection: Selection, wanted: Wanted) -> Content:
        content = json_content(self._body_of(selection, wanted))
        return content if _is_small(selection) else content.finish()

    def _rendered(self, kept: _Kept, choice: Choice, body: _Body, content: Content) -> Rendered:
        body.content = content
        etag = content.tag(repr(choice))
        rendered = Rendered(content, body.sealed_at, etag, body.expires(choice.max_age), body)
        _keep(kept.rendered, choice, rendered)
        if self._kept.get(choice.host) is kept:
            self._count(kept)
        return rendered

    def _count(self, kept: _Kept) -> None:
        """Reckon anew what is kept of one host, and let others go if it is too much."""
        size_bytes = kept.size_bytes
        self._size_bytes += size_bytes - kept.counted_bytes
        kept.counted_bytes = size_bytes
        while self._size_bytes > MOST_KEPT_BYTES and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._size_bytes -= gone.counted_bytes

    def _version(self, host: str | None) -> Hashable:
        """What changes with every snapshot of the host, or of any host, and when one turns out to be older."""
        if host is None:
            return self._cache.version
        heard = self._cache.hosts.get(host)
        return heard and (heard.snapshot.run_id, heard.snapshot.sequence, heard.sealed_at)


def _shown(selection: Selection) -> Hashable:
    """What a body of that selection differs in from others of the same version."""
    chosen = tuple((one.snapshot.host, one.is_stale, one.has_rival) for one in selection.chosen)
    return chosen, tuple(selection.missing)


def _is_small(selection: Selection) -> bool:
    return sum(len(chosen.snapshot.gpus) for chosen in selection.chosen) <= MANY_GPUS


def _keep(kept: dict[Key, Value], key: Key, value: Value) -> None:
    """Keep it in place of the one kept for longest; what was asked for without any parameter is never pushed out."""
    kept.pop(key, None)
    if len(kept) >= MAX_KEPT:
        del kept[next(other for other in kept if not _is_plain(other))]
    kept[key] = value


def _is_plain(key: object) -> bool:
    return isinstance(key, Choice) and key[1:] == Choice()[1:]
