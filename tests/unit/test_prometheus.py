"""What is scraped of GPUs, and in which format."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.prometheus import exposition
from api.reports import reports
from common.gpu import NUMERIC, READINGS, Gpu, MigInstance, Process, XidErrors
from tests.builders import assert_golden, make_cache, make_gpu, make_lost_gpu, make_snapshot
from tests.scraped import (
    GPU_LABELS,
    INSTANCE,
    OPENMETRICS,
    OWN,
    PROCESS,
    every_case,
    key,
    make_whole_gpu,
    names,
    of_one_gpu,
    scrape,
)


@pytest.mark.parametrize(("accept", "golden"), [("", "metrics.txt"), (OPENMETRICS, "metrics.openmetrics")])
def test_a_scrape_of_everything_is_what_the_golden_file_says(accept: str, golden: str) -> None:
    assert_golden(golden, exposition(*every_case(), OWN, accept).body)


def test_both_formats_say_the_same() -> None:
    assert scrape(*every_case()) == scrape(*every_case(), accept=OPENMETRICS)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, 1e300])
def test_what_was_not_taken_or_is_no_number_gives_no_series(value: float | None) -> None:
    found = names(scrape(of_one_gpu(power_draw_watts=value, memory_used_bytes=None)))
    assert "gpu_power_draw_watts" not in found
    assert "gpu_memory_used_bytes" not in found
    assert "gpu_memory_free_bytes" in found


@pytest.mark.parametrize("value", [2**53 + 1, 2**64 - 1])
@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_an_integer_beyond_what_a_float_holds_is_rounded(value: int, accept: str) -> None:
    taken = scrape(of_one_gpu(pcie_sent_bytes=value, clock_sm_megahertz=value), accept=accept)
    assert taken[key("gpu_pcie_sent_bytes_total", **GPU_LABELS)] == float(value)


@pytest.mark.parametrize("count", [10**400, -1])
def test_an_integer_beyond_every_float_and_a_counter_below_zero_give_no_series(count: int) -> None:
    errors = XidErrors(counts={"79": count}, last=None)
    found = names(scrape(of_one_gpu(pcie_sent_bytes=count, xid_errors=errors), accept=OPENMETRICS))
    assert not {"gpu_pcie_sent_bytes_total", "gpu_xid_errors_total"} & found


def test_identity_stands_in_gpu_info_with_empty_text_for_what_was_not_told() -> None:
    identity = {
        "name": "NVIDIA GeForce RTX 3080",
        "pci_bus_id": "00000000:01:00.0",
        "serial": "",
        "minor_number": "0",
        "architecture": "Ampere",
        "cuda_compute_capability": "",
        "vbios_version": "",
        "driver_version": "550.54.15",
        "nvml_version": "12.550.54.15",
        "cuda_version": "12.4",
    }
    taken = scrape(of_one_gpu(minor_number=0, architecture="Ampere"))
    assert taken[key("gpu_info", **GPU_LABELS, **identity)] == 1


def test_a_lost_gpu_has_its_identity_and_its_state_and_no_reading() -> None:
    taken = scrape(reports(make_cache(make_snapshot(gpus=[make_lost_gpu()])), 0.0))
    of_gpu = {found: value for found, value in taken.items() if "gpu" in dict(found[1])}
    assert names(of_gpu) == {"gpu_info", "gpu_state"}
    states = {dict(labels)["state"]: value for (name, labels), value in of_gpu.items() if name == "gpu_state"}
    assert states == {"ok": 0, "lost": 1, "error": 0, "unknown": 0}


def test_only_the_clock_events_that_are_active_are_there() -> None:
    taken = scrape(of_one_gpu(clock_event_reasons=["gpu_idle", "gpu_idle"], compute_mode="prohibited"))
    assert [found for found in taken if found[0] == "gpu_clock_event_reason"] == [
        key("gpu_clock_event_reason", **GPU_LABELS, reason="gpu_idle")
    ]
    assert taken[key("gpu_compute_mode", **GPU_LABELS, mode="prohibited")] == 1


def test_xid_errors_are_counted_by_code_and_the_latest_is_dated() -> None:
    taken = scrape(of_one_gpu(xid_errors=make_whole_gpu().xid_errors))
    assert taken[key("gpu_xid_errors_total", **GPU_LABELS, code="31")] == 2
    assert taken[key("gpu_xid_errors_total", **GPU_LABELS, code="79")] == 1
    assert taken[key("gpu_xid_last_timestamp_seconds", **GPU_LABELS, code="79")] == 1_741_129_300.25


def test_a_mig_instance_tells_its_memory() -> None:
    untold = MigInstance(**(dict.fromkeys(MigInstance.__struct_fields__) | {"memory_total_bytes": 1}))
    taken = scrape(of_one_gpu(mig_instances=[INSTANCE, INSTANCE, untold, untold]))
    labels = GPU_LABELS | {"gpu_instance": "7", "compute_instance": "0", "mig_uuid": "MIG-1", "profile": "1g.10gb"}
    assert taken[key("gpu_mig_memory_total_bytes", **labels)] == 10_000
    assert taken[key("gpu_mig_memory_used_bytes", **labels)] == 4000
    assert taken[key("gpu_mig_memory_free_bytes", **labels)] == 6000
    empty = dict.fromkeys(("gpu_instance", "compute_instance", "mig_uuid", "profile"), "")
    assert taken[key("gpu_mig_memory_total_bytes", **GPU_LABELS | empty)] == 1
    assert key("gpu_mig_memory_used_bytes", **GPU_LABELS | empty) not in taken


def test_a_process_tells_what_it_uses_and_never_its_command_line() -> None:
    labels = GPU_LABELS | {"pid": "4242", "kind": "compute", "process": "python", "user": "ada", "container": "c0ffee"}
    taken = scrape(of_one_gpu(processes=[PROCESS]))
    of_process = {found: value for found, value in taken.items() if found[0].startswith("gpu_process_")}
    assert of_process == {
        key("gpu_process_memory_used_bytes", **labels): 1000,
        key("gpu_process_sm_utilization_ratio", **labels): 0.07,
        key("gpu_process_memory_utilization_ratio", **labels): 0,
    }
    assert b"hunter2" not in exposition(of_one_gpu(processes=[PROCESS]), [], OWN, "").body


def test_of_gpus_that_cannot_be_told_apart_the_first_is_kept() -> None:
    twins = [make_gpu(uuid=None, temperature_gpu_celsius=celsius) for celsius in (50, 60)]
    taken = scrape(reports(make_cache(make_snapshot(gpus=[*twins, make_gpu()])), 0.0))
    assert taken[key("gpu_temperature_celsius", host="node-1", gpu="0", uuid="")] == 50
    assert taken[key("gpu_temperature_celsius", **GPU_LABELS)] == 65


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html,*/*;q=0.8", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=9.9", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=later", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=9.9,text/plain;version=1.0.0",
            "text/plain; version=1.0.0; charset=utf-8",
        ),
        (f"text/plain;version=0.0.4,{OPENMETRICS}", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        ("Application/OpenMetrics-Text", "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ],
)
def test_the_accept_header_chooses_the_format(accept: str, content_type: str) -> None:
    answer = exposition(of_one_gpu(), [], OWN, accept)
    assert answer.content_type.startswith(content_type)
    assert answer.body.endswith(b"# EOF\n") == ("openmetrics" in content_type)


@pytest.mark.parametrize("escaping", ["allow-utf-8", "underscores", "dots", "values", "none"])
@pytest.mark.parametrize("media", ["application/openmetrics-text", "text/plain"])
def test_names_stay_plain_whatever_escaping_is_asked_for(media: str, escaping: str) -> None:
    plain = exposition(of_one_gpu(), [], OWN, f"{media};version=1.0.0")
    asked = exposition(of_one_gpu(), [], OWN, f"{media};version=1.0.0;escaping={escaping};q=0.6")
    assert asked == plain
    assert b"\ngpu_state{" in asked.body


@given(text=st.text(), accept=st.sampled_from(["", OPENMETRICS]))
@settings(max_examples=50, deadline=None)
def test_any_text_in_a_name_comes_back_as_it_was(text: str, accept: str) -> None:
    process = Process(pid=1, kind="graphics", memory_used_bytes=1, name=text)
    taken = scrape(of_one_gpu(name=text, processes=[process], compute_mode=text), accept=accept)
    (info,) = (dict(labels) for name, labels in taken if name == "gpu_info")
    assert info["name"] == text
    assert key("gpu_compute_mode", **GPU_LABELS, mode=text) in taken
    labels = {"pid": "1", "kind": "graphics", "process": text, "user": "", "container": ""}
    assert key("gpu_process_memory_used_bytes", **GPU_LABELS, **labels) in taken


@given(
    taken=st.fixed_dictionaries({}, optional={name: st.none() | st.integers() | st.floats() for name in NUMERIC}),
    accept=st.sampled_from(["", OPENMETRICS]),
)
@settings(max_examples=30, deadline=None)
def test_whatever_was_read_there_is_one_series_for_each_number_that_can_be_told(
    taken: dict[str, Any], accept: str
) -> None:
    bare = Gpu(index=0, uuid=GPU_LABELS["uuid"], name=None, **taken)
    found = scrape(reports(make_cache(make_snapshot(gpus=[bare])), 0.0), accept=accept)
    least = {name: 0 if READINGS[name].is_counter else -1e300 for name in taken}
    told = [name for name, value in taken.items() if value is not None and least[name] <= value < 1e300]
    identity_and_states = 1 + 4
    assert len([one for one in found if "gpu" in dict(one[1])]) == len(told) + identity_and_states
    assert all(math.isfinite(value) for value in found.values())
