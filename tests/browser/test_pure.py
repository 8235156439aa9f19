"""The page's parts that need no page: they are run in the browser, and told plain values."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.browser import Browser
from tests.browser.imagined import imagined
from tests.processes import Service, Start, eventually

MEBIBYTE, GIBIBYTE = 2**20, 2**30


@pytest.fixture(scope="module")
def anywhere(window: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Open a page once: modules can be had from there, whether or not it shows anything."""
    with imagined(tmp_path_factory.mktemp("pure")) as one:
        window.open(one.port)
        yield window


def call(browser: Browser, module: str, expression: str, *arguments: object) -> Any:
    return browser.wait_for(f"const it = await import('/web/{module}.js'); return {expression}", *arguments)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "percent", "—"),
        (0, "percent", "0 %"),
        (100, "percent", "100 %"),
        (0, "bytes", "0 B"),
        (1023, "bytes", "1023 B"),
        (1536, "bytes", "1.50 KiB"),
        (330 * MEBIBYTE, "bytes", "330 MiB"),
        (80 * GIBIBYTE, "bytes", "80.0 GiB"),
        (2 * GIBIBYTE, "bytes_per_second", "2.00 GiB/s"),
        (9.94, "watts", "9.9 W"),
        (220.5, "watts", "221 W"),
        (98_765_432.1, "joules", "98.8 MJ"),
        (1980, "megahertz", "1980 MHz"),
        (3725.0, "seconds", "1 h 02 min"),
        (2, "state", "P2"),
        (True, "boolean", "yes"),
        ([], "names", "none"),
        (["gpu_idle"], "names", "gpu_idle"),
        ([{}, {}], "instances", "2"),
        (7, "a unit that came later", "7"),
    ],
)
def test_a_value_is_written_with_its_unit(anywhere: Browser, value: object, unit: str, text: str) -> None:
    assert call(anywhere, "units", "it.written(...args)", value, unit).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0.4, "0 s"), (59.9, "59 s"), (65, "1 min 05 s"), (3725, "1 h 02 min"), (180_000, "2 d 2 h")],
)
def test_a_duration_is_said_as_a_person_would(anywhere: Browser, seconds: float, text: str) -> None:
    assert call(anywhere, "units", "it.duration(...args)", seconds) == text


def test_events_are_taken_out_of_a_text_in_pieces(anywhere: Browser) -> None:
    pieces = ["id: run-1\nevent: snap", "shot\ndata: {}\n", "\n: \n\nevent: lost\r\ndata: 1\r\n\r\nid: run-2\ndata: x"]
    told = call(anywhere, "events", "(() => { const e = new it.Events(); "
                "return [args.flatMap(piece => e.take(piece)), e.lastId] })()", *pieces)  # fmt: skip
    assert told == [[{"type": "snapshot", "data": "{}"}, {"type": "lost", "data": "1"}], "run-1"]


def test_a_ring_keeps_means_of_steps_for_an_hour_and_what_came_by_the_stream_goes_before_history(
    anywhere: Browser,
) -> None:
    script = """(() => {
      const ring = new it.Ring();
      ring.add(3600, 10); ring.add(3601, 20); ring.add(3615, null); ring.add(0, 99);
      ring.fill([3600, 3615, 3630], [50, 60, null]);
      const before = [ring.at(240), ring.at(241), ring.at(242), ring.at(0)];
      ring.add(7200, 1);
      return [before, ring.at(240), ring.at(480)];
    })()"""
    assert call(anywhere, "ring", script) == [[15, 60, None, None], None, 1]


def test_a_line_has_a_gap_where_values_are_missing_for_longer_than_usual(anywhere: Browser) -> None:
    values = [10, 10, None, 10, 10, None, None, None, None, 10]
    line = call(anywhere, "curve", "it.curve(...args).line", values, 100)
    assert line == "M0 90L1 90L3 90L4 90M9 90L9 90"
    sparse = [10, None, None, None, 10, None, None, None, 10]
    assert call(anywhere, "curve", "it.curve(...args).line", sparse, 100) == "M0 90L4 90L8 90"


