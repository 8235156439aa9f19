"""What the collector reads, with the fake in the library's place."""

import logging

import pytest

from collector.nvml import codes, device, gpus
from collector.nvml.source import Nvml, SourceError
from collector.nvml.table import READS
from common.snapshot import READINGS, Gpu
from tests.fakes import FakeNvml

FUNCTIONS = sorted({read.function for read in READS})


def readings(gpu: Gpu) -> dict[str, float | None]:
    return {name: getattr(gpu, name) for name in READINGS}


def given_by(function: str) -> set[str]:
    return {given.reading for read in READS if read.function == function for given in read.gives}


def test_every_reading_of_the_catalogue_is_read_by_one_row_of_the_table() -> None:
    rows = [given.reading for read in READS for given in read.gives]
    assert sorted(rows) == sorted(READINGS)


@pytest.mark.usefixtures("fake")
def test_every_reading_is_taken_in_the_unit_of_its_name() -> None:
    first, second = Nvml().sample()
    assert readings(first) == {
        "utilization_gpu_percent": 31,
        "utilization_memory_percent": 12,
        "memory_total_bytes": 25_757_220_864,
        "memory_used_bytes": 5_369_487_000,
        "memory_free_bytes": 20_387_733_864,
        "temperature_gpu_celsius": 40,
        "power_draw_watts": 76.543,
        "clock_graphics_megahertz": 1815,
        "clock_memory_megahertz": 9501,
    }
    assert (first.index, first.name, first.state, first.unavailable) == (0, "NVIDIA Stand-In", "ok", {})
    assert (second.index, second.uuid) == (1, "GPU-5eed5eed-0000-4000-8000-000000000002")
    assert second.pci_bus_id == "00000000:02:00.0"


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
    assert first.unavailable == {"power_draw_watts": reason}
    assert first.temperature_gpu_celsius == 40
    assert (first.state, second.unavailable) == ("ok", {})


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("code", [code for code in [*codes.NAMES, 77] if code not in codes.ABOUT_THE_SOURCE])
def test_no_error_of_a_reading_raises_or_becomes_a_zero(fake: FakeNvml, function: str, code: int) -> None:
    fake.fail(function, code, gpu=0)
    first, second = Nvml().sample()
    assert all((getattr(first, name) is None) == (name in first.unavailable) for name in READINGS)
    assert given_by(function) <= set(first.unavailable)
    assert (second.state, second.unavailable) == ("ok", {})


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("code", sorted(codes.ABOUT_THE_SOURCE))
def test_an_error_about_the_source_in_any_reading_is_the_sources(fake: FakeNvml, function: str, code: int) -> None:
    fake.fail(function, code, gpu=0)
    with pytest.raises(SourceError, match=codes.name(code)):
        Nvml().sample()


@pytest.mark.parametrize(
    ("number", "value", "reading", "reason"),
    [
        ("utilization_gpu_percent", 2**32 - 1, "utilization_gpu_percent", "unsupported"),
        ("utilization_gpu_percent", 808334905, "utilization_gpu_percent", "error: implausible value"),
        ("temperature_gpu_celsius", 2**32 - 1, "temperature_gpu_celsius", "unsupported"),
        ("power_draw_milliwatts", 2**32 - 1, "power_draw_watts", "unsupported"),
        ("power_draw_milliwatts", 2**32 - 2, "power_draw_watts", "error: implausible value"),
        ("memory_used_bytes", 2**64 - 1, "memory_used_bytes", "unsupported"),
        ("clock_memory_megahertz", 2**32 - 1, "clock_memory_megahertz", "unsupported"),
    ],
)
def test_a_value_that_cannot_be_true_is_none_with_a_reason(
    fake: FakeNvml, number: str, value: int, reading: str, reason: str
) -> None:
    fake.value(number, value, gpu=1)
    gpu = Nvml().sample()[1]
    assert getattr(gpu, reading) is None
    assert (gpu.unavailable, gpu.state) == ({reading: reason}, "ok")


def test_a_gpu_that_supports_nothing_is_ok(fake: FakeNvml) -> None:
    for function in FUNCTIONS:
        fake.fail(function, 3, gpu=0)
    gpu = Nvml().sample()[0]
    assert (gpu.state, gpu.error) == ("ok", None)
    assert set(gpu.unavailable) == set(READINGS)


def test_a_gpu_that_may_not_be_read_at_all_is_in_error(fake: FakeNvml) -> None:
    for function in FUNCTIONS:
        fake.fail(function, 4, gpu=0)
    gpu = Nvml().sample()[0]
    assert (gpu.state, gpu.error) == ("error", "no reading could be taken: no_permission")


def test_what_is_not_supported_is_asked_again_rarely(fake: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    power = ("nvmlDeviceGetPowerUsage", 0)
    fake.fail(*power[:1], 3, gpu=0)
    nvml = Nvml()
    nvml.sample()
    second = nvml.sample()
    assert fake.calls.count(power) == 1
    assert second[0].unavailable == {"power_draw_watts": "unsupported"}
    monkeypatch.setattr(device, "ASK_AGAIN_SECONDS", 0)
    fake.reload()
    nvml.sample()
    nvml.sample()
    assert fake.calls.count(power) == 3


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
        "temperature_gpu_celsius: error: NVML_ERROR_TIMEOUT",
        "NVML_ERROR_GPU_IS_LOST",
        "temperature_gpu_celsius: available",
        "answers again",
        "power_draw_watts: unsupported",
    ]


def test_discovery_comes_round_although_nothing_changed(fake: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "DISCOVER_SECONDS", 0)
    nvml = Nvml()
    nvml.sample()
    fake.order = [1, 0]
    assert [gpu.uuid and gpu.uuid[-1] for gpu in nvml.sample()] == ["2", "1"]
