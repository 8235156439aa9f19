"""What the history keeps, in which order, and when it goes; and that it comes back as it was added."""

import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.history.blocks import MOST_SNAPSHOTS, Kept
from api.history.series import HistoryQuery
from api.history.store import History
from common.snapshot import Snapshot
from tests.builders import (
    make_gpu,
    make_lost_gpu,
    make_missing_source,
    make_snapshot,
    make_stalled_source,
    make_unknown_gpu,
)

MEGABYTE = 2**20


def make_history(*snapshots: Snapshot, seconds: float = 3600.0, megabytes: float = 256.0) -> History:
    """Return a history to which these were added, a second between one and the next."""
    history = History(seconds, megabytes)
    for at, snapshot in enumerate(snapshots):
        history.add(snapshot, float(at))
    return history


def run_of(count: int, first: int = 0, **overrides: Any) -> list[Snapshot]:
    """Return snapshots of one run, of which only the number and a reading differ."""
    return [
        make_snapshot(
            **({"sequence": sequence, "gpus": [make_gpu(utilization_gpu_percent=sequence % 101)]} | overrides)
        )
        for sequence in range(first, first + count)
    ]


def numbers(kept: Iterable[Kept]) -> list[int]:
    return [one.arrival for one in kept]


def first(history: History) -> int | None:
    """Return the number of the first snapshot that is kept; None: none is."""
    return next((kept.arrival for kept in history.after(0)), None)


def heard(history: History, arrival: int = 0) -> list[tuple[str, int]]:
    """Return host and sequence number of all that arrived after that."""
    return [(kept.snapshot.host, kept.snapshot.sequence) for kept in history.after(arrival)]


gpus = st.lists(st.sampled_from([0, 1, 2]), unique=True).flatmap(
    lambda indices: st.tuples(
        *(
            st.sampled_from(
                [make_gpu(index), make_lost_gpu(index), make_unknown_gpu(index), make_gpu(index, uuid=None)]
            )
            for index in indices
        )
    ).map(list)
)
snapshots = st.builds(
    make_snapshot,
    host=st.sampled_from(["a", "b"]),
    run_id=st.sampled_from(["first", "second"]),
    sequence=st.integers(0, 2**64 - 1),
    sampled_at_ns=st.integers(0, 2**64 - 1),
    held_seconds=st.floats(0, 1e9),
    source=st.builds(make_stalled_source) | st.builds(make_missing_source, st.none() | st.text()),
    gpus=gpus,
)


@given(added=st.lists(st.tuples(snapshots, st.floats(0, 1000)), max_size=20))
@settings(deadline=None, max_examples=50)
def test_every_snapshot_comes_back_as_it_was_added_in_the_order_of_arrival(
    added: list[tuple[Snapshot, float]],
) -> None:
    history = History(3600.0, 256.0)
    arrivals = [history.add(*one) for one in added]
    assert arrivals == list(range(1, len(added) + 1))
    assert list(history.after(0)) == [Kept(number, *one) for number, one in zip(arrivals, added, strict=True)]


def test_snapshots_come_back_from_full_blocks_as_from_the_open_one() -> None:
    added = run_of(3 * MOST_SNAPSHOTS + 5)
    history = make_history(*added)
    assert [kept.snapshot for kept in history.after(0)] == added
    assert [kept.sealed_at for kept in history.after(0)] == [float(at) for at in range(len(added))]


def test_a_history_without_snapshots_has_nothing_to_tell() -> None:
    history = make_history()
    assert (history.latest_arrival, first(history), history.size_bytes) == (0, None, 0)
    assert next(history.after(0), None) is None
    assert history.arrival_of("0123456789abcdef", 0) is None


def test_arrivals_are_counted_over_all_hosts() -> None:
    history = make_history(make_snapshot(host="b"), make_snapshot(host="a"), make_snapshot(host="b", sequence=1))
    assert heard(history) == [("b", 0), ("a", 0), ("b", 1)]
    assert heard(history, 1) == [("a", 0), ("b", 1)]
    assert (first(history), history.latest_arrival) == (1, 3)