def test_a_place_without_a_value_is_told_the_nearest_within_reach(anywhere: Browser) -> None:
    values = [1, 2, None, None, None, None, None, None, None, 9]
    assert [call(anywhere, "curve", "it.nearest(...args)", values, place) for place in (0, 3, 6, 7)] == [0, 1, None, 9]
    assert call(anywhere, "curve", "it.nearest(...args)", [None] * 5, 2) is None


def test_a_snapshot_is_as_old_as_the_api_says_until_a_live_one_comes(anywhere: Browser) -> None:
    script = """(() => {
      const fleet = new it.Fleet(0); fleet.join(0);
      const source = { state: "ok" };
      const body = { hosts: [{ host: "a", timestamp: "2025-03-04T23:02:50.123456", source }], gpus: [] };
      const hosts = { hosts: [{ host: "a", state: "ok", age_seconds: 20, source, endpoint: "e" }] };
      const ages = [];
      const age = now => ages.push(fleet.hosts.get("a").ageSeconds(now));
      fleet.accept(body, 1, false); age(1);
      fleet.acceptHosts(hosts, 1, 2); age(2); age(5);
      fleet.accept(body, 6, true); age(7);
      fleet.acceptHosts(hosts, 5, 8); age(8);
      fleet.acceptHosts({ hosts: [{ ...hosts.hosts[0], age_seconds: 0 }] }, 9, 10); age(10);
      return ages;
    })()"""
    assert call(anywhere, "fleet", script) == [None, 20, 23, 1, 2, 4]


def test_a_collector_that_takes_the_name_of_another_is_told_and_does_not_take_its_place(anywhere: Browser) -> None:
    script = """(() => {
      const fleet = new it.Fleet(0); fleet.join(0);
      const all = { host: "a", age_seconds: 1, source: null };
      const of = (endpoint, state, rival_of) => ({ ...all, endpoint, state, rival_of });
      const hosts = [of("tcp://one", "ok", null), of("tcp://two", "stalled", "tcp://one")];
      fleet.acceptHosts({ hosts }, 1, 2);
      const host = fleet.hosts.get("a");
      return [host.state, host.endpoint, host.rivals, fleet.stateOf(host, 2).name];
    })()"""
    assert call(anywhere, "fleet", script) == ["ok", "tcp://one", ["tcp://two"], "degraded"]


def test_gpus_keep_their_places_for_some_seconds_and_while_they_are_pointed_at(anywhere: Browser) -> None:
    script = """(() => {
      const order = new it.Order();
      const entry = (key, utilization_gpu_percent) => ({ key, gpu: { utilization_gpu_percent } });
      const sort = (loads, now, isHeld) => order.apply(Object.entries(loads).map(([k, v]) => entry(k, v)),
        "-utilization_gpu_percent", () => ({ name: "ok" }), now, isHeld).map(one => one.key).join("");
      return [sort({ a: 1, b: 2, c: null }, 0, false), sort({ a: 9, b: 2, c: 3 }, 4, false),
              sort({ a: 9, b: 2, c: 3 }, 9, true), sort({ a: 9, b: 2, c: 3 }, 9, false)];
    })()"""
    assert call(anywhere, "order", script) == ["bac", "bac", "bac", "acb"]


def test_every_reading_that_is_shown_is_one_of_the_catalogue(start: Start, browser: Browser) -> None:
    service: Service = start()
    eventually(lambda: service.get("/healthz").status, lambda status: status == 200)
    described = service.get("/openapi.json").body["components"]["schemas"]["HostGpu"]["properties"]
    browser.open(service.port)
    lines = call(browser, "lines", "it.LINES.map(line => line.reading)")
    drawn = call(browser, "past", "it.DRAWN")
    sorts = call(browser, "choice", "Object.values(it.SORTS).flatMap(sort => sort.reading ?? [])")
    assert [name for name in [*lines, *drawn, *sorts] if "x-unit" not in described[name]] == []
    assert lines == drawn
