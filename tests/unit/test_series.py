"""What the history answers: which timestamps, which series, which values; and what it refuses."""

import json
import threading
from typing import Any

import msgspec
import pytest

from api.history import series as series_module
from api.history.series import HistoryBody, HistoryQuery, TooMuch
from api.history.store import History
from common.gpu import NUMERIC, Gpu
from common.snapshot import Snapshot
from tests.builders import make_gpu, make_lost_gpu, make_missing_source, make_snapshot

SECOND = 10**9
BUSY = "utilization_gpu_percent"
WATTS = "power_draw_watts"
A, B = make_gpu(0).uuid or "", make_gpu(1).uuid or ""


def at(second: float, *gpus: Gpu, host: str = "node-1", **overrides: Any) -> Snapshot:
    """Return a snapshot that was taken so many seconds after the epoch."""
    return make_snapshot(host=host, sampled_at_ns=round(second * SECOND), gpus=list(gpus), **overrides)


def busy(percent: int | None, index: int = 0) -> Gpu:
    return make_gpu(index, **{BUSY: percent})


def make_history(*snapshots: Snapshot) -> History:
    history = History(1e9, 256.0)
    for arrived, snapshot in enumerate(snapshots):
        history.add(snapshot, float(arrived))
    return history


def answer(history: History, **query: Any) -> HistoryBody:
    return history.select(HistoryQuery(**({"readings": (BUSY,)} | query)), now=0.0).body()


def values(body: HistoryBody) -> dict[tuple[str, str], list[int | float | None]]:
    """Return the values by host and uuid, of an answer about one reading."""
    assert len({series.reading for series in body.series}) <= 1
    return {(series.host, series.uuid): series.values for series in body.series}


def test_each_sample_has_its_timestamp_and_each_gpu_its_series() -> None:
    history = make_history(at(10.5, busy(1), busy(2, 1)), at(11.5, busy(3), busy(4, 1)))
    body = answer(history)
    assert body.timestamps == [10.5, 11.5]
    assert values(body) == {("node-1", A): [1, 3], ("node-1", B): [2, 4]}


def test_the_answer_is_the_json_that_was_agreed() -> None:
    told = json.loads(msgspec.json.encode(answer(make_history(at(10.5, busy(1))))))
    assert told == {
        "timestamps": [10.5],
        "series": [{"host": "node-1", "uuid": A, "reading": BUSY, "values": [1]}],
    }


def test_the_answer_spans_full_blocks_and_the_open_one() -> None:
    history = make_history(*(at(second, busy(second % 101), sequence=second) for second in range(300)))
    assert answer(history).timestamps == [float(second) for second in range(300)]
    assert values(answer(history)) == {("node-1", A): [second % 101 for second in range(300)]}


def test_where_a_host_has_no_sample_or_the_reading_was_not_taken_there_is_null() -> None:
    history = make_history(
        at(1, busy(10), host="a"), at(2, busy(20), host="b"), at(3, busy(None), host="a"), at(3, busy(30), host="b")
    )
    body = answer(history)
    assert body.timestamps == [1.0, 2.0, 3.0]
    assert values(body) == {("a", A): [10, None, None], ("b", A): [None, 20, 30]}


def test_a_gpu_that_vanishes_and_returns_has_a_gap() -> None:
    history = make_history(
        at(1, busy(1), busy(2, 1)), at(2, busy(3)), at(3, source=make_missing_source()), at(4, busy(4), busy(5, 1))
    )
    assert values(answer(history)) == {("node-1", A): [1, 3, None, 4], ("node-1", B): [2, None, None, 5]}


def test_a_gpu_that_is_lost_has_nulls_until_it_is_found() -> None:
    history = make_history(at(1, busy(1)), at(2, make_lost_gpu()), at(3, busy(3)))
    assert values(answer(history)) == {("node-1", A): [1, None, 3]}


