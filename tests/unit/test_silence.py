"""What was refused for good is not asked for until an hour has passed or all may be otherwise; what failed, at once."""

import pytest

from collector.nvml import codes
from collector.nvml.plan import ASK_AGAIN_SECONDS, MOST_CALLS, RARE_SECONDS
from tests.fakes import FakeNvml
from tests.watched import INTERVAL_SECONDS, RARE, STEADY, Watched


@pytest.fixture
def watched(fake: FakeNvml) -> Watched:
    """Return a source over the fake."""
    return Watched(fake)


@pytest.mark.parametrize("code", sorted(codes.LASTING))
@pytest.mark.parametrize("call", ["nvmlDeviceGetPowerUsage", "nvmlDeviceGetEccMode", "nvmlDeviceGetFieldValues"])
def test_what_is_not_supported_or_not_allowed_is_asked_once_an_hour(watched: Watched, call: str, code: int) -> None:
    watched.fake.fail(call, code, gpu=0)
    assert watched.asked()[call] == 1
    assert not any(watched.asked(60)[call] for _ in range(int(ASK_AGAIN_SECONDS / 60) - 1))
    watched.fake.heal()
    assert sum(watched.asked(10)[call] for _ in range(RARE.total())) >= 1
    assert set(watched.nvml.sample()[0].unavailable.values()) == {"not_collected"}


@pytest.mark.parametrize("code", sorted(codes.LASTING))
@pytest.mark.parametrize(
    "call",
    [
        "nvmlDeviceGetMaxMigDeviceCount",
        "nvmlDeviceRegisterEvents",
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetNvLinkState",
    ],
)
def test_so_is_what_is_made_of_several_calls(fake: FakeNvml, call: str, code: int) -> None:
    watched = Watched(fake, processes=True)
    fake.mig(0, 2)
    for suffix in ("", "_v2", "_v3") if call.endswith("_v3") else ("",):
        fake.fail(call.removesuffix("_v3") + suffix, code, gpu=0)
    assert watched.asked()[call] == 1
    assert not any(watched.asked(60)[call] for _ in range(int(ASK_AGAIN_SECONDS / 60) - 1))
    fake.heal()
    assert sum(watched.asked(60)[call] for _ in range(10)) >= 1


@pytest.mark.parametrize("code", [4, 10])
def test_a_gpu_that_cannot_be_heard_costs_no_more_than_thirty_calls_either(watched: Watched, code: int) -> None:
    watched.fake.fail("nvmlDeviceRegisterEvents", code)
    watched.fake.value("nvlink_link_count", 18)
    watched.asked()
    assert max(watched.asked(INTERVAL_SECONDS).total() for _ in range(60)) <= MOST_CALLS


@pytest.mark.parametrize(
    ("call", "reading"),
    [
        ("nvmlDeviceGetClockInfo", "clock_video_megahertz"),
        ("nvmlDeviceGetTemperatureThreshold", "temperature_max_operating_celsius"),
        ("nvmlDeviceGetFieldValues", "energy_joules"),
    ],
)
def test_an_argument_that_the_driver_does_not_know_is_given_again_once_an_hour(
    watched: Watched, call: str, reading: str
) -> None:
    watched.fake.fail(call, codes.INVALID_ARGUMENT, gpu=0)
    assert watched.asked()[call] >= 1
    assert not any(watched.asked(60)[call] for _ in range(int(ASK_AGAIN_SECONDS / 60) - 1))
    assert watched.nvml.sample()[0].unavailable[reading] == "error: NVML_ERROR_INVALID_ARGUMENT"
    watched.fake.heal()
    assert sum(watched.asked(10)[call] for _ in range(RARE.total())) >= 1
    assert set(watched.nvml.sample()[0].unavailable.values()) == {"not_collected"}


def test_a_field_that_the_driver_does_not_know_is_left_out_of_the_call(watched: Watched) -> None:
    watched.fake.fail("field:82", codes.INVALID_ARGUMENT)
    watched.asked()
    watched.fake.heal()
    gpu = watched.nvml.sample()[0]
    assert gpu.unavailable["temperature_memory_celsius"] == "error: NVML_ERROR_INVALID_ARGUMENT"
    watched.clock.now += ASK_AGAIN_SECONDS
    assert watched.nvml.sample()[0].temperature_memory_celsius == 46


def test_an_invalid_argument_where_there_is_but_the_handle_is_asked_again_at_once(watched: Watched) -> None:
    watched.fake.fail("nvmlDeviceGetPowerUsage", codes.INVALID_ARGUMENT, gpu=0)
    watched.asked()
    watched.fake.heal()
    assert watched.nvml.sample()[0].power_draw_watts == 76.543


def test_a_handle_that_no_call_accepts_is_no_argument_that_the_driver_does_not_know(watched: Watched) -> None:
    watched.asked()
    for call in STEADY | RARE:
        watched.fake.fail(call, codes.INVALID_ARGUMENT, gpu=0)
    watched.clock.now += RARE_SECONDS
    assert watched.nvml.sample()[0].state == "error"
    watched.fake.heal()
    gpu = watched.nvml.sample()[0]
    assert (gpu.state, set(gpu.unavailable.values())) == ("ok", {"not_collected"})


def test_a_field_that_is_not_supported_is_left_out_of_the_call(watched: Watched) -> None:
    watched.fake.fail("field:82", 3)
    watched.asked()
    watched.fake.heal()
    assert watched.nvml.sample()[0].unavailable["temperature_memory_celsius"] == "unsupported"
    watched.clock.now += ASK_AGAIN_SECONDS
    assert watched.nvml.sample()[0].temperature_memory_celsius == 46


def test_everything_is_asked_again_after_the_driver_was_reloaded(watched: Watched) -> None:
    watched.fake.fail("nvmlDeviceGetPowerUsage", 3)
    watched.asked()
    watched.asked()
    watched.fake.reload()
    assert watched.asked() >= STEADY + RARE


def test_everything_is_asked_again_of_a_gpu_that_was_lost_and_returned(watched: Watched) -> None:
    watched.fake.fail("nvmlDeviceGetPowerUsage", 3)
    watched.asked()
    watched.fake.lose(0)
    watched.asked()
    watched.fake.heal()
    assert watched.asked() >= STEADY + RARE
    assert not RARE & watched.asked(gpu=1)
