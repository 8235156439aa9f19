"""What a family is called: the rules of Prometheus, held against the whole catalogue."""

from typing import Any

import pytest

from api.prometheus import exposition
from api.reports import reports
from api.scraping.families import FAMILIES, name_of
from common.gpu import READINGS
from tests.builders import make_cache, make_snapshot
from tests.scraped import GPU_LABELS, OPENMETRICS, OWN, PLAIN, every_case, key, make_whole_gpu, of_one_gpu, read, scrape


def test_every_numeric_and_boolean_reading_is_there_exactly_once() -> None:
    assert sorted(part.reading for _, parts in FAMILIES for part in parts) == sorted(PLAIN)
    taken = scrape(reports(make_cache(make_snapshot(gpus=[make_whole_gpu()])), 0.0))
    for family, parts in FAMILIES:
        name = family.name + ("_total" if family.kind == "counter" else "")
        expected = {
            key(name, **GPU_LABELS, **part.labels): part.convert(
                READINGS[part.reading].kind(PLAIN.index(part.reading) + 1)
            )
            for part in parts
        }
        assert {found: value for found, value in taken.items() if found[0] == name} == expected


@pytest.mark.parametrize("reading", PLAIN)
def test_a_name_has_a_base_unit_and_neither_count_nor_total(reading: str) -> None:
    name = name_of(READINGS[reading])
    assert name.startswith("gpu_")
    assert not name.endswith(("_percent", "_megahertz", "_milliwatts", "_milliseconds", "_count", "_total"))
    base = {"percent": "ratio", "megahertz": "hertz", "count": "", "boolean": "", "lanes": ""}
    assert name.removesuffix("_max").endswith(base.get(READINGS[reading].unit, READINGS[reading].unit))


@pytest.mark.parametrize("family", [family for family, _ in FAMILIES], ids=lambda family: family.name)
def test_a_family_explains_itself_in_its_own_unit(family: Any) -> None:
    assert family.meaning
    assert family.name.endswith(family.unit)
    assert "a counter" not in family.meaning
    if family.unit == "ratio":
        assert "percent" not in family.meaning
        assert "100" not in family.meaning


def test_the_readings_of_one_family_are_of_one_kind_and_unit_and_their_labels_differ() -> None:
    for _, parts in FAMILIES:
        readings = [READINGS[part.reading] for part in parts]
        assert len({(reading.unit, reading.is_counter, tuple(reading.labels)) for reading in readings}) == 1
        assert len({tuple(reading.labels.values()) for reading in readings}) == len(readings)
        assert not set(readings[0].labels) & set(GPU_LABELS)


def test_counters_and_only_counters_end_in_total() -> None:
    for family in read(exposition(*every_case(), OWN, OPENMETRICS)):
        assert {sample.name.endswith("_total") for sample in family.samples} == {family.type == "counter"}


def test_openmetrics_names_the_unit_that_the_family_s_name_ends_in() -> None:
    told = {family.name: family.unit for family in read(exposition(*every_case(), OWN, OPENMETRICS))}
    assert told["gpu_clock_hertz"] == "hertz"
    assert told["gpu_energy_joules"] == "joules"
    assert told["gpu_pcie_throughput_sent_bytes_per_second"] == "bytes_per_second"
    assert told["gpu_performance_state"] == ""
    assert all(name.endswith(unit) for name, unit in told.items())


@pytest.mark.parametrize("percent", [0, 7, 29, 57, 58, 75, 100, 123])
def test_a_percentage_becomes_the_nearest_ratio(percent: int) -> None:
    body = exposition(of_one_gpu(utilization_gpu_percent=percent), [], OWN, "").body.decode()
    (line,) = (line for line in body.splitlines() if line.startswith("gpu_utilization_ratio"))
    assert line.endswith(f" {percent / 100}")
    assert len(line.rpartition(" ")[2]) <= 4
