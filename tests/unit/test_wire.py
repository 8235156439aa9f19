"""The feed's frame: what is written, what is understood, and what is refused."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from common import wire
from common.gpu import Gpu, Process
from common.recording import Recorded, Recorder
from common.snapshot import Snapshot, Source
from common.version import VERSION
from tests.builders import (
    GOLDEN,
    assert_golden,
    make_frame,
    make_gpu,
    make_lost_gpu,
    make_missing_source,
    make_snapshot,
    make_stalled_source,
)
from tests.whole import frames_in, recordings, snapshots

TOPIC = b"gpu.snapshot.v1.node-1\0"
GPU = {"index": 0, "uuid": None, "name": None, "pci_bus_id": None}
LARGEST = 2**64 - 1
COST = {"cpu_seconds": 1.5, "resident_bytes": None, "nvml_calls": 1, "slowest_call": None}
CALL = {"function": "nvmlInit", "seconds": float("inf")}


def understood(frame: bytes) -> Snapshot | None:
    try:
        return wire.decode(frame)
    except wire.WireError:
        return None


def with_body(body: bytes) -> bytes:
    return TOPIC + body


def has_all_of(new: Any, old: Any) -> bool:
    """Return whether every key of the old value is in the new one, with an equal value of the same type."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(key in new and has_all_of(new[key], old[key]) for key in old)
    if isinstance(old, list):
        return len(new) == len(old) and all(map(has_all_of, new, old))
    return type(new) is type(old) and new == old


def test_a_frame_is_the_topic_and_a_map_with_string_keys() -> None:
    topic, separator, body = wire.encode(make_snapshot()).partition(b"\0")
    decoded = msgspec.msgpack.decode(body)
    assert topic + separator == TOPIC
    assert list(decoded)[:3] == ["host", "run_id", "sequence"]
    assert decoded["gpus"][0]["power_draw_watts"] == 220.5


def test_the_topic_of_a_host_is_no_prefix_of_a_longer_name() -> None:
    assert not wire.topic("node-10").startswith(wire.topic("node-1"))


@pytest.mark.parametrize(
    "snapshot",
    [
        make_snapshot(),
        make_snapshot(gpus=[]),
        make_snapshot(gpus=[make_gpu(0), make_lost_gpu(1)]),
        make_snapshot(source=make_stalled_source(), gpus=[]),
        make_snapshot(source=make_missing_source("no driver \N{EM DASH} none"), gpus=[]),
        make_snapshot(host="a" * 253, sequence=LARGEST, sampled_at_ns=LARGEST),
        make_snapshot(sampled_at_ns=0, interval_seconds=0.0, duration_seconds=0.0),
    ],
)
def test_what_was_written_is_read_again(snapshot: Snapshot) -> None:
    assert wire.decode(wire.encode(snapshot)) == snapshot


def first_frame() -> bytes:
    return bytes.fromhex(msgspec.json.decode((GOLDEN / "frame.json").read_bytes())["hex"])


EARLIER = [("first", 0, first_frame())]
EARLIER += [(path.stem, place, frame) for path in recordings() for place, frame in enumerate(frames_in(path))]


@pytest.mark.parametrize("frame", [pytest.param(frame, id=f"{name}, {place}") for name, place, frame in EARLIER])
def test_nothing_that_an_earlier_version_said_is_lost_or_changed_on_its_way_through_this_one(frame: bytes) -> None:
    first_topic, _, first_body = frame.partition(b"\0")
    topic, _, body = wire.encode(wire.decode(frame)).partition(b"\0")
    assert topic == first_topic == b"gpu.snapshot.v1.node-1"
    assert has_all_of(msgspec.msgpack.decode(body), msgspec.msgpack.decode(first_body))


def test_the_recording_of_this_version_has_all_that_it_can_say(tmp_path: Path) -> None:
    recorder = Recorder(str(tmp_path / "recording"))
    for second, snapshot in enumerate(snapshots()):
        recorder.write(Recorded(float(second), snapshot))
    recorder.close()
    assert_golden(f"feed-{VERSION}.recording", (tmp_path / "recording").read_bytes())


def test_keys_of_a_newer_release_are_ignored() -> None:
    frame = make_frame(source={"state": "ok", "mood": [1, {"deep": None}]}, gpus=[GPU | {"fan_speed": {}}], moon="full")
    snapshot = wire.decode(frame)
    assert snapshot.source.state == "ok"
    assert [gpu.index for gpu in snapshot.gpus] == [0]


