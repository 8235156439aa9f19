"""What a scrape is told, how often that is written, and where."""

import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.answer import Answer, Later
from api.answers import Answers
from api.cache import Cache
from api.scraping.scrapes import MAX_HOSTS_MERGED
from tests.builders import ENDPOINT, ask, make_answers, make_cache, make_gpu, make_snapshot, read

PATH = "/metrics"
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0; charset=utf-8"}


def two_hosts() -> Cache:
    return make_cache(make_snapshot(host="a"), make_snapshot(host="b"))


def values(answer: Answer, name: str, label: str = "host") -> dict[str, float]:
    """Return the values of a metric, by one of its labels."""
    families = text_string_to_metric_families(answer.body.decode())
    return {
        sample.labels.get(label, ""): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


def header(answer: Answer, name: str) -> str:
    return dict(answer.headers)[name]


def test_a_scrape_is_told_all_hosts_or_the_one_it_names() -> None:
    answers = make_answers(two_hosts())
    assert values(ask(answers, PATH), "gpu_power_draw_watts") == {"a": 220.5, "b": 220.5}
    assert values(ask(answers, f"{PATH}?host=b"), "gpu_power_draw_watts") == {"b": 220.5}


def test_a_scrape_of_one_host_has_nothing_of_the_api_and_of_feeds_which_others_share() -> None:
    answers = make_answers(two_hosts())
    assert values(ask(answers, PATH), "gpu_feed_hosts", "endpoint") == {ENDPOINT: 2}
    alone = ask(answers, f"{PATH}?host=b")
    assert values(alone, "gpu_host_up") == {"b": 1}
    assert not re.findall(rb"(?m)^gpu_(?:feed|api)_", alone.body)


def test_a_scrape_of_an_unknown_host_is_not_found() -> None:
    assert ask(make_answers(two_hosts()), f"{PATH}?host=c").status == 404


def test_a_stale_host_is_down_and_has_no_readings() -> None:
    answer = ask(make_answers(two_hosts()), PATH, now=100.0)
    assert values(answer, "gpu_host_up") == {"a": 0.0, "b": 0.0}
    assert values(answer, "gpu_power_draw_watts") == {}


def test_before_anything_was_heard_a_scrape_is_told_so() -> None:
    for path in (PATH, f"{PATH}?host=a"):
        answer = ask(make_answers(), path)
        assert (answer.status, values(answer, "gpu_host_up")) == (200, {})


def test_the_format_is_the_one_that_is_accepted() -> None:
    answers = make_answers(two_hosts())
    assert header(ask(answers, PATH), "Content-Type").startswith("text/plain; version=")
    told = ask(answers, PATH, OPENMETRICS)
    assert header(told, "Content-Type").startswith("application/openmetrics-text; version=1.0.0")
    assert told.body.endswith(b"# EOF\n")
    assert header(told, "Vary") == "Accept, Accept-Encoding"


def test_the_other_dialect_has_its_own_names() -> None:
    answer = ask(make_answers(two_hosts()), f"{PATH}?dialect=dcgm")
    assert values(answer, "DCGM_FI_DEV_GPU_TEMP", "Hostname") == {"a": 65.0, "b": 65.0}
    assert b"gpu_power_draw_watts" not in answer.body


def test_the_api_and_its_endpoints_can_be_scraped_without_hosts_however_many_there_are() -> None:
    cache = make_cache(*(make_snapshot(host=f"node-{number}", gpus=[]) for number in range(MAX_HOSTS_MERGED + 1)))
    answer = ask(make_answers(cache), f"{PATH}/api")
    assert values(answer, "gpu_feed_hosts", "endpoint") == {ENDPOINT: MAX_HOSTS_MERGED + 1}
    assert values(answer, "gpu_api_start_time_seconds", "") != {}
    assert values(answer, "gpu_host_up") == {}
    assert b"{host=" not in answer.body


def test_a_scrape_of_the_api_that_waited_for_too_long_is_written_again() -> None:
    answers = make_answers(two_hosts())
    first = answers.answer("GET", f"{PATH}/api", {}, 70.0)
    assert isinstance(first, Later)
    again = first.then(first.make(), 80.0)
    assert isinstance(again, Later)
    told = again.then(again.make(), 80.5)
    assert isinstance(told, Answer)
    assert values(told, "gpu_feed_up", "endpoint") == {ENDPOINT: 0.0}


def written(answers: Answers, now: float, path: str = PATH, headers: dict[str, str] | None = None) -> Any:
    """Return what must be called to write it, None if it is written already."""
    sent = answers.answer("GET", path, headers or {}, now)
    if isinstance(sent, Later):
        sent.then(sent.make(), now)
        return sent.make
    return None


def test_each_kind_is_written_at_most_once_a_second_and_never_at_once() -> None:
    cache = two_hosts()
    answers = make_answers(cache)
    kinds: list[tuple[str, dict[str, str]]] = [
        (PATH, {}),
        (PATH, OPENMETRICS),
        (f"{PATH}?dialect=dcgm", {}),
        (f"{PATH}?host=a", {}),
        (f"{PATH}/api", {}),
    ]
    for path, headers in kinds:
        assert written(answers, 10.0, path, headers) is not None
    cache.accept(ENDPOINT, make_snapshot(host="a", sequence=1), 10.5)
    for path, headers in kinds:
        assert written(answers, 10.9, path, headers) is None
    for path, headers in kinds:
        assert written(answers, 11.0, path, headers) is not None


def test_all_who_wait_for_the_same_are_told_what_is_made_once() -> None:
    answers = make_answers(two_hosts())
    sent = [answers.answer("GET", PATH, {}, now) for now in (0.0, 0.5)]
    assert len({later.make for later in sent if isinstance(later, Later)}) == 1


def test_what_scrapers_say_cannot_make_the_api_keep_ever_more() -> None:
    answers = make_answers(two_hosts())
    makes = [written(answers, 0.0, headers={"Accept": f"text/plain;x={number}"}) for number in range(100)]
    assert [make is not None for make in makes] == [True] + 99 * [False]
    assert len(answers._resources._scrapes._kept) == 1
    for number in range(1000):
        written(answers, float(number), path=f"{PATH}?host={'ab'[number % 2]}")
    assert len(answers._resources._scrapes._kept) <= 4


def test_what_was_written_is_let_go_when_it_is_late_and_the_oldest_first_when_it_is_too_much() -> None:
    names = [f"node-{number}" for number in range(66)]
    answers = make_answers(make_cache(*(make_snapshot(host=name, gpus=[]) for name in names)))
    kept = answers._resources._scrapes._kept
    for name in names[:3]:
        written(answers, 0.0, f"{PATH}?host={name}")
    written(answers, 1.5, f"{PATH}?host={names[0]}")
    assert [kind.host for kind in kept] == [names[1], names[2], names[0]]
    written(answers, 2.0, f"{PATH}?host={names[3]}")
    assert [kind.host for kind in kept] == [names[1], names[2], names[0], names[3]]
    written(answers, 2.1, f"{PATH}?host={names[3]}")
    assert [kind.host for kind in kept] == [names[0], names[3]]
    for name in names[4:]:
        written(answers, 3.0, f"{PATH}?host={name}")
    assert [kind.host for kind in kept] == names[:1] + names[3:]
    written(answers, 3.0, PATH)
    assert [kind.host for kind in kept] == [*names[3:], None]


def test_what_waited_for_too_long_to_be_written_is_written_again() -> None:
    answers = make_answers(two_hosts())
    first = answers.answer("GET", PATH, {}, 70.0)
    assert isinstance(first, Later)
    again = first.then(first.make(), 80.0)
    assert isinstance(again, Later)
    told = again.then(again.make(), 80.5)
    assert isinstance(told, Answer)
    assert values(told, "gpu_host_up") == {"a": 0.0, "b": 0.0}


@pytest.mark.parametrize(("count", "status"), [(MAX_HOSTS_MERGED, 200), (MAX_HOSTS_MERGED + 1, 400)])
def test_beyond_a_number_of_hosts_each_is_to_be_scraped_by_itself(count: int, status: int) -> None:
    cache = make_cache(*(make_snapshot(host=f"node-{number}", gpus=[]) for number in range(count)))
    answers = make_answers(cache)
    sent = answers.answer("GET", PATH, {}, 0.0)
    assert isinstance(sent, Later) == (status == 200)
    if isinstance(sent, Answer):
        error = read(sent)["error"]
        assert (sent.status, error["code"]) == (400, "too_many_hosts")
        assert "?host=NAME" in error["message"]
    assert ask(answers, f"{PATH}?host=node-0").status == 200


def test_a_scrape_is_told_again_only_what_has_changed() -> None:
    answers = make_answers(make_cache(make_snapshot(gpus=[make_gpu()])))
    first = ask(answers, PATH)
    assert ask(answers, PATH, {"If-None-Match": header(first, "ETag")}).status == 304
