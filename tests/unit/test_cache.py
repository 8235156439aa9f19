"""What was heard: what is news, what was lost, and how old it is."""

import sys
import time

import pytest

from api import cache as cache_module
from api.reports import reports, rivals
from common import clock
from common.clock import elapsed_seconds
from common.seldom import SELDOM_SECONDS
from common.snapshot import Snapshot
from tests.builders import ENDPOINT, make_cache, make_snapshot

OTHER = "tcp://node-2:8481"
THIRD = "tcp://node-3:8481"


def age(now: float, *snapshots: Snapshot) -> float:
    return make_cache(*snapshots).hosts["node-1"].age_seconds(now)


def test_a_snapshot_ages_from_the_moment_it_arrived() -> None:
    cache = make_cache(make_snapshot(), now=100.0)
    assert cache.hosts["node-1"].age_seconds(100.0) == 0.0
    assert cache.hosts["node-1"].age_seconds(107.5) == 7.5


def test_a_welcome_is_as_old_as_its_publisher_held_it_and_ages_on() -> None:
    assert age(2.0, make_snapshot(held_seconds=12.5)) == 14.5


def test_the_clock_on_the_other_side_says_nothing_about_age() -> None:
    assert age(2.0, make_snapshot(sampled_at_ns=0)) == age(2.0, make_snapshot(sampled_at_ns=2**63)) == 2.0


@pytest.mark.parametrize(
    "repeat",
    [
        make_snapshot(sequence=7),
        make_snapshot(sequence=7, held_seconds=0.5),
        make_snapshot(sequence=7, sampled_at_ns=2**63, gpus=[]),
        make_snapshot(sequence=6),
        make_snapshot(sequence=0, held_seconds=1.0),
    ],
)
def test_neither_a_repeat_nor_an_earlier_one_is_news_or_makes_anything_younger(repeat: Snapshot) -> None:
    latest = make_snapshot(sequence=7, held_seconds=3.0)
    cache = make_cache(latest, now=10.0)
    version = cache.version
    assert not cache.accept(ENDPOINT, repeat, 20.0)
    assert cache.version == version
    assert cache.hosts["node-1"].snapshot is latest
    assert cache.hosts["node-1"].age_seconds(20.0) == 13.0
    assert (cache.hosts["node-1"].received, cache.hosts["node-1"].lost) == (1, 0)


def test_every_news_changes_the_version() -> None:
    cache = make_cache()
    versions = [cache.version]
    for snapshot in (
        make_snapshot(),
        make_snapshot(sequence=1),
        make_snapshot(host="node-2"),
        make_snapshot(run_id="b"),
    ):
        assert cache.accept(ENDPOINT, snapshot, 0.0)
        versions.append(cache.version)
    assert len(set(versions)) == 5


@pytest.mark.parametrize(("now", "is_stale"), [(None, False), (80.0, False), (80.5, True)])
def test_who_listens_is_told_when_it_was_sealed_and_whether_it_was_stale_when_it_was_read(
    now: float | None, *, is_stale: bool
) -> None:
    cache = make_cache()
    told: list[tuple[float, dict[str, bool]]] = []
    cache.listeners.append(lambda *what, **how: told.append((what[1], how)))
    assert cache.accept(ENDPOINT, make_snapshot(held_seconds=5.0), 10.0, now)
    assert told == [(5.0, {"is_stale": is_stale, "has_rival": False})]


def test_the_numbers_left_out_between_two_snapshots_are_lost() -> None:
    host = make_cache(*(make_snapshot(sequence=number) for number in (3, 4, 7, 9))).hosts["node-1"]
    assert (host.received, host.lost) == (4, 3)


def test_what_was_sent_before_the_first_snapshot_that_was_heard_is_not_lost() -> None:
    assert make_cache(make_snapshot(sequence=1000)).hosts["node-1"].lost == 0


def test_a_collector_that_starts_anew_is_news_and_its_numbers_count_by_themselves() -> None:
    restarted = [make_snapshot(run_id="b", sequence=0), make_snapshot(run_id="b", sequence=2)]
    cache = make_cache(make_snapshot(run_id="a", sequence=500), now=0.0)
    assert [cache.accept(ENDPOINT, snapshot, 5.0) for snapshot in restarted] == [True, True]
    host = cache.hosts["node-1"]
    assert (host.snapshot, host.received, host.lost) == (restarted[1], 3, 1)
    assert host.age_seconds(5.0) == 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no clock goes on while the machine sleeps")
