"""One line format for both processes, on standard error, in UTC."""

import logging
import time

LINE = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"


def configure(level: str) -> None:
    """Send every record of `level` and above to standard error. Call once, at the start of a process."""
    handler = logging.StreamHandler()
    formatter = logging.Formatter(LINE, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler])