def test_a_gpu_that_moved_has_a_series_for_each_host() -> None:
    history = make_history(at(1, busy(1), host="old"), at(2, busy(2), host="new"))
    assert values(answer(history)) == {("new", A): [None, 2], ("old", A): [1, None]}


def test_a_gpu_without_a_uuid_cannot_be_named_and_is_left_out() -> None:
    history = make_history(at(1, busy(1), make_gpu(1, uuid=None)))
    assert values(answer(history)) == {("node-1", A): [1]}


def test_where_the_clock_was_set_back_time_still_ascends() -> None:
    history = make_history(at(10, busy(1)), at(11, busy(2)), at(5, busy(3)), at(6, busy(4)), at(10, busy(5)))
    body = answer(history)
    assert body.timestamps == [5.0, 6.0, 10.0, 11.0]
    assert values(body) == {("node-1", A): [3, 4, 5, 2]}
    assert answer(history, since=6, until=10).timestamps == [6.0, 10.0]
    assert values(answer(history, since=6, until=10)) == {("node-1", A): [4, 5]}


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, [1.5, 2.5, 3.5]),
        (2.5, None, [2.5, 3.5]),
        (2.500001, None, [3.5]),
        (None, 2.5, [1.5, 2.5]),
        (None, 2.499999, [1.5]),
        (2.5, 2.5, [2.5]),
        (3.0, 2.0, []),
        (4.0, None, []),
        (None, 1.0, []),
        (float("-inf"), float("inf"), [1.5, 2.5, 3.5]),
    ],
)
def test_since_and_until_are_inclusive(since: float | None, until: float | None, expected: list[float]) -> None:
    history = make_history(at(1.5, busy(15)), at(2.5, busy(25)), at(3.5, busy(35)))
    body = answer(history, since=since, until=until)
    assert body.timestamps == expected
    assert values(body) == ({("node-1", A): [int(10 * second) for second in expected]} if expected else {})


def test_a_timestamp_of_an_answer_asks_for_its_own_sample() -> None:
    history = make_history(*(make_snapshot(sampled_at_ns=1_741_129_370_123_456_000 + 97 * n) for n in range(9)))
    for timestamp in answer(history).timestamps:
        assert answer(history, since=timestamp, until=timestamp).timestamps == [timestamp]


def test_only_the_host_and_the_gpus_asked_for_are_told_with_their_own_times_alone() -> None:
    history = make_history(
        at(1, busy(1), busy(2, 1), host="a"), at(2, busy(3, 1), host="b"), at(3, busy(4), host="a"), at(4, host="c")
    )
    assert values(answer(history, gpus=(B,))) == {("a", B): [2, None, None], ("b", B): [None, 3, None]}
    assert answer(history, gpus=(A,)).timestamps == [1.0, 3.0]
    assert answer(history, host="b").timestamps == [2.0]
    assert values(answer(history, host="b")) == {("b", B): [3]}
    for nobody in ({"host": "z"}, {"gpus": ("GPU-0",)}, {"host": "b", "gpus": (A,)}, {"host": "c"}, {"gpus": ()}):
        assert answer(history, **nobody) == HistoryBody([], [])


def test_readings_come_as_asked_once_each_with_nulls_where_they_have_no_value() -> None:
    body = answer(make_history(at(1, busy(1))), readings=("fan_speed_percent", WATTS, "fan_speed_percent"))
    assert [(series.reading, series.values) for series in body.series] == [
        ("fan_speed_percent", [None]),
        (WATTS, [220.5]),
    ]


def test_of_all_readings_those_with_any_value_come_in_the_order_of_the_catalogue() -> None:
    history = make_history(at(1, busy(1)), at(2, make_gpu(fan_speed_percent=30, clock_event_reasons=["sw_power_cap"])))
    told = {series.reading: series.values for series in answer(history, readings=None).series}
    assert list(told) == [name for name in NUMERIC if getattr(make_gpu(fan_speed_percent=30), name) is not None]
    assert told["fan_speed_percent"] == [None, 30]


