"""Bodies as bytes: made when something has changed, and kept while they are true."""

import gzip

import msgspec
import pytest

from api import rendered as rendered_module
from api.cache import Cache
from api.rendered import MAX_KEPT, Bodies, Choice, Rendered
from api.responses.metrics import metrics_body
from api.selection import NotFresh, Selection
from api.wanted import Wanted
from tests.builders import ENDPOINT, make_cache, make_gpu, make_snapshot, make_stalled_source

OTHER = "tcp://node-2:8481"


class Counted:
    """Bodies of a cache, and how often one was made."""

    def __init__(self, cache: Cache) -> None:
        self.made = 0
        self._bodies = Bodies(cache, self._body_of)

    def get(self, now: float, host: str | None = None, max_age: float | None = None) -> Rendered:
        rendered = self._bodies.get(Choice(host, max_age), now)
        assert isinstance(rendered, Rendered)
        return rendered

    def refused(self, now: float, host: str | None = None, max_age: float | None = None) -> bool:
        return isinstance(self._bodies.get(Choice(host, max_age), now), NotFresh)

    def _body_of(self, selection: Selection, _wanted: Wanted) -> msgspec.Struct:
        self.made += 1
        return metrics_body(selection)


def two_hosts() -> Cache:
    return make_cache(make_snapshot(host="a"), make_snapshot(host="b"))


def test_a_body_is_made_once_however_often_it_is_asked_for() -> None:
    bodies = Counted(make_cache(make_snapshot()))
    first = bodies.get(0.0)
    assert all(bodies.get(float(now)) is first for now in range(60))
    assert bodies.made == 1


def test_nothing_is_made_until_somebody_asks() -> None:
    cache = make_cache(make_snapshot())
    bodies = Counted(cache)
    for sequence in range(1, 100):
        cache.accept(ENDPOINT, make_snapshot(sequence=sequence), 0.0)
    bodies.get(0.0)
    assert bodies.made == 1


def test_a_new_snapshot_makes_a_new_body_at_once() -> None:
    cache = make_cache(make_snapshot())
    bodies = Counted(cache)
    before = bodies.get(0.0)
    cache.accept(ENDPOINT, make_snapshot(sequence=1, gpus=[make_gpu(power_draw_watts=1.0)]), 0.0)
    after = bodies.get(0.0)
    assert (before.content.plain != after.content.plain, before.etag != after.etag, bodies.made) == (True, True, 2)


def test_a_repeat_makes_no_new_body() -> None:
    cache = make_cache(make_snapshot())
    bodies = Counted(cache)
    first = bodies.get(0.0)
    cache.accept(ENDPOINT, make_snapshot(), 1.0)
    assert bodies.get(1.0) is first


def test_a_body_is_kept_no_longer_than_its_host_is_fresh() -> None:
    bodies = Counted(make_cache(make_snapshot()))
    first = bodies.get(0.0)
    assert bodies.get(75.0) is first
    assert bodies.refused(75.25)


def test_a_body_that_was_fresh_is_made_anew_when_it_is_stale_but_admitted() -> None:
    bodies = Counted(make_cache(make_snapshot()))
    fresh, stale = bodies.get(75.0, max_age=100.0), bodies.get(75.25, max_age=100.0)
    assert fresh.etag != stale.etag
    assert msgspec.json.decode(stale.content.plain)["status"] == "stale"
    assert bodies.get(100.0, max_age=100.0) is stale
    assert bodies.refused(100.25, max_age=100.0)


def test_a_merged_body_is_made_at_most_once_a_second() -> None:
    cache = two_hosts()
    bodies = Counted(cache)
    first = bodies.get(10.0)
    for tenth in range(1, 10):
        cache.accept(ENDPOINT, make_snapshot(host="a", sequence=tenth), 10.0 + tenth / 10)
        assert bodies.get(10.0 + tenth / 10) is first
    assert bodies.get(11.0) is not first
    assert bodies.get(50.0) is bodies.get(50.0)
    assert bodies.made == 2


def test_a_merged_body_does_not_outlive_the_freshness_of_any_of_its_hosts() -> None:
    cache = make_cache(make_snapshot(host="a", interval_seconds=1.0), make_snapshot(host="b"))
    bodies = Counted(cache)
    assert b"missing_hosts" not in bodies.get(2.25).content.plain
    assert msgspec.json.decode(bodies.get(2.75).content.plain)["missing_hosts"] == ["a"]


def test_one_host_among_several_is_made_anew_at_once_and_only_for_its_own_news() -> None:
    cache = two_hosts()
    bodies = Counted(cache)
    a, b = bodies.get(0.0, "a"), bodies.get(0.0, "b")
    cache.accept(ENDPOINT, make_snapshot(host="a", sequence=1), 0.0)
    assert bodies.get(0.0, "a") is not a
    assert bodies.get(0.0, "b") is b


def test_an_endpoint_that_is_heard_at_last_is_missing_no_more() -> None:
    cache = make_cache(make_snapshot(), endpoints=(ENDPOINT, OTHER))
    bodies = Counted(cache)
    assert b"missing_hosts" in bodies.get(0.0).content.plain
    cache.accept(OTHER, make_snapshot(), 0.0)
    assert b"missing_hosts" not in bodies.get(0.0).content.plain


def test_the_tag_is_weak_and_the_same_for_the_same_answer() -> None:
    one, other = (Counted(make_cache(make_snapshot())).get(0.0) for _ in range(2))
    assert one.etag == other.etag
    assert one.etag.startswith('W/"')
    assert one.etag.endswith('"')


