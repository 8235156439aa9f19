"""What is asked when: everything that changes in every sample, the rest rarely, and little of it at once."""

from collections import Counter
from pathlib import Path

import pytest

from collector.nvml.plan import MOST_CALLS, RARE_CALLS, RARE_SECONDS
from collector.nvml.table import PCIE_THROUGHPUT_READS
from tests.fakes import FakeNvml
from tests.standin import calls
from tests.standin.recipes import uint
from tests.watched import INTERVAL_SECONDS, RARE, STEADY, Watched

UTILIZATIONS = {
    "nvmlDeviceGetEncoderUtilization": "encoder",
    "nvmlDeviceGetDecoderUtilization": "decoder",
    "nvmlDeviceGetJpgUtilization": "jpeg",
    "nvmlDeviceGetOfaUtilization": "ofa",
}


@pytest.fixture
def watched(fake: FakeNvml) -> Watched:
    """Return a source over the fake."""
    return Watched(fake)


def test_the_most_calls_on_a_gpu_are_thirty() -> None:
    assert MOST_CALLS == 30


def test_a_sample_that_follows_at_once_makes_nineteen_calls_on_a_gpu(watched: Watched) -> None:
    watched.asked()
    assert watched.asked() == STEADY
    assert STEADY.total() == 19


def test_everything_is_asked_at_start_and_what_hardly_changes_not_soon_again(watched: Watched) -> None:
    assert watched.asked() >= STEADY + RARE
    for _ in range(int(RARE_SECONDS / INTERVAL_SECONDS) - 1):
        assert not RARE & watched.asked(INTERVAL_SECONDS)


def test_what_hardly_changes_is_asked_again_a_little_at_a_time_until_all_of_it_was(watched: Watched) -> None:
    watched.asked()
    watched.clock.now += RARE_SECONDS - INTERVAL_SECONDS
    rounds = [RARE & watched.asked(INTERVAL_SECONDS) for _ in range(-(-RARE.total() // RARE_CALLS))]
    assert max(asked.total() for asked in rounds) == RARE_CALLS
    assert sum(rounds, Counter()) == RARE
    assert not RARE & watched.asked()


@pytest.mark.parametrize("instances", [None, 7])
@pytest.mark.parametrize("links", [0, 4, 18])
@pytest.mark.parametrize("seconds", [1.0, INTERVAL_SECONDS, 60.0, 600.0])
def test_no_sample_of_an_hour_after_the_first_makes_more_than_thirty_calls_on_a_gpu(
    watched: Watched, instances: int | None, links: int, seconds: float
) -> None:
    watched.fake.value("nvlink_link_count", links)
    watched.fake.mig(0, instances)
    watched.asked()
    samples = [watched.asked(seconds) for _ in range(min(int(3700 / seconds), 1200))]
    assert max(asked.total() for asked in samples) <= MOST_CALLS


def test_the_first_sample_of_a_gpu_makes_as_many_as_the_readme_says(watched: Watched) -> None:
    watched.fake.value("nvlink_link_count", 18)
    watched.fake.mig(0, 7)
    made = watched.asked().total()
    readme = " ".join((Path(__file__).parents[2] / "README.md").read_text().split())
    assert f"(of a GPU with 18 links and 7 instances by {made} calls)" in readme


def test_no_sample_makes_more_in_which_the_gpu_is_partitioned_or_its_instances_change(watched: Watched) -> None:
    watched.fake.value("nvlink_link_count", 18)
    watched.asked()
    samples = []
    for instances in (7, 0, 7, 3, None, 7):
        watched.fake.mig(0, instances)
        samples += [watched.asked(INTERVAL_SECONDS) for _ in range(25)]
    assert max(asked.total() for asked in samples) <= MOST_CALLS


def test_no_sample_makes_more_where_a_partitioned_gpu_tells_its_utilization_and_yet_all_is_asked(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call, engine in UTILIZATIONS.items():
        told = uint(f"utilization_{engine}_percent", f"period_{engine}_microseconds")
        monkeypatch.setitem(calls.DEVICE, call, told)
    watched.fake.value("nvlink_link_count", 18)
    watched.fake.mig(0, 7)
    watched.asked()
    samples = [watched.asked(INTERVAL_SECONDS) for _ in range(60)]
    assert max(asked.total() for asked in samples) <= MOST_CALLS
    assert {*RARE, *UTILIZATIONS, "nvmlDeviceGetNvLinkState"} <= set(sum(samples, Counter()))


def test_what_was_read_is_kept_and_what_changed_is_found_within_minutes(watched: Watched) -> None:
    watched.asked()
    watched.fake.value("power_limit_milliwatts", 123000)
    assert watched.nvml.sample()[0].power_limit_watts == 350.123
    watched.clock.now += RARE_SECONDS
    told = {watched.nvml.sample()[0].power_limit_watts for _ in range(RARE.total() // RARE_CALLS + 1)}
    assert told == {350.123, 123.0}


def test_a_rare_reading_that_failed_for_once_is_asked_again_in_the_next_sample(watched: Watched) -> None:
    watched.fake.fail("nvmlDeviceGetPowerManagementLimit", 10)
    assert watched.nvml.sample()[0].unavailable["power_limit_watts"] == "error: NVML_ERROR_TIMEOUT"
    watched.fake.heal()
    assert watched.nvml.sample()[0].power_limit_watts == 350.123
    assert not RARE & watched.asked()


def test_rare_readings_that_always_fail_do_not_keep_the_others_from_being_asked(watched: Watched) -> None:
    failing = {"nvmlDeviceGetTemperatureThreshold", "nvmlDeviceGetPowerManagementLimit"}
    for call in failing:
        watched.fake.fail(call, 999)
    watched.asked()
    watched.clock.now += RARE_SECONDS
    asked = sum((watched.asked(1) for _ in range(RARE.total())), Counter())
    assert all(asked[call] == RARE[call] for call in RARE if call not in failing)


def test_all_is_planned_once_and_not_in_every_sample_however_much_is_not_supported(watched: Watched) -> None:
    for call in ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetEccMode", "nvmlDeviceGetTemperatureThreshold"):
        watched.fake.fail(call, 3)
    for _ in range(40):
        watched.asked(INTERVAL_SECONDS)
    (device, _) = watched.nvml._gpus._devices.values()
    plans = [device._plan]
    for _ in range(3):
        watched.asked(0.1)
        plans.append(device._plan)
    assert len({id(plan) for plan in plans}) == 1


def test_the_blocking_calls_are_made_only_where_a_setting_asks_for_them(fake: FakeNvml) -> None:
    blocking = {read.function for read in PCIE_THROUGHPUT_READS}
    assert not blocking & set(Watched(fake).asked())
    asking = Watched(fake, pcie_throughput=True)
    asking.asked()
    assert asking.asked() == STEADY + Counter(read.function for read in PCIE_THROUGHPUT_READS)


def test_processes_are_asked_for_only_where_a_setting_asks_for_them(fake: FakeNvml) -> None:
    assert not any("Process" in call for call in Watched(fake).asked())
    asking = Watched(fake, processes=True)
    asking.asked()
    assert (asking.asked() - STEADY).total() == 3
