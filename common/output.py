"""What a command tells, on standard output."""

import contextlib
import os
import sys


def say(text: str) -> bool:
    """Write a text at once, and return whether somebody still reads; who has read enough, as `head` does, is no
    failure."""
    try:
        # As JSON is written, whatever a terminal's own encoding is: names need not be in that.
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
    except BrokenPipeError:
        # Or Python would fail once more when it ends.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
