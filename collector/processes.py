"""What the operating system tells about the processes that use a GPU.

Processes end while one reads about them, and those of others may be hidden: what cannot be read is None.
"""

import re
from pathlib import Path

import msgspec

from common.gpu import Process

_PROC = Path("/proc")
_ALL_PROCESSES = "pid:[4026531836]"
"""The host's own namespace of process ids; the number is a constant of Linux (PROC_PID_INIT_INO)."""

_MOST_COMMAND_BYTES = 1024
_CONTAINER = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
"""The id of a container in the name of its cgroup, as Docker, containerd, CRI-O and Podman make it."""


def described(process: Process) -> Process:
    """Return a process with its name, owner, command line and container. NVML tells the process ids of the host, which
    within a container are others: there nothing, or another process, may be found."""
    name = _read(process.pid, "comm")
    command = _read(process.pid, "cmdline")
    container = _CONTAINER.search(_read(process.pid, "cgroup") or "")
    return msgspec.structs.replace(
        process,
        name=name and name.strip(),
        user=_owner(process.pid),
        command=(command and command.replace("\0", " ").strip()) or None,
        container_id=container and container[0],
    )


def blindness() -> str:
    """Return why other users' processes cannot be told of; empty: they can."""
    if _read(1, "comm") is None:
        return "/proc is not there, or hides the processes of other users (hidepid, systemd's ProtectProc)"
    try:
        is_foreign = (_PROC / "self/ns/pid").readlink().name != _ALL_PROCESSES
    except OSError:
        return ""
    return "this container numbers processes anew, and NVML tells the numbers of the host" if is_foreign else ""


def _read(pid: int | str, file: str) -> str | None:
    try:
        with (_PROC / str(pid) / file).open("rb") as opened:
            return opened.read(_MOST_COMMAND_BYTES).decode(errors="replace")
    except OSError:
        return None


def _owner(pid: int) -> str | None:
    try:
        return (_PROC / str(pid)).owner()
    except (OSError, KeyError, NotImplementedError):  # gone; a user without a name; not on this platform
        return None