def test_the_clock_of_ages_is_never_set_back_and_goes_on_while_the_machine_sleeps() -> None:
    assert time.clock_gettime(time.CLOCK_BOOTTIME) <= elapsed_seconds() <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_where_no_clock_goes_on_in_sleep_ages_are_told_by_one_that_is_never_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock, "_CLOCK", None)
    assert time.monotonic() <= elapsed_seconds() <= time.monotonic()


def test_hosts_are_kept_apart() -> None:
    cache = make_cache(make_snapshot(host="a", sequence=9), now=0.0)
    cache.accept(OTHER, make_snapshot(host="b", sequence=2), 5.0)
    assert {name: host.age_seconds(6.0) for name, host in cache.hosts.items()} == {"a": 6.0, "b": 1.0}
    assert {name: host.endpoint for name, host in cache.hosts.items()} == {"a": ENDPOINT, "b": OTHER}


def test_an_endpoint_is_unheard_until_a_host_was_heard_from_it() -> None:
    cache = make_cache(endpoints=(ENDPOINT, OTHER))
    assert cache.unheard() == [ENDPOINT, OTHER]
    cache.accept(OTHER, make_snapshot(), 0.0)
    cache.reject(ENDPOINT)
    assert cache.unheard() == [ENDPOINT]


def test_an_endpoint_that_only_repeats_what_another_said_was_heard_too() -> None:
    cache = make_cache(make_snapshot(), endpoints=(ENDPOINT, OTHER))
    version = cache.version
    assert not cache.accept(OTHER, make_snapshot(), 0.0)
    assert cache.unheard() == []
    assert cache.version != version
    cache.accept(OTHER, make_snapshot(sequence=1), 1.0)
    assert cache.unheard() == []


def test_rejects_are_counted_by_endpoint() -> None:
    cache = make_cache(endpoints=(ENDPOINT, OTHER))
    for endpoint in (ENDPOINT, OTHER, ENDPOINT):
        cache.reject(endpoint)
    assert cache.rejected == {ENDPOINT: 2, OTHER: 1}


def test_a_peer_that_invents_hosts_fills_the_cache_only_so_far_and_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache_module, "MAX_HOSTS", 2)
    cache = make_cache(*(make_snapshot(host=f"invented-{number}") for number in range(5)))
    assert list(cache.hosts) == ["invented-0", "invented-1"]
    assert cache.rejected == {ENDPOINT: 3}
    assert cache.accept(ENDPOINT, make_snapshot(host="invented-1", sequence=1), 1.0)
    cache.accept(ENDPOINT, make_snapshot(host="invented-5"), SELDOM_SECONDS)
    assert [record.getMessage() for record in caplog.records] == [
        f"dropped a snapshot of invented-{number} from {ENDPOINT}: 2 hosts are known, and no more are taken "
        f"({more} more since the last such line)"
        for number, more in ((2, 0), (5, 2))
    ]


def test_a_rival_beyond_the_most_hosts_is_not_kept_and_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache_module, "MAX_HOSTS", 1)
    cache = make_cache(make_snapshot(run_id="a"))
    assert not cache.accept(OTHER, make_snapshot(run_id="b"), 0.0)
    assert (cache.rivals, cache.rejected) == ({}, {OTHER: 1})
    assert f"dropped a snapshot of node-1 from {OTHER}" in caplog.text


def test_rivals_count_among_the_most_hosts_and_each_endpoint_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache_module, "MAX_HOSTS", 2)
    cache = make_cache(make_snapshot(run_id="a"))
    cache.accept(OTHER, make_snapshot(run_id="b"), 0.0)
    assert not cache.accept(THIRD, make_snapshot(run_id="c"), 0.0)
    assert not cache.accept(OTHER, make_snapshot(host="node-2"), 0.0)
    assert (list(cache.hosts), list(cache.rivals)) == (["node-1"], [("node-1", OTHER)])
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "dropped a snapshot of node-1 from tcp",
        "dropped a snapshot of node-2 from tcp",
    ]


