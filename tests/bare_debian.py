"""A bare Debian, made by debootstrap: the fresh machine on which the steps of an installation are tried.

It gets packages, Debian's and Python's, from where the machine it is made on gets its own, and has that one's network.
What runs in it has process ids and mounts of its own: it sees no other process, and none of it is left at the end.
"""

import contextlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.processes import eventually

_PATIENCE_SECONDS = 600.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BASH = ("/bin/bash", "-euo", "pipefail", "-c")
_NEEDED = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container"}
_TAKEN_OVER = ("etc/apt", "etc/hosts", "etc/resolv.conf", "usr/local/share/ca-certificates", "usr/share/keyrings")
"""Where apt's packages come from and who signed them; how hosts are found and trusted."""

_PIP_SOURCES = {"cert", "default-timeout", "extra-index-url", "find-links", "index-url", "no-index", "proxy"}
"""What of pip's configuration says where packages come from."""

_PROXIES = {"http_proxy", "https_proxy", "no_proxy"}


class BareDebian:
    """One such machine, below the directory `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(
        self, script: str, environment: Mapping[str, str] | None = None, mounts: Mapping[Path, str] | None = None
    ) -> str:
        """Run bash commands as root, the first that fails being the last, and return what they print.

        `environment` is all they are given beside what packages are found by; `mounts`, by what lies here, say where
        it is seen there, read-only.
        """
        return _ran(self._command(script, mounts), self.root, _environment() | dict(environment or {}))

    @contextlib.contextmanager
    def running(
        self,
        script: str,
        log: Path,
        environment: Mapping[str, str] | None = None,
        mounts: Mapping[Path, str] | None = None,
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """Have bash commands run, as `run` does but at the same time, and kill all that they started at the end."""
        env = _environment() | dict(environment or {})
        with _started(self._command(script, mounts), log, cwd=self.root, env=env) as popen:
            try:
                yield popen
            finally:
                popen.kill()

    @contextlib.contextmanager
    def booted(self) -> Iterator["Booted"]:
        """Start the systemd that was installed there, and everything it starts; end it all."""
        binds = [f"--bind-ro={path}" for path in _local_sources()]
        command = ["systemd-nspawn", "--register=no", "--keep-unit", "--resolv-conf=off", "--console=pipe", *binds]
        with _started([*command, f"--directory={self.root}", "--boot"], self.root.with_suffix(".log")) as nspawn:
            try:
                yield Booted(self.root, eventually(lambda: _child(nspawn.pid, "systemd")))
            finally:
                nspawn.terminate()

    def _command(self, script: str, mounts: Mapping[Path, str] | None) -> list[str]:
        given = [*((path, str(path)) for path in _local_sources()), *(mounts or {}).items()]
        inside = ["mount -t proc proc proc", *(self._mount(here, there) for here, there in given)]
        private = "\n".join([*inside, 'exec chroot . "$0" "$@"'])
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", private, *_BASH, script]

    def _mount(self, here: Path, there: str) -> str:
        """Return the command that mounts a file or directory, for which a place is made."""
        place = self.root / there.lstrip("/")
        if here.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        return f"mount --rbind -o ro {shlex.quote(str(here))} {shlex.quote(str(place))}"


class Booted:
    """A Debian that runs, by its first process as this machine sees it."""

    def __init__(self, root: Path, pid: int | None) -> None:
        self.root = root
        self._enter = ["nsenter", f"--target={pid}", "--all", "--wdns=/"]
        eventually(lambda: self._state().stdout.strip() in {"running", "degraded"})

    def run(self, script: str) -> str:
        """Run bash commands as root, the first that fails being the last, and return what they print."""
        return _ran([*self._enter, *_BASH, script], env=_environment())

    def _state(self) -> "subprocess.CompletedProcess[str]":
        command = [*self._enter, "systemctl", "is-system-running"]
        return subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)


def lacking() -> str | None:
    """Return why no bare Debian can be made here; None if one can."""
    if sys.platform != "linux" or platform.freedesktop_os_release().get("ID") != "debian":
        return "a bare Debian is made on Debian only, of the same release"
    if os.geteuid() != 0:
        return "only root can make a bare Debian"
    for command, package in _NEEDED.items():
        if shutil.which(command) is None:
            return f"a bare Debian needs {command} (apt-get install {package})"
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False, capture_output=True).returncode:
        return "this root may make no namespaces, which a bare Debian runs in"
    return None


def make_tarball(tarball: Path, release: str = "") -> None:
    """Make a bare Debian, of the packages that every Debian has, and pack it; of this machine's release by default."""
    packed = tarball.with_suffix(".new")
    # debootstrap takes no path with a space in it, which the tarball's may have; and everyone may enter what it makes.
    with tempfile.TemporaryDirectory() as directory:
        root = f"{directory}/root"
        _ran(["debootstrap", "--variant=minbase", release or _release(), root, _mirror(_release())])
        _ran(["chroot", root, "apt-get", "clean"])
        _ran(["tar", "--create", "--file", str(packed), "--directory", root, "."])
    packed.rename(tarball)


