"""Every reading is the library's answer in the reading's unit: through the real binding, from the C stand-in."""

import re
from pathlib import Path
from typing import Any

import pytest

from collector.nvml.source import Nvml
from common.gpu import READINGS, Gpu, XidErrors
from tests.builders import NOT_COLLECTED
from tests.fakes import FakeNvml
from tests.standin import FIELDS, StandIn, answer, build, has_compiler
from tests.standin.answers import ULL

KIBIBYTE = 1024

#: Each number: what the stand-in calls it, and what one of its units is in the reading's.
NUMBERS: dict[str, tuple[str, float]] = {
    **{
        name: (name, 1)
        for name in (
            *(f"utilization_{engine}_percent" for engine in ("gpu", "memory", "encoder", "decoder", "jpeg", "ofa")),
            *(f"memory_{part}_bytes" for part in ("total", "used", "free", "reserved")),
            *(f"bar1_{part}_bytes" for part in ("total", "used")),
            *(f"temperature_{where}_celsius" for where in ("gpu", "memory", "slowdown", "shutdown")),
            *(f"clock_{clock}_megahertz" for clock in ("graphics", "sm", "memory", "video")),
            *(f"nvlink_{error}_error_count" for error in ("crc_flit", "crc_data", "replay", "recovery")),
            *(f"retired_pages_{cause}_bit_count" for cause in ("single", "double")),
            *(f"remapped_rows_{cause}_count" for cause in ("correctable", "uncorrectable")),
            "performance_state",
            "fan_speed_percent",
            "pcie_replay_count",
        )
    },
    **{
        f"ecc_errors_{kind}_{span}_count": (f"ecc_{kind}_{span}_count", 1)
        for kind in ("corrected", "uncorrected")
        for span in ("volatile", "aggregate")
    },
    **{
        f"throttled_{why}_seconds": (f"throttled_{why}_nanoseconds", 1e-9)
        for why in ("power", "thermal", "sync_boost", "board_limit", "low_utilization", "reliability")
    },
    **{
        f"clock_max_{clock}_megahertz": (f"clock_{clock}_max_megahertz", 1)
        for clock in ("graphics", "sm", "memory", "video")
    },
    **{f"power_limit_{kind}_watts": (f"power_limit_{kind}_milliwatts", 1e-3) for kind in ("default", "min", "max")},
    "temperature_max_operating_celsius": ("temperature_gpu_max_celsius", 1),
    "power_draw_watts": ("power_draw_milliwatts", 1e-3),
    "power_draw_average_watts": ("power_average_milliwatts", 1e-3),
    "power_draw_instant_watts": ("power_instant_milliwatts", 1e-3),
    "power_limit_watts": ("power_limit_milliwatts", 1e-3),
    "power_limit_enforced_watts": ("power_limit_enforced_milliwatts", 1e-3),
    "energy_joules": ("energy_millijoules", 1e-3),
    "pcie_link_generation": ("pcie_generation", 1),
    "pcie_link_generation_max": ("pcie_generation_max", 1),
    "pcie_link_width": ("pcie_width", 1),
    "pcie_link_width_max": ("pcie_width_max", 1),
    "pcie_sent_bytes": ("pcie_tx_bytes", 1),
    "pcie_received_bytes": ("pcie_rx_bytes", 1),
    "pcie_throughput_sent_bytes_per_second": ("pcie_tx_kilobytes_per_second", KIBIBYTE),
    "pcie_throughput_received_bytes_per_second": ("pcie_rx_kilobytes_per_second", KIBIBYTE),
    "nvlink_sent_bytes": ("nvlink_tx_kibibytes", KIBIBYTE),
    "nvlink_received_bytes": ("nvlink_rx_kibibytes", KIBIBYTE),
}
OTHERS: dict[str, Any] = {
    "memory_used_includes_reserved": False,
    "clock_event_reasons": ["sw_power_cap"],
    "ecc_enabled": True,
    "retired_pages_pending": True,
    "remapped_rows_pending": False,
    "remapped_rows_failed": True,
    "nvlink_links_up_count": 3,
    "mig_enabled": False,
    "mig_instances": [],
    "compute_mode": "exclusive_process",
    "persistence_enabled": True,
    "accounting_enabled": False,
    "display_connected": True,
    "display_active": False,
    "xid_errors": XidErrors(counts={}, last=None),
    "processes": [],
}
FLAGS = {
    "ecc_enabled": "ecc_mode",
    "persistence_enabled": "persistence_mode",
    "accounting_enabled": "accounting_mode",
    "display_connected": "display_mode",
    "display_active": "display_active",
    "retired_pages_pending": "retired_pages_pending",
    "remapped_rows_pending": "remapped_rows_pending",
    "remapped_rows_failed": "remapped_rows_failed",
}
WIDE = {field.name for field in FIELDS.values() if field.type == ULL} | {
    number for number, _ in NUMBERS.values() if number.startswith(("memory_", "bar1_"))
}
"""Numbers of 64 bits."""


