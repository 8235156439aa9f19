"""Breaks one thing, mends it, and waits until clients see that all is well."""

import time

from msgspec import Struct

from common.clock import elapsed_seconds
from tests.chaos.allowed import CALM, Allowed
from tests.chaos.fault import Fault
from tests.chaos.rig import NOISE_SECONDS, Rig, start_seconds, within
from tests.chaos.tally import Tally
from tests.chaos.watcher import Watcher

CALM_SECONDS = 0.5
"""For how long all must be well for it to be well again."""

LAST_HOPE_SECONDS = 90.0
"""What is not well by then is given up."""


class Outcome(Struct):
    """What came of one trial. `mended_seconds` is how long after the end of the fault clients saw the last of it; None:
    they never stopped."""

    fault: Fault
    tally: Tally
    mended_seconds: float | None
    broken: list[str]


def attempt(fault: Fault, rig: Rig, watcher: Watcher) -> Outcome:
    """Break something and mend it; the watcher goes on with a new tally."""
    tally = watcher.begin()
    on_the_way = fault.allowed | CALM | Allowed(statuses=fault.passing)
    broken = []
    watcher.allow(on_the_way)
    try:
        with fault.inflict(rig):
            time.sleep(fault.noticed_seconds + (NOISE_SECONDS if fault.noticed_seconds else 0.0))
            watcher.allow(fault.allowed)
            time.sleep(fault.holds_seconds)
            watcher.allow(on_the_way)
    except AssertionError as error:
        broken.append(str(error))
    mended_at = elapsed_seconds()
    mended_seconds = _mended(watcher, mended_at, fault.mends_seconds + NOISE_SECONDS, broken)
    watcher.allow(CALM)
    return Outcome(fault, tally, mended_seconds, broken + tally.broken())


def _mended(watcher: Watcher, since: float, limit: float, broken: list[str]) -> float | None:
    """Wait until all is well, and return how long that took; note if it was longer than the limit."""
    if not within(LAST_HOPE_SECONDS, lambda: watcher.is_calm_since(max(since, watcher.troubled_at + CALM_SECONDS))):
        broken.append(f"not well {LAST_HOPE_SECONDS:.0f} s after its end")
        return None
    took = max(0.0, watcher.troubled_at - since)
    # What is late may be so because the machine is: to start a process takes long then.
    if took > limit and not watcher.tally.is_starved and took > limit + 2 * start_seconds():
        broken.append(f"well only {took:.1f} s after its end")
    return took
