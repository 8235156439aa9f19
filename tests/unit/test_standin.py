"""The real binding on the C stand-in: what it answers, and every fault. See test_standin_twins.py for the rest."""

import ctypes
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pynvml
import pytest

from common.clock import elapsed_seconds
from tests.fakes import FakeNvml
from tests.processes import PATIENCE_SECONDS, eventually
from tests.standin import CALLS, FAILURES, NUMBERS, StandIn, answer

#: Of what is measured; two lengths of links, or two modes, may be equal.
UNITS = {
    "bytes",
    "celsius",
    "kibibytes",
    "megahertz",
    "microseconds",
    "millijoules",
    "milliwatts",
    "nanoseconds",
    "percent",
    "second",
}
_LOST = pynvml.NVML_ERROR_GPU_IS_LOST


@pytest.fixture
def told(standin: StandIn) -> Iterator[StandIn]:
    """Put the real binding of this process on the stand-in, initialised, until the test ends."""
    with standin.in_use():
        yield standin


def _shut_down() -> None:
    try:
        while True:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return


def _code(call: str, *arguments: Any) -> int:
    with pytest.raises(pynvml.NVMLError) as failure:
        getattr(pynvml, call)(*arguments)
    return int(failure.value.value)


def _call_in_thread(call: str, *arguments: Any) -> tuple[threading.Thread, Future[Any]]:
    future: Future[Any] = Future()
    thread = threading.Thread(target=lambda: future.set_result(getattr(pynvml, call)(*arguments)), daemon=True)
    thread.start()
    return thread, future


def test_no_two_numbers_of_a_gpu_are_equal_and_no_two_gpus_read_alike() -> None:
    readings = [name for name in NUMBERS if name.rpartition("_")[2] in UNITS]
    for gpu in range(16):
        assert len({answer(name, gpu) for name in readings}) == len(readings)
    for name in readings:
        assert len({answer(name, gpu) for gpu in range(16)}) == 16


@pytest.mark.parametrize("gpu", range(16))
def test_memory_adds_up_and_utilization_is_a_percentage(gpu: int) -> None:
    total, *parts = (int(answer(f"memory_{part}_bytes", gpu)) for part in ("total", "used", "reserved", "free"))
    assert total == sum(parts)
    bar1, *parts = (int(answer(f"bar1_{part}_bytes", gpu)) for part in ("total", "used", "free"))
    assert bar1 == sum(parts)
    assert all(int(answer(name, gpu)) <= 100 for name in NUMBERS if name.endswith("percent"))


@pytest.mark.usefixtures("told")
def test_a_gpu_answers_its_numbers_through_the_binding() -> None:
    handle = pynvml.nvmlDeviceGetHandleByIndex(1)
    assert pynvml.nvmlDeviceGetUUID(handle) == b"GPU-5eed5eed-0000-4000-8000-000000000002"
    assert pynvml.nvmlDeviceGetName(handle) == b"NVIDIA Stand-In"
    assert pynvml.nvmlDeviceGetPciInfo(handle).busId == b"0000:02:00.0"
    assert pynvml.nvmlDeviceGetUtilizationRates(handle).gpu == 35
    assert pynvml.nvmlDeviceGetUtilizationRates(handle).memory == 13
    assert pynvml.nvmlDeviceGetMemoryInfo(handle).used == 6069487000
    assert pynvml.nvmlDeviceGetTemperature(handle, 0) == 42
    assert pynvml.nvmlDeviceGetPowerUsage(handle) == 86644
    assert [pynvml.nvmlDeviceGetClockInfo(handle, clock) for clock in range(4)] == [1835, 1825, 9551, 1227]


@pytest.mark.usefixtures("told")
def test_the_system_answers_its_versions_through_the_binding() -> None:
    assert pynvml.nvmlSystemGetDriverVersion() == b"550.54.15"
    assert pynvml.nvmlSystemGetNVMLVersion() == b"12.550.54.15"
    assert pynvml.nvmlDeviceGetCount() == 2


@pytest.mark.usefixtures("told")
def test_the_fake_explains_errors_as_the_stand_in_does() -> None:
    said = {code: pynvml.nvmlErrorString(code) for code in (*range(32), 999)}
    fake = FakeNvml().functions()["nvmlErrorString"]
    assert said == {code: fake(code) for code in said}
    assert set(said) - {31} == set(FAILURES)


@pytest.mark.usefixtures("told")
def test_nothing_answers_before_init_nor_after_the_last_shutdown() -> None:
    pynvml.nvmlInit()
    pynvml.nvmlShutdown()
    assert pynvml.nvmlDeviceGetCount() == 2
    pynvml.nvmlShutdown()
    assert _code("nvmlDeviceGetCount") == 1
    assert _code("nvmlShutdown") == 1


@pytest.mark.usefixtures("told")
def test_what_does_not_exist_is_an_invalid_argument() -> None:
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    assert _code("nvmlDeviceGetHandleByIndex", 2) == 2
    assert _code("nvmlDeviceGetName", None) == 2
    assert _code("nvmlDeviceGetTemperature", handle, 1) == 2
    assert _code("nvmlDeviceGetClockInfo", handle, 4) == 2