def test_with_a_step_a_timestamp_names_the_start_and_the_value_is_the_mean() -> None:
    history = make_history(*(at(second, busy(percent)) for second, percent in ((11, 10), (19.9, 20), (20, 7), (41, 8))))
    body = answer(history, step=10)
    assert body.timestamps == [10.0, 20.0, 30.0, 40.0]
    assert values(body) == {("node-1", A): [15.0, 7.0, None, 8.0]}


def test_the_mean_is_of_what_was_taken() -> None:
    history = make_history(
        *(at(second, busy(percent)) for second, percent in ((0, 10), (1, None), (2, 40), (10, None)))
    )
    assert values(answer(history, step=10)) == {("node-1", A): [25.0, None]}


def test_the_mean_reaches_over_full_blocks() -> None:
    history = make_history(*(at(second, busy(second % 100), sequence=second) for second in range(400)))
    assert answer(history, step=200).timestamps == [0.0, 200.0]
    assert values(answer(history, step=200)) == {("node-1", A): [49.5, 49.5]}


def test_since_and_until_bound_the_steps_and_what_they_are_the_mean_of() -> None:
    history = make_history(*(at(second, busy(second)) for second in range(60)))
    body = answer(history, step=10, since=15, until=24)
    assert body.timestamps == [10.0, 20.0]
    assert values(body) == {("node-1", A): [17.0, 22.0]}


def test_hosts_share_the_steps() -> None:
    history = make_history(at(1, busy(1), host="a"), at(25, busy(2), host="b"), at(3, busy(5), host="a"))
    body = answer(history, step=10)
    assert body.timestamps == [0.0, 10.0, 20.0]
    assert values(body) == {("a", A): [3.0, None, None], ("b", A): [None, None, 2.0]}


def test_where_the_clock_was_set_back_steps_still_ascend() -> None:
    history = make_history(at(21, busy(1)), at(5, busy(2)), at(22, busy(3)))
    assert answer(history, step=10).timestamps == [0.0, 10.0, 20.0]
    assert values(answer(history, step=10)) == {("node-1", A): [2.0, None, 2.0]}


@pytest.mark.parametrize("step", [0.1, 0.3, 1 / 3, 1e-9])
def test_a_step_may_be_a_fraction(step: float) -> None:
    moment = 1_741_129_370_100_000_000
    body = answer(make_history(make_snapshot(sampled_at_ns=moment)), step=step)
    assert len(body.timestamps) == 1
    assert 0 <= moment / SECOND - body.timestamps[0] <= step
    assert values(body) == {("node-1", A): [75.0]}


@pytest.mark.parametrize("step", [0, -1, float("nan"), float("inf"), 1e10])
def test_a_step_that_is_none_is_refused(step: float) -> None:
    with pytest.raises(ValueError, match="step"):
        HistoryQuery(step=step)


