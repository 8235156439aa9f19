"""What a command tells, on standard output."""

import contextlib
import os
import sys


class OutputError(Exception):
    """The operator's: standard output leads to where there is no room."""


def say(text: str) -> bool:
    """Write a text at once, and return whether somebody still reads; who has read enough, as `head` does, is no
    failure.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        # As JSON is written, whatever a terminal's own encoding is: names need not be in that.
        sys.stdout.buffer.write(text.encode(errors="replace"))
        sys.stdout.flush()
    except OSError as error:
        # Or Python would fail once more when it ends.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise OutputError(f"standard output: {error.strerror}") from None
        return False
    return True
