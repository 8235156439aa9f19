"""The demo's API: the real one, which ends when the demo does, however that ends; started by `tests.demo` only.

Its standard input is a pipe that nobody writes to: it ends when the demo does, also by a signal that cannot be handled.
"""

import os
import signal
import sys
import threading

from api.__main__ import main
from common import process
from common.settings import ApiSettings


def _end_with_the_demo() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    if sys.platform != "win32":
        # A terminal that is closed tells both; the demo ends this process in order.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_demo, daemon=True).start()
    sys.exit(process.run(ApiSettings, main))
