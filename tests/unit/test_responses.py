"""What may be said of the hosts selected, in the words of the first API."""

import time
from typing import Any

import msgspec
import pytest

from api.cache import Cache
from api.responses.errors import Error, not_fresh_body
from api.responses.metrics import MetricsBody, metrics_body
from api.responses.moments import timestamp
from api.selection import NotFresh, Selection, select
from common.gpu import Gpu
from common.snapshot import Snapshot
from tests.builders import (
    ENDPOINT,
    MEBIBYTE,
    NO_DRIVER,
    assert_golden,
    make_cache,
    make_gpu,
    make_lost_gpu,
    make_missing_source,
    make_snapshot,
    make_stalled_source,
    make_unknown_gpu,
)

OTHER = "tcp://node-9:8481"
STUCK = "nvmlDeviceGetPowerUsage for GPU 0 has not returned for 12 s"
DOTTED = [
    "utilization",
    "memory.total",
    "memory.used",
    "memory.free",
    "temperature",
    "power_usage",
    "clock_speeds.graphics",
    "clock_speeds.memory",
    "memory_utilization",
]


def body_of(cache: Cache, now: float = 0.0, host: str | None = None, max_age: float | None = None) -> MetricsBody:
    selection = select(cache, host, max_age, now)
    assert isinstance(selection, Selection)
    return metrics_body(selection)


def said_of(*snapshots: Snapshot, now: float = 0.0, max_age: float | None = None, **cache: Any) -> Any:
    return msgspec.to_builtins(body_of(make_cache(*snapshots, **cache), now, max_age=max_age))


def said_of_gpu(gpu: Gpu) -> Any:
    return said_of(make_snapshot(gpus=[gpu]))["gpus"][0]


def missing(host: str = "node-1", **overrides: Any) -> Snapshot:
    return make_snapshot(host=host, **({"source": make_missing_source(), "gpus": []} | overrides))


def stalled(host: str = "node-1", **overrides: Any) -> Snapshot:
    return make_snapshot(host=host, **({"source": make_stalled_source(), "gpus": [make_unknown_gpu()]} | overrides))


def two_hosts_of_three() -> Cache:
    cache = make_cache(make_snapshot(host="node-1", gpus=[make_gpu(1), make_gpu(0)]), endpoints=(ENDPOINT, OTHER))
    cache.accept(ENDPOINT, make_snapshot(host="node-10", sampled_at_ns=1_741_129_369_000_000_000), 1.0)
    cache.accept(ENDPOINT, make_snapshot(host="node-0", held_seconds=80.0), 1.0)
    return cache


@pytest.mark.parametrize(
    ("name", "cache"),
    [
        ("ok.json", make_cache(make_snapshot())),
        ("degraded.json", make_cache(make_snapshot(gpus=[make_gpu(0), make_lost_gpu(1)]))),
        ("placeholder.json", make_cache(missing(gpus=[make_unknown_gpu()]))),
        ("stalled.json", make_cache(stalled(gpus=[make_unknown_gpu(0), make_unknown_gpu(1)]))),
        ("merged.json", two_hosts_of_three()),
    ],
)
def test_the_body_is_the_one_of_the_golden_file(name: str, cache: Cache) -> None:
    assert_golden(name, msgspec.json.encode(body_of(cache, 1.0)))


def test_lost_gpu_stays_listed_while_the_others_go_on() -> None:
    said = said_of(make_snapshot(gpus=[make_gpu(0), make_lost_gpu(1), make_gpu(2)]))
    assert [(gpu["id"], gpu["status"], gpu["power_usage"]) for gpu in said["gpus"]] == [
        ("gpu-0", "ok", 220.5),
        ("gpu-1", "lost", 0.0),
        ("gpu-2", "ok", 220.5),
    ]
    assert said["gpus"][1]["uuid"] == make_gpu(1).uuid
    assert said["gpus"][1]["unavailable"] == DOTTED
    assert (said["status"], said["error"]["message"]) == ("degraded", "node-1: gpu-1 is lost: GPU is lost")


def numbers(gpu: dict[str, Any]) -> dict[str, float]:
    """Return every number of one GPU's, by its dotted name."""
    flat = {f"{name}.{part}": number for name in ("memory", "clock_speeds") for part, number in gpu[name].items()}
    return {name: (gpu | flat)[name] for name in DOTTED}


def test_gpus_are_told_in_the_order_of_their_index() -> None:
    said = said_of(make_snapshot(gpus=[make_gpu(10), make_gpu(2), make_lost_gpu(0)]))
    assert [gpu["id"] for gpu in said["gpus"]] == ["gpu-0", "gpu-2", "gpu-10"]


