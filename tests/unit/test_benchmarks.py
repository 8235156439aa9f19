"""The benchmarks run, and their table says what is promised. How fast anything is is not tested here."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pynvml
import pytest

from collector.nvml.source import Nvml
from collector.nvml.table import READS
from tests.benchmarks import feed, fleet, idle, listen, memory, others, rest, sample, scraped, soak, table, wire
from tests.benchmarks.calls import steady_calls
from tests.benchmarks.load import AsyncioClient
from tests.benchmarks.report import BEGIN, END, as_json, as_markdown, into
from tests.benchmarks.rounds import Spread, compare, spread
from tests.benchmarks.table import Promise, Row
from tests.processes import PATIENCE_SECONDS, ROOT
from tests.standin import StandIn


def _measured(rows: list[Row]) -> dict[str, Row]:
    for row in rows:
        assert row.value is not None
        assert all(math.isfinite(value) and value > 0 for value in row.value), row
        assert row.value.least <= row.value.median <= row.value.most
    return {row.name: row for row in rows}


def _promises(rows: list[Row]) -> list[str]:
    return [str(row.promise) for row in rows if row.promise is not None]


def test_a_sample_is_measured_beside_its_bare_calls(standin_library: Path) -> None:
    rows = sample.rows(standin_library, rounds=2, samples=2)
    assert len(_measured(rows)) == 3
    assert _promises(rows) == ["at most 2.2", "at most 1.2"]
    assert "same 154 calls" in rows[0].how


def test_the_bare_calls_are_the_bindings_wherever_it_has_a_function(standin: StandIn) -> None:
    with standin.in_use():
        calls = steady_calls(Nvml())
    own = [function.__name__ for function, _ in calls if function.__module__ == "pynvml"]
    assert len(own) == 1 + 2 * len([read for read in READS if not read.is_rare and hasattr(pynvml, read.function)])
    assert {"nvmlDeviceGetCount", "nvmlDeviceGetClockInfo", "nvmlDeviceGetBAR1MemoryInfo"} <= set(own)


def test_the_api_is_measured_beside_a_bare_handler() -> None:
    rows = rest.rows("ours", AsyncioClient(seconds=0.02), connections=(1, 16), rounds=1)
    rates = [name for name in _measured(rows) if "p99" not in name]
    kinds = (("REST", "REST against bare asyncio"), ("with a token",), ("scrape",))
    counts = ("1 connection", "16 connections")
    assert rates == [f"{name}, {count}" for names in kinds for count in counts for name in names]
    assert _promises(rows) == ["at least 1.7", "at least 1.7", "at least 1.2", "at most 1", "at most 1"]


def test_what_listeners_cost_is_measured() -> None:
    rows = listen.rows(listeners=(1, 3), snapshots=3, interval_seconds=0.05)
    assert len(_measured(rows)) == 8
    assert _promises(rows) == ["at most 1000", "at most 1000"]


def test_the_way_to_a_new_body_is_measured_beside_a_bare_hop() -> None:
    rows = feed.rows(rounds=2, messages=3)
    assert list(_measured(rows)) == ["sample's end to new body", "sample's end to new body served"]
    assert _promises(rows) == ["at most 5"]


def test_the_memory_of_both_processes_is_measured(standin_library: Path) -> None:
    rows = memory.rows(standin_library, samples=3)
    assert len(_measured(rows)) == 2
    assert _promises(rows) == ["at most 36", "at most 45"]
    assert "MiB of 2^20 bytes" in rows[0].how


def test_what_both_cost_while_nobody_asks_is_measured_beside_bare_processes(standin_library: Path) -> None:
    rows = idle.rows(standin_library, intervals=(0.2, 0.1), window_seconds=0.4, windows=2)
    each = [f"{side} every {interval} s" for interval in ("0.2", "0.1") for side in ("collector", "API")]
    assert list(_measured(rows)) == [f"idle {who}: {what}" for who in each for what in ("CPU", "memory")]
    assert all(row.other for row in rows)


def test_growth_is_measured_after_a_warm_up(standin_library: Path) -> None:
    rows = soak.rows(standin_library, minutes=0.03, look_seconds=0.02)
    assert [row.name for row in rows] == [
        f"soak, {who}: {what}" for who in ("collector", "API") for what in ("growth", "memory")
    ]
    assert all(row.ours > 0 for row in rows if row.name.endswith("memory") and row.ours is not None)


@pytest.mark.parametrize(("each", "growth"), [([3.0] * 12, 0), ([number / 60 for number in range(12)], 1024)])
def test_growth_is_told_in_kib_a_minute(each: list[float], growth: float) -> None:
    held = [(number / 60, memory) for number, memory in enumerate(each)]
    assert soak.growth(held) == pytest.approx([growth] * 5)


def test_other_monitors_that_are_not_installed_are_told_as_such(
    standin_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(others.VARIABLE, str(tmp_path))
    rows = [*others.rows(standin_library), *scraped.rows(standin_library)]
    assert len(rows) == 6
    assert {row.verdict for row in rows} == {table.NOT_INSTALLED}
    assert {(row.ours, row.other, row.value) for row in rows} == {(None, None, None)}
    shown = table.text(rows)
    assert others.INSTALL in shown
    assert "No promise is made of these." in shown


_others = pytest.mark.skipif(
    others.VARIABLE not in os.environ, reason=f"{others.VARIABLE} names no environment of other monitors: see .ci/run"
)


@_others
def test_other_monitors_sample_the_same_stand_in(standin_library: Path) -> None:
    assert len(_measured(others.rows(standin_library, rounds=2, samples=1))) == 3


@_others
def test_a_scrape_is_measured_beside_another_exporters(standin_library: Path) -> None:
    rows = scraped.rows(standin_library, scrapes=1)
    assert len(_measured(rows)) == 3
    assert int(rows[0].how.split()[2]) > 600


def test_a_fleet_and_a_crowd_of_subscribers_are_measured(standin_library: Path) -> None:
    rows = fleet.rows(standin_library, sizes=(3,), subscribers=4, seconds=2.0)
    told = {row.name: row.ours or 0 for row in rows}
    assert (told["API, 3 hosts: fresh"], told["API, 3 hosts: lost"]) == (3, 0)
    assert told["API, 3 hosts: memory"] > 0
    (received,) = (row for row in rows if row.name.endswith("received"))
    assert received.value == Spread(1, 1, 1)
    assert told["collector, 4 subscribers: lost"] == 0


def test_a_message_is_weighed() -> None:
    rows = wire.rows(rounds=2, repeat=5)
    assert set(_measured(rows)) == {"message of 8 GPUs", "encode it", "decode it"}
    assert _promises(rows) == []


def test_rounds_take_turns_after_one_that_does_not_count() -> None:
    order: list[str] = []

    def turn(name: str, measured: float) -> float:
        order.append(name)
        return measured

    found = compare(2, lambda: turn("ours", 3.0), lambda: turn("other", 1.5))
    assert order == ["ours", "other", "ours", "other", "other", "ours"]
    assert found == (3.0, 1.5, (2.0, 2.0, 2.0))


@pytest.mark.parametrize(
    ("promise", "value", "verdict"),
    [
        (Promise(2.2), 2.2, "ok"),
        (Promise(2.2), 2.3, "OVER"),
        (Promise(1.0, is_least=True), 1.0, "ok"),
        (Promise(1.0, is_least=True), 0.9, "UNDER"),
    ],
)
def test_a_promise_that_is_missed_is_marked(promise: Promise, value: float, verdict: str) -> None:
    row = table.figure("a thing", "us", [value], promise)
    shown = table.text([row])
    assert row.verdict == verdict
    assert f"{promise}  {verdict}" in " ".join(shown.split(" "))
    assert ("MISSED 1 of 1 promises: a thing" in shown) == (verdict != "ok")


def test_the_table_names_every_rows_promise_and_what_must_be_known() -> None:
    kept = Row(name="kept", unit="us", ours=1, other=1, value=spread([1.0]), promise=Promise(3), how="by hand")
    free = table.figure("free", "bytes", [3416.0], how="by hand")
    lines = table.text([kept, free]).splitlines()
    assert lines[2].split() == ["kept", "1", "1", "us", "1.00", "1..1", "at", "most", "3", "ok"]
    assert lines[3].split() == ["free", "3416", "bytes", "3416..3416", "-"]
    assert lines[4:] == ["", "by hand", "", "All 1 promises kept."]


def test_the_table_takes_the_place_of_the_one_in_a_page(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    told = as_markdown([table.figure("a thing", "us", [1.0], Promise(2))])
    into(page, told)
    assert page.read_text() == f"before\n{BEGIN}\n{told}{END}\nafter\n"
    assert "a thing" in told


def test_a_page_without_a_place_for_the_table_is_left_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="benchmark table"):
        into(page, "table")
    assert page.read_text() == "nothing"


def test_only_what_is_asked_for_is_measured() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--only", "wire", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    assert [row["name"] for row in msgspec.json.decode(told.stdout)["rows"]] == [row.name for row in wire.rows(1, 1)]
    assert "wire" in told.stderr


def test_the_readme_has_a_place_for_the_table_and_says_how_to_install_the_other_tools() -> None:
    assert re.search(f"(?s){BEGIN}.*```.*```.*{END}", (ROOT / "README.md").read_text())
    assert f"\n{others.INSTALL}\n" in (ROOT / "tests/README.md").read_text()


def test_the_table_can_be_told_as_json() -> None:
    told = msgspec.json.decode(as_json([table.figure("a thing", "us", [1.0, 2.0, 4.0], Promise(2))]))
    (row,) = told["rows"]
    assert (row["name"], row["verdict"], row["promise"]) == ("a thing", "ok", {"limit": 2.0, "is_least": False})
    assert row["value"] == {"median": 2.0, "least": 1.0, "most": 4.0}
    assert told["summary"] == "All 1 promises kept."
