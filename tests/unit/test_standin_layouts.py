"""What a GPU monitor must get right about NVML's structs and manners, on the C stand-in and on the fake alike."""

import ctypes
import threading
from collections.abc import Callable, Iterator
from ctypes import byref, c_int, c_uint, c_ulonglong, c_void_p, sizeof
from typing import Any, TypeAlias

import pynvml
import pytest

from tests.fakes import FakeNvml
from tests.standin.structs import EventData, FieldValue, MemoryV2, Sample

Told: TypeAlias = Any  # StandIn and FakeNvml: one vocabulary, no common class
_SENTINEL = b"\xaa"


@pytest.fixture(params=["stand-in", "fake"])
def told(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """Put the binding of this process on two GPUs, initialised, until the test ends: once in C, once in Python."""
    if request.param == "fake":
        fake = FakeNvml().install(monkeypatch)
        pynvml.nvmlInit()
        yield fake
        fake.heal()
    else:
        with request.getfixturevalue("standin").in_use() as standin:
            yield standin


def _raw(symbol: str, *arguments: Any) -> int:
    return int(pynvml._nvmlGetFunctionPointer(symbol)(*arguments))


def _handle(index: int = 0) -> Any:
    return pynvml.nvmlDeviceGetHandleByIndex(index)


def _uint(symbol: str, *before: Any) -> int:
    number = c_uint()
    assert _raw(symbol, *before, byref(number)) == 0
    return number.value


def _fields(*asked: tuple[int, int]) -> Any:
    values = (FieldValue * len(asked))(*(FieldValue(fieldId=field, scopeId=scope) for field, scope in asked))
    assert _raw("nvmlDeviceGetFieldValues", _handle(), c_int(len(asked)), values) == 0
    return values


def _mig_handle(index: int, gpu: int = 0) -> tuple[int, c_void_p]:
    handle = c_void_p()
    return _raw("nvmlDeviceGetMigDeviceHandleByIndex", _handle(gpu), c_uint(index), byref(handle)), handle


def _written(call: Callable[[Any], int]) -> tuple[int, bytes]:
    room = ctypes.create_string_buffer(_SENTINEL * 512, 512)
    return call(room), room.raw.rstrip(_SENTINEL)


@pytest.mark.usefixtures("told")
def test_memory_v2_wants_its_version_and_tells_the_reserve_apart() -> None:
    memory = MemoryV2()
    assert _raw("nvmlDeviceGetMemoryInfo_v2", _handle(), byref(memory)) == 25
    memory.version = 0x02000028
    assert _raw("nvmlDeviceGetMemoryInfo_v2", _handle(), byref(memory)) == 0
    assert memory.total == memory.used + memory.reserved + memory.free
    first = pynvml.nvmlDeviceGetMemoryInfo(_handle())
    assert (first.total, first.free, first.used) == (memory.total, memory.free, memory.used + memory.reserved)


@pytest.mark.usefixtures("told")
def test_field_values_come_each_in_its_type_and_with_its_own_error() -> None:
    power, energy, unknown, links = _fields((186, 0), (83, 0), (81, 0), (138, 2**32 - 1))
    assert [value.nvmlReturn for value in (power, energy, unknown, links)] == [0, 0, 3, 0]
    assert (power.valueType, power.value.uiVal) == (1, 78765)
    assert power.value.ullVal != 78765
    assert (energy.valueType, energy.value.ullVal) == (3, 98765432109)
    assert links.value.ullVal == 9000000003


@pytest.mark.usefixtures("told")
def test_field_values_of_another_scope_than_the_fields_are_refused() -> None:
    assert [value.nvmlReturn for value in _fields((138, 0), (185, 1), (82, 9))] == [2, 2, 0]


def test_one_field_value_may_fail_alone(told: Told) -> None:
    told.fail("field:82", 4)
    assert [value.nvmlReturn for value in _fields((82, 0), (83, 0))] == [4, 0]


@pytest.mark.usefixtures("told")
def test_links_that_do_not_exist_are_invalid_arguments_and_one_is_down() -> None:
    assert [_uint("nvmlDeviceGetNvLinkState", _handle(), c_uint(link)) for link in range(4)] == [1, 1, 1, 0]
    assert _raw("nvmlDeviceGetNvLinkState", _handle(), c_uint(4), byref(c_uint())) == 2


@pytest.mark.usefixtures("told")
def test_what_the_binding_knows_comes_through_it() -> None:
    handle = _handle(1)
    assert pynvml.nvmlDeviceGetSerial(handle) == b"1650122100002"
    assert pynvml.nvmlDeviceGetEncoderUtilization(handle) == [19, 167011]
    assert pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle) == [101457, 451568]
    assert pynvml.nvmlDeviceGetBAR1MemoryInfo(handle).bar1Used == 12378448
    assert pynvml.nvmlDeviceGetEccMode(handle) == [1, 0]
    assert pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle) == 4
    assert [pynvml.nvmlDeviceGetTemperatureThreshold(handle, kind) for kind in range(4)] == [104, 100, 102, 98]


