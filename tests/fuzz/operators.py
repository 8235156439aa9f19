"""The doors of the operator: the settings, and the files that they name."""

import contextlib
import io
import os
import tempfile
from pathlib import Path
from typing import Any

from tornado.netutil import bind_sockets
from zmq.utils import z85

from api.feeds import Feeds
from api.tls import Certificate
from api.tokens import FEWEST_CHARACTERS, Tokens
from common import curve
from common.settings import PREFIX, ApiSettings, CollectorSettings, SettingsError, load

_DIRECTORY = tempfile.TemporaryDirectory()
_FILE = Path(_DIRECTORY.name) / "file"
_KEY = Path(_DIRECTORY.name) / "key"
for _path in (_FILE, _KEY):
    _path.touch(mode=0o600)
_KEY.write_text("JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6")


def settings(data: bytes) -> None:
    """Load both processes' settings. What begins with the prefix of variables is one, all else is an argument; a NUL is
    between them, as it is in no such text."""
    texts = [os.fsdecode(text) for text in data.split(b"\0")]
    environ = {name: value for name, _, value in (text.partition("=") for text in texts) if name.startswith(PREFIX)}
    argv = [text for text in texts if not text.startswith(PREFIX)]
    for kind in (CollectorSettings, ApiSettings):
        loaded = _loaded(kind, argv, environ)
        if isinstance(loaded, ApiSettings):
            _try_to_listen(loaded.api_address)


def _loaded(kind: Any, argv: list[str], environ: dict[str, str]) -> object:
    try:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            return load(kind, argv, environ)
    except SettingsError as error:
        check_said(error)
    except SystemExit:
        assert said.getvalue().startswith("usage:")
    return None


def _try_to_listen(address: str) -> None:
    with contextlib.suppress(OSError):  # the API says so, and ends with status 1
        for listening in bind_sockets(0, address):
            listening.close()


def tokens(data: bytes) -> None:
    """Read a file of tokens."""
    _FILE.write_bytes(data)
    try:
        holders = Tokens(str(_FILE))
    except SettingsError as error:
        check_said(error)
        check_secret(data, str(error))
        return
    for word in data.decode("utf-8-sig").split():
        holders.holder_of(f"Bearer {word}")


def feeds(data: bytes) -> None:
    """Read a list of feeds, with a key of the API's own and without."""
    _FILE.write_bytes(data)
    for more in ([], [f"--feed-client-key={_KEY}"]):
        try:
            found = Feeds(load(ApiSettings, [f"--feed-connect=file:{_FILE}", *more], {}))
        except SettingsError as error:
            check_said(error)
        else:
            assert len(set(found.endpoints)) == len(found.endpoints) > 0


def key(data: bytes) -> None:
    """Read a file of a key."""
    _FILE.write_bytes(data)
    for read in (curve.read_secret, curve.read_public):
        try:
            found = read("feed_client_key", str(_FILE))
        except SettingsError as error:
            check_said(error)
            check_secret(data, str(error))
        else:
            assert curve.text(z85.decode(found)).encode() == found


def certificate(data: bytes) -> None:
    """Read a file of a certificate and its key."""
    _FILE.write_bytes(data)
    try:
        found = Certificate(str(_FILE), str(_FILE))
    except SettingsError as error:
        check_said(error)
    else:
        found.concern(0.0)


def check_said(error: SettingsError) -> None:
    """Fail unless what is said of a setting is one line, whatever was said in it."""
    assert len(str(error).splitlines()) == 1, str(error)
    assert str(error).isprintable(), str(error)


def check_secret(content: bytes, said: str) -> None:
    """Fail if what is said repeats what could be a secret."""
    for word in content.split():
        assert len(word) < FEWEST_CHARACTERS or word.decode("latin-1") not in said
