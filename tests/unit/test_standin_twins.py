"""The C stand-in and the fake say the same, in every call, whatever both were told."""

from collections.abc import Iterator
from typing import Any

import pynvml
import pytest

from tests.capture import record
from tests.fakes import FakeNvml
from tests.standin import CALLS, FIELDS, NEWER, StandIn, build, calls


@pytest.fixture
def told(standin: StandIn) -> Iterator[StandIn]:
    """Put the real binding of this process on the stand-in, initialised, until the test ends."""
    with standin.in_use():
        yield standin


def _captured(fake: FakeNvml) -> list[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        fake.install(patch)
        return list(record())


def _populate(library: StandIn | FakeNvml) -> None:
    library.mig(1, 3)
    library.mig(2, 0)
    library.processes(0, (4711, 2**33), (4712, 2**64 - 1))
    library.graphics(0, (815, 123456789))
    library.process_utilization(0, (4711, 51, 52, 53, 54), (815, 61, 62, 63, 64))
    library.process_utilization(1, (4711, 51, 52, 53, 54))


def test_the_calls_that_python_knows_are_those_of_the_c_code() -> None:
    assert calls.ALL == CALLS
    assert NEWER < CALLS


def test_the_fake_answers_everything_as_the_stand_in_does(told: StandIn) -> None:
    fake = FakeNvml(gpus=16)
    told.gpus(16)
    for library in (told, fake):
        _populate(library)
    said = list(record())
    assert said == _captured(fake)
    assert {entry["call"] for entry in said} == CALLS - {"nvmlInitWithFlags"}  # which only another binding calls


@pytest.mark.parametrize("stride", [16, 24, 32])
def test_the_fake_writes_processes_in_the_layouts_of_the_stand_in(told: StandIn, stride: int) -> None:
    fake = FakeNvml()
    for library in (told, fake):
        _populate(library)
        library.stride(stride)
    said = list(record())
    assert said == _captured(fake)
    strides = {
        entry["call"]: entry["result"]["stride"]
        for entry in said
        if "Running" in entry["call"] and entry["arguments"] == [0]
    }
    assert strides["nvmlDeviceGetComputeRunningProcesses"] == 16
    assert strides["nvmlDeviceGetGraphicsRunningProcesses_v2"] == 24
    assert strides["nvmlDeviceGetComputeRunningProcesses_v3"] == stride


def test_the_fake_fails_as_the_stand_in_does(told: StandIn) -> None:
    fake = FakeNvml(gpus=4)
    fake.order = [3, 1, 0, 2]
    told.gpus(4)
    told.order(3, 1, 0, 2)
    for library in (told, fake):
        _populate(library)
        library.lose(3)
        library.fail("nvmlDeviceGetPowerUsage", 3)
        library.fail("nvmlDeviceGetPowerUsage", 25, gpu=1)
        library.fail("nvmlDeviceGetMemoryInfo_v2", 4, gpu=1)
        library.fail("nvmlSystemGetCudaDriverVersion_v2", 13)
        library.fail("field:82", 3)
        library.fail("field:82", 4, gpu=2)
        library.value("utilization_gpu_percent", 808334905, gpu=2)
        library.value("utilization_gpu_percent", 4294967295)
        library.value("memory_used_bytes", 2**64 - 1, gpu=0)
        library.value("nvlink_link_count", 18, gpu=0)
        library.value("energy_millijoules", 2**64 - 1, gpu=0)
        library.name(b"\xff\xfe broken", gpu=0)
    assert list(record()) == _captured(fake)


@pytest.mark.parametrize("call", sorted(CALLS - calls.INITS))
def test_a_call_that_fails_in_the_stand_in_fails_alike_in_the_fake(told: StandIn, call: str) -> None:
    fake = FakeNvml()
    for library in (told, fake):
        _populate(library)
        library.fail(call, 4)
    assert list(record()) == _captured(fake)


def test_every_field_value_can_be_told_to_fail_alone(told: StandIn) -> None:
    fake = FakeNvml()
    for library in (told, fake):
        for code, number in enumerate(FIELDS, start=40):
            library.fail(f"field:{number}", code)
    said = list(record())
    assert said == _captured(fake)
    failed = [entry["error"]["code"] for entry in said if entry["call"] == "nvmlDeviceGetFieldValues"]
    assert failed == [*range(40, 40 + len(FIELDS))] * 2


def test_an_old_driver_lacks_the_newer_symbols_in_both(standin: StandIn, tmp_path: Any) -> None:
    standin.library = build(tmp_path, old=True)
    with standin.in_use():
        said = list(record())
        lacking = {symbol for symbol in CALLS if not hasattr(pynvml.nvmlLib, symbol)}
    assert lacking == NEWER
    assert said == _captured(FakeNvml(old=True))
