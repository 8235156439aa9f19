"""What is found when something is looked at: how it is, and what to do. To a line, to the log, and to JSON. Pure.

`--check` tells findings, and the start of a process says what it looks at in the same words.
"""

import json
import logging
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from common.wording import SettingsError

State = Literal["ok", "warning", "wrong"]
"""`warning`: the service runs, but something is missing or will go wrong. `wrong`: something is broken, or keeps the
service from starting."""

_LEVELS: dict[State, int] = {"ok": logging.INFO, "warning": logging.WARNING, "wrong": logging.ERROR}
_LONGEST_WHAT, _LONGEST_TEXT = 150, 600
"""Characters; what peers and drivers say may be longer."""


class Finding(Struct, frozen=True):
    """What was looked at, how it is, what was found, and what to do; empty where nothing is to be done, or `found` says
    it."""

    what: str
    state: State
    found: str
    todo: str = ""

    @property
    def line(self) -> str:
        """The finding in one line, whatever stands in its texts."""
        todo = f": {_plain(self.todo, _LONGEST_TEXT)}" if self.todo else ""
        return f"{self.state:<8} {_plain(self.what, _LONGEST_WHAT):<12} {_plain(self.found, _LONGEST_TEXT)}{todo}"

    def log(self, logger: logging.Logger) -> None:
        """Say it in the log, as severe as it is."""
        logger.log(_LEVELS[self.state], "%s%s", self.found, f": {self.todo}" if self.todo else "")


class Report(Struct, frozen=True, kw_only=True):
    """All that was found of one process, for support. `checked_at` is UTC; a version is None where it is not told;
    `settings` are None where they cannot be."""

    process: str
    state: State
    checked_at: str
    user: str
    platform: str
    versions: dict[str, str | None]
    settings: dict[str, Any] | None
    findings: list[Finding]

    def json(self) -> str:
        """Return it as JSON, on one line; of a path that is no UTF-8, `?` stands in the place of each such byte."""
        return json.dumps(msgspec.to_builtins(self), ensure_ascii=False).encode(errors="replace").decode()


def ok(what: str, found: str) -> Finding:
    """Return the finding that something is well."""
    return Finding(what, "ok", found)


def warning(what: str, found: str, todo: str = "") -> Finding:
    """Return the finding that something is not as it could be."""
    return Finding(what, "warning", found, todo)


def wrong(what: str, found: str, todo: str = "") -> Finding:
    """Return the finding that something must be mended."""
    return Finding(what, "wrong", found, todo)


def loaded(what: str, load: Callable[[], str]) -> Finding:
    """Load something that the settings name, and return what that says of it, or why it cannot be loaded."""
    try:
        return ok(what, load())
    except SettingsError as error:
        return wrong(what, str(error))


def worst(findings: Iterable[Finding]) -> State:
    """Return the state of all: the worst of any."""
    states = {finding.state for finding in findings}
    return "wrong" if "wrong" in states else "warning" if "warning" in states else "ok"


def _plain(text: str, longest: int) -> str:
    """Return a text that can neither break a line nor command a terminal, and is not endless."""
    shown = "".join(each if each.isprintable() else "?" for each in text[:longest])
    return f"{shown}..." if len(text) > longest else shown