def unpack(tarball: Path, root: Path) -> BareDebian:
    """Return a bare Debian of its own at `root`, which finds packages and hosts as this machine does.

    One of another release knows its own packages, and only where debootstrap found them.
    """
    root.mkdir()
    _ran(["tar", "--extract", "--file", str(tarball), "--directory", str(root)])
    taken_over = set(_TAKEN_OVER)
    if _release(root) == _release():
        shutil.rmtree(root / "etc/apt")
    else:
        taken_over.remove("etc/apt")
    for path in taken_over:
        if Path("/", path).is_dir():
            shutil.copytree(Path("/", path), root / path, dirs_exist_ok=True)
        else:
            shutil.copyfile(Path("/", path), root / path)
    return BareDebian(root)


def _release(root: Path = Path("/")) -> str:
    """Return the code name of this machine's release, or of the Debian at `root`."""
    (name,) = re.findall(r"(?m)^VERSION_CODENAME=(.*)$", (root / "etc/os-release").read_text())
    return str(name)


def _ran(command: list[str], cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_PATIENCE_SECONDS,
    )
    assert done.returncode == 0, f"{command[-1]}\nended with status {done.returncode}:\n{done.stdout}"
    return done.stdout


@contextlib.contextmanager
def _started(
    command: list[str], log: Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command, whose end is waited for."""
    with log.open("wb") as said:
        popen = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield popen
    finally:
        popen.wait(_PATIENCE_SECONDS)


def _child(pid: int, name: str) -> int | None:
    """Return the child of a process that runs a program, None while there is none."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
            if Path(f"/proc/{child}/comm").read_text().strip() == name:
                return int(child)
    return None


def _mirror(release: str) -> str:
    """Return where this machine gets the packages of its release."""
    asked = ["--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    told = (line.split() for line in _ran(["apt-get", "indextargets", *asked]).splitlines())
    return next(where for codename, component, where in told if (codename, component) == (release, "main"))


def _environment() -> dict[str, str]:
    """Return what all commands are given: where to look for programs, and where pip gets packages."""
    proxies = {name: value for name, value in os.environ.items() if name.lower() in _PROXIES}
    pip = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in _pip_sources().items()}
    return {"PATH": _PATH, "HOME": "/root", "LANG": "C.UTF-8", **proxies, **pip}


@cache
def _pip_sources() -> dict[str, str]:
    """Return what this machine's pip is told of where packages come from, whether by files or by its environment."""
    told = re.findall(r"(?m)^(\S+)\.([\w-]+)='(.*)'$", _ran([sys.executable, "-m", "pip", "config", "list"]))
    # The environment goes before files, and is told as `:env:`.
    told.sort(key=lambda line: line[0] == ":env:")
    return {name: value for _, name, value in told if name in _PIP_SOURCES}


def _local_sources() -> list[Path]:
    """Return the places on this machine's disk that pip gets packages from. Certificates are not among them, for
    those that Debian has are made anew when its package is installed."""
    found = (Path(path) for path in re.findall(r"(?:^|\s)(/\S+)", _pip_sources().get("find-links", "")))
    # What an index links to lies beside it.
    urls = " ".join(_pip_sources().get(name, "") for name in ("index-url", "extra-index-url"))
    beside = (Path(path).parent for path in re.findall(r"file://(/\S+)", urls))
    return sorted({path for path in (*found, *beside) if path.exists()})
