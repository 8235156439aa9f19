"""Every cached GET, asked without a server: what is found, what is refused, and what was told before."""

import gzip
import tracemalloc
from typing import Any

import pytest

from api.answer import Answer
from api.answers import Answers
from api.cache import Cache
from api.history import series
from api.routes import METRICS_PATH, MONITORING, ROUTES, STREAM_PATH, Route
from common.snapshot import Snapshot
from tests.builders import (
    ENDPOINT,
    ask,
    make_answers,
    make_cache,
    make_gpu,
    make_missing_source,
    make_snapshot,
    read,
)
from tests.fuzz.clients import House

PATHS = [METRICS_PATH, "/healthz", "/readyz"]


def answers_of(*snapshots: Snapshot) -> Answers:
    return make_answers(make_cache(*snapshots))


def healthy() -> Answers:
    return answers_of(make_snapshot(gpus=[make_gpu(index) for index in range(8)]))


def two_hosts() -> Cache:
    """Return a cache of `a`, sealed at -5, and `b`, sealed at 3."""
    cache = make_cache(make_snapshot(host="a", held_seconds=5.0), now=0.0)
    cache.accept(ENDPOINT, make_snapshot(host="b"), 3.0)
    return cache


def header(answer: Answer, name: str) -> str | None:
    values = [value for given, value in answer.headers if given == name]
    assert len(values) < 2
    return values[0] if values else None


def code_of(answer: Answer) -> Any:
    return read(answer)["error"]["code"]


def tag(answers: Answers) -> str:
    return header(ask(answers), "ETag") or ""


def test_a_success_tells_its_age_and_how_it_may_be_kept() -> None:
    answer = ask(healthy(), now=12.9)
    assert (answer.status, [name for name, _ in answer.headers]) == (
        200,
        ["ETag", "Age", "Vary", "Cache-Control", "Content-Type", "Content-Length"],
    )
    assert header(answer, "Age") == "12"
    assert header(answer, "Vary") == "Accept-Encoding"
    assert header(answer, "Cache-Control") == "no-cache"
    assert header(answer, "Content-Type") == "application/json"
    assert header(answer, "Content-Length") == str(len(answer.body))


@pytest.mark.parametrize(("query", "age", "names"), [("", "15", "ab"), ("?host=a", "15", "a"), ("?host=b", "7", "b")])
def test_the_age_is_the_one_of_the_oldest_host_that_is_told(query: str, age: str, names: str) -> None:
    answer = ask(make_answers(two_hosts()), METRICS_PATH + query, now=10.0)
    assert (header(answer, "Age"), [gpu["host"] for gpu in read(answer)["gpus"]]) == (age, list(names))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cache", [make_cache(), make_cache(make_snapshot())])
def test_head_is_get_without_the_body(path: str, cache: Cache) -> None:
    got, headed = (ask(make_answers(cache), path, method=method) for method in ("GET", "HEAD"))
    assert (headed.status, headed.headers, headed.body) == (got.status, got.headers, b"")
    assert header(headed, "Content-Length") == str(len(got.body))


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.path != STREAM_PATH], ids=lambda route: route.path
)
def test_a_success_has_a_tag_where_the_route_table_says_so_and_only_there(route: Route) -> None:
    answer = ask(healthy(), route.path.replace("{uuid}", make_gpu().uuid or ""))
    assert (answer.status, header(answer, "ETag") is not None) == (200, route.is_tagged)


def test_head_is_get_without_the_body_where_that_takes_long_or_has_no_end() -> None:
    answers = House([make_snapshot()]).answers
    got, headed = (ask(answers, f"{MONITORING}/history", method=method) for method in ("GET", "HEAD"))
    assert (headed.status, headed.headers, headed.body) == (200, got.headers, b"")
    headed = ask(answers, STREAM_PATH, method="HEAD")
    assert (headed.status, header(headed, "Content-Type"), headed.body) == (200, "text/event-stream", b"")


@pytest.mark.parametrize("limit", ["MOST_TIMESTAMPS", "MOST_VALUES"])
def test_more_history_than_one_answer_may_have_is_refused_with_how_to_ask_for_less(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, limit, 0)
    answer = ask(House([make_snapshot()]).answers, f"{MONITORING}/history")
    assert (answer.status, code_of(answer)) == (400, "too_much")
    assert "narrow it by reading" in read(answer)["error"]["message"]


def test_means_of_no_samples_are_none() -> None:
    answer = ask(House([make_snapshot()]).answers, f"{MONITORING}/history?step=60&until=0")
    assert (answer.status, read(answer)) == (200, {"timestamps": [], "series": []})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "BREW"])
