"""The collector reads the same through NVIDIA's own binding, nvidia-ml-py, whose module has the same name.

It cannot be installed beside ours: `pip install --target DIRECTORY nvidia-ml-py`, and name that directory in
`GPU_TEST_NVIDIA_ML_PY`.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.gpu import Gpu
from tests.processes import ROOT
from tests.standin import StandIn, build, has_compiler

VARIABLE = "GPU_TEST_NVIDIA_ML_PY"
PROGRAM = """
import sys
import msgspec
import pynvml
from collector.nvml.source import Nvml

nvml = Nvml(sys.argv[1], processes=True, pcie_throughput=True)
gpus = [nvml.sample() for _ in range(2)][-1]
found = {"module": pynvml.__file__, "versions": nvml.versions, "calls": nvml.calls, "gpus": gpus}
sys.stdout.buffer.write(msgspec.json.encode(found))
"""


class Found(msgspec.Struct):
    """What one binding gave: where it is, and what was read through it."""

    module: str
    versions: tuple[str | None, str | None, str | None]
    calls: int
    gpus: list[Gpu]


@pytest.fixture
def official() -> Path:
    """Return the directory that NVIDIA's binding is in."""
    directory = os.environ.get(VARIABLE)
    if not directory:
        pytest.skip(f"{VARIABLE} does not name a directory with nvidia-ml-py")
    return Path(directory)


def through(binding: Path | None, standin: StandIn) -> Found:
    """Sample twice in a process of its own, with a binding that comes before the installed one."""
    path = os.pathsep.join(map(str, (*([binding] if binding else []), ROOT)))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(standin.library)],
        cwd=ROOT,
        env=os.environ | standin.environment() | {"PYTHONPATH": path},
        capture_output=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr.decode()
    return msgspec.json.decode(done.stdout, type=Found)


def assert_same(official: Path, standin: StandIn) -> list[Gpu]:
    """Both bindings read the same, by the same number of calls; return what they read."""
    theirs, ours = through(official, standin), through(None, standin)
    assert Path(theirs.module).parent == official
    assert theirs.module != ours.module
    assert (timeless(theirs), theirs.versions, theirs.calls) == (timeless(ours), ours.versions, ours.calls)
    return theirs.gpus


def timeless(found: Found) -> list[Gpu]:
    """Return the GPUs without what is another moment in each process."""
    assert all((gpu.lost_since_ns is not None) == (gpu.state == "lost") for gpu in found.gpus)
    return [msgspec.structs.replace(gpu, lost_since_ns=None) for gpu in found.gpus]


def populate(standin: StandIn) -> None:
    standin.gpus(3)
    standin.mig(1, 2)
    standin.processes(0, (2**22 + 1, 2**30), (2**22 + 2, 2**64 - 1))
    standin.graphics(2, (2**22 + 3, 2**20))
    standin.process_utilization(0, (2**22 + 1, 51, 52, 53, 54))


def test_every_reading_is_the_same(official: Path, standin: StandIn) -> None:
    populate(standin)
    whole, divided, _ = assert_same(official, standin)
    assert whole.unavailable == {}
    assert len(divided.mig_instances or []) == 2


@pytest.mark.parametrize("stride", [16, 32])
def test_processes_are_the_same_in_every_layout(official: Path, standin: StandIn, stride: int) -> None:
    populate(standin)
    standin.stride(stride)
    assert len(assert_same(official, standin)[0].processes or []) == 2


def test_names_that_are_no_utf_8_are_the_same(official: Path, standin: StandIn) -> None:
    standin.name(b"NVIDIA \xff\xfe")
    first, _ = assert_same(official, standin)
    assert first.name == "NVIDIA \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("code", [3, 4, 10, 15, 999])
def test_errors_are_the_same(official: Path, standin: StandIn, code: int) -> None:
    calls: dict[str, Any] = dict.fromkeys(("nvmlDeviceGetPowerUsage", "nvmlDeviceGetMemoryInfo_v2", "field:82"), code)
    for call, told in calls.items():
        standin.fail(call, told, gpu=0)
    broken, other = assert_same(official, standin)
    assert broken.power_draw_watts is None
    assert other.unavailable == {}


def test_a_driver_that_will_not_initialise_says_so(official: Path, standin: StandIn) -> None:
    standin.fail("nvmlInitWithFlags", 9)
    with pytest.raises(AssertionError, match="SourceError: NVML_ERROR_DRIVER_NOT_LOADED"):
        through(official, standin)


def test_a_driver_too_old_for_it_is_said_to_lack_a_function(official: Path, tmp_path: Path) -> None:
    if not has_compiler():
        pytest.skip("the NVML stand-in needs a C compiler named cc")
    standin = StandIn(build(tmp_path, old=True), tmp_path / "control")
    with pytest.raises(AssertionError, match="SourceError: NVML_ERROR_FUNCTION_NOT_FOUND"):
        through(official, standin)
