"""Who may subscribe: the public keys in a directory, one file for each. ZAP requests in, replies out (ZeroMQ RFC 27).

No socket here: `publisher` carries the words. A file `NAME.public` lets in whoever has that key's secret; all other
names in the directory are left alone. To let NAME in no more, remove the file.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from common import curve
from common.seldom import Seldom
from common.wording import refused

_log = logging.getLogger(__name__)

SETTING = "feed_authorized_keys"
PUBLIC_SUFFIX = ".public"
MOST_KEYS = 1000
"""All are looked at once a second, on the event loop: so many take it 20 ms."""

_VERSION = b"1.0"
_KEY_BYTES = 32
_PARTS = 7
"""Of a request about CURVE: version, request id, domain, address, identity, mechanism, key."""


class Gate:
    """The keys in a directory, as it was when it was loaded last. `now` gives seconds on a clock that is never set
    back."""

    def __init__(self, directory: str, now: Callable[[], float], own_key: bytes = b"") -> None:
        """`own_key` is the collector's public one, which opens nothing: a check on this machine asks with it who is
        there, and is refused without a word.

        Raises:
            SettingsError: the directory cannot be had, has no key, or has a file that is none.
        """
        self._directory = directory
        self._now = now
        self._own_key = own_key.decode()
        self._refused = Seldom()
        self._names: dict[str, str] = {}
        self.listeners: list[Callable[[], None]] = []
        """Called when somebody who was let in must not be any more."""
        self._names = self._read()
        if not self._names:
            raise refused(SETTING, directory, f"a directory with a public key: no NAME{PUBLIC_SUFFIX} is in it")

    @property
    def names(self) -> list[str]:
        """Who may subscribe."""
        return sorted(self._names.values())

    @property
    def files(self) -> Sequence[str]:
        """The directory, and the files in it that count."""
        try:
            return (self._directory, *(str(path) for path in self._paths()))
        except OSError:
            return (self._directory,)

    def load(self) -> str:
        """Read the directory again; return who came and went, in words, empty if nobody did. When the last key was
        removed, nobody is let in any more.

        Raises:
            SettingsError: as when it was first read, but for an empty one; the former keys stay.
        """
        before, self._names = self._names, self._read()
        came, went = self._names.keys() - before.keys(), before.keys() - self._names.keys()
        if went:
            for tell in self.listeners:
                tell()
        if went and not self._names:
            _log.warning("%s has no public key any more: nobody may subscribe", self._directory)
        changes = {"added": _listed(self._names, came), "removed": _listed(before, went)}
        return "; ".join(f"{change} {names}" for change, names in changes.items() if names)

    def concern(self, _unix_seconds: float) -> str:
        """Return what the operator should be told today: nothing, as keys do not expire."""
        return ""

    def answer(self, request: Sequence[bytes]) -> list[bytes]:
        """Return the reply to a ZAP request: who has one of the keys may subscribe, and nobody else."""
        number = request[1] if len(request) > 1 else b""
        name = self._name_of(request)
        if name is None:
            return [_VERSION, number, b"400", b"not authorized", b"", b""]
        _log.debug("%s may subscribe", name)
        return [_VERSION, number, b"200", b"OK", name.encode(), b""]

    def _name_of(self, request: Sequence[bytes]) -> str | None:
        if len(request) != _PARTS or request[0] != _VERSION or request[5] != b"CURVE" or len(request[6]) != _KEY_BYTES:
            return None
        address, key = request[3], curve.text(request[6])
        name = self._names.get(key)
        if name is None and key != self._own_key:
            self._log_refused(address.decode("ascii", "replace").removeprefix("::ffff:")[:100], key)
        return name

    def _log_refused(self, address: str, key: str) -> None:
        # Counted together: whoever has no key can make up as many as they like.
        if times := self._refused.count("", self._now()):
            _log.warning(
                "refused a subscriber from %s: its public key %s is not in %s (%d more since the last such line)",
                address,
                key,
                self._directory,
                times - 1,
            )

    def _read(self) -> dict[str, str]:
        try:
            paths = self._paths()
        except OSError as error:
            raise refused(SETTING, self._directory, f"a directory that can be read: {error.strerror}") from None
        if len(paths) > MOST_KEYS:
            raise refused(SETTING, self._directory, f"a directory of at most {MOST_KEYS} keys")
        return {curve.read_public(SETTING, str(path)).decode(): path.name.removesuffix(PUBLIC_SUFFIX) for path in paths}

    def _paths(self) -> list[Path]:
        return sorted(path for path in Path(self._directory).iterdir() if path.name.endswith(PUBLIC_SUFFIX))


def _listed(names: dict[str, str], keys: set[str]) -> str:
    return ", ".join(sorted(names[key] for key in keys))
