"""Who a GPU is, and what the driver says of itself."""

from typing import Any

import pytest

from collector.nvml.gpus import DISCOVER_SECONDS
from collector.nvml.source import Nvml
from common.gpu import Gpu
from tests.builders import NOT_COLLECTED
from tests.fakes import FakeNvml
from tests.standin import StandIn


def identity(gpu: Gpu) -> tuple[Any, ...]:
    return (
        *(gpu.index, gpu.uuid, gpu.name, gpu.pci_bus_id, gpu.serial, gpu.minor_number),
        *(gpu.architecture, gpu.cuda_compute_capability, gpu.vbios_version),
    )


def test_a_gpu_says_who_it_is(standin: StandIn) -> None:
    standin.gpus(12)
    with standin.in_use():
        gpu = Nvml().sample()[11]
    assert identity(gpu) == (
        *(11, "GPU-5eed5eed-0000-4000-8000-00000000000c", "NVIDIA Stand-In", "00000000:0c:00.0", "1650122100012", 11),
        *("Hopper", "9.0", "96.00.5E.00.0C"),
    )


@pytest.mark.parametrize(
    ("call", "field"),
    [
        ("nvmlDeviceGetName", "name"),
        ("nvmlDeviceGetUUID", "uuid"),
        ("nvmlDeviceGetSerial", "serial"),
        ("nvmlDeviceGetMinorNumber", "minor_number"),
        ("nvmlDeviceGetArchitecture", "architecture"),
        ("nvmlDeviceGetCudaComputeCapability", "cuda_compute_capability"),
        ("nvmlDeviceGetVbiosVersion", "vbios_version"),
    ],
)
@pytest.mark.parametrize("code", [3, 4, 13, 15, 999])
def test_what_a_gpu_will_not_say_of_itself_is_none_and_the_rest_is_told(
    fake: FakeNvml, call: str, field: str, code: int
) -> None:
    whole = Nvml().sample()[0]
    fake.fail(call, code, gpu=0)
    gpu = Nvml().sample()[0]
    told = {name: getattr(whole, name) for name in Gpu.__struct_fields__ if name != field}
    assert {name: getattr(gpu, name) for name in told} == told
    assert getattr(gpu, field) is None
    assert gpu.unavailable == NOT_COLLECTED


TELLS = [
    "nvmlDeviceGetName",
    "nvmlDeviceGetPciInfo_v3",
    "nvmlDeviceGetSerial",
    "nvmlDeviceGetMinorNumber",
    "nvmlDeviceGetArchitecture",
    "nvmlDeviceGetCudaComputeCapability",
    "nvmlDeviceGetVbiosVersion",
]


def test_what_a_gpu_did_not_say_of_itself_for_a_passing_cause_is_asked_again_when_the_gpus_are_listed(
    fake: FakeNvml,
) -> None:
    seconds = 0.0
    nvml = Nvml(now=lambda: seconds)
    for call in (*TELLS, "nvmlDeviceGetPciInfo"):
        fake.fail(call, 999, gpu=0)
    dumb, other = nvml.sample()
    fake.heal()
    assert set(identity(dumb)) == {0, dumb.uuid, None}
    assert identity(nvml.sample()[0]) == identity(dumb)
    seconds = DISCOVER_SECONDS
    fake.calls.clear()
    whole, same = nvml.sample()
    assert identity(whole)[2:5] == ("NVIDIA Stand-In", "00000000:01:00.0", "1650122100001")
    assert None not in identity(whole)
    assert identity(same) == identity(other)
    assert sorted(call for call in fake.calls if call[0] in TELLS) == sorted((call, 0) for call in TELLS)
    seconds = 2 * DISCOVER_SECONDS
    fake.calls.clear()
    assert identity(nvml.sample()[0]) == identity(whole)
    assert [call for call in fake.calls if call[0] in TELLS] == []


@pytest.mark.parametrize("code", [3, 4, 13])
def test_what_a_gpu_has_not_got_to_say_of_itself_is_not_asked_again(fake: FakeNvml, code: int) -> None:
    seconds = 0.0
    nvml = Nvml(now=lambda: seconds)
    fake.fail("nvmlDeviceGetSerial", code)
    nvml.sample()
    fake.heal()
    seconds = DISCOVER_SECONDS
    assert [gpu.serial for gpu in nvml.sample()] == [None, None]


def test_a_gpu_that_is_lost_is_not_asked_who_it_is(fake: FakeNvml) -> None:
    seconds = 0.0
    nvml = Nvml(now=lambda: seconds)
    fake.fail("nvmlDeviceGetSerial", 999)
    nvml.sample()
    fake.lose(0)
    nvml.sample()
    seconds = DISCOVER_SECONDS
    fake.calls.clear()
    assert nvml.sample()[0].state == "lost"
    assert ("nvmlDeviceGetSerial", 0) not in fake.calls
    assert ("nvmlDeviceGetSerial", 1) in fake.calls


@pytest.mark.parametrize(
    ("number", "name"), [(2, "Kepler"), (7, "Ampere"), (8, "Ada"), (10, "Blackwell"), (11, None), (2**32 - 1, None)]
)
def test_an_architecture_has_a_name_or_none(fake: FakeNvml, number: int, name: str | None) -> None:
    fake.value("architecture", number)
    assert Nvml().sample()[0].architecture == name


@pytest.mark.parametrize(
    ("v3", "old", "told"),
    [
        (b"00000000:0A:00.0", b"0000:0A:00.0", "00000000:0a:00.0"),
        (b"0000000F:01:00.0", b"000F:01:00.0", "0000000f:01:00.0"),
        (b"000123AB:01:00.0", b"23AB:01:00.0", "000123ab:01:00.0"),
    ],
)
def test_a_bus_id_has_a_domain_of_eight_digits_in_lower_case(fake: FakeNvml, v3: bytes, old: bytes, told: str) -> None:
    fake.value("pci_bus_id_v3", v3, gpu=0)
    fake.value("pci_bus_id", old, gpu=0)
    assert Nvml().sample()[0].pci_bus_id == told


@pytest.mark.parametrize(
    ("old", "told"),
    [(b"0000:0A:00.0", "00000000:0a:00.0"), (b"000F:01:00.0", "0000000f:01:00.0"), (b"odd", "00000odd")],
)
def test_a_driver_that_knows_only_short_domains_says_the_same(fake: FakeNvml, old: bytes, told: str) -> None:
    fake.missing.add("nvmlDeviceGetPciInfo_v3")
    fake.value("pci_bus_id", old, gpu=0)
    assert Nvml().sample()[0].pci_bus_id == told


def test_a_bus_id_that_is_not_told_is_none(fake: FakeNvml) -> None:
    fake.fail("nvmlDeviceGetPciInfo_v3", 999)
    fake.fail("nvmlDeviceGetPciInfo", 999)
    assert [gpu.pci_bus_id for gpu in Nvml().sample()] == [None, None]


@pytest.mark.parametrize(
    ("number", "told"), [(12040, "12.4"), (13000, "13.0"), (11080, "11.8"), (9010, "9.1"), (0, "0.0")]
)
def test_the_cuda_version_is_written_as_people_do(fake: FakeNvml, number: int, told: str) -> None:
    fake.value("cuda_driver_version", number)
    nvml = Nvml()
    nvml.sample()
    assert nvml.versions == ("550.54.15", "12.550.54.15", told)