def test_another_method_is_refused_with_those_that_are_known(path: str, method: str) -> None:
    answer = ask(healthy(), path, method=method)
    assert (answer.status, code_of(answer), header(answer, "Allow")) == (405, "method_not_allowed", "GET, HEAD")


@pytest.mark.parametrize(
    "target", ["", "//", "*", *(f"{path}/" for path in PATHS), METRICS_PATH.upper(), f"/{METRICS_PATH}", "/healthz#a"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_path_that_is_none_is_not_found(target: str, method: str) -> None:
    answer = ask(healthy(), target, method=method)
    assert (answer.status, code_of(answer)) == (404, "not_found")


@pytest.mark.parametrize(
    ("target", "named"),
    [
        (f"{METRICS_PATH}?maxage=5", "maxage: no such parameter; known here: host, max_age"),
        (f"{METRICS_PATH}?host=node-1&x", "x: no such parameter"),
        (f"{METRICS_PATH}?HOST=node-1", "HOST: no such parameter"),
        (f"{METRICS_PATH}?host=node-1&host=node-1", "host: given more than once"),
        (f"{METRICS_PATH}?max_age=5&max_age=6", "max_age: given more than once"),
        (f"{METRICS_PATH}?%ff%00%0d%0a", "\N{REPLACEMENT CHARACTER}\0\r\n: no such parameter"),
        (f"{METRICS_PATH}?=5", ": no such parameter"),
        (f"{METRICS_PATH}?host=node-1?max_age=5&a;b=1", "a;b: no such parameter"),
        ("/healthz?x=1", "x: no such parameter; this path takes none"),
        ("/readyz?host=node-1", "host: no such parameter; this path takes none"),
    ],
)
def test_a_parameter_that_is_unknown_or_repeated_is_refused_by_name(target: str, named: str) -> None:
    answer = ask(healthy(), target)
    assert (answer.status, code_of(answer)) == (400, "bad_parameter")
    assert read(answer)["error"]["message"].startswith(named)


def test_a_long_parameter_is_not_sent_back_whole() -> None:
    assert len(ask(healthy(), f"{METRICS_PATH}?{'x' * 60_000}").body) < 1000


@pytest.mark.parametrize(
    "text",
    ["", "nan", "inf", "-1", "+1", "%2B1", "0x10", "1,5", "1_0", "%201", "1%0a", ".", "%D9%A3", "9" * 400],
)
def test_an_age_that_is_no_number_of_seconds_is_refused(text: str) -> None:
    answer = ask(healthy(), f"{METRICS_PATH}?max_age={text}")
    assert (answer.status, code_of(answer)) == (400, "bad_parameter")
    assert read(answer)["error"]["message"].startswith("max_age: ")


@pytest.mark.parametrize(
    ("max_age", "now", "status", "said"),
    [
        ("0", 0.0, 200, "ok"),
        ("0", 0.25, 503, "stale"),
        (".5", 0.5, 200, "ok"),
        ("5.", 5.25, 503, "stale"),
        ("100", 75.0, 200, "ok"),
        ("100", 75.25, 200, "stale"),
        ("100", 100.25, 503, "stale"),
        ("9" * 300, 1e9, 200, "stale"),
    ],
)
def test_max_age_is_stricter_or_looser_for_one_request(max_age: str, now: float, status: int, said: str) -> None:
    answers = answers_of(make_snapshot())
    answer = ask(answers, f"{METRICS_PATH}?max_age={max_age}", now=now)
    assert (answer.status, read(answer)["status"]) == (status, said)
    assert ask(answers, now=0.0).status == 200


def test_what_is_stale_is_refused_with_its_age_and_when_to_ask_again() -> None:
    answer = ask(healthy(), f"{METRICS_PATH}?max_age=1", now=10.5)
    assert answer.status == 503
    message = "node-1: the latest snapshot is 10.5 s old; that is more than max_age admits"
    assert read(answer) == {"error": {"code": "stale", "message": message}, "status": "stale", "age_seconds": 10.5}
    assert header(answer, "Retry-After") == "20"
    assert (header(answer, "Cache-Control"), header(answer, "ETag"), header(answer, "Age")) == ("no-store", None, None)


@pytest.mark.parametrize("query", ["", "?host=node-1"])
def test_before_anything_was_heard_there_is_nothing_to_tell(query: str) -> None:
    answer = ask(answers_of(), METRICS_PATH + query)
    assert (answer.status, code_of(answer), header(answer, "Retry-After")) == (503, "unheard", "1")
    assert (read(answer)["status"], read(answer)["age_seconds"]) == ("unheard", None)


@pytest.mark.parametrize("name", ["node-2", "NODE-1", "", "*", "%ff", "node-1%00", "../node-1"])
def test_a_host_nobody_has_heard_of_is_not_found(name: str) -> None:
    answer = ask(healthy(), f"{METRICS_PATH}?host={name}")
    assert (answer.status, code_of(answer)) == (404, "unknown_host")


@pytest.mark.parametrize("form", ["{}", "{strong}", '"other", {}', '"a,b",W/"c" ,{strong}', "*", " * "])
def test_who_has_it_already_is_told_so(form: str) -> None:
    answers = healthy()
    known = tag(answers)
    answer = ask(answers, headers={"If-None-Match": form.format(known, strong=known.removeprefix("W/"))}, now=3.0)
    assert (answer.status, answer.body) == (304, b"")
    assert [name for name, _ in answer.headers] == ["ETag", "Age", "Vary", "Cache-Control"]
    assert (header(answer, "ETag"), header(answer, "Age")) == (known, "3")


@pytest.mark.parametrize("tags", ["", '""', '"other"', "W/other", "{bare}", "**", '"*"'])
def test_who_has_something_else_is_told_all(tags: str) -> None:
    answers = healthy()
    bare = tag(answers).removeprefix("W/").strip('"')
    assert ask(answers, headers={"If-None-Match": tags.format(bare=bare)}).status == 200


def test_what_is_stale_is_never_unchanged() -> None:
    answers = healthy()
    for known in (tag(answers), "*"):
        assert ask(answers, headers={"If-None-Match": known}, now=75.25).status == 503


def test_a_tag_holds_until_there_is_news() -> None:
    cache = make_cache(make_snapshot())
    answers = make_answers(cache)
    known = {"If-None-Match": tag(answers)}
    cache.accept(ENDPOINT, make_snapshot(), 1.0)
    assert ask(answers, headers=known, now=1.0).status == 304
    cache.accept(ENDPOINT, make_snapshot(sequence=1, sampled_at_ns=1), 1.0)
    assert ask(answers, headers=known, now=1.0).status == 200


@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("br, gzip;q=0.5", True),
        ("deflate,gzip ; q=0.001", True),
        ("*", True),
        ("", False),
        ("gzip;q=0", False),
        ("gzip; Q=0.000", False),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("gzipped", False),
        (",;,=", False),
    ],
)
def test_the_body_is_compressed_for_those_who_accept_that(accepted: str, *, is_compressed: bool) -> None:
    answers = healthy()
    plain, answer = ask(answers), ask(answers, headers={"Accept-Encoding": accepted})
    assert header(answer, "Content-Encoding") == ("gzip" if is_compressed else None)
    assert (gzip.decompress(answer.body) if is_compressed else answer.body) == plain.body
    assert header(answer, "Content-Length") == str(len(answer.body))
    assert (header(answer, "ETag"), header(answer, "Vary")) == (header(plain, "ETag"), "Accept-Encoding")


