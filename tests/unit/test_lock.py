"""What is installed from the locks is what pyproject.toml asks for, and nothing that no hash vouches for."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {
    "deploy/requirements.lock": [Requirement(text) for text in PROJECT["project"]["dependencies"]],
    # nvidia-ml-py3 names nothing to build it with, and so is built with setuptools (PEP 517).
    "deploy/docker/build.lock": [Requirement(text) for text in (*PROJECT["build-system"]["requires"], "setuptools")],
}
PLATFORMS = (
    {"sys_platform": "linux", "platform_system": "Linux"},
    {"sys_platform": "win32", "platform_system": "Windows"},
)


class Locked(NamedTuple):
    """One entry of a lock."""

    requirement: Requirement
    hashes: list[str]
    asked_for_by: str

    @property
    def version(self) -> str:
        """The one version that it admits."""
        (specifier,) = self.requirement.specifier
        assert specifier.operator == "=="
        return specifier.version


def locked(path: str) -> dict[str, Locked]:
    """Return the entries of a lock by the names of the packages."""
    text = (ROOT / path).read_text().replace("\\\n", "")
    # What comes behind an entry, up to the next one, says who asked for it.
    entries = re.findall(r"(?m)^([^#\s].*)\n((?:    #.*\n)*)", text)
    found = [Locked(Requirement(line.partition("--hash")[0]), line.split()[1:], via) for line, via in entries]
    return {canonicalize_name(entry.requirement.name): entry for entry in found}


def applies(requirement: Requirement, platform: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(platform)


@pytest.mark.parametrize(("path", "wanted"), LOCKS.items())
def test_a_lock_has_what_is_asked_for_in_a_version_that_will_do(path: str, wanted: Sequence[Requirement]) -> None:
    entries = locked(path)
    for requirement in wanted:
        entry = entries[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(entry.version), requirement
        for platform in PLATFORMS:
            assert applies(entry.requirement, platform) == applies(requirement, platform), requirement


@pytest.mark.parametrize("path", LOCKS)
def test_every_file_that_a_lock_admits_has_its_hash(path: str) -> None:
    for name, entry in locked(path).items():
        hashes = [word for word in entry.hashes if word.startswith("--hash=")]
        assert hashes, name
        assert all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", word) for word in hashes), name


@pytest.mark.parametrize(("path", "wanted"), LOCKS.items())
def test_a_lock_has_nothing_that_is_asked_for_no_more(path: str, wanted: Sequence[Requirement]) -> None:
    asked_for = {canonicalize_name(requirement.name) for requirement in wanted}
    entries = locked(path)
    for name, entry in entries.items():
        others = re.findall(r"#(?: +via)? +([a-z0-9][a-z0-9._-]*)", entry.asked_for_by)
        assert name in asked_for or any(other in entries for other in others), name
