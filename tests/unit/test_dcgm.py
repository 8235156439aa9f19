"""The dialect of dcgm-exporter: its names, types, labels and units, read back from both formats."""

import re
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from api.prometheus import dcgm_exposition
from api.reports import Report, reports
from api.scraping.dcgm import ROWS
from common.gpu import READINGS, Xid, XidErrors
from tests.builders import assert_golden, make_cache, make_gpu, make_lost_gpu, make_snapshot, make_source

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
KINDS = {row.name: row.kind for row in ROWS} | {"DCGM_FI_DEV_XID_ERRORS": "gauge"}
WHOLE: dict[str, Any] = {
    row.reading: place / 8 if READINGS[row.reading].kind is float else READINGS[row.reading].kind(place)
    for place, row in enumerate(ROWS, 1)
} | {"xid_errors": XidErrors(counts={"79": 1}, last=Xid(code=79, heard_at_ns=0, text=None))}

#: The default set up to release 4.8, without what NVML does not tell: profiling, vGPU licences, the NVLink rate.
DEFAULT = """
SM_CLOCK MEM_CLOCK GPU_TEMP MEMORY_TEMP POWER_USAGE TOTAL_ENERGY_CONSUMPTION PCIE_REPLAY_COUNTER GPU_UTIL MEM_COPY_UTIL
ENC_UTIL DEC_UTIL XID_ERRORS FB_FREE FB_USED FB_RESERVED UNCORRECTABLE_REMAPPED_ROWS CORRECTABLE_REMAPPED_ROWS
ROW_REMAP_FAILURE
"""


def of_one_gpu(now: float = 0.0, **overrides: Any) -> list[Report]:
    """Return the report of a host with one GPU."""
    return reports(make_cache(make_snapshot(gpus=[make_gpu(**overrides)])), now)


def scrape(of: list[Report]) -> dict[str, float]:
    """Return the value of each name, which only one GPU may have."""
    return dict(re.findall(r"(?m)^(\w+)\{.*\} (\S+)$", dcgm_exposition(of, "").body.decode()))


def value(name: str, **overrides: Any) -> float:
    """Return one value of one GPU."""
    return float(scrape(of_one_gpu(**overrides))[f"DCGM_FI_DEV_{name}"])


def test_a_scrape_is_what_the_golden_file_says() -> None:
    gpus = [make_gpu(0, **WHOLE), make_gpu(1, minor_number=3), make_lost_gpu(2)]
    assert_golden("dcgm.txt", dcgm_exposition(reports(make_cache(make_snapshot(gpus=gpus)), 0.0), "").body)


def test_the_default_set_is_there_as_far_as_nvml_tells_it() -> None:
    assert {f"DCGM_FI_DEV_{name}" for name in DEFAULT.split()} <= set(scrape(of_one_gpu(**WHOLE)))