@pytest.mark.usefixtures("told")
def test_without_mig_mode_there_are_no_instances() -> None:
    current, pending = c_uint(9), c_uint(9)
    assert _raw("nvmlDeviceGetMigMode", _handle(), byref(current), byref(pending)) == 0
    assert (current.value, pending.value) == (0, 0)
    assert _uint("nvmlDeviceGetMaxMigDeviceCount", _handle()) == 0
    assert _mig_handle(0)[0] == 6


def test_mig_instances_have_handles_of_their_own(told: Told) -> None:
    told.mig(0, 2)
    assert _uint("nvmlDeviceGetMaxMigDeviceCount", _handle()) == 7
    assert [_mig_handle(index)[0] for index in range(3)] == [0, 0, 6]
    _, second = _mig_handle(1)
    assert pynvml.nvmlDeviceGetUUID(second) == b"MIG-5eed5eed-0000-5000-8000-000000010001"
    assert pynvml.nvmlDeviceGetName(second) == b"NVIDIA Stand-In MIG 1g.10gb"
    assert pynvml.nvmlDeviceGetMemoryInfo(second).free == 8765432109 + 1000003
    assert _uint("nvmlDeviceGetGpuInstanceId", second) == 8
    assert _uint("nvmlDeviceGetComputeInstanceId", second) == 0
    assert _raw("nvmlDeviceGetPowerUsage", second, byref(c_uint())) == 2
    told.mig(0, None)
    assert _raw("nvmlDeviceGetGpuInstanceId", second, byref(c_uint())) == 2


@pytest.mark.parametrize("call", ["UtilizationRates", "EncoderUtilization", "DecoderUtilization"])
def test_a_divided_gpu_has_no_utilization_as_a_whole(told: Told, call: str) -> None:
    told.mig(1, 1)
    with pytest.raises(pynvml.NVMLError_NotSupported):
        getattr(pynvml, f"nvmlDeviceGet{call}")(_handle(1))
    assert getattr(pynvml, f"nvmlDeviceGet{call}")(_handle(0))


@pytest.mark.parametrize("symbol", ["nvmlEventSetWait", "nvmlEventSetWait_v2"])
def test_xid_errors_come_one_by_one_to_who_has_registered_before(told: Told, symbol: str) -> None:
    events, data = pynvml.nvmlEventSetCreate(), EventData()
    told.xid(0, 13)
    pynvml.nvmlDeviceRegisterEvents(_handle(0), 8, events)
    told.xid(0, 79, times=2)
    told.xid(1, 48)
    told.xid(0, 31)
    heard = []
    while _raw(symbol, events, byref(data), c_uint(0)) == 0:
        heard.append(data.eventData)
        assert data.device == ctypes.cast(_handle(0), c_void_p).value
        assert (data.eventType, data.gpuInstanceId, data.computeInstanceId) == (8, 2**32 - 1, 2**32 - 1)
    assert sorted(heard) == [31, 79, 79]
    assert _raw(symbol, events, byref(data), c_uint(0)) == 10


def test_a_wait_ends_when_an_xid_error_comes(told: Told) -> None:
    events, data, codes = pynvml.nvmlEventSetCreate(), EventData(), []
    pynvml.nvmlDeviceRegisterEvents(_handle(), 8, events)
    wait = pynvml._nvmlGetFunctionPointer("nvmlEventSetWait_v2")
    thread = threading.Thread(target=lambda: codes.append(wait(events, byref(data), c_uint(30_000))), daemon=True)
    thread.start()
    told.xid(0, 94)
    thread.join(20)
    assert (codes, data.eventData) == ([0], 94)


