"""Shows the feed as it comes, and keeps it: `python -m api.tap [--table] [--host NAME] [--record FILE]`.

Every snapshot is a line of JSON on standard output, repeats too, as a welcome is after a reconnect; what is said of the
way to the collectors goes to standard error. Which feeds, and with which keys, the API's settings say, and flags of the
same names (`--feed-connect`, `--feed-client-key`, `--feed-server-key`). A recording has the snapshots, but not what a
newer collector may have said beyond them; `python -m collector.replay FILE` publishes it again.
"""

import argparse
import asyncio
import contextlib
import logging
import sys
from collections.abc import Sequence
from functools import partial

import msgspec

from api.feeds import Feeds
from api.subscriber import Subscriber
from api.tap_table import Seen, table
from common import output, process
from common.clock import elapsed_seconds
from common.recording import Recorded, Recorder, RecordingError
from common.settings import ApiSettings
from common.snapshot import Snapshot

_log = logging.getLogger("api.tap")

TABLE_SECONDS = 1.0
_CLEAR = "\x1b[H\x1b[2J"


def main(argv: Sequence[str]) -> int:
    """Listen until told to stop (0); 1 if nothing can be recorded or told there, or no more."""
    arguments, settings = _parser().parse_known_args(argv)
    return process.run(ApiSettings, partial(_main, arguments), settings)


def _parser() -> argparse.ArgumentParser:
    usage = "python -m api.tap [--table] [--host NAME] [--record FILE] [--count N] [--feed-connect ENDPOINTS ...]"
    parser = argparse.ArgumentParser(prog="python -m api.tap", usage=usage, description=__doc__, allow_abbrev=False)
    parser.add_argument("--table", action="store_true", help="show a table of all GPUs instead, anew every second")
    parser.add_argument("--host", metavar="NAME", action="append", help="only this host; may be given several times")
    parser.add_argument("--record", metavar="FILE", help="keep it in a file, too, which must not exist yet")
    parser.add_argument("--count", metavar="N", type=_count, help="end after so many snapshots")
    return parser


def _count(text: str) -> int:
    """Read how many there are to be. Raises ArgumentTypeError: what was given is no such number."""
    with contextlib.suppress(ValueError):
        if (count := int(text)) >= 1:
            return count
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")


async def _main(arguments: argparse.Namespace, settings: ApiSettings, stop: asyncio.Event) -> int:
    feeds = Feeds(settings)
    await feeds.check_names()
    try:
        recorder = Recorder(arguments.record) if arguments.record else None
    except RecordingError as error:
        _log.error("%s", error)
        return 1
    tap = Tap(arguments, recorder, stop)
    subscriber = Subscriber(feeds.feeds, tap.accept, lambda _: None, elapsed_seconds, feeds.secret_key)
    showing = [tap.show_table()] if arguments.table else []
    await process.serve(stop, subscriber.serve(), *showing)
    subscriber.close()
    if arguments.table:
        # What came since it was shown last, which may be all there is.
        tap.show()
    if recorder:
        recorder.close()
    return tap.status


class Tap:
    """What becomes of each snapshot. `stop` is set when no more can be taken."""

    def __init__(self, arguments: argparse.Namespace, recorder: Recorder | None, stop: asyncio.Event) -> None:
        self.status = 0
        self._hosts: list[str] | None = arguments.host
        self._is_table: bool = arguments.table
        self._left: int | None = arguments.count
        self._recorder = recorder
        self._stop = stop
        self._began = elapsed_seconds()
        self._seen: dict[str, Seen] = {}

    def accept(self, _endpoint: str, snapshot: Snapshot, arrived: float) -> None:
        """Take a snapshot, if it is of a host that is wanted."""
        if self._stop.is_set() or (self._hosts is not None and snapshot.host not in self._hosts):
            return
        if self._recorder is not None:
            self._record(self._recorder, snapshot)
        if self._is_table:
            self._seen[snapshot.host] = Seen(snapshot, arrived - snapshot.held_seconds)
        else:
            self._print(msgspec.json.encode(snapshot).decode() + "\n")
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self._stop.set()

    async def show_table(self) -> None:
        """Show the table, anew every second."""
        while True:
            self.show()
            await asyncio.sleep(TABLE_SECONDS)

    def show(self) -> None:
        """Show the table once."""
        clear = _CLEAR if sys.stdout.isatty() else ""
        self._print(clear + table(self._seen.values(), elapsed_seconds()) + "\n")

    def _record(self, recorder: Recorder, snapshot: Snapshot) -> None:
        try:
            recorder.write(Recorded(elapsed_seconds() - self._began, snapshot))
        except OSError as error:
            self._fail(f"cannot record any more: {error.strerror}")

    def _print(self, text: str) -> None:
        try:
            if not output.say(text):
                self._stop.set()
        except output.OutputError as error:
            self._fail(str(error))

    def _fail(self, reason: str) -> None:
        _log.error("%s", reason)
        self.status = 1
        self._stop.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