def test_every_row_has_a_name_and_a_reading_of_its_own() -> None:
    assert len({row.name for row in ROWS}) == len({row.reading for row in ROWS}) == len(ROWS)
    assert {row.reading for row in ROWS} <= set(READINGS)
    assert all(re.fullmatch(r"DCGM_FI_(DEV|PROF)_[A-Z_]+", row.name) for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_counter_is_one_of_the_catalogue_s_counters(row: Any) -> None:
    assert (row.kind == "counter") == READINGS[row.reading].is_counter


def test_in_text_each_family_has_its_type_and_exactly_its_name() -> None:
    body = dcgm_exposition(of_one_gpu(**WHOLE), "").body.decode()
    assert dict(re.findall(r"(?m)^# TYPE (\w+) (\w+)$", body)) == KINDS
    assert set(re.findall(r"(?m)^(\w+)\{", body)) == set(KINDS)
    assert {family.name: family.type for family in read_text(body)} == KINDS


def test_in_openmetrics_where_counters_must_end_in_total_they_are_unknown_and_keep_their_names() -> None:
    answer = dcgm_exposition(of_one_gpu(**WHOLE), OPENMETRICS)
    assert answer.content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = list(read_openmetrics(answer.body.decode()))  # type: ignore[no-untyped-call]  # as the library has it
    assert {sample.name for family in families for sample in family.samples} == set(KINDS)
    assert {family.name: family.type for family in families} == {
        name: "gauge" if kind == "gauge" else "unknown" for name, kind in KINDS.items()
    }


def test_the_labels_are_dcgm_exporter_s() -> None:
    of = of_one_gpu(0.0, temperature_gpu_celsius=65, pci_bus_id="00000000:8d:00.0", minor_number=5)
    (family,) = (one for one in read_text(dcgm_exposition(of, "").body.decode()) if one.name == "DCGM_FI_DEV_GPU_TEMP")
    assert family.samples[0].labels == {
        "gpu": "0",
        "UUID": "GPU-05a9ed06-0ddb-1882-ccba-3e5f36943990",
        "pci_bus_id": "00000000:8D:00.0",
        "device": "nvidia5",
        "modelName": "NVIDIA GeForce RTX 3080",
        "Hostname": "node-1",
        "DCGM_FI_DRIVER_VERSION": "550.54.15",
    }


def test_what_the_driver_does_not_tell_of_a_gpu_is_an_empty_label() -> None:
    source = make_source(driver_version=None)
    snapshot = make_snapshot(source=source, gpus=[make_gpu(uuid=None, name=None, pci_bus_id=None)])
    body = dcgm_exposition(reports(make_cache(snapshot), 0.0), "").body.decode()
    (labels,) = (one.samples[0].labels for one in read_text(body) if one.name == "DCGM_FI_DEV_GPU_TEMP")
    assert {name for name, told in labels.items() if not told} == {
        "UUID",
        "pci_bus_id",
        "modelName",
        "DCGM_FI_DRIVER_VERSION",
    }


def test_without_a_minor_number_the_device_is_named_after_the_index() -> None:
    assert b'device="nvidia0"' in dcgm_exposition(of_one_gpu(), "").body


@pytest.mark.parametrize(
    ("name", "reading", "taken", "told"),
    [
        ("GPU_UTIL", "utilization_gpu_percent", 75, 75),
        ("FB_USED", "memory_used_bytes", 8192 * 2**20 + 1, 8192),
        ("FB_FREE", "memory_free_bytes", 2**20 - 1, 0),
        ("SM_CLOCK", "clock_sm_megahertz", 1755, 1755),
        ("POWER_USAGE", "power_draw_watts", 220.537, 220.537),
        ("TOTAL_ENERGY_CONSUMPTION", "energy_joules", 76_543_210.987, 76_543_210_987),
        ("POWER_VIOLATION", "throttled_power_seconds", 1.000000001, 1_000_000_001),
        ("ROW_REMAP_FAILURE", "remapped_rows_failed", True, 1),
        ("ECC_DBE_AGG_TOTAL", "ecc_errors_uncorrected_aggregate_count", 2, 2),
        ("NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", "nvlink_crc_data_error_count", 9, 9),
    ],
)
def test_a_value_is_in_dcgm_exporter_s_unit(name: str, reading: str, taken: float, told: float) -> None:
    assert value(name, **{reading: taken}) == told


def test_the_latest_xid_error_is_its_code_and_none_is_zero() -> None:
    assert value("XID_ERRORS", xid_errors=WHOLE["xid_errors"]) == 79
    assert value("XID_ERRORS", xid_errors=XidErrors(counts={}, last=None)) == 0
    assert "DCGM_FI_DEV_XID_ERRORS" not in scrape(of_one_gpu(xid_errors=None))


def test_what_was_not_taken_or_is_no_number_is_absent() -> None:
    taken = scrape(of_one_gpu(power_draw_watts=float("nan"), energy_joules=float("inf"), memory_used_bytes=None))
    assert not {f"DCGM_FI_DEV_{name}" for name in ("POWER_USAGE", "TOTAL_ENERGY_CONSUMPTION", "FB_USED")} & set(taken)
    assert "DCGM_FI_DEV_FB_FREE" in taken


def test_a_stale_host_and_a_lost_gpu_are_absent() -> None:
    assert dcgm_exposition(of_one_gpu(1000.0), "").body == b""
    assert dcgm_exposition(reports(make_cache(make_snapshot(gpus=[make_lost_gpu()])), 0.0), "").body == b""


def test_a_name_cannot_pass_for_a_type() -> None:
    name = "# TYPE DCGM_FI_DEV_X untyped\n"
    (family, *_) = read_text(dcgm_exposition(of_one_gpu(name=name), "").body.decode())
    assert family.samples[0].labels["modelName"] == name
