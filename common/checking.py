"""`--check`: a process looks whether all is as it needs it, tells what it finds, and ends; it serves nobody meanwhile.

What is looked at is each process's own to say, in its `check`. `--check` and `--json` are flags and no settings: they
ask for something else than the service, so no environment that one was started with should carry them.
"""

import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from msgspec import Struct, structs

from common import curve, output, surroundings, wording
from common.finding import Finding, Report, ok, worst, wrong
from common.settings import Settings, SettingsError, given, load

FLAGS = wording.Parser(add_help=False, allow_abbrev=False)
FLAGS.add_argument(
    "--check",
    action="store_true",
    help="Look whether all is well that this process needs, tell each thing in a line, and end: with status 1 if "
    "something is wrong, else 0.",
)
FLAGS.add_argument("--json", action="store_true", help="With --check: tell it as one JSON object, for support.")

_MOST_SHOWN = 200


class Check(NamedTuple):
    """How one process looks: its settings in, findings out, each as soon as it is there; and the versions of what it is
    made of."""

    look: Callable[[Any], AsyncIterator[Finding]]
    versions: Callable[[], dict[str, str | None]]


def is_wanted(argv: Sequence[str]) -> bool:
    """Return whether flags ask for a check, whatever else is wrong with them. Raises SettingsError."""
    asked, _ = FLAGS.parse_known_args(argv)
    if asked.json and not asked.check:
        raise SettingsError("--json: it goes with --check (see --help)")
    return bool(asked.check)


async def run(kind: type[Settings], check: Check, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Look, tell, and return the exit status: 1 if something is wrong, settings that cannot be among it."""
    # Whatever is worth a line in the log is a finding, and would be told twice.
    logging.disable(logging.CRITICAL)
    as_json = FLAGS.parse_known_args(argv)[0].json
    versions = check.versions()
    settings, first = _settings(kind, argv, environ)
    findings = []
    async for finding in _all(check, settings, first, _versions(versions), _user()):
        findings.append(finding)
        if not as_json:
            output.say(finding.line + "\n")
    if as_json:
        shown = None if settings is None else {name: _shown(name, value) for name, value in _values(settings)}
        output.say(_report(kind, versions, shown, findings).json() + "\n")
    return int(worst(findings) == "wrong")


async def _all(check: Check, settings: Settings | None, first: Finding, *more: Finding) -> AsyncIterator[Finding]:
    for finding in (first, *more):
        yield finding
    if settings is not None:
        async for finding in check.look(settings):
            yield finding


def _settings(kind: type[Settings], argv: Sequence[str], environ: Mapping[str, str]) -> tuple[Settings | None, Finding]:
    try:
        settings = load(kind, argv, environ, [FLAGS])
    except SettingsError as error:
        return None, wrong("settings", str(error))
    defaults, values = dict(_values(kind())), dict(_values(settings))
    changed = [
        f"{each.by}={str(_shown(name, each.text))[:_MOST_SHOWN]}"
        for name, each in given(kind, argv, environ, [FLAGS]).items()
        if values[name] != defaults[name]
    ]
    return settings, ok("settings", "; ".join(changed or ["all have their defaults"]))


def _versions(versions: Mapping[str, str | None]) -> Finding:
    return ok("versions", ", ".join(f"{name} {version or '(not told)'}" for name, version in versions.items()))


def _user() -> Finding:
    user = surroundings.user()
    is_root = sys.platform != "win32" and os.geteuid() == 0
    more = ", who may read every file: what the service's user may, a check by that one tells"
    return ok("user", user + more * is_root)


def _values(settings: Struct) -> Iterable[tuple[str, object]]:
    return structs.asdict(settings).items()


def _shown(name: str, value: object) -> object:
    """Return a setting's value as it may be shown: none is secret, unless a key was put where its file belongs."""
    return curve.shown(value) if isinstance(value, str) and name != "feed_server_key" else value


def _report(
    kind: type[Settings],
    versions: dict[str, str | None],
    settings: dict[str, object] | None,
    findings: list[Finding],
) -> Report:
    return Report(
        process=wording.process(kind),
        state=worst(findings),
        checked_at=datetime.now(UTC).isoformat(timespec="seconds"),
        user=surroundings.user(),
        platform=surroundings.system(),
        versions=versions,
        settings=settings,
        findings=findings,
    )