def test_a_state_that_only_a_newer_release_knows_is_the_most_careful_of_ours_and_the_error_says_so() -> None:
    said = "'resetting' is a state that only a newer version knows"
    newer = [GPU | {"state": "resetting", "power_draw_watts": 7.0}, GPU | {"index": 1}]
    snapshot = wire.decode(
        make_frame(source={"state": "resetting", "error": "wait", "driver_version": "9"}, gpus=newer)
    )
    assert snapshot.source == Source(state="unavailable", error=f"{said}: wait", driver_version="9")
    assert snapshot.gpus == [
        Gpu(index=0, uuid=None, name=None, state="unknown", error=said, power_draw_watts=7.0),
        Gpu(index=1, uuid=None, name=None),
    ]
    assert [type(part) for part in (snapshot, snapshot.source, *snapshot.gpus)] == [Snapshot, Source, Gpu, Gpu]


def test_a_source_or_gpu_whose_state_is_known_keeps_it_beside_one_whose_state_is_not() -> None:
    of_gpu = wire.decode(make_frame(source={"state": "ok"}, gpus=[GPU | {"state": "resetting"}]))
    assert (of_gpu.source, of_gpu.gpus[0].state) == (Source(state="ok"), "unknown")
    of_source = wire.decode(make_frame(source={"state": "resetting"}, gpus=[GPU | {"state": "lost"}]))
    assert (of_source.source.state, of_source.gpus[0].state, of_source.gpus[0].error) == ("unavailable", "lost", None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"interval_seconds": -1.0}, "interval_seconds -1.0 is no duration"),
        ({"collector": COST | {"cpu_seconds": -1.0}}, "collector.cpu_seconds -1.0 is no duration"),
        ({"collector": COST | {"slowest_call": CALL}}, "collector.slowest_call.seconds inf is no duration"),
        (
            {"source": {"state": "stalled", "stalled_call": CALL | {"gpu_index": None}}},
            "source.stalled_call.seconds inf is no duration",
        ),
    ],
)
def test_what_is_no_duration_is_said_with_its_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(wire.WireError) as refused:
        wire.decode(make_frame(**changes))
    assert str(refused.value) == said


def test_names_and_reasons_that_only_a_newer_release_knows_are_passed_on() -> None:
    process = {"pid": 1, "kind": "mps"}
    newer = {"processes": [process], "clock_event_reasons": ["moon"], "unavailable": {"moon_phase": "eclipsed"}}
    (gpu,) = wire.decode(make_frame(gpus=[GPU | newer])).gpus
    assert (gpu.processes, gpu.clock_event_reasons) == ([Process(pid=1, kind="mps")], ["moon"])
    assert gpu.unavailable == {"moon_phase": "eclipsed"}


def test_what_an_older_release_did_not_know_has_its_default() -> None:
    snapshot = wire.decode(make_frame(source={"state": "ok"}, gpus=[GPU]))
    assert snapshot.source.driver_version is None
    assert snapshot.gpus[0].state == "ok"
    assert snapshot.gpus[0].power_draw_watts is None
    assert snapshot.gpus[0].lost_since_ns is None


def test_whole_numbers_are_taken_for_seconds_and_watts() -> None:
    snapshot = wire.decode(make_frame(held_seconds=3, gpus=[GPU | {"power_draw_watts": 76}]))
    assert (snapshot.held_seconds, snapshot.gpus[0].power_draw_watts) == (3.0, 76.0)


