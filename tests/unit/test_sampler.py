"""The sampler over the real NVML room, with the fake in the library's place."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from collector import sampler as sampler_module
from collector.nvml.source import Nvml
from collector.sampler import Sampler
from common.gpu import READINGS
from common.settings import CollectorSettings
from common.snapshot import Snapshot, StalledCall
from tests.fakes import Clock, FakeNvml

PATIENCE_SECONDS = 20


Run = Callable[..., None]
Scenario = Callable[[Sampler], Coroutine[Any, Any, None]]


@pytest.fixture
def run(fake: FakeNvml) -> Run:
    """Return what runs a scenario with a sampler of its own, for whom a call is stuck after 0.1 s, to its very end."""

    def start(scenario: Scenario, now: Callable[[], float] = time.monotonic, **settings: Any) -> None:
        async def whole() -> None:
            defaults: dict[str, Any] = {"host": "node-1", "stall_after_seconds": 0.1, "stall_exit_seconds": 0.0}
            sampler = Sampler(CollectorSettings(**defaults | settings), Nvml(now=now), now)
            try:
                await asyncio.wait_for(scenario(sampler), PATIENCE_SECONDS)
            finally:
                fake.heal()
                await sampler.close(PATIENCE_SECONDS)

        asyncio.run(whole())

    return start


async def sampled_until(sampler: Sampler, is_wanted: Callable[[Snapshot], bool]) -> Snapshot:
    while not is_wanted(snapshot := await sampler.sample()):
        await asyncio.sleep(0.005)
    return snapshot


def test_snapshots_are_numbered_from_0_within_one_run(run: Run) -> None:
    async def scenario(sampler: Sampler) -> None:
        snapshots = [await sampler.sample() for _ in range(3)]
        assert [snapshot.sequence for snapshot in snapshots] == [0, 1, 2]
        assert len({snapshot.run_id for snapshot in snapshots}) == 1
        assert snapshots[0].run_id != Sampler(CollectorSettings(host="node-1"), Nvml())._run_id

    run(scenario)


def test_a_snapshot_tells_its_source_and_its_own_cost(run: Run) -> None:
    async def scenario(sampler: Sampler) -> None:
        first, second = await sampler.sample(), await sampler.sample()
        assert first.host == "node-1"
        assert first.interval_seconds == 7
        assert (first.source.state, first.source.driver_version) == ("ok", "550.54.15")
        assert first.held_seconds == 0
        assert first.duration_seconds > 0
        assert second.collector.nvml_calls > first.collector.nvml_calls > 0
        assert second.collector.slowest_call is not None
        assert 0 < second.collector.slowest_call.seconds <= second.duration_seconds

    run(scenario, interval_seconds=7)


def test_a_stuck_call_is_named_and_the_gpus_keep_their_identity_without_readings(run: Run, fake: FakeNvml) -> None:
    async def scenario(sampler: Sampler) -> None:
        healthy = await sampler.sample()
        fake.hang("nvmlDeviceGetTemperature", gpu=1)
        stalled = await sampler.sample()
        call = stalled.source.stalled_call
        assert isinstance(call, StalledCall)
        assert (stalled.source.state, call.function, call.gpu_index) == ("stalled", "nvmlDeviceGetTemperature", 1)
        assert call.seconds >= 0.1
        assert stalled.duration_seconds == 0
        assert [gpu.uuid for gpu in stalled.gpus] == [gpu.uuid for gpu in healthy.gpus]
        assert {gpu.state for gpu in stalled.gpus} == {"unknown"}
        assert all(gpu.unavailable == dict.fromkeys(READINGS, "error: stalled") for gpu in stalled.gpus)

    run(scenario)


def test_a_stuck_library_is_never_entered_a_second_time(run: Run, fake: FakeNvml) -> None:
    async def scenario(sampler: Sampler) -> None:
        await sampler.sample()
        fake.hang("nvmlDeviceGetPowerUsage", gpu=0)
        first = await sampler.sample()
        calls = len(fake.calls)
        later = [await sampler.sample() for _ in range(5)]
        assert len(fake.calls) == calls
        assert [snapshot.sequence for snapshot in later] == [first.sequence + n for n in range(1, 6)]
        assert {snapshot.source.state for snapshot in later} == {"stalled"}

    run(scenario)


def test_a_call_that_returns_late_is_followed_by_a_fresh_sample(run: Run, fake: FakeNvml) -> None:
    async def scenario(sampler: Sampler) -> None:
        await sampler.sample()
        fake.hang("nvmlDeviceGetPowerUsage", gpu=0)
        assert (await sampler.sample()).source.state == "stalled"
        fake.value("temperature_gpu_celsius", 99)
        fake.release()
        recovered = await sampled_until(sampler, lambda snapshot: snapshot.source.state == "ok")
        assert [gpu.temperature_gpu_celsius for gpu in recovered.gpus] == [99, 99]

    run(scenario)


def test_what_was_read_before_a_call_was_stuck_is_never_published_as_new(run: Run, fake: FakeNvml) -> None:
    async def scenario(sampler: Sampler) -> None:
        await sampler.sample()
        fake.value("temperature_gpu_celsius", 50)
        fake.hang("nvmlDeviceGetUtilizationRates", gpu=1)
        assert (await sampler.sample()).source.state == "stalled"
        fake.value("temperature_gpu_celsius", 60)
        fake.release()
        fake.hang("nvmlDeviceGetClockInfo", gpu=1)
        next_one = asyncio.create_task(sampler.sample())
        await asyncio.to_thread(fake.entered.wait, PATIENCE_SECONDS)
        fake.release()
        recovered = await next_one
        if recovered.source.state == "stalled":
            recovered = await sampled_until(sampler, lambda snapshot: snapshot.source.state == "ok")
        assert [gpu.temperature_gpu_celsius for gpu in recovered.gpus] == [60, 60]

    run(scenario)


def test_a_driver_that_is_missing_at_first_and_then_stuck_is_not_asked_without_end(run: Run, fake: FakeNvml) -> None:
    clock = Clock()

    async def scenario(sampler: Sampler) -> None:
        fake.fail("nvmlInit", 9)
        await sampler.sample()
        assert sampler.retry_at is not None
        fake.heal()
        fake.hang("nvmlInit")
        clock.now = sampler.retry_at
        asking = asyncio.create_task(sampler.sample())
        await asyncio.to_thread(fake.entered.wait, PATIENCE_SECONDS)
        clock.now += 1
        assert (await asking).source.state == "stalled"
        assert sampler.retry_at is None

    run(scenario, clock)


def test_a_driver_stuck_from_the_start_gives_stalled_snapshots_without_gpus(run: Run, fake: FakeNvml) -> None:
    async def scenario(sampler: Sampler) -> None:
        fake.hang("nvmlInit")
        snapshot = await sampler.sample()
        assert (snapshot.source.state, snapshot.gpus) == ("stalled", [])
        assert snapshot.source.stalled_call is not None
        assert snapshot.source.stalled_call.function == "nvmlInit"
        assert snapshot.source.stalled_call.gpu_index is None

    run(scenario)


def test_a_missing_driver_gives_a_snapshot_that_says_so_and_known_gpus_become_unknown(run: Run, fake: FakeNvml) -> None:
    async def scenario(sampler: Sampler) -> None:
        healthy = await sampler.sample()
        fake.fail("nvmlInit", 9)
        fake.reload()
        snapshot = await sampler.sample()
        assert snapshot.source.state == "unavailable"
        assert (snapshot.source.error or "").startswith("NVML_ERROR_DRIVER_NOT_LOADED")
        assert snapshot.source.driver_version is None
        assert [(gpu.uuid, gpu.state) for gpu in snapshot.gpus] == [(gpu.uuid, "unknown") for gpu in healthy.gpus]
        assert set(snapshot.gpus[0].unavailable.values()) == {"error: NVML_ERROR_DRIVER_NOT_LOADED"}

    run(scenario)


def test_a_missing_driver_is_asked_again_only_when_a_retry_is_due(
    run: Run, fake: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(sampler: Sampler) -> None:
        fake.fail("nvmlInit", 9)
        snapshots = [await sampler.sample() for _ in range(4)]
        assert fake.calls.count(("nvmlInit", None)) == 1
        assert [snapshot.source.state for snapshot in snapshots] == ["unavailable"] * 4
        assert [snapshot.sequence for snapshot in snapshots] == [0, 1, 2, 3]
        assert sampler.retry_at is not None

    monkeypatch.setattr(sampler_module, "FIRST_RETRY_SECONDS", 3600)
    run(scenario)


def test_the_wait_for_a_missing_driver_doubles_up_to_a_minute(run: Run, fake: FakeNvml) -> None:
    clock = Clock()

    async def scenario(sampler: Sampler) -> None:
        fake.fail("nvmlInit", 9)
        waits = []
        for _ in range(8):
            await sampler.sample()
            assert sampler.retry_at is not None
            waits.append(round(sampler.retry_at - clock.now, 3))
            clock.now = sampler.retry_at
        assert waits == [1, 2, 4, 8, 16, 32, 60, 60]

    run(scenario, clock)


def test_a_driver_that_appears_later_is_found_without_a_restart(run: Run, fake: FakeNvml) -> None:
    clock = Clock()

    async def scenario(sampler: Sampler) -> None:
        fake.fail("nvmlInit", 12)
        assert (await sampler.sample()).source.state == "unavailable"
        fake.heal()
        clock.now += 1
        snapshot = await sampler.sample()
        assert (snapshot.source.state, len(snapshot.gpus), sampler.retry_at) == ("ok", 2, None)

    run(scenario, clock)


def test_another_cause_why_there_is_no_driver_is_logged_and_the_same_once(
    run: Run, fake: FakeNvml, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()

    async def scenario(sampler: Sampler) -> None:
        for code in (12, 12, 9, 9):
            fake.heal()
            fake.fail("nvmlInit", code)
            await sampler.sample()
            clock.now = sampler.retry_at or clock.now

    run(scenario, clock)
    logged = [record.getMessage().split(": ")[1] for record in caplog.records if record.levelname == "ERROR"]
    assert logged == ["NVML_ERROR_LIBRARY_NOT_FOUND", "NVML_ERROR_DRIVER_NOT_LOADED"]


def test_a_version_mismatch_ends_the_process_after_a_while_and_not_before(run: Run, fake: FakeNvml) -> None:
    clock = Clock()

    async def scenario(sampler: Sampler) -> None:
        fake.fail("nvmlInit", 18)
        await sampler.sample()
        clock.now += 59
        assert sampler.reason_to_end() is None
        await sampler.sample()
        clock.now += 1
        assert "NVML_ERROR_LIB_RM_VERSION_MISMATCH" in (sampler.reason_to_end() or "")

    run(scenario, clock)


def test_other_failures_never_end_the_process(run: Run, fake: FakeNvml) -> None:
    clock = Clock()

    async def scenario(sampler: Sampler) -> None:
        fake.fail("nvmlInit", 9)
        await sampler.sample()
        clock.now += 1e6
        assert sampler.reason_to_end() is None

    run(scenario, clock)


@pytest.mark.parametrize(("limit", "ends"), [(0.2, True), (0.0, False)])
def test_a_call_stuck_for_too_long_ends_the_process_unless_it_must_not(
    run: Run, fake: FakeNvml, *, limit: float, ends: bool
) -> None:
    async def scenario(sampler: Sampler) -> None:
        fake.hang("nvmlDeviceGetCount")
        while (await sampler.sample()).source.stalled_call.seconds < 0.3:  # type: ignore[union-attr]  # it hangs
            assert (sampler.reason_to_end() is None) or ends
        assert ("nvmlDeviceGetCount" in (sampler.reason_to_end() or "")) == ends

    run(scenario, stall_exit_seconds=limit)


def test_leaving_nvml_waits_for_no_call_that_is_stuck(run: Run, fake: FakeNvml) -> None:
    async def scenario(sampler: Sampler) -> None:
        fake.hang("nvmlDeviceGetCount")
        await sampler.sample()
        await sampler.close(0.05)
        assert "nvmlShutdown" not in [call for call, _ in fake.calls]

    run(scenario)


def test_a_fault_of_our_own_is_not_taken_for_the_drivers(run: Run, fake: FakeNvml) -> None:
    async def scenario(sampler: Sampler) -> None:
        fake.value("temperature_gpu_celsius", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            await sampler.sample()

    run(scenario)
