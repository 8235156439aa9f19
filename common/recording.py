"""A recording of the feed, in a file: the frames as they came, and when. Both ends of the feed know this form.

A line that says what it is, then for each snapshot: seconds since the recording began (8 bytes, a float), the frame's
length and the CRC-32 of both (4 bytes each), all big-endian, and the frame. Each is written at once, so that a recorder
that is killed leaves a file that is cut off at most, and that is read up to the last whole snapshot.
"""

import contextlib
import logging
import math
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from common import named_file, wire
from common.snapshot import Snapshot

_log = logging.getLogger(__name__)

MAGIC = b"recording of gpu.snapshot.v1\n"
MOST_FRAME_BYTES = 16 * 2**20

_HEAD = struct.Struct(">dII")
_SECONDS = struct.Struct(">d")


class RecordingError(Exception):
    """The file's: it cannot be had, or is no whole recording; the message says what is wrong, and where."""


class Recorded(NamedTuple):
    """A snapshot, and how many seconds after the recording began it came."""

    seconds: float
    snapshot: Snapshot


class Recorder:
    """Writes a recording to a file that did not exist before, for its owner alone."""

    def __init__(self, path: str) -> None:
        """Raises RecordingError: the file is there already, or cannot be made."""
        try:
            with contextlib.ExitStack() as begun:
                self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0)
                begun.callback(Path(path).unlink)
                begun.callback(self.close)
                self._write(MAGIC)
                begun.pop_all()
        except OSError as error:
            raise RecordingError(f"{path}: cannot record there: {error.strerror}") from None

    def write(self, recorded: Recorded) -> None:
        """Add a snapshot. Raises OSError: the disk is full, or gone."""
        frame, seconds = wire.encode(recorded.snapshot), _SECONDS.pack(recorded.seconds)
        self._write(seconds + struct.pack(">II", len(frame), zlib.crc32(seconds + frame)) + frame)

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def _write(self, left: bytes) -> None:
        # Where there is room for a part only, that is written, and no error before there is no room at all.
        while left:
            left = left[self._file.write(left) :]


class Recording:
    """A recording that can be read, from its beginning, as often as is wanted."""

    def __init__(self, path: str) -> None:
        """Raises RecordingError: the file cannot be had, or is no recording."""
        self._path = path
        try:
            self._file: BinaryIO = open(path, "rb", opener=named_file.without_waiting)  # noqa: SIM115 -- by __exit__
        except OSError as error:
            raise RecordingError(f"{path}: cannot be read: {error.strerror}") from None
        if self._file.read(len(MAGIC)) != MAGIC:
            self._file.close()
            raise RecordingError(f"{path}: no recording of the feed: it does not begin as one")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Recorded]:
        """Yield what was recorded, up to the last snapshot that is whole.

        Raises:
            RecordingError: what is written is not what was recorded; the message names the byte.
        """
        self._file.seek(len(MAGIC))
        before = 0.0
        while True:
            place = self._file.tell()
            head = self._file.read(_HEAD.size)
            if not head:
                return
            frame = self._frame(head, place)
            if frame is None:
                _log.warning("%s is cut off at byte %d; what is before that is whole", self._path, place)
                return
            (seconds,) = _SECONDS.unpack(head[: _SECONDS.size])
            if not before <= seconds < math.inf:
                raise self._corrupt(place, f"a time of {seconds} s after one of {before} s")
            before = seconds
            yield Recorded(seconds, self._snapshot(frame, place))

    def check(self) -> int:
        """Read all of it, and return how many snapshots it has. Raises RecordingError: as reading it does."""
        return sum(1 for _ in self)

    def _frame(self, head: bytes, place: int) -> bytes | None:
        """Return the frame that follows; None: the file ends before it does."""
        if len(head) < _HEAD.size:
            return None
        _, length, expected = _HEAD.unpack(head)
        if not 0 < length <= MOST_FRAME_BYTES:
            raise self._corrupt(place, f"a snapshot of {length} bytes")
        frame = self._file.read(length)
        if len(frame) < length:
            return None
        if zlib.crc32(head[: _SECONDS.size] + frame) != expected:
            raise self._corrupt(place, "a snapshot whose checksum is wrong")
        return frame

    def _snapshot(self, frame: bytes, place: int) -> Snapshot:
        try:
            return wire.decode(frame)
        except wire.WireError as error:
            raise self._corrupt(place, str(error)) from None

    def _corrupt(self, place: int, what: str) -> RecordingError:
        return RecordingError(f"{self._path}: corrupt at byte {place}: {what}")