@pytest.mark.parametrize("key", Snapshot.__struct_fields__)
def test_a_snapshot_without_one_of_its_keys_is_refused_by_name(key: str) -> None:
    with pytest.raises(wire.WireError, match=f"`{key}`"):
        wire.decode(make_frame(**{key: ...}))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"host": "node-2"}, "node-2"),
        ({"host": ""}, "host"),
        ({"host": "node-1\n"}, "host"),
        ({"host": 1}, "host"),
        ({"sequence": -(2**63)}, "sequence"),
        ({"sequence": "0"}, "sequence"),
        ({"sequence": 1.0}, "sequence"),
        ({"sampled_at_ns": -1}, "sampled_at_ns"),
        ({"sampled_at_ns": 1.5}, "sampled_at_ns"),
        ({"held_seconds": float("nan")}, "held_seconds"),
        ({"held_seconds": -0.001}, "held_seconds"),
        ({"interval_seconds": float("inf")}, "interval_seconds"),
        ({"duration_seconds": float("-inf")}, "duration_seconds"),
        ({"collector": COST | {"cpu_seconds": float("nan")}}, "collector.cpu_seconds"),
        ({"collector": COST | {"slowest_call": CALL}}, "collector.slowest_call.seconds"),
        ({"source": {"state": "stalled", "stalled_call": CALL | {"gpu_index": 0}}}, "source.stalled_call.seconds"),
        ({"source": None}, "source"),
        ({"source": {"state": 1}}, "source.state"),
        ({"source": {"state": "asleep", "error": 1}}, "source.error"),
        ({"gpus": [GPU | {"state": None}]}, r"gpus\[0\].state"),
        ({"gpus": {}}, "gpus"),
        ({"gpus": [None]}, r"gpus\[0\]"),
        ({"gpus": [GPU] * (wire.MAX_GPUS + 1)}, "gpus: 257 are more than 256"),
        ({"gpus": [GPU | {"memory_total_bytes": "many"}]}, "memory_total_bytes"),
        ({"gpus": [GPU | {"unavailable": {1: "x"}}]}, "unavailable"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(wire.WireError, match=named):
        wire.decode(make_frame(**changes))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\0",
        b"GET / HTTP/1.1\r\n",
        b"gpu.snapshot.v1.node-1",
        wire.encode(make_snapshot()).replace(b".v1.", b".v2."),
        wire.encode(make_snapshot()).removeprefix(wire.TOPIC_PREFIX),
        wire.encode(make_snapshot()).replace(b"v1.node-1\0", b"v1.\xff\xfe\0"),
        wire.encode(make_snapshot()).replace(b"v1.node-1\0", b"v1.node-\0"),
        wire.encode(make_snapshot(host="")),
        wire.encode(make_snapshot(host="node 1\n")),
        with_body(b""),
        with_body(b"\xc0"),
        with_body(b"\xc1"),
        with_body(b"\x90"),
        with_body(b"\x91" * 100_000),
        with_body(b"\x81\xa1x" * 100_000),
        with_body(b"\xdf\xff\xff\xff\xff"),
        with_body(b"\x81\xa4host\xdb\xff\xff\xff\xff"),
        with_body(b"\x81\xa4host\xa2\xff\xfe"),
        with_body(b"\x81\xd9\xff"),
        with_body(b'{"host": "node-1"}'),
        wire.encode(make_snapshot()) + b"\xc0",
    ],
)
def test_what_is_no_snapshot_is_a_wire_error(frame: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(frame)


def test_a_cut_off_frame_is_a_wire_error_wherever_it_was_cut() -> None:
    frame = wire.encode(make_snapshot())
    assert [length for length in range(len(frame)) if understood(frame[:length])] == []


def test_a_damaged_frame_is_a_snapshot_or_a_wire_error_whichever_byte_is_damaged() -> None:
    frame = wire.encode(make_snapshot(gpus=[]))
    refused = 0
    for position in range(len(frame)):
        for byte in range(256):
            refused += understood(frame[:position] + bytes([byte]) + frame[position + 1 :]) is None
    assert 0 < refused < 256 * len(frame)


@pytest.mark.parametrize(
    ("reading", "value"),
    [
        ("utilization_gpu_percent", LARGEST),
        ("temperature_gpu_celsius", -(2**63)),
        ("power_draw_watts", float("inf")),
        ("memory_total_bytes", -1),
    ],
)
def test_one_odd_reading_does_not_cost_the_snapshot(reading: str, value: float) -> None:
    snapshot = wire.decode(make_frame(gpus=[GPU | {reading: value}]))
    assert getattr(snapshot.gpus[0], reading) == value


def test_what_a_peer_writes_does_not_flood_the_log() -> None:
    with pytest.raises(wire.WireError) as refused:
        wire.decode(make_frame(host="\nforged line" * 2**16))
    told = (str(refused.value), wire.decode(make_frame(source={"state": "\nforged line" * 2**16})).source.error or "")
    assert [text for text in told if len(text) > 500 or "\n" in text] == []


def test_as_many_gpus_as_may_be_are_read_from_a_message_as_large_as_may_be() -> None:
    gpus = [make_lost_gpu()] * wire.MAX_GPUS
    frame = wire.encode(make_snapshot(gpus=gpus))
    assert wire.decode(frame).gpus == gpus
    assert len(frame) < wire.MAX_MESSAGE_BYTES
