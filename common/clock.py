"""The clock by which ages are told."""

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def elapsed_seconds() -> float:
    """Return seconds since some fixed point, never set back, and where the platform can (Linux) counting on
    through suspend: a snapshot from before the lid was closed is old."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)
