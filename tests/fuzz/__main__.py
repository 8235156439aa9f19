"""Knocks at each door with whatever comes to mind, guided by what that makes the code do: `python -m tests.fuzz`.

It needs atheris (`pip install atheris`). What fails is told, and kept in `tests/fuzz/corpus/DOOR/`, where the tests try
it from then on. Ends with status 1 if anything failed, and 2 if it cannot begin.
"""

import argparse
import re
import subprocess
import sys
from importlib.util import find_spec

from tests.fuzz.doors import DOORS
from tests.processes import ROOT

SECONDS = 60


def main() -> int:
    """Fuzz the doors one after the other, each in a process of its own, and return the exit status."""
    arguments = _parser().parse_args()
    if find_spec("atheris") is None:
        sys.stderr.write("atheris is not there: .venv/bin/pip install atheris\n")
        return 2
    results = [_fuzz(door, arguments.seconds, arguments.seed) for door in arguments.door or DOORS]
    return 0 if all(results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__, allow_abbrev=False)
    parser.add_argument("door", nargs="*", choices=[*DOORS, []], metavar="DOOR", help=f"of {', '.join(DOORS)}")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"for each door (default: {SECONDS})")
    parser.add_argument("--seed", type=int, default=0, help="0: another each time (default)")
    return parser


def _fuzz(door: str, seconds: int, seed: int) -> bool:
    """Fuzz one door, tell how that went, and return whether all was well."""
    command = [sys.executable, "-m", "tests.fuzz.guided", door, str(seconds), str(seed)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
    said = ran.stdout + ran.stderr
    told = dict(re.findall(r"^(stat::number_of_executed_units|INFO: Seed): +(\d+)", said, re.MULTILINE))
    executions, seed_used = told.get("stat::number_of_executed_units", "?"), told.get("INFO: Seed", "?")
    print(f"{door}: {executions} times, seed {seed_used}, {'nothing found' if ran.returncode == 0 else 'FAILED'}")
    if ran.returncode:
        sys.stderr.write(said)
    return ran.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
