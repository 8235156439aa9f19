"""The catalogue, as it derives from the structs."""

import re
from typing import get_args, get_type_hints

import pytest

from common.gpu import READINGS, Gpu, MigInstance, Process, XidErrors, without_readings
from common.snapshot import HOST_PATTERN
from tests.builders import make_gpu

IDENTITY = [
    "index",
    "uuid",
    "name",
    "pci_bus_id",
    "serial",
    "minor_number",
    "architecture",
    "cuda_compute_capability",
    "vbios_version",
]
KINDS = {
    "boolean": bool,
    "state": int,
    "generation": int,
    "lanes": int,
    "name": str,
    "names": list[str],
    "instances": list[MigInstance],
    "errors": XidErrors,
    "processes": list[Process],
}
"""What has no unit that its name could end with: what kind of thing it is, and its type."""
FIRST_READINGS = [
    "utilization_gpu_percent",
    "utilization_memory_percent",
    "memory_total_bytes",
    "memory_used_bytes",
    "memory_free_bytes",
    "temperature_gpu_celsius",
    "power_draw_watts",
    "clock_graphics_megahertz",
    "clock_memory_megahertz",
]


def test_every_reading_of_the_requirements_is_in_the_catalogue() -> None:
    assert set(FIRST_READINGS) <= set(READINGS)


def test_every_field_of_a_gpu_is_its_identity_its_state_or_a_reading() -> None:
    assert [*IDENTITY, "state", "error", "unavailable", "lost_since_ns", *READINGS] == list(Gpu.__struct_fields__)


@pytest.mark.parametrize("name", READINGS)
def test_a_reading_says_its_unit_in_its_name_and_what_it_means(name: str) -> None:
    reading = READINGS[name]
    assert reading.name == name
    assert name.endswith(f"_{reading.unit}") or reading.unit in KINDS
    assert reading.title
    assert reading.meaning
    assert not reading.meaning.endswith(".")


@pytest.mark.parametrize("name", READINGS)
def test_a_reading_has_the_type_of_its_unit(name: str) -> None:
    kind = get_args(get_type_hints(Gpu)[name])[0]
    unit = READINGS[name].unit
    assert kind in ({KINDS[unit]} if unit in KINDS else {int, float})


def test_a_reading_is_not_taken_until_somebody_takes_it() -> None:
    gpu = Gpu(index=0, uuid=None, name=None, pci_bus_id=None)
    assert {getattr(gpu, name) for name in READINGS} == {None}


def test_two_gpus_never_share_their_reasons() -> None:
    one, other = (Gpu(index=index, uuid=None, name=None, pci_bus_id=None) for index in range(2))
    one.unavailable["power_draw_watts"] = "unsupported"
    assert other.unavailable == {}


def test_without_readings_the_identity_stays_and_every_reading_has_the_reason() -> None:
    healthy = make_gpu(3)
    lost = without_readings(healthy, "lost", "GPU is lost", "error: NVML_ERROR_GPU_IS_LOST", 17)
    assert [getattr(lost, name) for name in IDENTITY] == [getattr(healthy, name) for name in IDENTITY]
    assert (lost.state, lost.error) == ("lost", "GPU is lost")
    assert lost.unavailable == dict.fromkeys(READINGS, "error: NVML_ERROR_GPU_IS_LOST")
    assert {getattr(lost, name) for name in READINGS} == {None}
    assert lost.lost_since_ns == 17
    assert without_readings(lost, "unknown", "stuck", "error: stalled").lost_since_ns is None


@pytest.mark.parametrize(
    ("name", "is_host"),
    [
        ("node-1", True),
        ("Node_1.example.org", True),
        ("a" * 253, True),
        ("a" * 254, False),
        ("", False),
        ("node 1", False),
        ("node/1", False),
        ("node-1\n", False),
        ("n\N{LATIN SMALL LETTER O WITH DIAERESIS}de", False),
        ("node\0", False),
    ],
)
def test_a_host_is_named_as_hosts_are(name: str, *, is_host: bool) -> None:
    assert bool(re.fullmatch(HOST_PATTERN, name)) is is_host
