"""The fake library, where it does more than the C stand-in: see test_standin.py for what both do."""

import ctypes
import threading

import pynvml
import pytest

from tests.fakes import FakeNvml


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    """Return an initialised fake library of two GPUs in the binding's place."""
    fake = FakeNvml(gpus=2).install(monkeypatch)
    pynvml.nvmlInit()
    fake.calls.clear()
    return fake


def test_it_notes_what_was_called_on_which_physical_gpu(fake: FakeNvml) -> None:
    fake.order = [1, 0]
    pynvml.nvmlDeviceGetPowerUsage(pynvml.nvmlDeviceGetHandleByIndex(0))
    pynvml.nvmlSystemGetDriverVersion()
    assert fake.calls == [
        ("nvmlDeviceGetHandleByIndex", 1),
        ("nvmlDeviceGetPowerUsage", 1),
        ("nvmlSystemGetDriverVersion", None),
    ]


def test_a_hanging_call_tells_that_someone_is_inside_and_goes_on_when_released(fake: FakeNvml) -> None:
    answers: list[int] = []
    fake.hang("nvmlDeviceGetCount")
    thread = threading.Thread(target=lambda: answers.append(pynvml.nvmlDeviceGetCount()), daemon=True)
    thread.start()
    assert fake.entered.wait(10)
    assert answers == []
    fake.release()
    thread.join(10)
    assert answers == [2]
    assert pynvml.nvmlDeviceGetCount() == 2


def test_values_may_move(fake: FakeNvml) -> None:
    ticks = iter(range(100, 200))
    fake.value("power_draw_milliwatts", lambda gpu: next(ticks) + 1000 * gpu)
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(2)]
    assert [pynvml.nvmlDeviceGetPowerUsage(handle) for handle in handles] == [100, 1101]
    assert pynvml.nvmlDeviceGetPowerUsage(handles[0]) == 102


def test_errors_are_the_bindings_own(fake: FakeNvml) -> None:
    fake.lose(0)
    with pytest.raises(pynvml.NVMLError_GpuIsLost, match="GPU is lost"):
        pynvml.nvmlDeviceGetHandleByIndex(0)


def test_a_raw_call_fills_its_argument_and_returns_a_code(fake: FakeNvml) -> None:
    cuda = pynvml._nvmlGetFunctionPointer("nvmlSystemGetCudaDriverVersion_v2")
    version = ctypes.c_int()
    assert (cuda(ctypes.byref(version)), version.value) == (0, 12040)
    fake.reload()
    assert cuda(ctypes.byref(version)) == pynvml.NVML_ERROR_UNINITIALIZED


@pytest.mark.usefixtures("fake")
def test_a_symbol_that_is_not_faked_is_function_not_found() -> None:
    with pytest.raises(pynvml.NVMLError_FunctionNotFound):
        pynvml._nvmlGetFunctionPointer("nvmlDeviceGetGpuFabricInfo")


@pytest.mark.usefixtures("fake")
def test_a_buffer_of_another_size_than_the_drivers_is_no_accident_to_be_missed() -> None:
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    energy = pynvml._nvmlGetFunctionPointer("nvmlDeviceGetTotalEnergyConsumption")
    fields = pynvml._nvmlGetFunctionPointer("nvmlDeviceGetFieldValues")
    with pytest.raises(TypeError, match="c_uint has 4 bytes, NVML's 8"):
        energy(handle, ctypes.byref(ctypes.c_uint()))
    with pytest.raises(TypeError, match="has 72 bytes, NVML writes 80"):
        fields(handle, 2, (ctypes.c_ulonglong * 9)())


def test_a_symbol_can_be_taken_away(fake: FakeNvml) -> None:
    fake.missing.add("nvmlDeviceGetPowerUsage")
    with pytest.raises(pynvml.NVMLError_FunctionNotFound):
        pynvml.nvmlDeviceGetPowerUsage(pynvml.nvmlDeviceGetHandleByIndex(0))


def test_a_word_on_a_call_that_is_not_faked_is_refused(fake: FakeNvml) -> None:
    with pytest.raises(ValueError, match="nvmlDeviceGetPower'"):
        fake.fail("nvmlDeviceGetPower", 3)


def test_healing_drops_faults_but_not_values(fake: FakeNvml) -> None:
    fake.lose(0)
    fake.fail("nvmlDeviceGetPowerUsage", 3)
    fake.hang("nvmlDeviceGetPowerUsage")
    fake.value("power_draw_milliwatts", 7)
    fake.heal()
    assert pynvml.nvmlDeviceGetPowerUsage(pynvml.nvmlDeviceGetHandleByIndex(0)) == 7


def test_what_it_replaces_is_really_there_and_returns_when_the_test_ends() -> None:
    with pytest.MonkeyPatch.context() as patch:
        fake = FakeNvml().install(patch)
        assert pynvml.nvmlInit == fake.functions()["nvmlInit"]
    assert pynvml.nvmlInit.__module__ == "pynvml"
