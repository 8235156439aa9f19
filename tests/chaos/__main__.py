"""Breaks everything that can break around the two real processes, while clients load the API, and prints one table.

Ends with status 1 if a promise of the README was broken, 2 if this machine cannot try.
"""

import argparse
import contextlib
import itertools
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.chaos import report
from tests.chaos.fault import Fault
from tests.chaos.faults import FAULTS
from tests.chaos.rig import Rig, missing
from tests.chaos.trial import Outcome, attempt
from tests.chaos.watcher import Watcher
from tests.standin import build

FILES = 8192
"""What the clients may need: some thousand connections."""


def main() -> int:
    """Break, print, and return the exit status."""
    arguments = _parser().parse_args()
    if arguments.list:
        print("\n".join(f"{fault.name}: {fault.injected}." for fault in FAULTS.values()))
        return 0
    if lacks := missing():
        sys.stderr.write("".join(f"this machine lacks {what}\n" for what in lacks))
        return 2
    seed = _seed(arguments)
    chosen = [FAULTS[name] for name in arguments.only or FAULTS]
    outcomes = _outcomes(chosen if seed is None else _in_random_order(chosen, seed, arguments.minutes))
    print(report.as_json(outcomes, seed) if arguments.json else report.text(outcomes))
    return int(any(outcome.broken for outcome in outcomes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__, allow_abbrev=False)
    parser.add_argument("--list", action="store_true", help="say what can be broken, and end")
    parser.add_argument("--only", action="append", metavar="NAME", choices=FAULTS, help="break this; can be repeated")
    parser.add_argument("--minutes", type=float, help="break in random order, for so long, in place of each once")
    parser.add_argument("--seed", type=int, help="of the random order; by default another each time, which is printed")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    return parser


def _seed(arguments: argparse.Namespace) -> int | None:
    """Return the seed of a random order; None: none is wanted."""
    if arguments.minutes is None:
        if arguments.seed is not None:
            raise SystemExit("--seed is for a random order: say for how long, as in --minutes 5")
        return None
    seed = int(arguments.seed) if arguments.seed is not None else random.SystemRandom().randrange(10**6)
    sys.stderr.write(f"in random order for {arguments.minutes:g} minutes: --seed {seed}\n")
    return seed


def _in_random_order(faults: list[Fault], seed: int, minutes: float) -> Iterator[Fault]:
    """Yield all, then all again in another order, until the time is over."""
    dice, end = random.Random(seed), time.monotonic() + 60 * minutes  # noqa: S311 -- an order, no secret
    rounds = (dice.sample(faults, len(faults)) for _ in itertools.count())
    return itertools.takewhile(lambda _: time.monotonic() < end, itertools.chain.from_iterable(rounds))


def _outcomes(faults: Iterable[Fault]) -> list[Outcome]:
    """Break one thing after the other; end early where all is not well any more."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard) if hard >= 0 else FILES, hard))
    with contextlib.suppress(PermissionError):
        # Other work on the machine is no fault of the service. All that is started from here on inherits this.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        rig = Rig(build(Path(directory)), Path(directory) / "rig")
        with rig.running(), Watcher(rig.port, rig.epoch, rig.pids).watching() as watcher:
            for number, fault in enumerate(faults, 1):
                sys.stderr.write(f"[{number}] {fault.name}: ")
                outcomes.append(attempt(fault, rig, watcher))
                sys.stderr.write(f"{report.line(outcomes[-1])}\n" + "".join(f"    {b}\n" for b in outcomes[-1].broken))
                if outcomes[-1].mended_seconds is None:
                    break
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
