"""The path of an `ipc://` endpoint: who is there already. libzmq itself would unlink whatever stands at the path, and
take the address of a publisher that is alive."""

import errno
import os
import socket
from pathlib import Path

_SCHEME = "ipc://"
_PROBE_SECONDS = 1


def path_of(endpoint: str) -> Path | None:
    """Return the path of an endpoint's socket; None: it has none."""
    return Path(endpoint.removeprefix(_SCHEME)) if endpoint.startswith(_SCHEME) else None


def taken_by(path: Path) -> str:
    """Return why nobody else may publish at a path, in words; empty: it is free, or left behind by a publisher that
    was killed."""
    if not os.access(path, os.F_OK):
        return ""
    if not path.is_socket():
        return "there is a file at that path that is no socket"
    with socket.socket(socket.AF_UNIX) as probe:
        # One whose queue is full does not answer, and is alive all the same.
        probe.settimeout(_PROBE_SECONDS)
        is_dead = probe.connect_ex(str(path)) == errno.ECONNREFUSED
    return "" if is_dead else os.strerror(errno.EADDRINUSE)
