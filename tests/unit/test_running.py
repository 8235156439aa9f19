"""Who uses a GPU: in every layout that drivers have written, without a process that there is not."""

from pathlib import Path

import pytest

from collector.nvml.source import Nvml
from common.gpu import Process
from tests.fakes import FakeNvml
from tests.standin import StandIn, build, has_compiler
from tests.standin.answers import STRIDES

NO_PID = 2**22
"""Linux gives less than this to any process, so nothing is found of one that has more."""
ONE, OTHER, THIRD = NO_PID + 1, NO_PID + 2, NO_PID + 3
KINDS = ("Compute", "Graphics")


def running(nvml: Nvml, gpu: int = 0) -> list[Process]:
    """Take a sample and return who uses a GPU."""
    processes = nvml.sample()[gpu].processes
    assert processes is not None
    return processes


@pytest.mark.parametrize("count", [0, 1, 2, 3, 17, 32])
@pytest.mark.parametrize("stride", STRIDES)
def test_the_length_of_a_record_is_told_by_what_the_driver_writes(standin: StandIn, stride: int, count: int) -> None:
    told = [(ONE + number, 2**30 + number) for number in range(count)]
    standin.stride(stride)
    standin.processes(0, *told)
    standin.graphics(1, *told)
    with standin.in_use():
        first, second = Nvml(processes=True).sample()
    assert first.processes == [Process(pid=pid, kind="compute", memory_used_bytes=memory) for pid, memory in told]
    assert second.processes == [Process(pid=pid, kind="graphics", memory_used_bytes=memory) for pid, memory in told]


def test_a_driver_of_2016_tells_them_too(tmp_path: Path) -> None:
    if not has_compiler():
        pytest.skip("the NVML stand-in needs a C compiler named cc")
    old = StandIn(build(tmp_path, old=True), tmp_path / "control")
    old.processes(0, (ONE, 2**30), (OTHER, 2**31))
    with old.in_use():
        assert running(Nvml(processes=True)) == [
            Process(pid=ONE, kind="compute", memory_used_bytes=2**30),
            Process(pid=OTHER, kind="compute", memory_used_bytes=2**31),
        ]


@pytest.mark.parametrize("missing", [(), ("_v3",), ("_v3", "_v2")])
def test_the_newest_call_that_there_is_is_made(fake: FakeNvml, missing: tuple[str, ...]) -> None:
    fake.missing.update(f"nvmlDeviceGet{kind}RunningProcesses{suffix}" for kind in KINDS for suffix in missing)
    fake.processes(0, (ONE, 2**30), (OTHER, 2**31))
    assert [(process.pid, process.memory_used_bytes) for process in running(Nvml(processes=True))] == [
        (ONE, 2**30),
        (OTHER, 2**31),
    ]


def test_more_processes_than_were_reckoned_with_are_all_told(fake: FakeNvml) -> None:
    told = [(ONE + number, number) for number in range(1000)]
    nvml = Nvml(processes=True)
    for count in (3, 17, 300, 1000, 5):
        fake.processes(0, *told[:count])
        assert [(process.pid, process.memory_used_bytes) for process in running(nvml)] == told[:count]


def test_a_driver_that_never_has_room_enough_is_not_asked_without_end(fake: FakeNvml) -> None:
    fake.fail("nvmlDeviceGetComputeRunningProcesses_v3", 7, gpu=0)
    fake.calls.clear()
    first, second = Nvml(processes=True).sample()
    assert first.unavailable == {
        "processes": "error: NVML_ERROR_INSUFFICIENT_SIZE",
        "pcie_throughput_sent_bytes_per_second": "not_collected",
        "pcie_throughput_received_bytes_per_second": "not_collected",
    }
    assert second.processes == []
    assert fake.calls.count(("nvmlDeviceGetComputeRunningProcesses_v3", 0)) == 1


@pytest.mark.parametrize("memory", [2**64 - 1, 2**63, 25_757_220_865])
def test_memory_that_is_not_told_or_more_than_the_gpu_has_is_none(fake: FakeNvml, memory: int) -> None:
    fake.processes(0, (ONE, memory))
    assert running(Nvml(processes=True)) == [Process(pid=ONE, kind="compute")]


@pytest.mark.parametrize("pid", [0, 2**32 - 1])
def test_what_is_no_process_is_left_out(fake: FakeNvml, pid: int) -> None:
    fake.processes(0, (pid, 2**30), (ONE, 2**30))
    assert [process.pid for process in running(Nvml(processes=True))] == [ONE]


def test_what_more_processes_use_than_were_reckoned_with_is_told_too(fake: FakeNvml) -> None:
    pids = range(ONE, ONE + 300)
    fake.processes(0, *((pid, 2**20) for pid in pids))
    fake.process_utilization(0, *((pid, 1, 2, 3, 4) for pid in pids))
    assert {process.utilization_sm_percent for process in running(Nvml(processes=True))} == {1}


def test_what_each_process_uses_is_put_beside_it(fake: FakeNvml) -> None:
    fake.processes(0, (ONE, 2**30), (OTHER, 2**30))
    fake.graphics(0, (THIRD, 2**20))
    fake.process_utilization(0, (ONE, 1, 1, 1, 1), (THIRD, 61, 62, 63, 64), (ONE, 51, 52, 53, 54), (99, 5, 5, 5, 5))
    assert running(Nvml(processes=True)) == [
        Process(
            pid=ONE,
            kind="compute",
            memory_used_bytes=2**30,
            utilization_sm_percent=51,
            utilization_memory_percent=52,
            utilization_encoder_percent=53,
            utilization_decoder_percent=54,
        ),
        Process(pid=OTHER, kind="compute", memory_used_bytes=2**30),
        Process(
            pid=THIRD,
            kind="graphics",
            memory_used_bytes=2**20,
            utilization_sm_percent=61,
            utilization_memory_percent=62,
            utilization_encoder_percent=63,
            utilization_decoder_percent=64,
        ),
    ]


@pytest.mark.parametrize("place", range(1, 5))
def test_a_share_over_a_hundred_percent_is_none(fake: FakeNvml, place: int) -> None:
    garbage = [ONE, 10, 10, 10, 10]
    garbage[place] = 2**32 - 1
    fake.processes(0, (ONE, 2**30))
    fake.process_utilization(0, tuple(garbage))  # type: ignore[arg-type]  # five numbers
    assert running(Nvml(processes=True)) == [Process(pid=ONE, kind="compute", memory_used_bytes=2**30)]


def test_old_samples_are_not_taken_for_new_ones(fake: FakeNvml) -> None:
    fake.processes(0, (ONE, 2**30))
    fake.process_utilization(0, (ONE, 51, 52, 53, 54))
    nvml = Nvml(processes=True)
    assert [process.utilization_sm_percent for process in running(nvml)] == [51]
    assert [process.utilization_sm_percent for process in running(nvml)] == [None]
    fake.value("process_sampled_microseconds", 1_700_000_000_900_000, gpu=0)
    assert [process.utilization_sm_percent for process in running(nvml)] == [51]


@pytest.mark.parametrize("code", [3, 6, 7, 13, 999])
def test_without_shares_the_processes_are_there_all_the_same(fake: FakeNvml, code: int) -> None:
    fake.processes(0, (ONE, 2**30))
    fake.fail("nvmlDeviceGetProcessUtilization", code)
    assert running(Nvml(processes=True)) == [Process(pid=ONE, kind="compute", memory_used_bytes=2**30)]