def test_the_next_after_the_latest_is_not_there_yet() -> None:
    history = make_history(*run_of(2))
    assert next(history.after(2), None) is None
    history.add(make_snapshot(host="late"), 5.0)
    kept = next(history.after(2), None)
    assert kept is not None
    assert (kept.arrival, kept.snapshot.host, kept.sealed_at) == (3, "late", 5.0)


def test_an_event_is_found_by_run_and_number_alone() -> None:
    history = make_history(*run_of(70, run_id="old"), *run_of(3, first=5, run_id="new"))
    assert history.arrival_of("old", 0) == 1
    assert history.arrival_of("old", 69) == 70
    assert history.arrival_of("new", 5) == 71
    assert history.arrival_of("new", 4) is None
    assert history.arrival_of("old", 70) is None
    assert history.arrival_of("other", 0) is None


def test_a_number_that_was_lost_on_the_way_is_not_found() -> None:
    history = make_history(make_snapshot(sequence=3), make_snapshot(sequence=5))
    assert [history.arrival_of("0123456789abcdef", sequence) for sequence in (3, 4, 5)] == [1, None, 2]


def test_of_two_collectors_that_take_turns_the_first_event_of_a_number_is_found() -> None:
    a, b = make_snapshot(run_id="a"), make_snapshot(run_id="b")
    assert make_history(a, b, a, b).arrival_of("b", 0) == 2


def test_the_replay_goes_on_with_what_was_added_meanwhile() -> None:
    history = make_history(make_snapshot(host="a"), make_snapshot(host="b"))
    replay = history.after(0)
    assert next(replay).arrival == 1
    for at, host in enumerate(("new", "a", "b", "new")):
        history.add(make_snapshot(host=host, sequence=1), 10.0 + at)
    assert numbers(replay) == [2, 3, 4, 5, 6]


def test_the_replay_tells_by_the_next_number_how_many_were_dropped_meanwhile() -> None:
    history = make_history(*run_of(10, host="a"), *run_of(10, host="b"), seconds=20.0)
    replay = history.after(0)
    assert numbers([next(replay), next(replay)]) == [1, 2]
    history.forget(now=29.5)
    assert next(replay).arrival == 11
    assert first(history) == 11


def test_the_replay_ends_when_all_was_dropped() -> None:
    history = make_history(*run_of(3))
    replay = history.after(0)
    next(replay)
    history.forget(now=1e6)
    assert list(replay) == []
    assert (first(history), history.latest_arrival, history.size_bytes) == (None, 3, 0)
    history.add(make_snapshot(), 1e6)
    assert numbers(history.after(1)) == [4]


@given(hosts=st.lists(st.sampled_from("abcd"), max_size=150), after=st.integers(0, 150), seconds=st.integers(1, 40))
@settings(deadline=None, max_examples=50)
def test_from_any_number_on_the_replay_has_all_that_is_kept_once_and_in_order(
    hosts: list[str], after: int, seconds: int
) -> None:
    history = make_history(*(make_snapshot(host=host) for host in hosts), seconds=float(seconds))
    kept = numbers(history.after(0))
    assert kept == sorted(set(kept))
    assert numbers(history.after(after)) == [number for number in kept if number > after]
    assert set(range(max(1, len(hosts) - seconds), len(hosts) + 1)) <= set(kept) | {0}


