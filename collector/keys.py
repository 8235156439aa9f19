"""Makes a key pair for one end of the feed: `python -m collector.keys NAME`.

NAME.secret is for its owner alone, with mode 0600; NAME.public is for whoever is to know it again: an API's for the
collectors' `FEED_AUTHORIZED_KEYS`, a collector's for the APIs' `FEED_SERVER_KEY`. What is there is never overwritten.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import zmq

from collector.gate import PUBLIC_SUFFIX
from common.output import OutputError, say

_SECRET_SUFFIX = ".secret"  # noqa: S105 -- the end of a file's name

_TOLD = """\
{secret}: secret. GPU_METRICS_FEED_SECRET_KEY of a collector, GPU_METRICS_FEED_CLIENT_KEY of an API or a tap.
{public}: for everybody. An API's goes into the directory that is GPU_METRICS_FEED_AUTHORIZED_KEYS of the
collectors; a collector's is GPU_METRICS_FEED_SERVER_KEY of the APIs, as file:{public} or as the text in it.
"""


class KeyFileError(Exception):
    """The operator's: a key cannot be kept there; the message names the file, and why."""


def main(argv: Sequence[str]) -> int:
    """Make the files, and return the exit status: 1 if one is there already, or cannot be made, or cannot be told."""
    arguments = _parser().parse_args(argv)
    secret, public = (arguments.directory / f"{arguments.name}{suffix}" for suffix in (_SECRET_SUFFIX, PUBLIC_SUFFIX))
    try:
        _make(secret, public)
        say(_TOLD.format(secret=secret, public=public))
    except (KeyFileError, OutputError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m collector.keys", description=__doc__, allow_abbrev=False)
    parser.add_argument("name", metavar="NAME", type=_name, help="what the files are called, such as the host's name")
    parser.add_argument(
        "--directory", metavar="PATH", type=Path, default=Path(), help="where to put them (default: here)"
    )
    return parser


def _name(text: str) -> str:
    if not text or text.startswith(".") or Path(text).name != text:
        raise argparse.ArgumentTypeError(f"{text!r} is no name for a file")
    return text


def _pair() -> tuple[bytes, bytes]:
    """Return a public and a secret key. None begins with what flags, comments and paths begin with."""
    while True:
        public, secret = zmq.curve_keypair()
        if public[:1].isalnum() and secret[:1].isalnum():
            return public, secret


def _make(secret: Path, public: Path) -> None:
    """Make both files. Raises KeyFileError: neither was made."""
    public_key, secret_key = _pair()
    with contextlib.ExitStack() as made:
        for path, key, mode in ((secret, secret_key, 0o600), (public, public_key, 0o644)):
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
                made.callback(path.unlink)
                _write(descriptor, key, mode)
            except OSError as error:
                reason = "is there already" if isinstance(error, FileExistsError) else error.strerror
                raise KeyFileError(f"{path}: {reason}; no key there was changed") from None
        made.pop_all()


def _write(descriptor: int, key: bytes, mode: int) -> None:
    with os.fdopen(descriptor, "wb") as file:
        if sys.platform != "win32":  # which knows no such modes
            os.fchmod(descriptor, mode)
        file.write(key + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
