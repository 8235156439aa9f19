"""Who may read: the bearer tokens of the token file (RFC 6750), and whom a request's `Authorization` names.

The file has a line `NAME TOKEN` for each holder; blank lines, and lines that begin with `#`, say nothing. To let
alice in, with a new token (it is also what to give to her):

    (umask 077; python3 -c 'import secrets; print("alice", secrets.token_urlsafe(32))' >>tokens)

To let her in no more, remove her line. No token is kept, logged or shown: only digests are, and of those no part is
shown either.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from common import named_file
from common.endpoint import is_loopback
from common.finding import Finding, warning
from common.settings import ApiSettings, SettingsError
from common.wording import PREFIX, refused

SETTING = "api_token_file"
FEWEST_CHARACTERS = 16
MOST_CHARACTERS = 1024

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_B64TOKEN = r"[A-Za-z0-9._~+/-]+=*"  # RFC 6750 section 2.1
_TOKEN = re.compile(_B64TOKEN)
_CREDENTIALS = re.compile(rf"(?i:bearer) +({_B64TOKEN})")  # RFC 9110 section 11.1: the scheme in any case
_LONGEST_HEADER = len("Bearer ") + MOST_CHARACTERS


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a token, known by name and token: the same name with another token is another holder."""

    name: str
    _digest: bytes = field(repr=False)

    def holds(self, digest: bytes) -> bool:
        """Return whether a digest is that of the holder's token, in the same time whatever it is."""
        return hmac.compare_digest(self._digest, digest)


class Tokens:
    """The holders in a token file, as it was when it was loaded last."""

    def __init__(self, path: str) -> None:
        """Raises SettingsError: the file cannot be had, is not kept from others, or is no list of tokens."""
        self.files = (path,)
        self._path = path
        self._holders: frozenset[Holder] = frozenset()
        self.load()

    def load(self) -> str:
        """Read the file again; return which holders came and went, in words, empty if none did.

        Raises:
            SettingsError: as when it was first read; the former holders stay.
        """
        before, self._holders = self._holders, frozenset(_parse(self._path))
        came, went = ({holder.name for holder in some} for some in (self._holders - before, before - self._holders))
        changes = {"added": came - went, "removed": went - came, "another token for": came & went}
        return "; ".join(f"{change} {', '.join(sorted(names))}" for change, names in changes.items() if names)

    def concern(self, _unix_seconds: float) -> str:
        """Return what the operator should be told today: nothing, as tokens do not expire."""
        return ""

    def holder_of(self, authorization: str | None) -> Holder | None:
        """Return who holds the token that an `Authorization` header carries; None: nobody, or it carries none.

        Every token is compared, and in constant time, so that the time tells nothing of any.
        """
        if authorization is None or len(authorization) > _LONGEST_HEADER:
            return None
        credentials = _CREDENTIALS.fullmatch(authorization)
        if credentials is None:
            return None
        digest = _digest(credentials[1])
        found = [holder for holder in self._holders if holder.holds(digest)]
        return found[0] if found else None

    @property
    def count(self) -> int:
        """How many holders there are."""
        return len(self._holders)

    def has(self, holder: Holder) -> bool:
        """Return whether a holder still holds the same token: if not, what was begun for it must end."""
        return holder in self._holders


def overheard(settings: ApiSettings) -> Finding | None:
    """Return that tokens can be overheard, where they can; None: they are not used, or go through TLS or loopback."""
    if not settings.api_token_file or settings.api_tls_cert or is_loopback(settings.api_address):
        return None
    todo = f"set {PREFIX}API_TLS_CERT and _KEY, or let nobody but a TLS proxy reach this port"
    return warning("tokens", "tokens come over plain HTTP and can be overheard", todo)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("ascii")).digest()


def _parse(path: str) -> Iterator[Holder]:
    """Give the holders in a file. Raises SettingsError, which names the line, and nothing that stands in it."""
    lines_of: dict[str | bytes, int] = {}
    for number, line in enumerate(_lines(path), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if wrong := _what_is_wrong(words):
            raise _refused(path, f"line {number} {wrong}")
        name, digest = words[0], _digest(words[1])
        for what, key in (("name", name), ("token", digest)):
            if (earlier := lines_of.setdefault(key, number)) != number:
                raise _refused(path, f"line {number} has the {what} of line {earlier}; each may be there once")
        yield Holder(name, digest)
    if not lines_of:
        raise _refused(path, "it has no token, which would lock everybody out")


def _lines(path: str) -> list[str]:
    try:
        return named_file.read_secret(SETTING, path).decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise _refused(path, "it is not UTF-8") from None


def _what_is_wrong(words: list[str]) -> str:
    if len(words) != 2:  # noqa: PLR2004 -- a name and a token
        return "is not a name, a blank and a token"
    if not _NAME.fullmatch(words[0]):
        return "has a name that is not 1 to 64 letters, digits, '.', '_' and '-'"
    if not _TOKEN.fullmatch(words[1]):
        return "has a token of other characters than letters, digits and '-._~+/', with '=' at its end"
    if not FEWEST_CHARACTERS <= len(words[1]) <= MOST_CHARACTERS:
        return f"has a token that is not {FEWEST_CHARACTERS} to {MOST_CHARACTERS} characters long"
    return ""


def _refused(path: str, reason: str) -> SettingsError:
    return refused(SETTING, path, f"a list of tokens: {reason}")
