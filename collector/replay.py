"""Publishes a recording as if it were live: `python -m collector.replay FILE [--speed N]`.

It begins when somebody subscribes. Each snapshot is as young as one that was just sampled, and has a `run_id` of its
own; that it is a replay, and when it was really sampled, stands in its `source`. Where and how it is published, the
collector's settings say, and flags of the same names.
"""

import argparse
import asyncio
import contextlib
import logging
import secrets
import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial

from msgspec.structs import replace

from collector.publisher import Publisher, lock_of
from common import process
from common.clock import elapsed_seconds
from common.recording import Recorded, Recording, RecordingError
from common.settings import CollectorSettings
from common.snapshot import Snapshot

_log = logging.getLogger("collector.replay")

LEAST_SPEED, MOST_SPEED = 0.001, 1000.0
LAST_WORDS_SECONDS = 1.0
"""How long the last snapshot has to get away, and whoever subscribes late to be welcomed."""

REFRESH_SECONDS = 1.0


def main(argv: Sequence[str]) -> int:
    """Replay, and return the exit status: 1 if the file is no whole recording, or the endpoint cannot be had."""
    arguments, settings = _parser().parse_known_args(argv)
    return process.run(CollectorSettings, partial(_main, arguments), settings)


def _parser() -> argparse.ArgumentParser:
    usage = "python -m collector.replay FILE [--speed N] [--feed-bind ENDPOINT] [--feed-secret-key PATH ...]"
    parser = argparse.ArgumentParser(
        prog="python -m collector.replay", usage=usage, description=__doc__, allow_abbrev=False
    )
    parser.add_argument("file", metavar="FILE", help="what `python -m api.tap --record FILE` has kept")
    parser.add_argument(
        "--speed", metavar="N", type=_speed, default=1.0, help="how many times as fast as it was recorded (default: 1)"
    )
    return parser


def _speed(text: str) -> float:
    with contextlib.suppress(ValueError):
        if LEAST_SPEED <= (speed := float(text)) <= MOST_SPEED:
            return speed
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from {LEAST_SPEED:g} to {MOST_SPEED:g}")


async def _main(arguments: argparse.Namespace, settings: CollectorSettings, stop: asyncio.Event) -> int:
    locked = lock_of(settings)
    try:
        with Recording(arguments.file) as recording:
            snapshots = recording.check()
            publisher = Publisher(settings.feed_bind, elapsed_seconds, locked)
            _log.info("replaying %d snapshots, once somebody subscribes", snapshots)
            try:
                playing = Replay(publisher, arguments.speed).play(recording)
                await process.serve(stop, playing, publisher.serve(), _refresh(publisher))
            finally:
                publisher.close()
    except (RecordingError, OSError) as error:
        _log.error("%s", error)
        return 1
    return 0


async def _refresh(publisher: Publisher) -> None:
    while True:
        publisher.refresh_welcome()
        await asyncio.sleep(REFRESH_SECONDS)


class Replay:
    """Publishes what was recorded, so many times as fast."""

    def __init__(self, publisher: Publisher, speed: float) -> None:
        self._publisher = publisher
        self._speed = speed
        self._runs: dict[str, str] = {}

    async def play(self, recording: Iterable[Recorded]) -> None:
        """Publish all of it, once somebody has subscribed."""
        await self._publisher.is_subscribed.wait()
        began = time.monotonic()
        first: float | None = None
        for recorded in recording:
            first = recorded.seconds if first is None else first
            due = began + (recorded.seconds - first) / self._speed
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._publisher.publish(self.as_live(recorded.snapshot))
        await asyncio.sleep(LAST_WORDS_SECONDS)

    def as_live(self, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot as it would be if it had been sampled now, with a mark that it was not."""
        sampled_at_ns = snapshot.source.replay_of_ns or snapshot.sampled_at_ns
        return replace(
            snapshot,
            # A run that comes again would be taken for repeats of itself.
            run_id=self._runs.setdefault(snapshot.run_id, secrets.token_hex(8)),
            sampled_at_ns=time.time_ns(),
            held_seconds=0.0,
            interval_seconds=snapshot.interval_seconds / self._speed,
            source=replace(snapshot.source, replay_of_ns=sampled_at_ns),
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
