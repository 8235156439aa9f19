"""Which feeds are subscribed to: those that the settings name, or a file that they name lists. No socket here.

Such a file has a line for each collector: its endpoint and, where it has one of its own, its public key. Blank lines,
and lines that begin with `#`, say nothing. When the file changes, who is still in it is not disturbed.
"""

import asyncio
import itertools
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from api import open_files
from common import curve, endpoint, named_file
from common.combinations import check_feed
from common.settings import ApiSettings, SettingsError
from common.wording import PREFIX, refused

SETTING = "feed_connect"
MOST_FEEDS = 10_000
MOST_LIST_BYTES = 4 * 2**20

FILES_PER_FEED = 4
"""Files that a subscription holds open: its connection, and what libzmq wakes us by."""

FILES_FOR_THE_REST = 50
"""Files that are open for all else but HTTP's connections, which leave the feeds half of all (see `connections`)."""


class Feed(NamedTuple):
    """Where one collector publishes, and its public key; None: what it publishes is not encrypted."""

    endpoint: str
    server_key: bytes | None = None


class Feeds:
    """The feeds, as they were when they were loaded last."""

    def __init__(self, settings: ApiSettings) -> None:
        """Raises SettingsError: a key or the list cannot be loaded, or a line of it cannot be."""
        self._text = settings.feed_connect
        self._path = settings.feed_file
        self._given = settings.feed_endpoints
        key = settings.feed_client_key
        self.secret_key = curve.read_secret("feed_client_key", key) if key else None
        key = settings.feed_server_key
        self._server_key = curve.public_key("feed_server_key", key) if key else None
        self.files = (self._path,) if self._path else ()
        self.listeners: list[Callable[[tuple[Feed, ...]], None]] = []
        """Called with all feeds when they have changed."""
        self.feeds = self._read()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where the feeds are."""
        return tuple(feed.endpoint for feed in self.feeds)

    def load(self) -> str:
        """Read the list again; return how many came and went, in words, empty if nothing changed.

        Raises:
            SettingsError: as when it was first read; the former feeds stay.
        """
        before, self.feeds = self.feeds, self._read()
        if self.feeds == before:
            return ""
        for tell in self.listeners:
            tell(self.feeds)
        came, went = set(self.feeds) - set(before), set(before) - set(self.feeds)
        return f"{len(came)} feeds are new, {len(went)} are gone, {len(self.feeds)} there are"

    def concern(self, _unix_seconds: float) -> str:
        """Return what the operator should be told today: nothing."""
        return ""

    async def check_names(self) -> None:
        """Look up every name in an endpoint. Raises SettingsError: there is no such name."""
        checks = [self._check_name(feed.endpoint) for feed in self.feeds]
        for failed in await asyncio.gather(*checks, return_exceptions=True):
            if isinstance(failed, BaseException):
                raise failed

    async def _check_name(self, text: str) -> None:
        name = endpoint.address(text)
        if name is None or endpoint.is_ip(name):
            return
        try:
            await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            # Where nobody could be asked, the name may be right: libzmq asks again each time that it connects.
            if error.errno in _NO_SUCH_NAME:
                raise refused(SETTING, text, f"an endpoint whose name is known: {error.strerror}") from None

    def _read(self) -> tuple[Feed, ...]:
        feeds = self._listed() if self._path else (Feed(each, self._server_key) for each in self._given)
        found = tuple(itertools.islice(feeds, MOST_FEEDS + 1))
        if not 0 < len(found) <= MOST_FEEDS:
            raise refused(SETTING, self._text, f"1 to {MOST_FEEDS} endpoints")
        wanted = 2 * (FILES_PER_FEED * len(found) + FILES_FOR_THE_REST)
        if (may_open := open_files.allow(wanted)) < wanted:
            expected = f"admitted by the limit of open files, {may_open}; {len(found)} feeds need {wanted} (ulimit -n)"
            raise refused(SETTING, self._text, expected)
        return found

    def _listed(self) -> Iterator[Feed]:
        lines_of: dict[str, int] = {}
        for number, line in enumerate(_lines(self._path), start=1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            try:
                feed = self._feed(words)
            except ValueError as error:
                raise self._refused(number, str(error)) from None
            if (earlier := lines_of.setdefault(feed.endpoint, number)) != number:
                raise self._refused(number, f"it has the endpoint of line {earlier}")
            yield feed

    def _feed(self, words: Sequence[str]) -> Feed:
        """Return what a line says. Raises ValueError: what is wrong with it, in words."""
        given, *keys = words
        try:
            check_feed(given)
        except SettingsError:
            raise ValueError("its endpoint is none of the form tcp://ADDRESS:PORT or ipc:///PATH") from None
        key = self._server_key if not keys else curve.key(keys[0])
        if len(keys) > 1 or (keys and key is None):
            raise ValueError(f"behind the endpoint is something else than one public key of {curve.KEY_CHARACTERS}")
        if key and self.secret_key is None:
            raise ValueError(f"it has a public key, for which {PREFIX}FEED_CLIENT_KEY must be set, too")
        return Feed(given, key)

    def _refused(self, number: int, reason: str) -> SettingsError:
        return refused(SETTING, self._text, f"a list of endpoints: line {number}: {reason}")


_NO_SUCH_NAME = {
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
}


def _lines(path: str) -> list[str]:
    try:
        return named_file.read(SETTING, path, MOST_LIST_BYTES).decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise refused(SETTING, f"file:{path}", "a list of endpoints: it is not UTF-8") from None
