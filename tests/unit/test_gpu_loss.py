"""GPUs that are lost, return, come, go and change places; and drivers that do."""

import itertools
import os
import time
from pathlib import Path

import pynvml
import pytest

from collector.nvml import gpus, places
from collector.nvml.source import Nvml, SourceError
from common.gpu import READINGS
from tests.builders import NOT_COLLECTED
from tests.fakes import FakeNvml

FIRST = "GPU-5eed5eed-0000-4000-8000-000000000001"
SECOND = "GPU-5eed5eed-0000-4000-8000-000000000002"
THIRD = "GPU-5eed5eed-0000-4000-8000-000000000003"


@pytest.fixture
def _discovering(monkeypatch: pytest.MonkeyPatch) -> None:
    """List the GPUs anew in every sample."""
    monkeypatch.setattr(gpus, "DISCOVER_SECONDS", 0)
    monkeypatch.setattr(gpus, "DISCOVER_MISSING_SECONDS", 0)


def test_lost_gpu_stays_listed_while_the_others_go_on(fake: FakeNvml) -> None:
    nvml = Nvml()
    nvml.sample()
    fake.lose(0)
    lost, other = nvml.sample()
    assert (lost.state, lost.uuid, lost.name, lost.pci_bus_id) == ("lost", FIRST, "NVIDIA Stand-In", "00000000:01:00.0")
    assert lost.error is not None
    assert lost.error.startswith("NVML_ERROR_GPU_IS_LOST")
    assert lost.unavailable == dict.fromkeys(READINGS, "error: NVML_ERROR_GPU_IS_LOST")
    assert (other.state, other.power_draw_watts) == ("ok", 86.644)


def test_a_lost_gpu_says_since_when_until_it_is_back(fake: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = itertools.count(1_741_129_000_000_000_000)
    monkeypatch.setattr(time, "time_ns", lambda: next(moments))
    nvml = Nvml()
    assert [gpu.lost_since_ns for gpu in nvml.sample()] == [None, None]
    fake.lose(0)
    for _ in range(3):
        assert [gpu.lost_since_ns for gpu in nvml.sample()] == [1_741_129_000_000_000_000, None]
    fake.restore(0)
    assert nvml.sample()[0].lost_since_ns is None
    fake.lose(0)
    assert nvml.sample()[0].lost_since_ns == 1_741_129_000_000_000_001


@pytest.mark.usefixtures("_discovering")
def test_a_gpu_that_is_lost_stays_so_since_then_whatever_the_driver_and_the_other_gpus_do(fake: FakeNvml) -> None:
    nvml = Nvml()
    nvml.sample()
    fake.lose(1)
    since = nvml.sample()[1].lost_since_ns
    fake.fail("nvmlInit", 9)
    fake.reload()
    with pytest.raises(SourceError):
        nvml.sample()
    fake.heal()
    fake.gpus = 1
    assert [(gpu.state, gpu.lost_since_ns) for gpu in nvml.sample()] == [("ok", None), ("lost", since)]
    assert [(gpu.state, gpu.lost_since_ns) for gpu in nvml.sample()] == [("ok", None), ("lost", since)]


def test_a_gpu_that_was_lost_and_must_be_reset_now_is_no_longer_lost(fake: FakeNvml) -> None:
    nvml = Nvml()
    fake.lose(0)
    assert nvml.sample()[0].lost_since_ns is not None
    fake.heal()
    fake.fail("nvmlDeviceGetHandleByIndex", 16, gpu=0)
    fake.reload()
    assert [(gpu.state, gpu.lost_since_ns) for gpu in nvml.sample()] == [("error", None), ("ok", None)]


def test_a_lost_gpu_is_asked_one_thing_only_in_a_sample(fake: FakeNvml) -> None:
    nvml = Nvml()
    nvml.sample()
    fake.lose(0)
    fake.calls.clear()
    nvml.sample()
    assert len([call for call in fake.calls if call[1] == 0]) == 1


@pytest.mark.usefixtures("_discovering")
def test_lost_gpu_keeps_its_identity_when_it_cannot_even_be_opened_and_returns_to_it(fake: FakeNvml) -> None:
    nvml = Nvml()
    nvml.sample()
    fake.lose(1)
    assert [(gpu.uuid, gpu.state) for gpu in nvml.sample()] == [(FIRST, "ok"), (SECOND, "lost")]
    fake.restore(1)
    assert [(gpu.uuid, gpu.state) for gpu in nvml.sample()] == [(FIRST, "ok"), (SECOND, "ok")]


@pytest.mark.parametrize(("code", "state"), [(15, "lost"), (28, "lost"), (16, "error"), (8, "error"), (999, "error")])
def test_gpu_that_was_never_seen_and_cannot_be_opened_is_listed_by_its_index(
    fake: FakeNvml, code: int, state: str
) -> None:
    fake.fail("nvmlDeviceGetHandleByIndex", code, gpu=0)
    broken, other = Nvml().sample()
    assert (broken.index, broken.uuid, broken.name, broken.state) == (0, None, None, state)
    assert (other.uuid, other.state) == (SECOND, "ok")


def test_gpu_that_could_not_be_opened_at_first_is_not_listed_twice_later(
    fake: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "DISCOVER_MISSING_SECONDS", 0)
    nvml = Nvml()
    fake.lose(0)
    nvml.sample()
    fake.restore(0)
    assert [(gpu.uuid, gpu.state) for gpu in nvml.sample()] == [(FIRST, "ok"), (SECOND, "ok")]


def test_gpu_that_the_driver_no_longer_counts_stays_listed_as_lost(fake: FakeNvml) -> None:
    nvml = Nvml()
    nvml.sample()
    fake.gpus, fake.order = 1, [1]
    assert [(gpu.index, gpu.uuid, gpu.state) for gpu in nvml.sample()] == [(0, SECOND, "ok"), (0, FIRST, "lost")]
    fake.gpus, fake.order = 2, []
    assert [(gpu.index, gpu.uuid, gpu.state) for gpu in nvml.sample()] == [(0, FIRST, "ok"), (1, SECOND, "ok")]


def test_gpus_that_come_are_found_without_a_restart(fake: FakeNvml) -> None:
    nvml = Nvml()
    nvml.sample()
    fake.gpus = 3
    assert [gpu.uuid for gpu in nvml.sample()] == [FIRST, SECOND, THIRD]


def test_a_reloaded_driver_is_initialised_again_within_the_sample(fake: FakeNvml) -> None:
    nvml = Nvml()
    nvml.sample()
    fake.order = [1, 0]
    fake.reload()
    assert [(gpu.index, gpu.uuid, gpu.power_draw_watts) for gpu in nvml.sample()] == [
        (0, SECOND, 86.644),
        (1, FIRST, 76.543),
    ]


def test_a_gpu_that_moves_up_and_will_not_say_its_uuid_is_not_taken_for_the_one_that_was_there(fake: FakeNvml) -> None:
    nvml = Nvml()
    fake.gpus = 3
    nvml.sample()
    fake.gpus, fake.order = 2, [0, 2]
    fake.fail("nvmlDeviceGetUUID", 999, gpu=2)
    seen = {gpu.uuid: gpu for gpu in nvml.sample()}
    assert (seen[SECOND].state, seen[THIRD].state) == ("lost", "ok")
    assert seen[THIRD].pci_bus_id == "00000000:03:00.0"
    assert seen[THIRD].temperature_gpu_celsius == 44


def test_a_reading_that_the_operating_system_blocks_takes_no_other_gpu_with_it(fake: FakeNvml) -> None:
    fake.fail("nvmlDeviceGetPowerUsage", 17, gpu=0)
    first, second = Nvml().sample()
    assert first.unavailable == NOT_COLLECTED | {"power_draw_watts": "error: NVML_ERROR_OPERATING_SYSTEM"}
    assert (first.state, second.state) == ("ok", "ok")


def test_a_host_with_a_driver_and_no_gpu_is_no_failure(fake: FakeNvml) -> None:
    fake.gpus = 0
    assert Nvml().sample() == []


def test_unknown_from_every_gpu_is_the_sources_after_one_more_initialisation(fake: FakeNvml) -> None:
    nvml = Nvml()
    nvml.sample()
    for call in ("nvmlDeviceGetHandleByIndex", *{call for call, gpu in fake.calls if gpu is not None}):
        fake.fail(call, 999)
    fake.calls.clear()
    with pytest.raises(SourceError, match=r"NVML_ERROR_UNKNOWN.*container"):
        nvml.sample()
    assert fake.calls.count(("nvmlInit", None)) == 1
    fake.heal()
    assert [gpu.state for gpu in nvml.sample()] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (9, "NVML_ERROR_DRIVER_NOT_LOADED: the NVIDIA kernel driver is not loaded"),
        (12, "NVML_ERROR_LIBRARY_NOT_FOUND: libnvidia-ml.so.1 was not found"),
        (18, "NVML_ERROR_LIB_RM_VERSION_MISMATCH: the driver was upgraded"),
        (999, "NVML_ERROR_UNKNOWN"),
    ],
)
def test_a_driver_that_does_not_initialise_says_why(fake: FakeNvml, code: int, told: str) -> None:
    fake.fail("nvmlInit", code)
    with pytest.raises(SourceError, match=told) as failure:
        Nvml().sample()
    assert failure.value.restart == (code == 18)