@pytest.mark.parametrize(
    ("snapshots", "now", "status", "said"),
    [
        ([make_snapshot()], 0.0, 200, "ready"),
        ([make_snapshot()], 75.25, 503, "stale"),
        ([make_snapshot(source=make_missing_source())], 0.0, 503, "placeholder"),
        ([], 0.0, 503, "unheard"),
    ],
)
def test_ready_is_another_thing_than_healthy(snapshots: list[Snapshot], now: float, status: int, said: str) -> None:
    answers = answers_of(*snapshots)
    answer = ask(answers, "/readyz", now=now)
    body: Any = read(answer)
    assert (answer.status, body.get("status") or body["error"]["code"]) == (status, said)
    assert header(answer, "Retry-After") == ("1" if status == 503 else None)
    healthz = ask(answers, "/healthz", now=now)
    assert (healthz.status, healthz.body) == (200, b'{"status":"ok"}')


@pytest.mark.parametrize("form", ["{path}?host=node-1&max_age={text}", "{path}?{text}"])
def test_long_texts_of_clients_are_not_kept(form: str) -> None:
    answers, megabytes = healthy(), 2**20
    tracemalloc.start()
    try:
        for number in range(100):
            text = f"{number:060000}"
            ask(answers, form.format(path=METRICS_PATH, text=text), {"Accept-Encoding": text})
        assert tracemalloc.get_traced_memory()[0] < megabytes
    finally:
        tracemalloc.stop()
