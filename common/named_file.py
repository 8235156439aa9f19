"""Small files that the operator names in a setting: read whole, or refused in one line.

What is checked is the file that was opened, so that nobody can put another in its place between the check and the
reading. Nothing of what a file holds is ever told.
"""

import os
import shlex
import stat
import sys
from pathlib import Path

from common import surroundings
from common.wording import refused

MOST_BYTES = 64 * 2**10

_BY_PATH = "file:"

_NOT_FOR_OTHERS = stat.S_IWGRP | stat.S_IRWXO
"""The owner's group may read: Kubernetes' `fsGroup` and a service's own group let the process in that way."""


def path_in(text: str) -> str:
    """Return the path where a setting's text is `file:PATH`; empty: it is something else."""
    return text.removeprefix(_BY_PATH) if text.startswith(_BY_PATH) else ""


def read(setting: str, path: str, most_bytes: int = MOST_BYTES) -> bytes:
    """Return what the file named in a setting holds.

    Raises:
        SettingsError: it is missing, unreadable, no regular file, or larger than `most_bytes`.
    """
    return _read(setting, path, most_bytes, is_secret=False)


def read_secret(setting: str, path: str) -> bytes:
    """Return what a file holds that is to be kept secret: its owner's, readable by its group at most.

    Raises:
        SettingsError: as for `read`; or its mode lets others use it, or its group write it.
    """
    return _read(setting, path, MOST_BYTES, is_secret=True)


def mode(path: str) -> str:
    """Return the mode of a file, such as 0600. Raises OSError."""
    return _octal(Path(path).stat().st_mode)


def without_waiting(path: str, flags: int) -> int:
    """Open a file, as `open` asks its opener to; a pipe would wait for somebody to write."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read(setting: str, path: str, most_bytes: int, *, is_secret: bool) -> bytes:
    try:
        with open(path, "rb", opener=without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise refused(setting, path, "a regular file")
            # Windows keeps no such modes: there every file seems open to all.
            if is_secret and status.st_mode & _NOT_FOR_OTHERS and sys.platform != "win32":
                raise refused(setting, path, _private(path, status.st_mode))
            content = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise refused(setting, path, f"a file that can be read: {_reason(path, error)}") from None
    if len(content) > most_bytes:
        raise refused(setting, path, f"a file of at most {most_bytes // 2**10} KiB")
    return content


def _reason(path: str, error: OSError | ValueError) -> str:
    if isinstance(error, PermissionError):
        let_in = (
            f"chgrp to a group of that user's and chmod 640 {shlex.quote(path)}, and let it into the directories above"
        )
        return f"{error.strerror} for the user {surroundings.user()}: {let_in}"
    return str(error.strerror) if isinstance(error, OSError) else "no path has a NUL"


def _private(path: str, mode: int) -> str:
    return f"kept from others, with mode {_octal(mode)}: chmod 600 {shlex.quote(path)} (640 for its group)"


def _octal(mode: int) -> str:
    return f"{stat.S_IMODE(mode):04o}"
