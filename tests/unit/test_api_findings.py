"""What the API's check says of what was seen."""

import errno
import os

import pytest

from api import findings
from api.connections import MOST
from api.contact import Contact
from common.finding import Finding
from tests.builders import ENDPOINT, make_cache, make_gpu, make_missing_source, make_snapshot, make_stalled_source

OTHER = "tcp://127.0.0.1:8482"


def only(found: "list[Finding]") -> Finding:
    (finding,) = found
    return finding


def test_what_was_heard_is_told_with_host_age_number_and_gpus() -> None:
    cache = make_cache(make_snapshot(sequence=7, held_seconds=0.5, gpus=[make_gpu(0), make_gpu(1)]))
    found = only(list(findings.feeds(cache, 1.0, 10.0)))
    assert found.line == f"ok       feed {ENDPOINT} node-1, 1.5 s old, number 7, 2 GPUs, source ok"


@pytest.mark.parametrize("source", [make_missing_source("no driver"), make_stalled_source(error="no driver")])
def test_a_source_that_is_not_ok_is_a_warning_since_the_feed_is_well(source: object) -> None:
    found = only(list(findings.feeds(make_cache(make_snapshot(source=source)), 1.0, 10.0)))
    assert found.state == "warning"
    assert f"source {source.state}: no driver" in found.found  # type: ignore[attr-defined]
    assert "python -m collector --check" in found.todo


def test_a_snapshot_that_is_stale_is_wrong() -> None:
    found = only(list(findings.feeds(make_cache(make_snapshot(interval_seconds=1.0)), 60.0, 10.0)))
    assert found.state == "wrong"
    assert "60.0 s old" in found.found
    assert "stale" in found.found


def test_an_endpoint_from_which_nothing_came_says_how_the_way_there_is() -> None:
    cache = make_cache()
    cache.contacts = {ENDPOINT: Contact(0.0)}
    silent = only(list(findings.feeds(cache, 1.0, 10.0)))
    assert (silent.state, silent.found) == ("wrong", "connecting, and nothing was heard within 10 s")
    cache.contacts[ENDPOINT].note("rejected", 0.0)
    assert (
        "rejected: the collector does not know this API's public key"
        in only(list(findings.feeds(cache, 1.0, 10.0))).found
    )
    cache.reject(ENDPOINT)
    assert "1 messages that are no snapshots" in only(list(findings.feeds(cache, 1.0, 10.0))).found


def test_two_collectors_of_one_name_are_wrong_and_two_ways_to_one_are_not() -> None:
    cache = make_cache(make_snapshot(), endpoints=(ENDPOINT, OTHER))
    cache.accept(OTHER, make_snapshot(), 0.5)
    assert [finding.state for finding in findings.feeds(cache, 1.0, 10.0)] == ["ok", "ok"]
    cache.accept(OTHER, make_snapshot(run_id="another"), 0.5)
    shown, rival = findings.feeds(cache, 1.0, 10.0)
    assert (shown.state, rival.state) == ("ok", "wrong")
    assert f"{ENDPOINT} calls itself so, too: give each a GPU_METRICS_HOST" in rival.line


def test_too_few_open_files_are_a_warning_with_the_limit_that_would_do() -> None:
    assert findings.connections(MOST).state == "ok"
    few = findings.connections(512)
    assert few.state == "warning"
    assert "only 512 at once" in few.found
    assert f"to {2 * MOST}" in few.todo


def test_an_address_that_cannot_be_had_is_wrong_in_the_words_of_a_start() -> None:
    error = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    found = findings.refused("127.0.0.1", 8480, error)
    assert found.found == "cannot listen on 127.0.0.1 port 8480: Address already in use"
    assert "sudo ss -ltnp" in found.todo
    foreign = findings.refused("192.0.2.1", 8480, OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL)))
    assert "GPU_METRICS_API_ADDRESS" in foreign.todo
