"""Makes a key pair for one end of the feed: `python -m collector.keys NAME`.

NAME.secret is for its owner alone, with mode 0600; NAME.public is for whoever is to know it again: an API's for the
collectors' `FEED_AUTHORIZED_KEYS`, a collector's for the APIs' `FEED_SERVER_KEY`. What is there is never overwritten.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import zmq

from common.curve import PUBLIC_SUFFIX, SECRET_SUFFIX

_TOLD = """\
{secret}: secret. GPU_METRICS_FEED_SECRET_KEY of a collector, GPU_METRICS_FEED_CLIENT_KEY of an API or a tap.
{public}: for everybody. An API's goes into the directory that is GPU_METRICS_FEED_AUTHORIZED_KEYS of the
collectors; a collector's is GPU_METRICS_FEED_SERVER_KEY of the APIs, as file:{public} or as the text in it.
"""


def main(argv: Sequence[str]) -> int:
    """Make the files, and return the exit status: 1 if one is there already, or cannot be made."""
    arguments = _parser().parse_args(argv)
    public, secret = _pair()
    paths = [arguments.directory / f"{arguments.name}{suffix}" for suffix in (SECRET_SUFFIX, PUBLIC_SUFFIX)]
    try:
        _refuse_existing(paths)
        _write(paths[0], secret, 0o600)
        _write(paths[1], public, 0o644)
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}; no key there was changed\n")
        return 1
    sys.stdout.write(_TOLD.format(secret=paths[0], public=paths[1]))
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


def _refuse_existing(paths: Sequence[Path]) -> None:
    for path in paths:
        if os.path.lexists(path):
            raise FileExistsError(17, "is there already", str(path))


def _write(path: Path, key: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        if sys.platform != "win32":  # which knows no such modes
            os.fchmod(descriptor, mode)
        file.write(key + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
