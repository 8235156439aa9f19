"""The hosts, as Prometheus' HTTP service discovery has them."""

from api.routes import TARGETS_PATH
from tests.builders import ask, make_answers, make_cache, make_snapshot, read


def test_each_host_is_a_target_at_the_address_by_which_this_api_was_reached() -> None:
    cache = make_cache(make_snapshot(host="node-2"), make_snapshot(host="node-1", gpus=[]))
    answer = ask(make_answers(cache), TARGETS_PATH, {"Host": "gpus.example:8480"}, now=1e6)
    assert dict(answer.headers)["Content-Type"] == "application/json"
    assert read(answer) == [
        {"targets": ["gpus.example:8480"], "labels": {"__param_host": host, "instance": host}}
        for host in ("node-1", "node-2")
    ]


def test_without_any_host_the_list_is_empty() -> None:
    assert read(ask(make_answers(), TARGETS_PATH, {"Host": "localhost"})) == []
