"""Which hosts may be shown now, and until when that judgement holds."""

import math

import pytest

from api.cache import Cache
from api.selection import NotFresh, Selection, oldest, select, unready
from tests.builders import ENDPOINT, make_cache, make_missing_source, make_snapshot, make_source, make_stalled_source

SOURCES = {"ok": make_source(), "unavailable": make_missing_source(), "stalled": make_stalled_source()}
OTHER = "tcp://node-2:8481"


def chosen(cache: Cache, now: float, host: str | None = None, max_age: float | None = None) -> dict[str, bool]:
    """Return whether each of the hosts to show is stale."""
    selection = select(cache, host, max_age, now)
    assert isinstance(selection, Selection)
    return {choice.snapshot.host: choice.is_stale for choice in selection.chosen}


def selected(cache: Cache, now: float, host: str | None = None, max_age: float | None = None) -> Selection:
    selection = select(cache, host, max_age, now)
    assert isinstance(selection, Selection)
    return selection


def refused(cache: Cache, now: float, host: str | None = None, max_age: float | None = None) -> NotFresh:
    refusal = select(cache, host, max_age, now)
    assert isinstance(refusal, NotFresh)
    return refusal


def two_hosts() -> Cache:
    """Return a cache where `a` grows stale at 75 and `b`, heard later, at 95."""
    cache = make_cache(make_snapshot(host="b"), now=20.0)
    cache.accept(ENDPOINT, make_snapshot(host="a"), 0.0)
    return cache


@pytest.mark.parametrize(
    ("held", "now", "max_age", "is_shown", "is_stale"),
    [
        (0.0, 75.0, None, True, False),
        (0.0, 75.25, None, False, None),
        (70.0, 5.0, None, True, False),
        (70.0, 5.25, None, False, None),
        (0.0, 10.0, 10.0, True, False),
        (0.0, 10.25, 10.0, False, None),
        (0.0, 0.0, 0.0, True, False),
        (0.0, 0.25, 0.0, False, None),
        (0.0, 75.0, 100.0, True, False),
        (0.0, 75.25, 100.0, True, True),
        (0.0, 100.0, 100.0, True, True),
        (0.0, 100.25, 100.0, False, None),
        (0.0, 1e9, 1e300, True, True),
    ],
)
def test_a_host_is_shown_up_to_its_limit_and_that_very_moment(
    held: float, now: float, max_age: float | None, *, is_shown: bool, is_stale: bool | None
) -> None:
    cache = make_cache(make_snapshot(held_seconds=held))
    if is_shown:
        assert chosen(cache, now, max_age=max_age) == {"node-1": is_stale}
    else:
        assert refused(cache, now, max_age=max_age).age_seconds == held + now


@pytest.mark.parametrize(
    ("now", "max_age", "fresh_until"),
    [
        (0.0, None, 75.0),
        (30.0, None, 75.0),
        (0.0, 10.0, 75.0),
        (0.0, 100.0, 75.0),
        (75.0, 100.0, 75.0),
        (75.25, 100.0, math.inf),
    ],
)
def test_it_is_known_until_when_a_host_is_fresh_whatever_age_the_request_admits(
    now: float, max_age: float | None, fresh_until: float
) -> None:
    assert selected(make_cache(make_snapshot()), now, max_age=max_age).fresh_until == fresh_until


def test_hosts_are_chosen_by_name_and_are_fresh_until_the_first_of_them_grows_stale() -> None:
    selection = selected(two_hosts(), 30.0)
    assert [choice.snapshot.host for choice in selection.chosen] == ["a", "b"]
    assert (selection.missing, selection.fresh_until) == ([], 75.0)


def test_a_stale_host_is_left_out_and_named_while_another_is_fresh() -> None:
    selection = selected(two_hosts(), 80.0)
    assert [choice.snapshot.host for choice in selection.chosen] == ["b"]
    assert (selection.missing, selection.fresh_until) == (["a"], 95.0)


def test_one_host_is_judged_alone() -> None:
    assert chosen(two_hosts(), 80.0, host="b") == {"b": False}
    assert selected(two_hosts(), 80.0, host="b").missing == []
    assert refused(two_hosts(), 80.0, host="a").age_seconds == 80.0


def test_each_host_has_a_limit_of_its_own() -> None:
    cache = make_cache(make_snapshot(host="quick", interval_seconds=1.0), make_snapshot(host="slow"))
    assert chosen(cache, 3.0) == {"slow": False}
    assert chosen(cache, 3.0, max_age=5.0) == {"quick": True, "slow": False}


def test_an_endpoint_nobody_was_heard_from_is_missing_unless_one_host_was_asked_for() -> None:
    cache = make_cache(make_snapshot(), endpoints=(ENDPOINT, OTHER))
    assert selected(cache, 0.0).missing == [OTHER]
    assert selected(cache, 0.0, host="node-1").missing == []


def test_before_anything_was_heard_there_is_neither_host_nor_age() -> None:
    assert refused(make_cache(), 5.0) == NotFresh(None, None, is_stale=True, retry_seconds=1)
    assert refused(make_cache(), 5.0, max_age=math.inf) == NotFresh(None, None, is_stale=True, retry_seconds=1)


@pytest.mark.parametrize(
    ("interval", "now", "max_age", "retry"),
    [(30.0, 10.0, 1.0, 20), (30.0, 10.5, 1.0, 20), (30.0, 29.9, 1.0, 1), (30.0, 500.0, None, 1), (0.05, 3.0, None, 1)],
)
def test_one_shall_ask_again_when_the_next_snapshot_is_expected(
    interval: float, now: float, max_age: float | None, retry: int
) -> None:
    assert refused(make_cache(make_snapshot(interval_seconds=interval)), now, max_age=max_age).retry_seconds == retry


def test_the_youngest_of_all_stale_hosts_is_told() -> None:
    refusal = refused(two_hosts(), 100.0)
    assert (refusal.host, refusal.age_seconds) == ("b", 80.0)


def test_the_oldest_host_is_the_one_sealed_first_not_the_one_heard_first() -> None:
    cache = make_cache(make_snapshot(host="a"), now=0.0)
    cache.accept(ENDPOINT, make_snapshot(host="b", held_seconds=50.0), 10.0)
    assert oldest(selected(cache, 10.0).chosen).snapshot.host == "b"


@pytest.mark.parametrize(
    ("states", "now", "reason"),
    [
        ([], 0.0, "unheard"),
        (["ok"], 75.0, None),
        (["ok"], 75.25, "stale"),
        (["unavailable"], 0.0, "placeholder"),
        (["unavailable"], 80.0, "stale"),
        (["stalled"], 0.0, "stalled"),
        (["stalled", "unavailable"], 0.0, "placeholder"),
        (["stalled", "unavailable", "ok"], 0.0, None),
    ],
)
def test_ready_is_when_one_fresh_host_has_a_driver_that_answers(
    states: list[str], now: float, reason: str | None
) -> None:
    cache = make_cache(*(make_snapshot(host=f"node-{state}", source=SOURCES[state]) for state in states))
    assert unready(cache, now) == reason


def test_a_stale_host_is_a_worse_reason_than_a_fresh_one_that_is_stuck() -> None:
    cache = make_cache(make_snapshot(host="a"), now=0.0)
    cache.accept(ENDPOINT, make_snapshot(host="b", source=make_stalled_source()), 80.0)
    assert unready(cache, 80.0) == "stalled"
