"""What is scraped of hosts, endpoints and the API itself."""

from typing import get_args

import msgspec

from api.contact import Contact, ContactState
from api.prometheus import exposition
from api.reports import feeds, reports
from tests.builders import ENDPOINT, make_cache, make_snapshot
from tests.scraped import OWN, every_case, key, make_whole_gpu, names, numbers, of_one_gpu, read, scrape

WAYS = get_args(ContactState)


def test_a_stale_host_says_that_it_is_and_how_it_was_heard_and_nothing_else() -> None:
    cache = make_cache(make_snapshot(gpus=[make_whole_gpu()]))
    taken = scrape(reports(cache, 1000.0), feeds(cache, 1000.0))
    assert names(found for found in taken if "host" in dict(found[1])) == {
        "gpu_host_up",
        "gpu_host_state",
        "gpu_host_last_sample_timestamp_seconds",
        "gpu_host_snapshots_received_total",
        "gpu_host_snapshots_lost_total",
    }
    assert taken[key("gpu_host_up", host="node-1")] == 0
    assert taken[key("gpu_host_state", host="node-1", state="stale")] == 1
    assert taken[key("gpu_host_state", host="node-1", state="ok")] == 0
    assert taken[key("gpu_feed_up", endpoint=ENDPOINT)] == 0


def test_a_fresh_host_tells_what_its_collector_costs() -> None:
    taken = scrape(of_one_gpu())
    expected = {
        "gpu_host_up": 1,
        "gpu_host_last_sample_timestamp_seconds": 1_741_129_370.1234567,
        "gpu_host_snapshots_received_total": 1,
        "gpu_host_snapshots_lost_total": 0,
        "gpu_host_sample_duration_seconds": 0.25,
        "gpu_host_sample_interval_seconds": 30,
        "gpu_host_collector_cpu_seconds_total": 1.5,
        "gpu_host_collector_resident_bytes": 30 * 2**20,
        "gpu_host_nvml_calls_total": 80,
    }
    assert {name: taken[key(name, host="node-1")] for name in expected} == expected
    assert taken[key("gpu_host_slowest_call_seconds", host="node-1", function="nvmlDeviceGetPowerUsage")] == 0.125
    assert taken[key("gpu_host_collector_info", host="node-1", version="0.1.0")] == 1


def test_a_collector_that_is_too_old_to_tell_its_version_has_an_empty_one() -> None:
    collector = msgspec.structs.replace(make_snapshot().collector, version=None)
    taken = scrape(reports(make_cache(make_snapshot(collector=collector)), 0.0))
    assert taken[key("gpu_host_collector_info", host="node-1", version="")] == 1


def test_what_a_collector_does_not_tell_of_its_cost_has_no_series() -> None:
    collector = msgspec.structs.replace(make_snapshot().collector, resident_bytes=None, slowest_call=None)
    found = names(scrape(reports(make_cache(make_snapshot(collector=collector)), 0.0)))
    assert not {"gpu_host_collector_resident_bytes", "gpu_host_slowest_call_seconds"} & found
    assert "gpu_host_nvml_calls_total" in found


def test_an_endpoint_is_told_of_once_however_many_hosts_share_it() -> None:
    taken = scrape(*every_case())
    assert taken[key("gpu_feed_messages_rejected_total", endpoint=ENDPOINT)] == 1
    assert taken[key("gpu_feed_up", endpoint=ENDPOINT)] == 1
    assert taken[key("gpu_feed_up", endpoint="tcp://silent:8481")] == 0


def test_an_endpoint_tells_how_the_way_to_it_is_and_how_many_hosts_were_heard_there() -> None:
    taken = scrape(*every_case())
    assert taken[key("gpu_feed_hosts", endpoint=ENDPOINT)] == 4
    assert taken[key("gpu_feed_hosts", endpoint="tcp://silent:8481")] == 0
    states = {state: taken[key("gpu_feed_connection", endpoint="tcp://silent:8481", state=state)] for state in WAYS}
    assert states == dict.fromkeys(WAYS, 0) | {"rejected": 1}


def test_a_way_that_is_not_known_has_no_series() -> None:
    told = names(scrape([], feeds(make_cache(make_snapshot()), 0.0)))
    assert "gpu_feed_up" in told
    assert "gpu_feed_connection" not in told


def test_a_feed_is_told_of_though_its_host_is_shown_as_another_has_it() -> None:
    cache = make_cache(make_snapshot(), endpoints=(ENDPOINT, "tcp://same:8481", "tcp://rival:8481"))
    cache.accept("tcp://same:8481", make_snapshot(), 0.0)
    cache.accept("tcp://rival:8481", make_snapshot(run_id="rival"), 0.0)
    cache.contacts = {endpoint: Contact(0.0) for endpoint in cache.endpoints}
    taken = scrape([], feeds(cache, 0.0))
    for endpoint in cache.endpoints:
        assert taken[key("gpu_feed_connection", endpoint=endpoint, state="connecting")] == 1
        assert taken[key("gpu_feed_messages_rejected_total", endpoint=endpoint)] == 0
    told = {endpoint: taken.get(key("gpu_feed_hosts", endpoint=endpoint)) for endpoint in cache.endpoints}
    assert told == {ENDPOINT: 1, "tcp://same:8481": None, "tcp://rival:8481": 1}
    assert taken[key("gpu_feed_up", endpoint="tcp://rival:8481")] == 1


def test_the_api_tells_what_it_costs_itself() -> None:
    taken = scrape([])
    assert taken == {
        key("gpu_api_info", version="0.1.0"): 1,
        key("gpu_api_requests_total", code="200"): 7,
        key("gpu_api_requests_total", code="503"): 1,
        key("gpu_api_cpu_seconds_total"): 2.5,
        key("gpu_api_resident_bytes"): 50_000_000,
        key("gpu_api_connections"): 3,
        key("gpu_api_stream_listeners"): 1,
        key("gpu_api_start_time_seconds"): 1_741_129_000.5,
    }
    untold = exposition([], [], OWN._replace(resident_bytes=None), "")
    assert "gpu_api_resident_bytes" not in names(numbers(read(untold)))


def test_a_host_that_is_reported_twice_is_there_once() -> None:
    assert scrape(of_one_gpu() * 2) == scrape(of_one_gpu())