def test_the_tag_tells_snapshots_states_and_queries_apart() -> None:
    queries = [(None, None), ("node-1", None), (None, 5.0), (None, 60.0), ("node-1", 5.0)]
    snapshots = [
        make_snapshot(),
        make_snapshot(sampled_at_ns=1),
        make_snapshot(source=make_stalled_source()),
        make_snapshot(gpus=[]),
    ]
    tags = [
        Counted(make_cache(snapshot)).get(0.0, host, max_age).etag
        for snapshot in snapshots
        for host, max_age in queries
    ]
    assert len(set(tags)) == len(snapshots) * len(queries)


def test_the_compressed_body_is_the_body() -> None:
    rendered = Counted(make_cache(make_snapshot(gpus=[make_gpu(index) for index in range(8)]))).get(0.0)
    assert gzip.decompress(rendered.content.gzipped) == rendered.content.plain
    assert len(rendered.content.gzipped) < len(rendered.content.plain)
    assert rendered.content.gzipped is rendered.content.gzipped


@pytest.mark.parametrize(("held", "now"), [(0.0, 5.0), (12.5, 5.0)])
def test_a_body_knows_when_its_oldest_snapshot_was_sealed(held: float, now: float) -> None:
    cache = make_cache(make_snapshot(host="b"), now=4.0)
    cache.accept(ENDPOINT, make_snapshot(host="a", held_seconds=held), 2.0)
    assert Counted(cache).get(now).sealed_at == 2.0 - held


def test_every_host_has_its_body_kept_however_many_there_are() -> None:
    names = [f"node-{number}" for number in range(2 * MAX_KEPT)]
    bodies = Counted(make_cache(*(make_snapshot(host=name) for name in names)))
    for _ in range(3):
        for name in names:
            bodies.get(0.0, name)
        bodies.get(0.0)
    assert bodies.made == len(names) + 1


@pytest.mark.parametrize("cache", [make_cache(make_snapshot()), two_hosts()])
def test_whoever_asks_for_every_age_there_is_gets_one_body_under_many_tags(cache: Cache) -> None:
    bodies = Counted(cache)
    default = bodies.get(1.0)
    answers = [bodies.get(1.0, max_age=1.0 + number) for number in range(10 * MAX_KEPT)]
    assert {answer.content.plain for answer in answers} == {default.content.plain}
    assert len({answer.etag for answer in (default, *answers)}) == 1 + len(answers)
    assert bodies.get(1.0) is default
    assert bodies.made == 1


def test_a_body_made_for_one_age_is_not_older_than_another_admits() -> None:
    bodies = Counted(make_cache(make_snapshot()))
    assert bodies.get(10.0, max_age=20.0).content.plain == bodies.get(10.0, max_age=10.0).content.plain
    assert bodies.refused(10.25, max_age=10.0)
    assert not bodies.refused(10.25, max_age=20.0)


def test_a_merged_body_that_waits_for_its_second_is_not_older_than_the_request_admits() -> None:
    cache = two_hosts()
    bodies = Counted(cache)
    first = bodies.get(10.0)
    for name in "ab":
        cache.accept(ENDPOINT, make_snapshot(host=name, sequence=1), 10.25)
    assert bodies.get(10.5, max_age=10.5).content.plain is first.content.plain
    assert bodies.get(10.5, max_age=10.25).sealed_at == 10.25
    assert bodies.get(10.5) is first


def test_ages_that_choose_other_hosts_do_not_push_out_what_is_asked_for_without() -> None:
    cache = make_cache()
    for number in range(2 * MAX_KEPT):
        cache.accept(ENDPOINT, make_snapshot(host=f"node-{number}"), float(number))
    now = 2.0 * MAX_KEPT
    bodies = Counted(cache)
    default = bodies.get(now)
    assert len({bodies.get(now, max_age=1.0 + number).content.plain for number in range(2 * MAX_KEPT)}) == 2 * MAX_KEPT
    assert bodies.get(now) is default


def test_a_snapshot_that_turns_out_to_be_older_is_told_as_old_under_the_same_tag() -> None:
    cache = make_cache(make_snapshot())
    bodies = Counted(cache)
    for host in (None, "node-1"):
        before = bodies.get(1.0, host)
        cache.accept(ENDPOINT, make_snapshot(held_seconds=cache.hosts["node-1"].age_seconds(1.0) + 5.0), 1.0)
        after = bodies.get(1.0, host)
        assert (after.sealed_at, after.etag) == (before.sealed_at - 5.0, before.etag)
    assert bodies.refused(75.25 - 10.0)


def test_the_bodies_of_all_hosts_take_no_more_memory_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"node-{number}" for number in range(20)]
    cache = make_cache(*(make_snapshot(host=name) for name in names))
    bodies = Counted(cache)
    size = bodies.get(0.0, names[0]).content.size_bytes
    monkeypatch.setattr(rendered_module, "MOST_KEPT_BYTES", 5 * size + size // 2)
    for _ in range(3):
        for name in names:
            bodies.get(0.0, name)
    assert list(bodies._bodies._kept) == names[-5:]
    assert bodies._bodies._size_bytes == sum(kept.size_bytes for kept in bodies._bodies._kept.values())
    assert bodies.get(0.0, names[-1]) is bodies.get(0.0, names[-1])


def test_a_host_that_is_no_more_is_refused_though_its_body_was_kept() -> None:
    cache = make_cache(make_snapshot(host="a"))
    bodies = Counted(cache)
    bodies.get(0.0, "a")
    cache.follow(())
    assert bodies.refused(0.0, "a")
