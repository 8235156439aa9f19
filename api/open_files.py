"""How many files this process may have open: as many as it needs, up to what the operator set as the hard limit."""

import math
import sys

if sys.platform != "win32":  # pragma: no branch -- Windows has no such module
    import resource


SELECT_SOCKETS = 512
"""What Python's select() can watch on Windows, where the event loop must be one that uses it."""


def allow(wanted: int) -> float:
    """Raise the soft limit to so many where it is lower, as far as the hard one admits, and return the limit."""
    if sys.platform == "win32":  # pragma: no cover -- Windows, where there is none of this kind, but another
        return SELECT_SOCKETS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return math.inf if soft == resource.RLIM_INFINITY else soft
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return raised
