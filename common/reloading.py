"""Files that are loaded again when they change, or when the process is told to by SIGHUP.

What cannot be loaded is logged, and what was loaded before stays in force. Nothing here knows what the files hold.
"""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from common.wording import SettingsError

_log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Time from one look at the files to the next."""

CONCERN_SECONDS = 86400.0
"""Time from one reminder of the same concern to the next."""

_Mark = tuple[tuple[int, ...] | None, ...]


class Watched(Protocol):
    """What was made of some files."""

    @property
    def files(self) -> Sequence[str]:
        """The paths of the files."""

    def load(self) -> str:
        """Read the files again; return what changed in words, empty if nothing did.

        Raises:
            SettingsError: it cannot be loaded; what was loaded before stays.
        """

    def concern(self, unix_seconds: float, /) -> str:
        """Return what the operator should be told today; empty: nothing."""


class Reloading:
    """Keeps what was made of files as the files are. `unix_seconds` gives the time of day."""

    def __init__(self, watched: Iterable[Watched], unix_seconds: Callable[[], float]) -> None:
        self._entries = [_Entry(each) for each in watched]
        self._unix_seconds = unix_seconds

    async def serve(self) -> None:
        """Look at the files about once a second, and load them at SIGHUP, until cancelled.

        With no files at all, a SIGHUP is taken just the same, as it would otherwise end the process. It is left to who
        handles it already.
        """
        with self._loading_at_hangup():
            while True:
                self.look()
                await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Load again what has changed, and say what the operator should know."""
        now = self._unix_seconds()
        for entry in self._entries:
            entry.look()
            entry.remind(now)

    def load(self) -> None:
        """Load everything again, changed or not."""
        for entry in self._entries:
            entry.load()

    @contextlib.contextmanager
    def _loading_at_hangup(self) -> Iterator[None]:
        if sys.platform == "win32":  # pragma: no cover -- Windows, where there is no SIGHUP
            yield
            return
        if callable(signal.getsignal(signal.SIGHUP)):  # as the demo does, which it ends
            yield
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self.load)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)


class _Entry:
    """One thing that is watched. The first looks load it, as its files may have changed since it was made of them."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._loaded: _Mark = ()
        self._seen: _Mark = ()
        self._reminded: tuple[str, float] | None = None
        self._was_refused = False

    def look(self) -> None:
        """Load what has changed once it has been the same for two looks: who writes it may not have finished."""
        mark = tuple(map(_mark, self._watched.files))
        is_settled, self._seen = mark == self._seen, mark
        if is_settled and mark != self._loaded:
            self.load()

    def load(self) -> None:
        # Marked before they are read: what changes meanwhile is then seen as a change.
        self._loaded = tuple(map(_mark, self._watched.files))
        try:
            changed = self._watched.load()
        except SettingsError as error:
            _log.error("%s; what was loaded before stays in force", error)
            self._was_refused = True
        else:
            if changed or self._was_refused:
                _log.info("loaded %s again: %s", " and ".join(self._watched.files), changed or "as it was before")
            self._was_refused = False

    def remind(self, unix_seconds: float) -> None:
        """Say what concern there is, again after a day."""
        concern = self._watched.concern(unix_seconds)
        said, said_at = self._reminded or ("", unix_seconds)
        if concern and (concern != said or abs(unix_seconds - said_at) >= CONCERN_SECONDS):
            self._reminded = concern, unix_seconds
            _log.warning("%s", concern)


def _mark(path: str) -> tuple[int, ...] | None:
    """Return what becomes another when a file changes, or the one that a symbolic link leads to; None: there is none.

    The time of its last change of status tells that it was given another owner or mode.
    """
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
