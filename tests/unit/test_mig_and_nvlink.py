"""What a GPU has several of: MIG instances and NVLink links."""

import pytest

from collector.nvml import codes
from collector.nvml.parts import LIST_INSTANCES_SECONDS, MOST_LINKS, NOT_LISTED_REASON
from collector.nvml.plan import ASK_AGAIN_SECONDS, RARE_SECONDS
from collector.nvml.source import Nvml
from common.gpu import Gpu, MigInstance
from tests.builders import NOT_COLLECTED
from tests.fakes import Clock, FakeNvml
from tests.standin import StandIn

UTILIZATION = [f"utilization_{engine}_percent" for engine in ("gpu", "memory", "encoder", "decoder", "jpeg", "ofa")]


@pytest.fixture
def clock() -> Clock:
    """Return a clock that is moved by hand."""
    return Clock()


def instance(gpu: int, number: int) -> MigInstance:
    """Return an instance of the stand-in's."""
    used, free = (
        first + gpu * step + number * 1000003 for first, step in ((1234567890, 10000019), (8765432109, 10000079))
    )
    return MigInstance(
        uuid=f"MIG-5eed5eed-0000-5000-8000-{gpu + 1:08x}{number:04x}",
        name="NVIDIA Stand-In MIG 1g.10gb",
        gpu_instance_id=7 + number,
        compute_instance_id=0,
        memory_total_bytes=used + free + 23456789 + gpu * 1117 + number * 1000003,
        memory_used_bytes=used,
        memory_free_bytes=free,
    )


def test_each_instance_is_there_with_its_memory_and_the_whole_has_no_utilization(standin: StandIn) -> None:
    standin.mig(1, 3)
    with standin.in_use():
        whole, divided = Nvml().sample()
    assert (whole.mig_enabled, whole.mig_instances) == (False, [])
    assert (divided.mig_enabled, divided.mig_instances) == (True, [instance(1, number) for number in range(3)])
    assert divided.unavailable == NOT_COLLECTED | dict.fromkeys(UTILIZATION, "unsupported")
    assert divided.state == "ok"


def test_a_divided_gpu_without_instances_has_none(fake: FakeNvml) -> None:
    fake.mig(0, 0)
    gpu = Nvml().sample()[0]
    assert (gpu.mig_enabled, gpu.mig_instances) == (True, [])


@pytest.mark.parametrize("counts", [(1, 2, 1), (7, 0, 7)])
def test_instances_that_come_and_go_are_found_a_minute_and_a_few_samples_later(
    fake: FakeNvml, clock: Clock, counts: tuple[int, ...]
) -> None:
    nvml = Nvml(now=clock)
    for count in counts:
        fake.mig(0, count)
        nvml.sample()
        clock.now += LIST_INSTANCES_SECONDS
        gpu = [nvml.sample()[0] for _ in range(12)][-1]
        assert gpu.mig_instances == [instance(0, number) for number in range(count)]


def test_a_gpu_that_is_partitioned_while_it_runs_has_all_its_instances_or_none_with_a_reason(
    fake: FakeNvml, clock: Clock
) -> None:
    nvml = Nvml(now=clock)
    nvml.sample()
    fake.mig(0, 7)
    clock.now += RARE_SECONDS
    samples = [gpu for gpu in (nvml.sample()[0] for _ in range(25)) if gpu.mig_enabled]
    waiting = [gpu for gpu in samples if gpu.mig_instances is None]
    assert {(gpu.state, gpu.unavailable["mig_instances"]) for gpu in waiting} == {("ok", NOT_LISTED_REASON)}
    whole = [instance(0, number) for number in range(7)]
    listed = len(samples) - len(waiting)
    assert listed > 0
    assert [gpu.mig_instances for gpu in samples] == [None] * len(waiting) + [whole] * listed


def test_an_instance_that_takes_the_handle_of_another_is_not_taken_for_it(fake: FakeNvml, clock: Clock) -> None:
    fake.mig(0, 1)
    nvml = Nvml(now=clock)
    nvml.sample()
    fake.value("mig_uuid", b"MIG-another")
    fake.value("mig_gpu_instance_id", 11)
    clock.now += LIST_INSTANCES_SECONDS
    (found,) = [nvml.sample()[0] for _ in range(12)][-1].mig_instances or []
    assert (found.uuid, found.gpu_instance_id) == ("MIG-another", 11)


