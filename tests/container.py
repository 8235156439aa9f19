"""Runs an image as `docker run` would with what the compose file asks for, where there is no engine.

Its command is process 1 of a pid namespace, its root file system is read-only but for a directory in memory; it has no
capability and no way to get one, and its standard output is a pipe that belongs to its user. The network is the
machine's. Root is needed.
"""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.image import Image
from tests.processes import PATIENCE_SECONDS, eventually

_START = """
set -e
root=$1 uid=$2 gid=$3 tmpfs=$4
shift 4
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
[ -z "$tmpfs" ] || mount -t tmpfs -o "mode=0700,uid=$uid,gid=$gid" tmpfs "$root$tmpfs"
exec chroot "$root" setpriv --reuid "$uid" --regid "$gid" --clear-groups --no-new-privs --bounding-set=-all \
    env --ignore-environment "$@"
"""


class Container:
    """A container that is running. `tmpfs` is the directory in memory, empty: none; `log` gets what it says."""

    def __init__(self, image: Image, tmpfs: str, settings: Mapping[str, str], log: Path) -> None:
        self._image = image
        self._environment = [f"{name}={value}" for name, value in {**image.environment, **settings}.items()]
        self._uid, self._gid = image.user.split(":")
        self._log = log
        with log.open("wb") as file:
            self._reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file)
        assert self._reader.stdin is not None
        # As an engine does, so that the container may open its own standard output.
        os.fchown(self._reader.stdin.fileno(), int(self._uid), int(self._gid))
        given = [str(image.root), self._uid, self._gid, tmpfs, *self._environment, *image.command]
        self._unshare = subprocess.Popen(
            ["unshare", "--fork", "--pid", "--mount", "sh", "-c", _START, "sh", *given],
            stdin=subprocess.DEVNULL,
            stdout=self._reader.stdin,
            stderr=subprocess.STDOUT,
        )
        self._reader.stdin.close()
        self._first = int(eventually(self._children))
        eventually(lambda: self._unshare.poll() is not None or self._is_prepared())

    @property
    def log(self) -> str:
        """What it has said so far on its standard output."""
        return self._log.read_text()

    def execute(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in it, as `docker exec` does, and a health check."""
        inside = ["nsenter", "--target", str(self._first), "--mount", "--pid", "--root", "--wd"]
        user = ["--setuid", self._uid, "--setgid", self._gid]
        return subprocess.run(
            [*inside, *user, "env", "--ignore-environment", *self._environment, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def health(self) -> tuple[int, str]:
        """Return the status of its health check, and what that says."""
        ran = self.execute(*self._image.health)
        return ran.returncode, ran.stdout + ran.stderr

    def processes(self) -> dict[str, int]:
        """Return the machine's process ids of those that process 1 has started, by the module that they run."""
        return {command[-1]: pid for pid in self._started() if "-m" in (command := _command(pid))}

    def stop(self) -> int:
        """Stop it as `docker stop` begins to, and return its exit status. Raises TimeoutExpired: it takes too long."""
        if self._unshare.poll() is None:
            os.kill(self._first, signal.Signals[self._image.stop_signal])
        return self._unshare.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """End it with all that is in it, if it still runs."""
        if self._unshare.poll() is None:
            os.kill(self._first, signal.SIGKILL)
            self._unshare.wait(PATIENCE_SECONDS)
        self._reader.wait(PATIENCE_SECONDS)

    def _children(self) -> str:
        return Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text()

    def _is_prepared(self) -> bool:
        """Return whether its command has begun: all before it has another environment."""
        environment = Path(f"/proc/{self._first}/environ").read_text().rstrip("\0").split("\0")
        return environment == self._environment

    def _started(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self._first}/task/{self._first}/children").read_text().split()]


def _command(pid: int) -> list[str]:
    """Return a process's command; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