def test_a_driver_that_appears_is_found_by_the_next_sample(fake: FakeNvml) -> None:
    nvml = Nvml()
    fake.fail("nvmlInit", 9)
    with pytest.raises(SourceError):
        nvml.sample()
    fake.heal()
    assert len(nvml.sample()) == 2


def test_a_library_that_is_named_and_cannot_be_loaded_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(places, "OTHERS", ())
    with pytest.raises(SourceError, match=r"NVML_ERROR_LIBRARY_NOT_FOUND: /nonexistent/libnvidia-ml.so.1: cannot open"):
        Nvml("/nonexistent/libnvidia-ml.so.1").sample()


def test_a_place_that_cannot_be_looked_at_has_no_library(fake: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    # As one in a directory of root's alone: not even whether it is there is told.
    monkeypatch.setattr(places, "OTHERS", (Path("/" + 300 * "x"),))
    fake.fail("nvmlInit", 12)
    with pytest.raises(SourceError, match="NVML_ERROR_LIBRARY_NOT_FOUND"):
        Nvml().sample()


def test_a_library_whose_path_is_no_utf_8_is_not_found_in_words_that_can_be_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(places, "OTHERS", ())
    with pytest.raises(SourceError) as failure:
        Nvml(os.fsdecode(b"/nonexistent/\xff.so")).sample()
    assert str(failure.value).encode().startswith(b"NVML_ERROR_LIBRARY_NOT_FOUND: /nonexistent/")


def test_leaving_nvml_twice_or_with_a_driver_that_is_gone_is_no_error(fake: FakeNvml) -> None:
    nvml = Nvml()
    nvml.close()
    nvml.sample()
    fake.reload()
    nvml.close()
    nvml.close()
    assert [call for call, _ in fake.calls].count("nvmlShutdown") == 1
