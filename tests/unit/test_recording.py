"""A recording of the feed: what is kept of it when the recorder is killed, and what is said of one that is corrupt."""

import asyncio
import contextlib
import itertools
import math
import os
import resource
import struct
import zlib
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.tap import Tap
from common.recording import MAGIC, MOST_FRAME_BYTES, Recorded, Recorder, Recording, RecordingError
from tests.builders import ENDPOINT, make_gpu, make_snapshot

THREE = [Recorded(number / 2, make_snapshot(sequence=number, gpus=[make_gpu()])) for number in range(3)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    recorder = Recorder(str(tmp_path / "feed"))
    for recorded in THREE:
        recorder.write(recorded)
    recorder.close()
    return tmp_path / "feed"


def read(path: Path) -> list[Recorded]:
    with Recording(str(path)) as recording:
        return list(recording)


def refusal(path: Path) -> str:
    with pytest.raises(RecordingError) as refused, Recording(str(path)) as recording:
        recording.check()
    return str(refused.value)


def test_what_was_recorded_is_read_as_often_as_is_wanted(path: Path) -> None:
    with Recording(str(path)) as recording:
        assert (recording.check(), list(recording), list(recording)) == (3, THREE, THREE)


def test_each_snapshot_is_in_the_file_as_soon_as_it_is_written(tmp_path: Path) -> None:
    recorder = Recorder(str(tmp_path / "feed"))
    for count, recorded in enumerate(THREE, 1):
        recorder.write(recorded)
        assert read(tmp_path / "feed") == THREE[:count]
    recorder.close()


def test_a_recording_is_its_owner_s_alone_and_overwrites_nothing(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(RecordingError) as refused:
        Recorder(str(path))
    assert str(refused.value) == f"{path}: cannot record there: File exists"
    assert read(path) == THREE


@contextlib.contextmanager
def room(path: Path, more_bytes: int) -> Iterator[None]:
    """Let a file grow by no more than that, as a disk that is nearly full does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + more_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("more_bytes", [0, 100])
def test_a_snapshot_for_which_there_is_no_room_is_an_error_and_what_is_before_it_whole(
    tmp_path: Path, more_bytes: int
) -> None:
    with contextlib.closing(Recorder(str(tmp_path / "feed"))) as recorder:
        recorder.write(THREE[0])
        with room(tmp_path / "feed", more_bytes), pytest.raises(OSError, match="File too large"):
            recorder.write(THREE[1])
    assert read(tmp_path / "feed") == THREE[:1]


def test_a_tap_that_can_record_no_more_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stop = asyncio.Event()
    with contextlib.closing(Recorder(str(tmp_path / "feed"))) as recorder:
        tap = Tap(Namespace(host=None, table=True, count=None), recorder, stop)
        with room(tmp_path / "feed", 100):
            tap.accept(ENDPOINT, THREE[0].snapshot, 0.0)
    assert (tap.status, stop.is_set()) == (1, True)
    assert "cannot record any more: File too large" in caplog.text


def test_a_recording_that_is_cut_off_anywhere_is_read_up_to_the_last_whole_snapshot(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = path.read_bytes()
    lengths = []
    for length in range(len(MAGIC), len(whole), 7):  # the head of a snapshot has 16 bytes
        path.write_bytes(whole[:length])
        found = read(path)
        assert found == THREE[: len(found)]
        lengths.append(len(found))
    assert [count for count, _ in itertools.groupby(lengths)] == [0, 1, 2]
    third = len(MAGIC) + (len(whole) - len(MAGIC)) // 3 * 2
    assert caplog.messages[-1] == f"{path} is cut off at byte {third}; what is before that is whole"


def test_a_byte_that_was_changed_anywhere_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(len(MAGIC), len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        with contextlib.suppress(RecordingError):
            found = read(path)
            # Here a length reaches beyond the end, and the file looks cut off.
            assert (found, len(found) < len(THREE)) == (THREE[: len(found)], True)


def test_what_is_corrupt_is_told_with_its_place(path: Path) -> None:
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 0xFF
    path.write_bytes(changed)
    third = len(MAGIC) + (len(changed) - len(MAGIC)) // 3 * 2
    assert refusal(path) == f"{path}: corrupt at byte {third}: a snapshot whose checksum is wrong"


def test_what_is_no_recording_or_cannot_be_had_is_refused(tmp_path: Path) -> None:
    (tmp_path / "feed").write_bytes(b"something else entirely, of some length")
    said = f"{tmp_path / 'feed'}: no recording of the feed: it does not begin as one"
    assert refusal(tmp_path / "feed") == said
    assert refusal(tmp_path / "none") == f"{tmp_path / 'none'}: cannot be read: No such file or directory"
    assert refusal(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


def test_a_pipe_is_no_recording_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == f"{tmp_path}/pipe: no recording of the feed: it does not begin as one"


@pytest.mark.parametrize("bytes_left", [0, 10])
def test_where_there_is_no_room_to_begin_a_recording_there_is_none(tmp_path: Path, bytes_left: int) -> None:
    (tmp_path / "empty").touch()
    refused = f"^{tmp_path}/feed: cannot record there: File too large$"
    with room(tmp_path / "empty", bytes_left), pytest.raises(RecordingError, match=refused):
        Recorder(str(tmp_path / "feed"))
    assert not (tmp_path / "feed").exists()


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (0, "corrupt at byte 29: a snapshot of 0 bytes"),
        (MOST_FRAME_BYTES + 1, f"corrupt at byte 29: a snapshot of {MOST_FRAME_BYTES + 1} bytes"),
        (1, "corrupt at byte 29: a snapshot whose checksum is wrong"),
        (MOST_FRAME_BYTES, "is cut off at byte 29; what is before that is whole"),
    ],
)
def test_a_length_that_no_snapshot_has_is_corrupt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, length: int, said: str
) -> None:
    path = tmp_path / "feed"
    path.write_bytes(MAGIC + struct.pack(">dII", 0.0, length, 0) + b"x")
    if said.startswith("corrupt"):
        assert refusal(path) == f"{path}: {said}"
    else:
        assert read(path) == []
        assert caplog.messages == [f"{path} {said}"]


@pytest.mark.parametrize("seconds", [-0.5, math.inf, math.nan])
def test_a_time_that_is_none_is_corrupt(tmp_path: Path, seconds: float) -> None:
    recorder = Recorder(str(tmp_path / "feed"))
    recorder.write(THREE[0]._replace(seconds=seconds))
    recorder.close()
    said = f"corrupt at byte {len(MAGIC)}: a time of {seconds} s after one of 0.0 s"
    assert refusal(tmp_path / "feed") == f"{tmp_path / 'feed'}: {said}"


def test_a_frame_of_no_snapshot_is_corrupt(tmp_path: Path) -> None:
    seconds, frame = struct.pack(">d", 0.0), b"nothing"
    head = seconds + struct.pack(">II", len(frame), zlib.crc32(seconds + frame))
    (tmp_path / "feed").write_bytes(MAGIC + head + frame)
    said = "no topic of the form gpu.snapshot.v1.<host> and a zero byte"
    assert refusal(tmp_path / "feed") == f"{tmp_path / 'feed'}: corrupt at byte {len(MAGIC)}: {said}"


def test_two_snapshots_may_have_come_at_one_time(tmp_path: Path) -> None:
    recorder = Recorder(str(tmp_path / "feed"))
    for _ in range(2):
        recorder.write(THREE[1])
    recorder.close()
    assert read(tmp_path / "feed") == [THREE[1], THREE[1]]


def test_times_that_go_back_are_corrupt(tmp_path: Path) -> None:
    recorder = Recorder(str(tmp_path / "feed"))
    recorder.write(THREE[1])
    recorder.write(THREE[0])
    recorder.close()
    assert "a time of 0.0 s after one of 0.5 s" in refusal(tmp_path / "feed")
