"""What was recorded from a library is what the replay answers."""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pynvml
import pytest

from tests.capture import record, replay
from tests.standin import StandIn, build, calls
from tests.standin.structs import EventData


def _capture(file: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.capture", str(file), *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


@pytest.fixture
def captured(standin: StandIn, tmp_path: Path) -> Path:
    """Return a capture of four GPUs: one whole, one that lacks things, one lost, one in MIG mode."""
    standin.gpus(4)
    standin.mig(3, 2)
    standin.processes(0, (4711, 2**33), (4712, 2**64 - 1))
    standin.process_utilization(0, (4711, 51, 52, 53, 54))
    standin.stride(32)
    standin.fail("field:82", 3, gpu=1)
    standin.fail("nvmlDeviceGetPowerUsage", 3, gpu=1)
    standin.fail("nvmlDeviceGetMemoryInfo", 25, gpu=1)
    standin.name(b"\xff\xfe broken", gpu=1)
    standin.lose(2)
    file = tmp_path / "capture.json"
    done = _capture(file, "--library", str(standin.library), **standin.environment())
    assert (done.returncode, done.stderr) == (0, "")
    return file


def _entries(file: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(file.read_text())["calls"]
    return entries


def test_a_replay_answers_what_was_recorded(captured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replay(captured).install(monkeypatch)
    assert list(record()) == _entries(captured)


def test_a_capture_says_with_what_it_was_made(captured: Path) -> None:
    capture = json.loads(captured.read_text())
    assert capture["driver_version"] == "550.54.15"
    assert capture["nvml_version"] == "12.550.54.15"
    assert capture["binding"].startswith("nvidia-ml-py3 ")
    assert capture["captured_at"].endswith("+00:00")


def test_a_capture_holds_every_call_of_the_service(captured: Path) -> None:
    assert {entry["call"] for entry in _entries(captured)} == calls.ALL - {"nvmlInitWithFlags"}


def test_errors_are_recorded_by_code_and_name(captured: Path) -> None:
    errors = {(entry["call"], *entry["arguments"]): entry["error"] for entry in _entries(captured) if "error" in entry}
    assert errors["nvmlDeviceGetMemoryInfo", 1] == {"code": 25, "name": "Argument Version Mismatch"}
    assert errors["nvmlDeviceGetPowerUsage", 1] == {"code": 3, "name": "NVML_ERROR_NOT_SUPPORTED"}
    assert errors["nvmlDeviceGetFieldValues", 1, 82, 0] == {"code": 3, "name": "NVML_ERROR_NOT_SUPPORTED"}
    assert errors["nvmlDeviceGetHandleByIndex_v2", 2] == {"code": 15, "name": "NVML_ERROR_GPU_IS_LOST"}


def test_what_is_variable_in_length_is_recorded_whole(captured: Path) -> None:
    entries = {
        (entry["call"], *entry["arguments"], entry.get("mig")): entry.get("result") for entry in _entries(captured)
    }
    everyone = 2**32 - 1
    assert entries["nvmlDeviceGetComputeRunningProcesses_v3", 0, None] == {
        "stride": 32,
        "records": [[4711, 2**33, everyone, everyone, 0], [4712, 2**64 - 1, everyone, everyone, 0]],
    }
    assert entries["nvmlDeviceGetProcessUtilization", 0, None] == [[4711, 1700000000000000, 51, 52, 53, 54]]
    assert entries["nvmlDeviceGetName", 3, 1] == "NVIDIA Stand-In MIG 1g.10gb"


def test_a_replay_gives_the_bindings_own_types(captured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replay(captured).install(monkeypatch)
    pynvml.nvmlInit()
    first, second = (pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(2))
    assert pynvml.nvmlDeviceGetName(second) == b"\xff\xfe broken"
    assert isinstance(pynvml.nvmlDeviceGetMemoryInfo(first), pynvml.c_nvmlMemory_t)
    assert pynvml.nvmlDeviceGetPciInfo(first).busId == b"0000:01:00.0"


def test_a_replay_lacks_what_was_not_captured(captured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = json.loads(captured.read_text())
    capture["calls"] = [entry for entry in capture["calls"] if entry["call"] != "nvmlDeviceGetUUID"]
    captured.write_text(json.dumps(capture))
    replay(captured).install(monkeypatch)
    pynvml.nvmlInit()
    with pytest.raises(pynvml.NVMLError_FunctionNotFound):
        pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(0))


def test_a_replay_lacks_the_symbols_that_the_library_lacked(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, library = tmp_path / "old.json", build(tmp_path, old=True)
    assert _capture(file, "--library", str(library), **standin.environment()).returncode == 0
    replay(file).install(monkeypatch)
    assert list(record()) == _entries(file)
    with pytest.raises(pynvml.NVMLError_FunctionNotFound):
        pynvml._nvmlGetFunctionPointer("nvmlDeviceGetFieldValues")


def test_a_replay_hears_of_xid_errors(captured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = replay(captured).install(monkeypatch)
    pynvml.nvmlInit()
    events = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(pynvml.nvmlDeviceGetHandleByIndex(0), 8, events)
    fake.xid(0, 79)
    data = EventData()
    assert pynvml._nvmlGetFunctionPointer("nvmlEventSetWait_v2")(events, ctypes.byref(data), 0) == 0
    assert data.eventData == 79


def test_a_replay_can_be_told_to_misbehave(captured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replay(captured).install(monkeypatch).lose(0)
    pynvml.nvmlInit()
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        pynvml.nvmlDeviceGetHandleByIndex(0)


def test_without_a_library_it_says_so_in_one_line(tmp_path: Path) -> None:
    done = _capture(tmp_path / "capture.json", "--library", str(tmp_path / "nowhere.so"))
    assert done.returncode == 1
    assert done.stderr.startswith("no capture: ")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "capture.json").exists()


def test_without_a_driver_it_says_so_in_one_line(standin: StandIn, tmp_path: Path) -> None:
    standin.fail("nvmlInit_v2", 9)
    done = _capture(tmp_path / "no.json", "--library", str(standin.library), **standin.environment())
    assert done.returncode == 1
    assert done.stderr == "no capture: nvmlInit gave NVML_ERROR_DRIVER_NOT_LOADED (9)\n"
