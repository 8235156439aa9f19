"""The doors by name, and the words that are worth trying at each, beside what is in its corpus."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from api.routes import ROUTES
from common.gpu import Gpu, Process, Xid, XidErrors
from common.settings import PREFIX, ApiSettings, CollectorSettings, names
from common.snapshot import Cost, Snapshot, Source, StalledCall
from common.wording import flag
from tests.fuzz import clients, feed, operators

CORPUS = Path(__file__).parent / "corpus"


class Door(NamedTuple):
    """What takes bytes from outside, and words that it knows."""

    knock: Callable[[bytes], None]
    words: tuple[bytes, ...] = ()


def _keys() -> tuple[bytes, ...]:
    kinds = (Snapshot, Source, StalledCall, Cost, Gpu, Process, Xid, XidErrors)
    return tuple(msgspec.msgpack.encode(name) for kind in kinds for name in kind.__struct_fields__)


def _queries() -> tuple[bytes, ...]:
    paths = tuple(route.path.encode() for route in ROUTES)
    parameters = {one.name.encode() + b"=" for route in ROUTES for one in route.parameters}
    headers = (b"Host: ", b"Accept: ", b"Accept-Encoding: ", b"If-None-Match: ", b"Last-Event-ID: ", b"Authorization: ")
    return (*paths, *sorted(parameters), *headers, f"Bearer {clients.TOKEN}".encode(), b"HEAD", b"OPTIONS")


def _settings() -> tuple[bytes, ...]:
    known = dict.fromkeys((*names(CollectorSettings), *names(ApiSettings)))
    return tuple(text.encode() for name in known for text in (f"{PREFIX}{name.upper()}=", f"{flag(name)}="))


DOORS = {
    "frame": Door(feed.frame, _keys()),
    "subscription": Door(feed.subscription, (b"\x031.0", b"\x05CURVE", b"\x20")),
    "recording": Door(feed.recording),
    "request": Door(clients.request, _queries()),
    "settings": Door(operators.settings, _settings()),
    "tokens": Door(operators.tokens),
    "feeds": Door(operators.feeds, (b"tcp://", b"ipc:///", b"[::1]", b":8481")),
    "key": Door(operators.key),
    "certificate": Door(operators.certificate, (b"-----BEGIN CERTIFICATE-----", b"-----BEGIN PRIVATE KEY-----")),
}


def corpus(name: str) -> list[Path]:
    """Return the files of a door's corpus."""
    return sorted((CORPUS / name).iterdir())