@pytest.mark.usefixtures("told")
def test_a_buffer_that_is_too_small_is_refused() -> None:
    handle, buffer = pynvml.nvmlDeviceGetHandleByIndex(0), ctypes.create_string_buffer(80)
    uuid = pynvml._nvmlGetFunctionPointer("nvmlDeviceGetUUID")
    assert uuid(handle, buffer, ctypes.c_uint(40)) == 7
    assert uuid(handle, buffer, ctypes.c_uint(41)) == 0


@pytest.mark.usefixtures("told")
def test_a_symbol_that_the_library_lacks_is_function_not_found() -> None:
    assert _code("_nvmlGetFunctionPointer", "nvmlNoSuchCall") == 13


def test_a_lost_gpu_fails_alone_until_it_is_restored(told: StandIn) -> None:
    first, second = (pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(2))
    told.lose(1)
    assert _code("nvmlDeviceGetPowerUsage", second) == _LOST
    assert _code("nvmlDeviceGetHandleByIndex", 1) == _LOST
    assert pynvml.nvmlDeviceGetPowerUsage(first) == 76543
    told.restore(1)
    assert pynvml.nvmlDeviceGetPowerUsage(second) == 86644


@pytest.mark.parametrize("call", sorted(CALLS))
def test_every_call_can_be_told_to_fail(told: StandIn, call: str) -> None:
    told.fail(call, 999)
    arguments = (ctypes.byref(ctypes.create_string_buffer(128)), None, None, None)
    assert pynvml._nvmlGetFunctionPointer(call)(*arguments) == 999
    told.heal()
    assert pynvml._nvmlGetFunctionPointer(call)(None, None, None, None) in {0, 2}


def test_a_word_on_a_call_that_does_not_exist_is_refused(standin: StandIn) -> None:
    with pytest.raises(ValueError, match="nvmlDeviceGetPower'"):
        standin.fail("nvmlDeviceGetPower", 3)
    with pytest.raises(ValueError, match="field:81"):
        standin.fail("field:81", 3)
    with pytest.raises(ValueError, match="fan_speed'"):
        standin.value("fan_speed", 3)


def test_an_init_that_fails_may_succeed_later(told: StandIn) -> None:
    _shut_down()
    told.fail("nvmlInit_v2", 9)
    assert _code("nvmlInit") == 9
    told.heal()
    pynvml.nvmlInit()
    assert pynvml.nvmlDeviceGetCount() == 2


def test_the_order_of_gpus_can_change(told: StandIn) -> None:
    told.order(1, 0)
    uuids = [pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(index)) for index in range(2)]
    assert uuids == [answer("uuid", 1), answer("uuid", 0)]


def test_a_reloaded_driver_wants_a_new_init(told: StandIn) -> None:
    told.reload()
    assert _code("nvmlDeviceGetCount") == 1
    assert _code("nvmlShutdown") == 1
    pynvml.nvmlInit()
    assert pynvml.nvmlDeviceGetCount() == 2
    told.reload()
    assert _code("nvmlDeviceGetCount") == 1


def test_values_and_names_return_to_what_they_were(told: StandIn) -> None:
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    told.value("power_draw_milliwatts", 1)
    told.name(b"\xff")
    assert (pynvml.nvmlDeviceGetPowerUsage(handle), pynvml.nvmlDeviceGetName(handle)) == (1, b"\xff")
    told.value("power_draw_milliwatts", None)
    told.name(None)
    assert pynvml.nvmlDeviceGetPowerUsage(handle) == 76543
    assert pynvml.nvmlDeviceGetName(handle) == b"NVIDIA Stand-In"


def test_a_number_can_tell_when_it_was_read(told: StandIn) -> None:
    told.elapsed("power_draw_milliwatts", round(elapsed_seconds() * 1000) - 5000, gpu=0)
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    before = pynvml.nvmlDeviceGetPowerUsage(handle)
    assert 4999 <= before <= 5000 + 1000 * PATIENCE_SECONDS
    eventually(lambda: pynvml.nvmlDeviceGetPowerUsage(handle), lambda now: now > before)
    assert pynvml.nvmlDeviceGetPowerUsage(pynvml.nvmlDeviceGetHandleByIndex(1)) == answer("power_draw_milliwatts", 1)
    told.value("power_draw_milliwatts", None, gpu=0)
    assert pynvml.nvmlDeviceGetPowerUsage(handle) == answer("power_draw_milliwatts", 0)


def test_every_call_can_be_told_to_take_its_time(told: StandIn) -> None:
    told.slow(20)
    before = time.monotonic()
    for _ in range(3):
        pynvml.nvmlDeviceGetCount()
    assert time.monotonic() - before >= 0.06


def test_words_in_quick_succession_are_all_heard(told: StandIn) -> None:
    for count in [*range(17)] * 20:
        told.gpus(count)
        assert pynvml.nvmlDeviceGetCount() == count


def test_a_hanging_call_returns_its_answer_once_healed(told: StandIn) -> None:
    handle = pynvml.nvmlDeviceGetHandleByIndex(1)
    told.hang("nvmlDeviceGetPowerUsage", gpu=1)
    thread, power = _call_in_thread("nvmlDeviceGetPowerUsage", handle)
    assert pynvml.nvmlDeviceGetPowerUsage(pynvml.nvmlDeviceGetHandleByIndex(0)) == 76543
    thread.join(0.05)
    assert not power.done()
    told.heal()
    assert power.result(timeout=10) == 86644
