"""The chaos tests themselves: four of their faults, as they are run by hand, and a service that lies."""

import asyncio
import json
import subprocess
import sys

import pytest

from common.clock import elapsed_seconds
from tests.builders import make_cache
from tests.chaos.rig import missing
from tests.chaos.watcher import Watcher
from tests.processes import ROOT, eventually
from tests.served import Served
from tests.unit.test_chaos_judge import EPOCH, NOW, snapshot

OLD_SECONDS = 100.0
SEEN = {"gpu-lost": "degraded", "clock-back": "ok", "stop-api": "ok", "kill-api": "away"}
"""Faults that are tried here, and what clients see of each."""


@pytest.mark.timeout(300)
def test_four_faults_are_tried_and_all_promises_kept() -> None:
    if lacks := missing():
        pytest.skip(f"the chaos tests need {'; '.join(lacks)}")
    told = chaos("--json", *(f"--only={name}" for name in SEEN))
    assert told.returncode == 0, told.stdout + told.stderr
    rows = {row["name"]: row for row in json.loads(told.stdout)["rows"]}
    assert list(rows) == list(SEEN)
    for name, row in rows.items():
        assert row["statuses"][SEEN[name]] > 0
        assert row["answers"] > 0
        assert row["events"] > 0
        assert row["well_after_seconds"] is not None


def test_a_fault_that_there_is_not_is_refused() -> None:
    assert chaos("--only=none").returncode == 2


def chaos(*flags: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.chaos", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("is_lie", [True, False])
def test_an_api_whose_clock_stands_still_is_found_to_lie(*, is_lie: bool) -> None:
    """It shows an old number as live, and says of it that it is new."""
    sealed_at = elapsed_seconds() - OLD_SECONDS

    async def story() -> list[str]:
        served = Served(make_cache(snapshot(), now=sealed_at), (lambda: sealed_at) if is_lie else elapsed_seconds)
        # The readings of that snapshot were made when the watcher's clock of readings showed this.
        with Watcher(served.port, sealed_at - (NOW - EPOCH), list).watching() as watcher:
            await asyncio.to_thread(eventually, lambda: watcher.tally.labels.total() > 20)
        await served.server.stop(0.0)
        return watcher.tally.broken()

    told = " ".join(asyncio.run(story()))
    assert ("too old were shown as live" in told) == is_lie
    assert ("less than the truth" in told) == is_lie
    assert ("stale, which is none of ok" in told) != is_lie