def test_what_a_rival_repeats_is_not_counted() -> None:
    cache = make_cache(make_snapshot(run_id="a"))
    for _ in range(2):
        assert not cache.accept(OTHER, make_snapshot(run_id="b"), 0.0)
    assert cache.rivals["node-1", OTHER].received == 1


def test_of_a_rival_a_run_that_was_over_is_not_counted() -> None:
    cache = make_cache(make_snapshot(run_id="a"), now=10.0)
    cache.accept(OTHER, make_snapshot(run_id="c"), 12.0)
    cache.accept(OTHER, make_snapshot(run_id="b", sequence=900, held_seconds=1.5), 13.0)
    assert cache.rivals["node-1", OTHER].snapshot.run_id == "c"


@pytest.mark.parametrize(
    ("setting", "interval", "duration", "stale_after"),
    [
        (0.0, 30.0, 0.25, 75.0),
        (0.0, 1.0, 0.25, 2.5),
        (0.0, 0.5, 0.25, 2.0),
        (0.0, 0.05, 0.0, 2.0),
        (0.0, 1.0, 8.0, 20.0),
        (0.0, 0.0, 0.0, 2.0),
        (5.0, 30.0, 0.25, 5.0),
        (0.5, 30.0, 0.25, 0.5),
    ],
)
def test_when_a_snapshot_grows_stale(setting: float, interval: float, duration: float, stale_after: float) -> None:
    snapshot = make_snapshot(interval_seconds=interval, duration_seconds=duration)
    cache = make_cache(snapshot, stale_after_setting=setting)
    assert cache.stale_after(cache.hosts["node-1"]) == stale_after


def test_two_collectors_that_take_turns_under_one_name_are_told_of_and_a_new_start_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = make_cache()
    for now, run in enumerate("abc"):
        cache.accept(ENDPOINT, make_snapshot(run_id=run, sequence=now), float(now))
    assert not caplog.records
    assert cache.hosts["node-1"].rival_until < 0
    for now, run in enumerate("bcbc", 3):
        cache.accept(ENDPOINT, make_snapshot(run_id=run, sequence=now), float(now))
    said = (
        f"two collectors call themselves node-1, at {ENDPOINT} (shown) and {ENDPOINT}: give each a GPU_METRICS_HOST of "
        "its own"
    )
    lines = [record.getMessage() for record in caplog.records]
    assert [line for line in lines if not line.startswith("lost")] == [said]
    assert cache.hosts["node-1"].snapshot.run_id == "c"
    assert cache.hosts["node-1"].rival_until == 5.0 + 75.0


def test_two_collectors_of_one_name_are_not_mixed_but_kept_apart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = make_cache()
    for second in range(6):
        shown = cache.accept(ENDPOINT, make_snapshot(run_id="a", sequence=second), float(second))
        other = cache.accept(OTHER, make_snapshot(run_id="b", sequence=10 + 2 * second), second + 0.5)
        assert (shown, other) == (True, False)
    host, rival = cache.hosts["node-1"], cache.rivals["node-1", OTHER]
    assert (host.snapshot.run_id, host.received, host.lost, host.endpoint) == ("a", 6, 0, ENDPOINT)
    assert (rival.snapshot.run_id, rival.received, rival.lost, rival.endpoint) == ("b", 6, 5, OTHER)
    assert host.rival_until > 5.5
    assert [(each.shown_endpoint, each.endpoint) for each in rivals(cache, 6.0)] == [(ENDPOINT, OTHER)]
    assert [each.endpoint for each in reports(cache, 6.0)] == [ENDPOINT]
    assert len(caplog.records) == 1


def test_two_collectors_of_one_name_are_news_once_and_anew_when_the_time_without_them_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = make_cache(make_snapshot(run_id="a"))
    cache.accept(OTHER, make_snapshot(run_id="b"), 0.0)
    has_rival: list[bool] = []
    cache.listeners.append(lambda *_, **told: has_rival.append(told["has_rival"]))
    grown = []
    for sequence, now in enumerate((1.0, 75.9, 76.0, 150.9, 225.9), 1):
        cache.accept(ENDPOINT, make_snapshot(run_id="a", sequence=sequence), now)
        version = cache.version
        cache.accept(OTHER, make_snapshot(run_id="b", sequence=sequence), now)
        grown.append(cache.version - version)
    assert has_rival == [False, True, True, True, False]
    assert grown == [1, 0, 0, 0, 1]
    assert len([record for record in caplog.records if "two collectors" in record.getMessage()]) == 2


