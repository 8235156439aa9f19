"""What a process runs in: whose it is, on what platform, and with which versions of what it is made of."""

import getpass
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from common.version import VERSION

if sys.platform != "win32":
    import pwd

PROJECT = "gpu-fleet-manager"


def user() -> str:
    """Return the name of the user that this process runs as; its number where the system knows no name of it."""
    if sys.platform == "win32":
        return getpass.getuser()
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"{os.geteuid()}, which has no name here"


def system() -> str:
    """Return the platform in a few words."""
    return platform.platform(terse=True)


def versions(*packages: str) -> dict[str, str | None]:
    """Return the versions of this project, of Python, and of packages; None: it is not installed as one."""
    return {
        PROJECT: VERSION,
        "Python": platform.python_version(),
        **{package: _version(package) for package in packages},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
