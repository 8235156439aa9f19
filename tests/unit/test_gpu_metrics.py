"""What the collector reads, with the fake in the library's place."""

import logging

import pytest

from collector.nvml import device, gpus
from collector.nvml.plan import readings
from collector.nvml.sheet import FIELD_VALUES
from collector.nvml.source import Nvml
from collector.nvml.table import FIELDS, PCIE_THROUGHPUT_READS, READS
from common.gpu import READINGS
from tests.builders import NOT_COLLECTED
from tests.fakes import FakeNvml

NOBODY_ASKED = f"not_collected: {', '.join(sorted(NOT_COLLECTED))}"
FUNCTIONS = sorted({read.function for read in READS} | {FIELD_VALUES})


def test_every_reading_of_the_catalogue_is_read_by_one_row_of_the_table() -> None:
    rows = [given.reading for read in (*READS, *PCIE_THROUGHPUT_READS) for given in read.gives]
    rows += [field.gives.reading for field in FIELDS]
    parts = ["nvlink_links_up_count", "mig_instances", "xid_errors", "processes"]
    assert sorted([*rows, *parts]) == sorted(READINGS)


def test_what_stands_in_for_a_call_gives_no_other_readings() -> None:
    for read in READS:
        assert read.instead is None or set(readings(read.instead)) < set(readings(read))


@pytest.mark.usefixtures("fake")
def test_versions_are_told() -> None:
    nvml = Nvml()
    nvml.sample()
    assert nvml.versions == ("550.54.15", "12.550.54.15", "12.4")


def test_a_driver_too_old_to_tell_its_cuda_version_is_sampled_all_the_same(fake: FakeNvml) -> None:
    fake.fail("nvmlSystemGetCudaDriverVersion_v2", 13)
    nvml = Nvml()
    assert [gpu.state for gpu in nvml.sample()] == ["ok", "ok"]
    assert nvml.versions.cuda is None


def test_a_name_that_is_no_utf_8_becomes_text(fake: FakeNvml) -> None:
    fake.name(b"NVIDIA \xff\xfe")
    assert Nvml().sample()[0].name == "NVIDIA \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (3, "unsupported"),
        (13, "unsupported"),
        (25, "unsupported"),
        (26, "unsupported"),
        (4, "no_permission"),
        (10, "error: NVML_ERROR_TIMEOUT"),
        (999, "error: NVML_ERROR_UNKNOWN"),
        (77, "error: NVML_ERROR_77"),
    ],
)
def test_a_reading_that_is_refused_is_none_with_its_reason(fake: FakeNvml, code: int, reason: str) -> None:
    fake.fail("nvmlDeviceGetPowerUsage", code, gpu=0)
    first, second = Nvml().sample()
    assert first.power_draw_watts is None
    assert first.unavailable == NOT_COLLECTED | {"power_draw_watts": reason}
    assert first.temperature_gpu_celsius == 40
    assert (first.state, second.unavailable) == ("ok", NOT_COLLECTED)


def test_a_gpu_that_supports_nothing_is_ok(fake: FakeNvml) -> None:
    for function in (*FUNCTIONS, "nvmlDeviceGetMemoryInfo"):
        fake.fail(function, 3, gpu=0)
    gpu = Nvml().sample()[0]
    assert (gpu.state, gpu.error) == ("ok", None)
    assert set(gpu.unavailable) == set(READINGS) - {"nvlink_links_up_count", "xid_errors"}


def test_a_gpu_that_may_not_be_read_at_all_is_in_error(fake: FakeNvml) -> None:
    for function in FUNCTIONS:
        fake.fail(function, 4, gpu=0)
    gpu = Nvml().sample()[0]
    assert (gpu.state, gpu.error) == ("error", "no reading could be taken: no_permission")


def test_a_reading_that_failed_for_once_is_asked_again_at_once(fake: FakeNvml) -> None:
    nvml = Nvml()
    fake.fail("nvmlDeviceGetTemperature", 10)
    nvml.sample()
    fake.heal()
    assert nvml.sample()[0].temperature_gpu_celsius == 40


def test_what_changes_is_logged_once_and_not_with_every_sample(
    fake: FakeNvml, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    nvml = Nvml()
    nvml.sample()
    fake.fail("nvmlDeviceGetTemperature", 10, gpu=0)
    fake.lose(1)
    for _ in range(3):
        nvml.sample()
    fake.heal()
    fake.fail("nvmlDeviceGetPowerUsage", 3, gpu=1)
    nvml.sample()
    told = [record.getMessage().split(": ", 1)[1] for record in caplog.records if record.name == device.__name__]
    assert [line.split(": the GPU")[0] for line in told] == [
        NOBODY_ASKED,
        NOBODY_ASKED,
        "error: NVML_ERROR_TIMEOUT: temperature_gpu_celsius",
        "NVML_ERROR_GPU_IS_LOST",
        "available: temperature_gpu_celsius",
        "answers again",
        "unsupported: power_draw_watts",
    ]


def test_discovery_comes_round_although_nothing_changed(fake: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "DISCOVER_SECONDS", 0)
    nvml = Nvml()
    nvml.sample()
    fake.order = [1, 0]
    assert [gpu.uuid and gpu.uuid[-1] for gpu in nvml.sample()] == ["2", "1"]