@pytest.mark.parametrize("name", ["clock_event_reasons", "ecc_enabled", "uuid", ""])
def test_what_is_no_numeric_reading_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="reading"):
        HistoryQuery(readings=(BUSY, name))


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the limits to what a test reaches."""
    monkeypatch.setattr(series_module, "MOST_TIMESTAMPS", 100)
    monkeypatch.setattr(series_module, "MOST_VALUES", 400)
    monkeypatch.setattr(series_module, "MOST_READ", 20_000)


def two_gpus(count: int, host: str = "node-1", offset: float = 0.0) -> list[Snapshot]:
    return [at(n + offset, busy(n % 100), busy(n % 7, 1), host=host, sequence=n) for n in range(count)]


@pytest.mark.usefixtures("limits")
def test_what_just_fits_is_answered() -> None:
    history = make_history(*two_gpus(100))
    assert len(answer(history, readings=(BUSY, WATTS)).timestamps) == 100
    assert len(answer(make_history(*two_gpus(200)), since=100).timestamps) == 100
    assert len(answer(history, step=1, gpus=(A,)).timestamps) == 100


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, "101 timestamps.*100: narrow"),
        ({"step": 0.5}, "201 timestamps"),
        ({"step": 1, "since": 10, "readings": (BUSY, WATTS, "fan_speed_percent")}, "546 values.*400: narrow"),
        ({"since": 50, "readings": NUMERIC}, f"{2 * 51 * len(NUMERIC)} values"),
    ],
)
def test_more_than_an_answer_may_hold_is_refused_with_how_much_it_would_be(query: dict[str, Any], message: str) -> None:
    history = make_history(*two_gpus(101))
    with pytest.raises(TooMuch, match=message):
        history.select(HistoryQuery(**({"readings": (BUSY,)} | query)), now=0.0)


@pytest.mark.usefixtures("limits")
def test_samples_at_the_same_moments_count_once() -> None:
    hosts = ("a", "b", "c")
    same = [snapshot for host in hosts for snapshot in two_gpus(50, host)]
    assert len(answer(make_history(*same)).timestamps) == 50
    assert len(answer(make_history(*same), readings=(BUSY,)).series) == 6
    others = [snapshot for at, host in enumerate(hosts) for snapshot in two_gpus(50, host, at / 10)]
    with pytest.raises(TooMuch, match="150 timestamps"):
        answer(make_history(*others))


@pytest.mark.usefixtures("limits")
def test_readings_without_any_value_do_not_count_when_all_are_asked_for() -> None:
    taken = sum(getattr(make_gpu(), name) is not None for name in NUMERIC)
    history = make_history(*two_gpus(400 // (2 * taken)))
    assert len(answer(history, readings=None).series) == 2 * taken
    history.add(at(1000, busy(1), busy(1, 1)), 1000.0)
    with pytest.raises(TooMuch, match="values"):
        answer(history, readings=None)


@pytest.mark.usefixtures("limits")
def test_to_read_without_end_for_a_few_means_is_refused() -> None:
    history = make_history(*two_gpus(400))
    assert answer(history, step=100, readings=(BUSY, WATTS)).series
    with pytest.raises(TooMuch, match="values to make it of"):
        answer(history, step=400, readings=NUMERIC)


def test_what_was_selected_is_neither_more_nor_less_whatever_happens_to_the_history_meanwhile() -> None:
    history = make_history(*two_gpus(70))
    selected = history.select(HistoryQuery(readings=(BUSY, WATTS, "memory_used_bytes")), now=0.0)
    expected = history.select(HistoryQuery(readings=(BUSY, WATTS, "memory_used_bytes")), now=0.0).body()
    odd = make_gpu(utilization_gpu_percent=2**64, power_draw_watts=None, memory_used_bytes=5)
    for second in (80, 81, 5):
        history.add(at(second, odd, busy(3, 1), sequence=second), float(second))
    assert selected.body() == expected
    for second in range(100, 200):
        history.add(at(second, busy(2), busy(3, 1), sequence=second), float(second))
    history.forget(now=1e12)
    assert selected.body() == expected


def test_an_answer_is_made_in_another_thread_while_snapshots_are_added() -> None:
    history = make_history(*two_gpus(130))
    query = HistoryQuery(readings=(BUSY,), gpus=(A,))
    chosen = [(130, history.select(query, now=0.0))]
    wrong: list[int] = []
    begun, done = threading.Event(), threading.Event()

    def read() -> None:
        while not done.is_set():
            length, selected = chosen[-1]
            body = selected.body()
            if values(body) != {("node-1", A): [n % 100 for n in range(length)]} or len(body.timestamps) != length:
                wrong.append(length)
            begun.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(10)
    for n in range(130, 500):
        history.add(at(n, busy(n % 100), busy(n % 7, 1), sequence=n), float(n))
        chosen.append((n + 1, history.select(query, now=0.0)))
    done.set()
    reader.join()
    assert wrong == []