#: The largest number that can be true, as the library gives it, by the reading's name: the first that matches.
MOST = {
    "fan_speed_percent": 1000,
    ".*_percent": 100,
    ".*_celsius": 250,
    ".*_megahertz": 10**5,
    ".*_watts": 10**8,
    ".*_bytes_per_second": 2**31,
    "(memory|bar1)_.*_bytes": 2**50,
    "nvlink_.*_bytes": 2**53,
    "pcie_.*_bytes|.*_seconds|(ecc|nvlink)_.*_count": 2**63,
    ".*_joules": 2**60,
    ".*_count": 2**31,
    "performance_state": 15,
    "pcie_link_generation.*": 16,
    "pcie_link_width.*": 64,
    ".*_(pending|failed|enabled)|display_.*": 1,
}


def readings(gpu: Gpu) -> dict[str, Any]:
    return {name: getattr(gpu, name) for name in READINGS}


def expected(gpu: int) -> dict[str, Any]:
    """Return what physical GPU `gpu` reads, every setting asked for."""
    answers = {name: (answer(number, gpu), unit) for name, (number, unit) in NUMBERS.items()}
    scaled = {name: pytest.approx(int(said) * unit, rel=1e-12) for name, (said, unit) in answers.items()}
    return scaled | OTHERS


