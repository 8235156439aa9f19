"""Builds the image that a Dockerfile describes where no engine can run: does what its instructions say, in directories.

Only the instructions that ours has are known, in the forms that it uses; any other is a ValueError. The base image is
a bare Debian.
"""

import json
import re
import shlex
import shutil
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from dockerfile_parse import DockerfileParser

from tests.bare_debian import BareDebian, unpack


@dataclass
class Image:
    """A root directory, and what is to be run in it."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    stop_signal: str = "SIGTERM"


class Context:
    """The files that a build is given: those of a directory, but what a `.dockerignore` names."""

    def __init__(self, top: Path, ignore: Path) -> None:
        self._top = top
        lines = (line.strip() for line in ignore.read_text().splitlines())
        self._patterns = [line for line in lines if line and not line.startswith("#")]

    def files(self, source: str) -> list[Path]:
        """Return the files at or below a path of the context, or a pattern of paths, relative to its top.

        Raises:
            FileNotFoundError: there is none, or all are ignored.
        """
        found = [path for start in self._top.glob(source) for path in (start, *start.rglob("*"))]
        files = [path.relative_to(self._top) for path in found if path.is_file()]
        if not (sent := [path for path in files if not self._is_ignored(path)]):
            raise FileNotFoundError(f"COPY {source}: not in the context")
        return sent

    def copy(self, source: str, target: Path) -> None:
        """Copy a file, or what is in a directory."""
        start = self._top / source
        for path in self.files(source):
            name = (self._top / path).relative_to(start) if start.is_dir() else path.name
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self._top / path, target / name)

    def _is_ignored(self, path: Path) -> bool:
        """The last pattern that fits a path, or a directory that it is in, says whether it stays out."""
        is_ignored = False
        for pattern in self._patterns:
            if any(_fits(part, pattern.removeprefix("!")) for part in (path, *path.parents)):
                is_ignored = not pattern.startswith("!")
        return is_ignored


def _fits(path: Path, pattern: str) -> bool:
    """`**/` stands for any number of directories, and `*` for anything within one."""
    if pattern.startswith("**/"):
        return fnmatchcase(path.name, pattern[3:])
    return len(path.parts) == len(Path(pattern).parts) and fnmatchcase(str(path), pattern)


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile with what they say, without its comments."""
    structure = DockerfileParser(path=str(dockerfile), env_replace=False).structure
    return [(said["instruction"], said["value"]) for said in structure if said["instruction"] != "COMMENT"]


class Build:
    """A build that is going on: its stages by name, and the one under construction, from the first FROM on."""

    image: Image
    _room: BareDebian

    def __init__(self, tarball: Path, context: Context, where: Path) -> None:
        self._tarball = tarball
        self._context = context
        self._where = where
        self._stages: dict[str, Image] = {}

    def do(self, instruction: str, said: str) -> None:
        """Do what an instruction says. Raises ValueError: it is none that is known here."""
        match instruction:
            case "ARG":
                pass  # The base image's name; the bare Debian takes its place.
            case "FROM":
                self._begin(said)
            case "RUN":
                self._run(said)
            case "COPY":
                self._copy(said)
            case _:
                self._describe(instruction, said)

    def _begin(self, said: str) -> None:
        name = said.partition(" AS ")[2] or "final"
        self._room = unpack(self._tarball, self._where / name)
        self.image = self._stages[name] = Image(self._room.root)

    def _run(self, said: str) -> None:
        self._room.run(f"exec /bin/sh -c {shlex.quote(said)}", self.image.environment)

    def _copy(self, said: str) -> None:
        *sources, target = said.split()
        into = self.image.root / target.lstrip("/")
        if sources[0].startswith("--from="):
            stage = self._stages[sources[0].removeprefix("--from=")]
            (source,) = sources[1:]
            shutil.copytree(stage.root / source.lstrip("/"), into, symlinks=True, dirs_exist_ok=True)
            return
        for source in sources:
            self._context.copy(source, into)

    def _describe(self, instruction: str, said: str) -> None:
        match instruction:
            case "ENV":
                self.image.environment |= dict(word.split("=", 1) for word in shlex.split(said))
            case "USER":
                self.image.user = said
            case "CMD":
                self.image.command = json.loads(said)
            case "HEALTHCHECK":
                self.image.health = json.loads(re.sub(r"^(--\S+ +)*CMD ", "", said))
            case "STOPSIGNAL":
                self.image.stop_signal = said
            case "EXPOSE":
                pass  # Tells people and tools, and opens nothing.
            case _:
                raise ValueError(f"unknown instruction: {instruction} {said}")


def build(dockerfile: Path, context: Path, tarball: Path, where: Path) -> Image:
    """Return the image of a Dockerfile's last stage, made in `where` on the bare Debian that is packed in `tarball`."""
    ignore = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
    building = Build(tarball, Context(context, ignore), where)
    for instruction, said in instructions(dockerfile):
        building.do(instruction, said)
    return building.image