def test_an_event_takes_32_bytes_in_both_waits(told: Told) -> None:
    events = pynvml.nvmlEventSetCreate()
    pynvml.nvmlDeviceRegisterEvents(_handle(), 8, events)
    told.xid(0, 79, times=2)
    for wait in map(pynvml._nvmlGetFunctionPointer, ("nvmlEventSetWait", "nvmlEventSetWait_v2")):
        room = (EventData * 2)()
        ctypes.memset(room, 0xAA, sizeof(room))
        assert wait(events, byref(room[0]), c_uint(0)) == 0
        assert len(bytes(room).rstrip(_SENTINEL)) == 32


@pytest.mark.usefixtures("told")
def test_event_sets_that_are_free_and_events_that_never_come_are_refused() -> None:
    events = pynvml.nvmlEventSetCreate()
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceRegisterEvents(_handle(), 1, events)
    assert pynvml.nvmlDeviceGetSupportedEventTypes(_handle()) == 8
    pynvml.nvmlEventSetFree(events)
    assert _raw("nvmlEventSetFree", events) == 2
    assert _raw("nvmlEventSetWait_v2", events, byref(EventData()), c_uint(0)) == 2


@pytest.mark.parametrize("kind", ["compute", "graphics"])
def test_too_little_room_for_processes_is_told_with_their_number(told: Told, kind: str) -> None:
    symbol = f"nvmlDeviceGet{kind.capitalize()}RunningProcesses_v3"
    count = c_uint(0)
    assert (_raw(symbol, _handle(), byref(count), None), count.value) == (0, 0)
    tell = told.processes if kind == "compute" else told.graphics
    tell(0, (1, 2), (3, 4), (5, 6))
    assert (_raw(symbol, _handle(), byref(count), None), count.value) == (7, 3)
    count.value = 2
    assert _written(lambda room: _raw(symbol, _handle(), byref(count), room)) == (7, b"")


@pytest.mark.parametrize(
    ("suffix", "stride", "length"), [("", 32, 16), ("_v2", 16, 24), ("_v3", 16, 16), ("_v3", 24, 24), ("_v3", 32, 32)]
)
def test_processes_are_written_at_the_stride_of_their_layout(told: Told, suffix: str, stride: int, length: int) -> None:
    told.processes(0, (4711, 2**33), (4712, 2**64 - 1))
    told.stride(stride)
    count = c_uint(10)
    symbol = f"nvmlDeviceGetComputeRunningProcesses{suffix}"
    code, written = _written(lambda room: _raw(symbol, _handle(), byref(count), room))
    assert (code, count.value, len(written)) == (0, 2, 2 * length)
    assert int.from_bytes(written[length : length + 4], "little") == 4712
    assert int.from_bytes(written[8:16], "little") == 2**33


def test_processes_come_through_the_binding(told: Told) -> None:
    told.processes(1, (4711, 2**33), (4712, 2**64 - 1))
    processes = pynvml.nvmlDeviceGetComputeRunningProcesses(_handle(1))
    assert [(process.pid, process.usedGpuMemory) for process in processes] == [(4711, 2**33), (4712, None)]
    told.processes(1)
    assert pynvml.nvmlDeviceGetComputeRunningProcesses(_handle(1)) == []


def test_the_utilization_of_processes_is_told_once_of_each_sample(told: Told) -> None:
    symbol, count, samples = "nvmlDeviceGetProcessUtilization", c_uint(0), (Sample * 4)()
    assert _raw(symbol, _handle(), samples, byref(count), c_ulonglong(0)) == 6
    told.process_utilization(0, (4711, 51, 52, 53, 54), (4712, 61, 62, 63, 64))
    assert (_raw(symbol, _handle(), None, byref(count), c_ulonglong(0)), count.value) == (7, 2)
    count.value = 4
    assert (_raw(symbol, _handle(), samples, byref(count), c_ulonglong(0)), count.value) == (0, 2)
    assert (samples[0].pid, samples[0].smUtil, samples[1].decUtil) == (4711, 51, 64)
    count.value = 4
    assert (_raw(symbol, _handle(), samples, byref(count), c_ulonglong(samples[0].timeStamp)), count.value) == (0, 1)
    assert samples[0].pid == 4712
    assert _raw(symbol, _handle(), samples, byref(count), c_ulonglong(samples[0].timeStamp)) == 6