def test_a_rival_takes_the_place_of_a_host_that_is_silent_and_is_its_rival_when_that_is_back() -> None:
    cache = make_cache(make_snapshot(run_id="a"), now=0.0)
    assert not cache.accept(OTHER, make_snapshot(run_id="b", sequence=5), 70.0)
    assert cache.accept(OTHER, make_snapshot(run_id="b", sequence=7, held_seconds=0.5), 76.0)
    heir = cache.hosts["node-1"]
    assert (heir.endpoint, heir.received, heir.lost, heir.age_seconds(76.0)) == (OTHER, 2, 1, 0.5)
    assert list(cache.rivals) == [("node-1", ENDPOINT)]
    assert not cache.accept(ENDPOINT, make_snapshot(run_id="a", sequence=9), 77.0)
    assert cache.accept(OTHER, make_snapshot(run_id="b", sequence=8), 78.0)
    assert [each.endpoint for each in rivals(cache, 78.0)] == [ENDPOINT]
    assert rivals(cache, 1000.0) == []


def test_a_rival_is_as_old_as_its_publisher_held_what_it_said() -> None:
    cache = make_cache(make_snapshot(run_id="a"), now=10.0)
    assert not cache.accept(OTHER, make_snapshot(run_id="b", held_seconds=0.0), 10.0)
    cache.accept(OTHER, make_snapshot(run_id="b", sequence=1, held_seconds=4.0), 15.0)
    assert cache.rivals["node-1", OTHER].age_seconds(20.0) == 9.0


def test_a_rival_that_fell_silent_is_forgotten_when_another_appears() -> None:
    cache = make_cache(make_snapshot(run_id="a"))
    cache.accept(OTHER, make_snapshot(run_id="b"), 0.0)
    cache.accept(ENDPOINT, make_snapshot(run_id="a", sequence=1), 40.0)
    cache.accept(THIRD, make_snapshot(run_id="c"), 75.0)
    assert list(cache.rivals) == [("node-1", OTHER), ("node-1", THIRD)]
    cache.accept("tcp://node-4:8481", make_snapshot(run_id="d"), 75.5)
    assert list(cache.rivals) == [("node-1", THIRD), ("node-1", "tcp://node-4:8481")]


def test_a_rival_that_is_heard_over_two_ways_is_one_all_the_same_and_heir_over_either() -> None:
    ways = (OTHER, "tcp://node-2-too:8481")
    cache = make_cache(make_snapshot(run_id="a", interval_seconds=1.0))
    for second in range(1, 5):
        for way in ways:
            cache.accept(way, make_snapshot(run_id="b", sequence=second, interval_seconds=1.0), second + 0.5)
        cache.accept(ENDPOINT, make_snapshot(run_id="a", sequence=second, interval_seconds=1.0), second + 0.75)
    assert cache.hosts["node-1"].rival_until > 4.5
    assert [(rival.received, rival.lost) for rival in cache.rivals.values()] == [(4, 0)]
    for way in reversed(ways):
        cache.accept(way, make_snapshot(run_id="b", sequence=9, interval_seconds=1.0), 8.0)
    host = cache.hosts["node-1"]
    assert (host.snapshot.run_id, host.received, host.lost) == ("b", 5, 4)
    assert [rival.snapshot.run_id for rival in cache.rivals.values()] == ["a"]


def test_a_collector_that_moves_is_shown_once_it_is_silent_where_it_was() -> None:
    cache = make_cache(make_snapshot(run_id="a"), now=0.0)
    assert cache.accept(OTHER, make_snapshot(run_id="b"), 75.5)
    assert (cache.hosts["node-1"].endpoint, cache.rivals) == (OTHER, {})
    assert cache.hosts["node-1"].rival_until < 0


def test_a_host_that_was_heard_just_so_long_ago_is_not_silent_yet() -> None:
    cache = make_cache(make_snapshot(run_id="a"), now=0.0)
    assert not cache.accept(OTHER, make_snapshot(run_id="b"), 75.0)
    assert (cache.hosts["node-1"].endpoint, list(cache.rivals)) == (ENDPOINT, [("node-1", OTHER)])