@pytest.mark.parametrize(
    "changed",
    [
        {"run_id": "another"},
        {"gpus": [make_gpu(0), make_gpu(1), make_gpu(2)]},
        {"gpus": [make_gpu(1), make_gpu(0)]},
        {"gpus": [make_gpu(0)]},
        {"gpus": []},
        {"gpus": [make_gpu(0), make_gpu(1, uuid=None)]},
    ],
)
def test_other_gpus_another_order_or_another_run_begin_anew_and_nothing_is_mixed_up(changed: dict[str, Any]) -> None:
    usual = {"gpus": [make_gpu(0), make_gpu(1)]}
    added = [make_snapshot(**usual), make_snapshot(**(usual | changed)), make_snapshot(**usual)]
    assert [kept.snapshot for kept in make_history(*added).after(0)] == added


def test_what_is_too_old_goes_when_something_is_added() -> None:
    history = make_history(*run_of(MOST_SNAPSHOTS), seconds=1000.0)
    history.add(make_snapshot(host="other"), 1000.0 + MOST_SNAPSHOTS - 1)
    assert first(history) == 1
    history.add(make_snapshot(host="other", sequence=1), 1000.5 + MOST_SNAPSHOTS - 1)
    assert heard(history) == [("other", 0), ("other", 1)]


def test_what_is_too_old_goes_when_something_is_asked() -> None:
    history = make_history(make_snapshot(), seconds=10.0)
    assert history.select(HistoryQuery(), now=10.0).body().timestamps
    assert not history.select(HistoryQuery(), now=10.5).body().timestamps
    assert first(history) is None


def test_a_host_that_speaks_seldom_keeps_no_more_than_half_as_long_again() -> None:
    history = History(3600.0, 256.0)
    for hour in range(100):
        history.add(make_snapshot(sequence=hour), 3600.0 * hour)
    assert len(heard(history)) == 2


def test_the_oldest_of_any_host_goes_first_when_memory_is_short() -> None:
    history = History(1e9, 0.25)
    for at in range(3000):
        host = "quiet" if at == 0 else f"host-{at % 3}"
        gpu = make_gpu(power_draw_watts=at / 7, power_draw_instant_watts=at / 11, energy_joules=at / 13)
        history.add(make_snapshot(host=host, sequence=at, gpus=[gpu]), float(at))
        assert history.size_bytes <= 0.25 * MEGABYTE
    kept = numbers(history.after(0))
    assert "quiet" not in {host for host, _ in heard(history)}
    assert kept == list(range(kept[0], 3001))
    assert len(kept) > 500


def test_to_make_room_not_everything_goes_however_large_the_snapshots_are() -> None:
    history = History(1e9, 1.0)
    for at in range(200):
        reasons = {"processes": f"{at}" * 20_000}
        history.add(make_snapshot(sequence=at, gpus=[make_gpu(unavailable=reasons)]), float(at))
        assert len(heard(history, at - 3)) >= min(at, 3)


def test_a_snapshot_larger_than_all_memory_is_not_kept() -> None:
    history = make_history(*run_of(3, host="small"), megabytes=0.5)
    huge = make_gpu(unavailable={"processes": "x" * MEGABYTE})
    assert history.add(make_snapshot(host="large", gpus=[huge]), 5.0) == 4
    assert heard(history) == [("small", 0), ("small", 1), ("small", 2)]
    assert (history.latest_arrival, next(history.after(3), None)) == (4, None)


def test_without_memory_nothing_is_kept_and_yet_counted() -> None:
    history = make_history(*run_of(3), megabytes=0.0)
    assert (history.latest_arrival, first(history), history.size_bytes) == (3, None, 0)


def test_no_memory_is_left_in_the_books_when_all_has_gone() -> None:
    history = make_history(*run_of(100), *run_of(100, run_id="next"), *run_of(5, host="other"))
    assert history.size_bytes > 0
    history.forget(now=1e9)
    assert history.size_bytes == 0


def test_the_size_that_is_told_is_about_what_it_takes() -> None:
    added = [
        make_snapshot(sequence=at, host=f"host-{at % 5}", gpus=[make_gpu(n, power_draw_watts=at / 7) for n in range(8)])
        for at in range(800)
    ]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        history = make_history(*added)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken / 2 < history.size_bytes < taken * 2
