"""What this process costs, as the operating system tells; what it does not tell is None."""

import os
import time
from pathlib import Path

_STATM = Path("/proc/self/statm")


def own_cpu_seconds() -> float:
    """Return the CPU time, user and system, that this process has used."""
    return time.process_time()


def own_resident_bytes() -> int | None:
    """Return this process's resident memory, None where there is no `/proc`. See proc(5), statm's second field."""
    try:
        pages = _STATM.read_text().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