@pytest.mark.parametrize(
    ("reading", "name"),
    [
        ("utilization_gpu_percent", "utilization"),
        ("memory_total_bytes", "memory.total"),
        ("memory_used_bytes", "memory.used"),
        ("memory_free_bytes", "memory.free"),
        ("temperature_gpu_celsius", "temperature"),
        ("power_draw_watts", "power_usage"),
        ("clock_graphics_megahertz", "clock_speeds.graphics"),
        ("clock_memory_megahertz", "clock_speeds.memory"),
        ("utilization_memory_percent", "memory_utilization"),
    ],
)
def test_a_reading_not_taken_is_zero_and_its_dotted_name_is_told(reading: str, name: str) -> None:
    gpu: dict[str, Any] = {reading: None, "unavailable": {reading: "unsupported"}}
    said = said_of(make_snapshot(gpus=[make_gpu(**gpu)]))
    number: Any = said["gpus"][0]
    for key in name.split("."):
        number = number[key]
    assert (number, said["gpus"][0]["unavailable"]) == (0, [name])
    whole = said_of(make_snapshot())["gpus"][0]
    assert len(set(numbers(said["gpus"][0]).items()) ^ set(numbers(whole).items())) == 2
    assert (said["status"], said["error"], said["gpus"][0]["status"]) == ("ok", None, "ok")


@pytest.mark.parametrize(
    ("watts", "unavailable"),
    [(0.0, []), (float("nan"), ["power_usage"]), (float("inf"), ["power_usage"]), (float("-inf"), ["power_usage"])],
)
def test_zero_is_a_reading_and_what_is_no_number_is_none(watts: float, unavailable: list[str]) -> None:
    gpu = said_of_gpu(make_gpu(power_draw_watts=watts))
    assert (gpu["power_usage"], gpu["unavailable"]) == (0.0, unavailable)


@pytest.mark.parametrize(
    ("count", "megabytes"),
    [(0, 0), (MEBIBYTE - 1, 0), (MEBIBYTE, 1), (2 * MEBIBYTE - 1, 1), (25_757_220_864, 24564), (2**64 - 1, 2**44 - 1)],
)
def test_memory_is_in_mebibytes_rounded_down(count: int, megabytes: int) -> None:
    gpu = make_gpu(memory_total_bytes=count, memory_used_bytes=count, memory_free_bytes=count)
    assert said_of_gpu(gpu)["memory"] == {"total": megabytes, "used": megabytes, "free": megabytes}


@pytest.mark.parametrize(
    ("watts", "written"),
    [(76.543, b"76.543"), (76.54321, b"76.543"), (76.9999, b"77.0"), (76.0, b"76.0"), (0.0004, b"0.0"), (76, b"76.0")],
)
def test_power_is_a_float_of_at_most_three_decimals(watts: float, written: bytes) -> None:
    body = body_of(make_cache(make_snapshot(gpus=[make_gpu(power_draw_watts=watts)])))
    assert b'"power_usage":' + written + b"," in msgspec.json.encode(body)


@pytest.mark.parametrize(
    ("nanoseconds", "written"),
    [
        (0, "1970-01-01T00:00:00.000000"),
        (1_741_129_370_000_000_000, "2025-03-04T23:02:50.000000"),
        (1_741_129_370_123_456_999, "2025-03-04T23:02:50.123456"),
        (1_741_129_370_999_999_999, "2025-03-04T23:02:50.999999"),
        (2**64 - 1, "2554-07-21T23:34:33.709551"),
    ],
)
def test_a_timestamp_always_has_six_decimals_and_no_offset(nanoseconds: int, written: str) -> None:
    assert timestamp(nanoseconds) == written


def test_a_gpu_that_would_not_say_who_it_is_has_empty_words() -> None:
    gpu = said_of_gpu(make_gpu(uuid=None, name=None))
    assert (gpu["name"], gpu["uuid"]) == ("", "")


@pytest.mark.parametrize(
    ("snapshots", "now", "status"),
    [
        ([make_snapshot()], 0.0, "ok"),
        ([make_snapshot(gpus=[])], 0.0, "ok"),
        ([make_snapshot(gpus=[make_gpu(state="error", error="NVML_ERROR_UNKNOWN")])], 0.0, "degraded"),
        ([make_snapshot(), missing("node-2")], 0.0, "degraded"),
        ([make_snapshot(), missing("node-2", gpus=[make_unknown_gpu()])], 0.0, "degraded"),
        ([missing()], 0.0, "placeholder"),
        ([missing("a"), missing("b")], 0.0, "placeholder"),
        ([missing("a"), make_snapshot(host="b", gpus=[])], 0.0, "placeholder"),
        ([stalled()], 0.0, "stalled"),
        ([stalled("a"), make_snapshot(host="b", gpus=[make_lost_gpu()])], 0.0, "stalled"),
        ([stalled("a", gpus=[]), missing("b")], 0.0, "stalled"),
        ([stalled("a", held_seconds=80.0), make_snapshot(host="b")], 0.0, "stale"),
        ([missing("a", held_seconds=80.0), stalled("b")], 0.0, "stale"),
    ],
)
def test_the_worst_of_all_that_is_wrong_wins(snapshots: list[Snapshot], now: float, status: str) -> None:
    said = said_of(*snapshots, now=now, max_age=100.0)
    assert said["status"] == status
    assert (said["error"] or {"code": "ok"})["code"] == status


