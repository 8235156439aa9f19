"""`gpus`, `gpus/{uuid}` and `hosts`: every reading as it is, and how each host is."""

from typing import Any

import msgspec
import pytest

from api.answer import Later, Refusal
from api.answers import Answers
from api.cache import Cache
from api.contact import Contact
from api.rendered import MANY_GPUS
from api.responses.gpus import GpuBody, GpusBody
from api.responses.hosts import HostsBody
from api.routes import GPUS_PATH
from common.gpu import Gpu
from tests.builders import (
    ENDPOINT,
    ask,
    assert_golden,
    make_answers,
    make_cache,
    make_gpu,
    make_lost_gpu,
    make_missing_source,
    make_snapshot,
    make_stalled_source,
    make_unknown_gpu,
    read,
)

HOSTS_PATH = "/api/v1/monitoring/hosts"
OTHER = "tcp://node-9:8481"


def answers_of(cache: Cache) -> Answers:
    return make_answers(cache)


def two_hosts(**second: Any) -> Cache:
    return make_cache(make_snapshot(host="a", gpus=[make_gpu(1), make_gpu(0)]), make_snapshot(host="b", **second))


def said(cache: Cache, target: str = GPUS_PATH, status: int = 200, now: float = 0.0) -> Any:
    answer = ask(answers_of(cache), target, now=now)
    assert answer.status == status
    return read(answer)


def test_the_body_is_the_same_as_ever() -> None:
    gpus = [make_gpu(0, clock_event_reasons=["gpu_idle"]), make_lost_gpu(1)]
    assert_golden("gpus.json", ask(answers_of(make_cache(make_snapshot(gpus=gpus))), GPUS_PATH).body)


def test_every_reading_is_there_as_on_the_feed_and_null_where_it_was_not_taken() -> None:
    gpu = make_gpu(0, memory_used_bytes=2**60 + 1, unavailable={"energy_joules": "unsupported"})
    (shown,) = said(make_cache(make_snapshot(gpus=[gpu])))["gpus"]
    assert shown == {**msgspec.to_builtins(gpu), "host": "node-1"}
    assert shown["energy_joules"] is None


def test_hosts_are_told_by_name_and_gpus_by_host_and_index() -> None:
    body = said(two_hosts())
    assert [host["host"] for host in body["hosts"]] == ["a", "b"]
    assert [(gpu["host"], gpu["index"]) for gpu in body["gpus"]] == [("a", 0), ("a", 1), ("b", 0)]
    assert "missing_hosts" not in body


@pytest.mark.parametrize(
    ("second", "status", "of_host"),
    [
        ({}, "ok", "ok"),
        ({"gpus": [make_lost_gpu()]}, "degraded", "degraded"),
        ({"source": make_missing_source(), "gpus": [make_unknown_gpu()]}, "degraded", "unavailable"),
        ({"source": make_stalled_source(), "gpus": [make_unknown_gpu()]}, "stalled", "stalled"),
    ],
)
def test_the_whole_is_as_its_worst_host_and_each_host_says_how_it_is(
    second: dict[str, Any], status: str, of_host: str
) -> None:
    body = said(two_hosts(**second))
    assert (body["status"], [host["status"] for host in body["hosts"]]) == (status, ["ok", of_host])
    assert (body["error"] is None) == (status == "ok")


def test_no_driver_is_said_and_no_gpu_made_up() -> None:
    body = said(make_cache(make_snapshot(source=make_missing_source(), gpus=[])))
    assert (body["status"], body["error"]["code"], body["gpus"]) == ("unavailable", "unavailable", [])


def test_an_old_snapshot_is_refused_unless_it_is_admitted_and_then_says_so() -> None:
    cache = make_cache(make_snapshot())
    assert said(cache, status=503, now=76.0)["status"] == "stale"
    body = said(cache, f"{GPUS_PATH}?max_age=100", now=76.0)
    assert (body["status"], body["hosts"][0]["status"]) == ("stale", "stale")


def test_a_host_left_out_is_named() -> None:
    cache = make_cache(make_snapshot(host="a", interval_seconds=1.0), make_snapshot(host="b"))
    body = said(cache, now=10.0)
    assert (body["status"], body["missing_hosts"], [gpu["host"] for gpu in body["gpus"]]) == ("degraded", ["a"], ["b"])