@pytest.mark.parametrize("code", [4, 10, 999])
def test_one_instance_that_cannot_be_opened_is_not_left_out_without_a_word(
    fake: FakeNvml, clock: Clock, code: int
) -> None:
    fake.mig(0, 2)
    fake.fail("nvmlDeviceGetMigDeviceHandleByIndex", code)
    nvml = Nvml(now=clock)
    gpu = nvml.sample()[0]
    assert (gpu.mig_instances, gpu.unavailable["mig_instances"]) == (None, codes.reason(code))
    fake.heal()
    clock.now += ASK_AGAIN_SECONDS if code in codes.LASTING else 0
    assert [nvml.sample()[0] for _ in range(12)][-1].mig_instances == [instance(0, 0), instance(0, 1)]


def test_a_gpu_that_was_lost_and_is_back_has_its_instances_listed_anew(fake: FakeNvml) -> None:
    fake.mig(0, 2)
    nvml = Nvml()
    nvml.sample()
    fake.lose(0)
    nvml.sample()
    fake.mig(0, 3)
    fake.restore(0)
    assert nvml.sample()[0].mig_instances == [instance(0, number) for number in range(3)]


def test_an_instance_that_is_gone_keeps_no_old_memory(fake: FakeNvml, clock: Clock) -> None:
    fake.mig(0, 2)
    nvml = Nvml(now=clock)
    nvml.sample()
    fake.mig(0, 1)
    _, gone = nvml.sample()[0].mig_instances or []
    assert (gone.memory_total_bytes, gone.memory_used_bytes, gone.memory_free_bytes) == (None, None, None)


def test_a_mode_that_changes_is_noticed(fake: FakeNvml, clock: Clock) -> None:
    nvml = Nvml(now=clock)
    nvml.sample()
    fake.mig(0, 1)
    assert _within_minutes(nvml, clock).mig_instances == [instance(0, 0)]
    fake.mig(0, None)
    gpu = _within_minutes(nvml, clock)
    assert (gpu.mig_enabled, gpu.mig_instances) == (False, [])


def test_a_gpu_that_knows_no_instances_does_not_support_them(fake: FakeNvml) -> None:
    fake.missing.add("nvmlDeviceGetMigMode")
    gpu = Nvml().sample()[0]
    assert (gpu.unavailable["mig_enabled"], gpu.unavailable["mig_instances"]) == ("unsupported", "unsupported")


def _within_minutes(nvml: Nvml, clock: Clock) -> Gpu:
    clock.now += RARE_SECONDS
    return [nvml.sample()[0] for _ in range(12)][-1]


@pytest.mark.parametrize(("links", "up"), [(4, 3), (4, 0), (1, 1), (MOST_LINKS, 12), (MOST_LINKS + 6, MOST_LINKS)])
def test_links_that_are_up_are_counted(fake: FakeNvml, links: int, up: int) -> None:
    fake.value("nvlink_link_count", links)
    fake.value("nvlink_active_count", up)
    assert Nvml().sample()[0].nvlink_links_up_count == up


def test_a_gpu_without_links_has_no_count_of_them(fake: FakeNvml) -> None:
    fake.value("nvlink_link_count", 0)
    gpu = Nvml().sample()[0]
    assert gpu.nvlink_links_up_count is None
    assert gpu.unavailable["nvlink_links_up_count"] == "unsupported"


@pytest.mark.parametrize("links", [4, 18])
def test_links_that_go_down_or_come_up_are_counted_anew(fake: FakeNvml, clock: Clock, links: int) -> None:
    fake.value("nvlink_link_count", links)
    nvml = Nvml(now=clock)
    for up in (3, 1, 4, 0, 2):
        fake.value("nvlink_active_count", up)
        assert _within_minutes(nvml, clock).nvlink_links_up_count == up


def test_a_link_that_fails_to_answer_for_once_does_not_end_the_count(fake: FakeNvml, clock: Clock) -> None:
    nvml = Nvml(now=clock)
    fake.fail("nvmlDeviceGetNvLinkState", 10)
    assert nvml.sample()[0].unavailable["nvlink_links_up_count"] == "error: NVML_ERROR_TIMEOUT"
    fake.heal()
    assert nvml.sample()[0].nvlink_links_up_count == 3