@pytest.mark.parametrize(
    ("snapshot", "message"),
    [
        (missing(), f"node-1: {NO_DRIVER}"),
        (missing(source=make_missing_source(None)), "node-1: no reason given"),
        (stalled(), f"node-1: {STUCK}"),
        (stalled(source=make_stalled_source(error=None)), "node-1: no reason given"),
        (make_snapshot(gpus=[make_gpu(state="error")]), "node-1: gpu-0 is error: no reason given"),
        (make_snapshot(held_seconds=80.0), "node-1: no fresh snapshot; this one is shown because max_age admits it"),
    ],
)
def test_the_error_says_what_is_wrong_and_where(snapshot: Snapshot, message: str) -> None:
    assert said_of(snapshot, max_age=100.0)["error"]["message"] == message


@pytest.mark.parametrize(("snapshot", "status"), [(make_snapshot(gpus=[]), "ok"), (stalled(gpus=[]), "stalled")])
def test_without_any_gpu_there_is_none_and_no_placeholder(snapshot: Snapshot, status: str) -> None:
    said = said_of(snapshot)
    assert (said["gpus"], said["status"], said["host"]) == ([], status, "node-1")


@pytest.mark.parametrize("known", [[], [make_unknown_gpu(0), make_unknown_gpu(1)]])
def test_without_a_driver_there_is_one_placeholder_and_no_other_gpu(known: list[Gpu]) -> None:
    said = said_of(missing(gpus=known))
    assert [(gpu["id"], gpu["name"], gpu["unavailable"]) for gpu in said["gpus"]] == [("gpu-0", "placeholder", DOTTED)]
    assert "missing_hosts" not in said


def test_there_is_no_placeholder_where_another_host_has_gpus() -> None:
    hosts = [make_snapshot(host="a"), missing("b"), missing("c", gpus=[make_unknown_gpu()])]
    said = said_of(*hosts, endpoints=(ENDPOINT, OTHER))
    assert [(gpu["host"], gpu["status"]) for gpu in said["gpus"]] == [("a", "ok"), ("c", "unknown")]
    assert (said["missing_hosts"], said["host"]) == (["b", OTHER], None)


def test_the_only_fresh_host_is_named_though_others_are_missing() -> None:
    said = said_of(make_snapshot(), endpoints=(ENDPOINT, OTHER))
    assert (said["host"], said["status"], said["missing_hosts"]) == ("node-1", "degraded", [OTHER])


def test_a_timestamp_is_utc_wherever_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        assert timestamp(1_741_129_370_123_456_789) == "2025-03-04T23:02:50.123456"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_two_collectors_of_one_name_degrade_it_and_its_lost_gpus_are_counted_too() -> None:
    cache = make_cache(make_snapshot(run_id="a"))
    cache.accept(OTHER, make_snapshot(run_id="b"), 0.0)
    cache.accept(ENDPOINT, make_snapshot(run_id="a", sequence=1, gpus=[make_lost_gpu()]), 1.0)
    cache.accept(OTHER, make_snapshot(run_id="b", sequence=1), 1.0)
    body = body_of(cache, 1.0)
    assert (body.status, body.error) == (
        "degraded",
        Error("degraded", "node-1: two collectors publish under this name (and 1 more)"),
    )


def test_the_timestamp_of_several_hosts_is_the_one_of_the_oldest_snapshot() -> None:
    told_late = make_snapshot(host="b", held_seconds=9.0, sampled_at_ns=5_000_000_000)
    assert said_of(make_snapshot(host="a"), told_late)["timestamp"] == "1970-01-01T00:00:05.000000"


def test_before_anything_was_heard_the_endpoints_are_named_and_there_is_no_age() -> None:
    body = not_fresh_body(NotFresh(None, None, is_stale=True, retry_seconds=1), (ENDPOINT, OTHER))
    assert (body.status, body.error.code, body.age_seconds) == ("unheard", "unheard", None)
    assert body.error.message == (
        f"no snapshot was heard yet from {ENDPOINT}, {OTHER}: is the collector running? /api/v1/monitoring/hosts tells "
        "how the way there is"
    )


def test_a_stale_host_is_named_with_its_age() -> None:
    refusal = select(make_cache(make_snapshot()), None, None, 80.12345)
    assert isinstance(refusal, NotFresh)
    body = not_fresh_body(refusal, (ENDPOINT,))
    assert (body.status, body.error.code, body.age_seconds) == ("stale", "stale", 80.123)
    assert body.error.message == "node-1: the latest snapshot is 80.1 s old; is the collector running?"