def test_the_free_gpus_are_found_by_what_they_have_left() -> None:
    gpus = [
        make_gpu(0, memory_free_bytes=9_000_000_000, utilization_gpu_percent=0),
        make_gpu(1, memory_free_bytes=10_000_000_000, utilization_gpu_percent=5),
        make_gpu(2, memory_free_bytes=11_000_000_000, utilization_gpu_percent=6),
        make_gpu(3, memory_free_bytes=None, utilization_gpu_percent=0),
        make_lost_gpu(4),
    ]
    query = "?memory_free_bytes_min=8000000000&utilization_gpu_percent_max=5&sort=-memory_free_bytes"
    cache = make_cache(make_snapshot(gpus=gpus))
    assert [gpu["index"] for gpu in said(cache, GPUS_PATH + query)["gpus"]] == [1, 0]
    assert [gpu["index"] for gpu in said(cache, f"{GPUS_PATH}{query}&limit=1")["gpus"]] == [1]
    assert [gpu["index"] for gpu in said(cache, f"{GPUS_PATH}?state=lost")["gpus"]] == [4]


def test_one_query_is_not_answered_with_the_body_of_another() -> None:
    answers = answers_of(two_hosts())
    queries = ["", "?limit=1", "?limit=2", "?sort=power_draw_watts", "?state=lost", "?host=a", "?host=a&limit=1"]
    first = [ask(answers, GPUS_PATH + query) for query in queries]
    assert [ask(answers, GPUS_PATH + query) for query in queries] == first
    assert len({dict(answer.headers)["ETag"] for answer in first}) == len(queries)


def test_a_body_of_very_many_gpus_is_made_once_and_elsewhere() -> None:
    answers = answers_of(make_cache(make_snapshot(gpus=[make_gpu(index) for index in range(MANY_GPUS + 1)])))
    asked = [answers.answer("GET", GPUS_PATH, {}, 0.0) for _ in range(2)]
    works = [later for later in asked if isinstance(later, Later)]
    (content,) = (make() for make in {later.make for later in works})
    told = [later.then(content, 5.0) for later in works]
    assert told[0] == told[1] == (shown := ask(answers, GPUS_PATH, now=5.0))
    assert dict(shown.headers)["Age"] == "5"


@pytest.mark.parametrize(("query", "now"), [("", 76.0), ("?max_age=5", 6.0)])
def test_what_waited_to_be_made_until_it_is_old_is_refused(query: str, now: float) -> None:
    answers = make_answers(make_cache(make_snapshot(gpus=[make_gpu(index) for index in range(MANY_GPUS + 1)])))
    later = answers.answer("GET", GPUS_PATH + query, {}, 0.0)
    assert isinstance(later, Later)
    with pytest.raises(Refusal) as refused:
        later.then(later.make(), now)
    assert refused.value.answer.status == 503


def test_one_gpu_is_told_with_how_its_host_is() -> None:
    gpu = make_gpu(1)
    body = said(two_hosts(gpus=[]), f"{GPUS_PATH}/{gpu.uuid}")
    expected = {"host": "a", "status": "ok", "timestamp": "2025-03-04T23:02:50.123456"}
    assert body == {**msgspec.to_builtins(gpu), **expected}


def test_a_gpu_seen_on_two_hosts_is_asked_for_with_its_host() -> None:
    path = f"{GPUS_PATH}/{make_gpu(0).uuid}"
    error = said(two_hosts(), path, 409)["error"]
    assert (error["code"], error["message"].endswith("a, b")) == ("ambiguous_gpu", True)
    assert said(two_hosts(), f"{path}?host=b")["host"] == "b"


@pytest.mark.parametrize(
    ("uuid", "query", "now", "status", "code"),
    [
        ("GPU-nobody", "", 0.0, 404, "unknown_gpu"),
        ("%ff%00", "", 0.0, 404, "unknown_gpu"),
        (make_gpu(1).uuid, "?host=b", 0.0, 404, "unknown_gpu"),
        (make_gpu(1).uuid, "?host=c", 0.0, 404, "unknown_host"),
        (make_gpu(1).uuid, "?limit=1", 0.0, 400, "bad_parameter"),
        (make_gpu(1).uuid, "", 80.0, 503, "stale"),
        (make_gpu(1).uuid, "?max_age=1", 80.0, 503, "stale"),
        (make_gpu(1).uuid, "/", 0.0, 404, "not_found"),
    ],
)
def test_a_gpu_that_cannot_be_told_is_refused(uuid: str, query: str, now: float, status: int, code: str) -> None:
    cache = make_cache(make_snapshot(host="a", gpus=[make_gpu(1)]))
    cache.accept(ENDPOINT, make_snapshot(host="b"), 10.0)
    assert said(cache, f"{GPUS_PATH}/{uuid}{query}", status, now)["error"]["code"] == code


