"""Against a real driver: what the collector reads is what `nvidia-smi` says. Skipped where there is no GPU."""

import shutil
import subprocess

import pytest

from collector.nvml.source import Nvml
from common.gpu import READINGS, Gpu

pytestmark = pytest.mark.gpu

COLUMNS = {
    "memory_total_bytes": ("memory.total", 2**20, 2**20),
    "temperature_gpu_celsius": ("temperature.gpu", 1, 5),
    "power_draw_watts": ("power.draw", 1, 30),
    "clock_memory_megahertz": ("clocks.mem", 1, 100),
}
"""Readings that hold still for the moment between two questions, by name: nvidia-smi's column, the factor of its unit,
and how far the two may be apart. The others are compared with nothing: they change by the millisecond."""


def smi(*columns: str) -> list[list[str]]:
    """Return nvidia-smi's answers, a row for each GPU."""
    if shutil.which("nvidia-smi") is None:
        pytest.skip("no nvidia-smi: no NVIDIA driver")
    query = ["nvidia-smi", f"--query-gpu={','.join(columns)}", "--format=csv,noheader,nounits"]
    said = subprocess.run(query, capture_output=True, text=True, check=False, timeout=50)
    if said.returncode != 0:
        pytest.skip(f"nvidia-smi: {said.stdout.strip()}")
    return [[cell.strip() for cell in line.split(",")] for line in said.stdout.splitlines()]


@pytest.fixture
def gpus() -> list[Gpu]:
    """Return one sample of this machine's GPUs."""
    smi("index")
    return Nvml().sample()


def test_the_gpus_are_those_that_nvidia_smi_lists(gpus: list[Gpu]) -> None:
    rows = smi("index", "uuid", "name", "pci.bus_id")
    assert [[str(gpu.index), gpu.uuid, gpu.name, gpu.pci_bus_id] for gpu in gpus] == [
        [index, uuid, name, bus_id.lower()] for index, uuid, name, bus_id in rows
    ]


@pytest.mark.parametrize("reading", COLUMNS)
def test_a_reading_is_the_one_that_nvidia_smi_shows(gpus: list[Gpu], reading: str) -> None:
    column, factor, slack = COLUMNS[reading]
    for gpu, (told,) in zip(gpus, smi(column), strict=True):
        taken = getattr(gpu, reading)
        if told.startswith("["):
            assert taken is None
            assert reading in gpu.unavailable
        else:
            assert taken == pytest.approx(float(told) * factor, abs=slack)


def test_every_reading_is_there_or_has_a_reason(gpus: list[Gpu]) -> None:
    for gpu in gpus:
        assert gpu.state == "ok"
        assert all((getattr(gpu, name) is None) == (name in gpu.unavailable) for name in READINGS)