def test_a_collector_that_starts_anew_is_no_rival_of_itself_where_it_is_heard_over_two_ways() -> None:
    cache = make_cache(make_snapshot(run_id="a"), now=0.0)
    cache.accept(OTHER, make_snapshot(run_id="b"), 10.0)
    cache.accept(ENDPOINT, make_snapshot(run_id="b"), 10.1)
    cache.accept(OTHER, make_snapshot(run_id="b", sequence=1), 40.0)
    host = cache.hosts["node-1"]
    assert (host.snapshot.sequence, host.received, host.rival_until < 0, cache.rivals) == (1, 3, True, {})


def test_what_was_heard_from_an_endpoint_that_is_left_is_forgotten_and_nothing_else() -> None:
    cache = make_cache(make_snapshot(host="a"), endpoints=(ENDPOINT, OTHER))
    cache.accept(OTHER, make_snapshot(host="b"), 0.0)
    cache.reject(OTHER)
    version = cache.version
    cache.follow((ENDPOINT, "tcp://node-3:8481"))
    assert (list(cache.hosts), cache.unheard(), cache.rejected) == (["a"], ["tcp://node-3:8481"], {})
    assert cache.version > version


def test_of_rivals_those_at_an_endpoint_that_is_left_are_forgotten() -> None:
    cache = make_cache(make_snapshot(run_id="a"), endpoints=(ENDPOINT, OTHER, THIRD))
    cache.accept(OTHER, make_snapshot(run_id="b"), 0.0)
    cache.accept(THIRD, make_snapshot(run_id="c"), 0.0)
    cache.follow((ENDPOINT, THIRD))
    assert list(cache.rivals) == [("node-1", THIRD)]


def test_a_host_s_clock_is_judged_by_the_snapshot_that_was_quickest_here() -> None:
    times = iter((1000.0, 1001.25, 1002.5))
    cache = make_cache(unix_seconds=lambda: next(times))
    for second in range(3):
        cache.accept(ENDPOINT, make_snapshot(sequence=second, sampled_at_ns=(1005 + second) * 10**9), float(second))
    assert cache.hosts["node-1"].clock_offset_seconds == 5.0


@pytest.mark.parametrize(
    ("repeat", "arrived", "age_at_20"),
    [
        (make_snapshot(sequence=7, held_seconds=11.0), 20.0, 11.0),
        (make_snapshot(sequence=7, held_seconds=10.0), 20.0, 10.0),
        (make_snapshot(sequence=7, held_seconds=9.0), 20.0, 10.0),
        (make_snapshot(sequence=6, held_seconds=50.0), 20.0, 10.0),
        (make_snapshot(sequence=7), 5.0, 15.0),
    ],
)
def test_a_repeat_that_was_held_for_longer_than_we_thought_makes_it_older(
    repeat: Snapshot, arrived: float, age_at_20: float
) -> None:
    cache = make_cache(make_snapshot(sequence=7), now=10.0)
    version = cache.version
    assert not cache.accept(ENDPOINT, repeat, arrived)
    assert cache.hosts["node-1"].age_seconds(20.0) == age_at_20
    assert (cache.version > version) == (age_at_20 > 10.0)


def test_a_run_that_was_over_when_the_latest_was_sealed_is_no_news() -> None:
    cache = make_cache(make_snapshot(run_id="new", held_seconds=5.0), now=20.0)
    version = cache.version
    assert not cache.accept(OTHER, make_snapshot(run_id="old", sequence=900, held_seconds=6.0), 20.5)
    assert (cache.hosts["node-1"].snapshot.run_id, cache.hosts["node-1"].age_seconds(20.5)) == ("new", 5.5)
    assert cache.version == version + 1
    assert cache.accept(ENDPOINT, make_snapshot(run_id="newer", held_seconds=5.5), 20.5)


def test_what_was_lost_is_logged_at_most_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    cache = make_cache()
    numbers = {0.0: 0, 1.0: 1, 2.0: 4, 61.0: 6, 62.0: 9, 63.0: 10}
    for now, number in numbers.items():
        cache.accept(ENDPOINT, make_snapshot(sequence=number), now)
        cache.accept(ENDPOINT, make_snapshot(host="node-2", sequence=int(now)), now)
    assert [record.getMessage() for record in caplog.records] == [
        "lost 2 snapshots of node-1",
        "lost 58 snapshots of node-2",
        "lost 3 snapshots of node-1",
    ]
