"""`--check` of a real process, and what it said."""

import re
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from common.finding import Finding, Report
from tests.processes import ROOT, inherited

LONGEST_SECONDS = 50


class Checked(NamedTuple):
    """What a check said, its exit status, and what it wrote to standard error."""

    status: int
    out: str
    err: str

    @property
    def report(self) -> Report:
        """The one JSON object that it told."""
        assert self.out.count("\n") == 1
        return msgspec.json.decode(self.out, type=Report)

    def finding(self, what: str) -> Finding:
        """Return the one finding about something."""
        (found,) = (finding for finding in self.report.findings if finding.what == what)
        return found


def check(module: str, settings: Mapping[str, str], *flags: str) -> Checked:
    """Let a process check itself, with these settings and no others."""
    done = subprocess.run(
        [sys.executable, "-m", module, "--check", *flags],
        cwd=ROOT,
        env=inherited() | dict(settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_SECONDS,
    )
    return Checked(done.returncode, done.stdout, done.stderr)


def documented(after: str) -> set[str]:
    """Return what deploy/README.md says that one process looks at: what stands in the first column of its table."""
    text = (ROOT / "deploy/README.md").read_text()
    rows = text[text.index(f"\n{after}\n") :].split("\n\n")[1].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])}
