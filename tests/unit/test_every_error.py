"""Every error code of NVML, in every call of a sample and in every field: nothing but a SourceError leaves the room,
no number is invented, and no other GPU is harmed."""

import contextlib
from typing import Any

import pytest

from collector.nvml import codes
from collector.nvml.source import Nvml, SourceError
from collector.nvml.table import FIELDS
from common.gpu import READINGS, Gpu
from tests.fakes import Clock, FakeNvml

CODES = [*codes.NAMES, 77]
ONE_GPU = [code for code in CODES if code not in codes.ABOUT_THE_SOURCE]
NO_PID = 2**22 + 1
"""More than Linux gives to any process."""
FIELD_CALLS = [f"field:{field.number}" for field in FIELDS]


def nvml() -> Nvml:
    return Nvml(now=Clock(), processes=True, pcie_throughput=True)


def prepared(fake: FakeNvml) -> FakeNvml:
    """Give the first GPU something of everything: instances, processes, and errors to report."""
    fake.mig(0, 2)
    for gpu in range(2):
        fake.processes(gpu, (NO_PID, 2**30))
    return fake


def readings(gpu: Gpu) -> dict[str, Any]:
    return {name: getattr(gpu, name) for name in READINGS}


def calls_of_a_sample() -> dict[str, list[str]]:
    """Return the calls that two samples make: about a GPU, and about none."""
    with pytest.MonkeyPatch.context() as patch:
        fake = prepared(FakeNvml().install(patch))
        source = nvml()
        source.sample()
        source.sample()
        fake.mig(0, None)
        nvml().sample()
    return {
        "gpu": sorted({call for call, gpu in fake.calls if gpu is not None}),
        "host": sorted({call for call, gpu in fake.calls if gpu is None}),
    }


CALLS = calls_of_a_sample()


def allowed() -> list[list[dict[str, Any]]]:
    """Return what healthy GPUs read: with the driver's older call for memory, too, and the first one undivided."""
    found = []
    for missing in ((), ("nvmlDeviceGetMemoryInfo_v2",)):
        for instances in (2, None):
            with pytest.MonkeyPatch.context() as patch:
                fake = prepared(FakeNvml().install(patch))
                fake.mig(0, instances)
                fake.missing.update(missing)
                found.append([readings(gpu) for gpu in nvml().sample()])
    return found


ALLOWED = allowed()


def sampled(source: Nvml, code: int) -> list[Gpu]:
    """Return a sample, or nothing where the source fails with that code."""
    with contextlib.suppress(SourceError):
        return source.sample()
    with pytest.raises(SourceError, match=codes.name(code)):
        source.sample()
    return []


def assert_honest(gpu: Gpu, where: str) -> None:
    """Every reading is there or has a reason, and is what a healthy GPU reads."""
    for name, value in readings(gpu).items():
        assert (value is None) == (name in gpu.unavailable), f"{where}: {name} is {value}, {gpu.unavailable.get(name)}"
        if value is not None and name != "mig_instances":
            assert value in [healthy[gpu.index][name] for healthy in ALLOWED], f"{where}: {name} is {value}"


def test_the_calls_are_overheard() -> None:
    assert len(CALLS["gpu"]) >= 50
    assert {"nvmlDeviceGetCount", "nvmlEventSetWait_v2", "nvmlEventSetCreate"} <= set(CALLS["host"])


@pytest.mark.parametrize("code", ONE_GPU)
def test_no_error_about_one_gpu_raises_or_becomes_a_number_or_harms_another(fake: FakeNvml, code: int) -> None:
    prepared(fake)
    unharmed = readings(nvml().sample()[1])
    for call in [*CALLS["gpu"], *FIELD_CALLS]:
        where = f"{call} gives {code}"
        fake.fail(call, code, gpu=0)
        source = nvml()
        for _ in range(2):
            broken, other = source.sample()
            assert_honest(broken, where)
            assert (readings(other), other.state, other.unavailable) == (unharmed, "ok", {}), where
        fake.heal()
        fake.reload()
        healed, _ = source.sample()
        assert_honest(healed, where)
        assert healed.state == "ok", where


@pytest.mark.parametrize("code", sorted(codes.ABOUT_THE_SOURCE))
def test_an_error_about_the_source_in_any_call_on_a_gpu_is_the_sources(fake: FakeNvml, code: int) -> None:
    prepared(fake)
    for call in CALLS["gpu"]:
        fake.fail(call, code, gpu=0)
        source = nvml()
        with pytest.raises(SourceError, match=codes.name(code)):
            source.sample()
        fake.heal()
        assert [gpu.state for gpu in source.sample()] == ["ok", "ok"], call


@pytest.mark.parametrize("code", CODES)
def test_an_error_about_the_host_is_the_sources_or_harms_no_gpu(fake: FakeNvml, code: int) -> None:
    prepared(fake).mig(0, None)
    for call in CALLS["host"]:
        source = nvml()
        fake.fail(call, code)
        for gpu in sampled(source, code):
            assert_honest(gpu, f"{call} gives {code}")
            assert gpu.state == "ok", call
        fake.heal()
        fake.reload()
        assert [(gpu.state, gpu.unavailable) for gpu in source.sample()] == [("ok", {})] * 2, call


@pytest.mark.parametrize("code", CODES)
def test_an_error_that_comes_while_it_runs_is_the_sources_or_harms_no_gpu(fake: FakeNvml, code: int) -> None:
    prepared(fake)
    for call in [*CALLS["gpu"], *CALLS["host"], *FIELD_CALLS]:
        source = nvml()
        source.sample()
        fake.fail(call, code)
        for gpu in sampled(source, code):
            assert_honest(gpu, f"{call} gives {code}")
        fake.heal()


@pytest.mark.parametrize("code", [code for code in ONE_GPU if code not in codes.ABOUT_THE_GPU])
def test_a_reading_that_is_refused_has_the_reason_that_nvml_gave(fake: FakeNvml, code: int) -> None:
    for field in FIELDS:
        fake.fail(f"field:{field.number}", code, gpu=0)
        first, second = Nvml(processes=True, pcie_throughput=True).sample()
        assert first.unavailable == {field.gives.reading: codes.reason(code)}
        assert second.unavailable == {}
        fake.heal()


@pytest.mark.parametrize(
    ("call", "reading"),
    [
        ("nvmlDeviceGetNvLinkState", "nvlink_links_up_count"),
        ("nvmlDeviceGetMaxMigDeviceCount", "mig_instances"),
        ("nvmlDeviceRegisterEvents", "xid_errors"),
        ("nvmlDeviceGetComputeRunningProcesses_v3", "processes"),
        ("nvmlDeviceGetGraphicsRunningProcesses_v3", "processes"),
    ],
)
@pytest.mark.parametrize("code", [4, 6, 10, 17, 999, 77])
def test_what_is_made_of_several_calls_has_the_reason_that_nvml_gave(
    fake: FakeNvml, call: str, reading: str, code: int
) -> None:
    source = nvml()
    fake.mig(0, 2)
    fake.fail(call, code, gpu=0)
    first, second = source.sample()
    assert first.unavailable[reading] == codes.reason(code)
    assert second.unavailable == {}


def test_the_instances_of_a_gpu_that_hides_its_mode_are_hidden_too(fake: FakeNvml) -> None:
    fake.fail("nvmlDeviceGetMigMode", 4, gpu=0)
    gpu = Nvml().sample()[0]
    assert gpu.unavailable["mig_enabled"] == gpu.unavailable["mig_instances"] == "no_permission"