def test_a_gpu_whose_host_is_silent_is_told_again_where_it_was_put() -> None:
    cache = make_cache(make_snapshot(host="a", gpus=[make_gpu(0)]))
    cache.accept(ENDPOINT, make_snapshot(host="b", gpus=[make_gpu(0)]), 80.0)
    assert said(cache, f"{GPUS_PATH}/{make_gpu(0).uuid}", now=80.0)["host"] == "b"


def test_hosts_tells_all_there_is_to_know_of_each() -> None:
    cache = make_cache(make_snapshot(), endpoints=(ENDPOINT, OTHER), unix_seconds=lambda: 1_741_129_300.0)
    cache.accept(ENDPOINT, make_snapshot(sequence=3), 1.0)
    cache.reject(ENDPOINT)
    cache.reject(OTHER)
    heard, silent = said(cache, HOSTS_PATH, now=3.25)["hosts"]
    snapshot = make_snapshot()
    assert heard == {
        "host": "node-1",
        "state": "ok",
        "age_seconds": 2.25,
        "source": msgspec.to_builtins(snapshot.source),
        "collector": msgspec.to_builtins(snapshot.collector),
        "messages": {"received": 2, "lost": 2, "rejected": 1},
        "endpoint": ENDPOINT,
        "connection": None,
        "clock_offset_seconds": 70.123,
        "rival_of": None,
    }
    assert silent == {
        "host": None,
        "state": "unheard",
        "age_seconds": None,
        "source": None,
        "collector": None,
        "messages": {"received": 0, "lost": 0, "rejected": 1},
        "endpoint": OTHER,
        "connection": None,
        "clock_offset_seconds": None,
        "rival_of": None,
    }


def test_hosts_tells_of_a_rival_where_the_collector_is_that_is_shown_in_its_place() -> None:
    cache = make_cache(make_snapshot(run_id="a"))
    cache.accept(OTHER, make_snapshot(run_id="b"), 0.0)
    shown, rival = said(cache, HOSTS_PATH)["hosts"]
    assert (shown["endpoint"], shown["rival_of"]) == (ENDPOINT, None)
    assert (rival["endpoint"], rival["rival_of"], rival["host"]) == (OTHER, ENDPOINT, "node-1")


def test_hosts_tells_how_the_way_to_each_endpoint_is() -> None:
    cache = make_cache(contacts={ENDPOINT: Contact(0.0)})
    cache.contacts[ENDPOINT].note("trying", 1.0)
    cache.contacts[ENDPOINT].note("trying", 2.0)
    (silent,) = said(cache, HOSTS_PATH, now=3.0006)["hosts"]
    assert silent["connection"] == {
        "state": "refused",
        "seconds": 2.001,
        "reason": "nobody listens there, or no way leads there",
        "times": {"connected": 0, "refused": 2, "rejected": 0, "wrong_protocol": 0, "lost": 0},
    }


@pytest.mark.parametrize(
    ("source", "now", "state"),
    [
        (make_missing_source(), 0.0, "unavailable"),
        (make_stalled_source(), 0.0, "stalled"),
        (make_stalled_source(), 76.0, "stale"),
    ],
)
def test_hosts_tells_the_state_of_the_source_unless_it_is_old(source: Any, now: float, state: str) -> None:
    (host,) = said(make_cache(make_snapshot(source=source)), HOSTS_PATH, now=now)["hosts"]
    assert (host["state"], host["age_seconds"]) == (state, now)


def test_the_bodies_are_what_their_structs_say() -> None:
    cache = make_cache(make_snapshot(gpus=[make_gpu(), make_lost_gpu(1)]), endpoints=(ENDPOINT, OTHER))
    answers = answers_of(cache)
    for kind, path in ((GpusBody, GPUS_PATH), (GpuBody, f"{GPUS_PATH}/{make_gpu().uuid}"), (HostsBody, HOSTS_PATH)):
        body = ask(answers, path).body
        assert msgspec.json.encode(msgspec.json.decode(body, type=kind)) == body


def test_a_gpu_of_the_catalogue_has_no_name_that_its_host_needs() -> None:
    assert {"host", "status", "timestamp"} & set(Gpu.__struct_fields__) == set()