@pytest.fixture(scope="module")
def old_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the stand-in for a driver of 2016, compiled once."""
    if not has_compiler():
        pytest.skip("the NVML stand-in needs a C compiler named cc")
    return build(tmp_path_factory.mktemp("old"), old=True)


def test_the_table_above_knows_every_reading() -> None:
    assert {*NUMBERS, *OTHERS} == set(READINGS)


def test_every_reading_is_the_librarys_answer_in_its_unit(standin: StandIn) -> None:
    standin.gpus(3)
    with standin.in_use():
        sampled = Nvml(processes=True, pcie_throughput=True).sample()
    for index, gpu in enumerate(sampled):
        assert readings(gpu) == expected(index)
        assert (gpu.state, gpu.error, gpu.unavailable) == ("ok", None, {})


def test_what_only_a_setting_asks_for_is_not_collected_and_says_so(standin: StandIn) -> None:
    with standin.in_use():
        first, _ = Nvml().sample()
    assert readings(first) == expected(0) | dict.fromkeys(NOT_COLLECTED)
    assert first.unavailable == NOT_COLLECTED


def test_an_old_driver_says_what_it_can_and_of_the_rest_that_it_cannot(old_library: Path, tmp_path: Path) -> None:
    with StandIn(old_library, tmp_path / "control").in_use():
        nvml = Nvml(processes=True, pcie_throughput=True)
        samples = [nvml.sample()[0] for _ in range(3)]
    fields = {name for name, (number, _) in NUMBERS.items() if number in {field.name for field in FIELDS.values()}}
    missing = fields | {"utilization_jpeg_percent", "utilization_ofa_percent", "memory_reserved_bytes", "mig_enabled"}
    missing |= {"mig_instances", "nvlink_links_up_count"} | {name for name in FLAGS if name.startswith(("ret", "rem"))}
    for gpu in samples:
        assert gpu.unavailable == dict.fromkeys(missing, "unsupported")
        assert gpu.memory_used_includes_reserved is True
        assert gpu.memory_used_bytes == 5_023_808_099 + 345_678_901
        assert (gpu.memory_total_bytes, gpu.power_draw_watts, gpu.processes) == (25_757_220_864, 76.543, [])
        assert (gpu.state, gpu.xid_errors) == ("ok", XidErrors(counts={}, last=None))


def test_the_call_that_stands_in_for_another_is_made_in_the_same_sample_and_not_tried_twice(fake: FakeNvml) -> None:
    fake.missing.add("nvmlDeviceGetMemoryInfo_v2")
    nvml = Nvml()
    first, second = nvml.sample()[0], nvml.sample()[0]
    assert first.memory_used_includes_reserved is second.memory_used_includes_reserved is True
    assert fake.calls.count(("nvmlDeviceGetMemoryInfo", 0)) == 2


@pytest.mark.parametrize("reading", [*NUMBERS, *FLAGS])
@pytest.mark.parametrize(("below_the_most", "reason"), [(0, "unsupported"), (1, "error: implausible value")])
def test_a_value_that_cannot_be_true_is_none_with_a_reason(
    fake: FakeNvml, reading: str, below_the_most: int, reason: str
) -> None:
    number = FLAGS[reading] if reading in FLAGS else NUMBERS[reading][0]
    fake.value(number, (2**64 if number in WIDE else 2**32) - 1 - below_the_most, gpu=1)
    healthy, gpu = Nvml(processes=True, pcie_throughput=True).sample()
    assert getattr(gpu, reading) is None
    assert (gpu.unavailable, gpu.state) == ({reading: reason}, "ok")
    assert healthy.unavailable == {}


@pytest.mark.parametrize("reading", [*NUMBERS, *FLAGS])
def test_the_largest_value_that_can_be_true_is_taken_and_the_next_is_not(fake: FakeNvml, reading: str) -> None:
    number = FLAGS[reading] if reading in FLAGS else NUMBERS[reading][0]
    most = next(most for pattern, most in MOST.items() if re.fullmatch(pattern, reading))
    fake.value(number, most, gpu=0)
    fake.value(number, most + 1, gpu=1)
    largest, beyond = Nvml(processes=True, pcie_throughput=True).sample()
    assert largest.unavailable == {}
    assert beyond.unavailable == {reading: "error: implausible value"}


@pytest.mark.parametrize("reading", FLAGS)
@pytest.mark.parametrize("value", [0, 1])
def test_a_mode_is_on_or_off(fake: FakeNvml, reading: str, value: int) -> None:
    fake.value(FLAGS[reading], value)
    assert getattr(Nvml().sample()[0], reading) is bool(value)


@pytest.mark.parametrize(
    ("mode", "name"), list(enumerate(["default", "exclusive_thread", "prohibited", "exclusive_process", None]))
)
def test_a_compute_mode_has_a_name(fake: FakeNvml, mode: int, name: str | None) -> None:
    fake.value("compute_mode", mode)
    assert Nvml().sample()[0].compute_mode == name


@pytest.mark.parametrize(
    ("mask", "names"),
    [
        (0, []),
        (0x1, ["gpu_idle"]),
        (0x4 | 0x40, ["sw_power_cap", "hw_thermal_slowdown"]),
        (0x8 | 0x10000, ["hw_slowdown", "other"]),
        (2**63, ["other"]),
    ],
)
def test_reasons_for_a_clock_have_names_and_an_unknown_one_is_not_nothing(
    fake: FakeNvml, mask: int, names: list[str]
) -> None:
    fake.value("clock_event_reasons", mask)
    assert Nvml().sample()[0].clock_event_reasons == names


def test_zero_is_a_reading(fake: FakeNvml) -> None:
    for number, _ in NUMBERS.values():
        fake.value(number, 0, gpu=0)
    gpu = Nvml(processes=True, pcie_throughput=True).sample()[0]
    assert {getattr(gpu, name) for name in NUMBERS} == {0}
    assert gpu.unavailable == {}
