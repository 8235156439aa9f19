"""XID errors are heard without waiting, counted by code, and nothing resets them."""

import time

import pytest

from collector.nvml import gpus, xid
from collector.nvml.source import Nvml
from common.gpu import Xid, XidErrors
from tests.fakes import Clock, FakeNvml
from tests.standin import StandIn

NOTHING = XidErrors(counts={}, last=None)


def heard(nvml: Nvml, gpu: int = 0) -> XidErrors:
    """Take a sample and return what was heard of a GPU."""
    errors = nvml.sample()[gpu].xid_errors
    assert errors is not None
    return errors


def last(errors: XidErrors) -> Xid:
    assert errors.last is not None
    return errors.last


def test_errors_are_counted_by_code_with_the_latest_and_its_time(fake: FakeNvml) -> None:
    nvml = Nvml()
    assert heard(nvml) == NOTHING
    before = time.time_ns()
    fake.xid(0, 79)
    fake.xid(0, 31, times=3)
    errors = heard(nvml)
    assert errors.counts == {"79": 1, "31": 3}
    assert (last(errors).code, last(errors).text) == (31, "memory page fault")
    assert before <= last(errors).heard_at_ns <= time.time_ns()


def test_they_are_the_real_bindings_and_the_c_librarys_too(standin: StandIn) -> None:
    with standin.in_use():
        nvml = Nvml()
        nvml.sample()
        standin.xid(1, 48, times=2)
        first, second = nvml.sample()
    assert first.xid_errors == NOTHING
    assert second.xid_errors is not None
    assert second.xid_errors.counts == {"48": 2}


def test_repeats_count_and_what_was_heard_stays(fake: FakeNvml) -> None:
    nvml = Nvml()
    nvml.sample()
    for times in range(1, 4):
        fake.xid(0, 13)
        assert heard(nvml).counts == {"13": times}
    assert heard(nvml).counts == {"13": 3}
    assert heard(nvml, gpu=1) == NOTHING


def test_a_code_that_nobody_knows_has_no_text(fake: FakeNvml, caplog: pytest.LogCaptureFixture) -> None:
    nvml = Nvml()
    nvml.sample()
    fake.xid(1, 2**64 - 1)
    errors = heard(nvml, gpu=1)
    assert (last(errors).code, last(errors).text) == (2**64 - 1, None)
    assert f"GPU 1: Xid {2**64 - 1}: see NVIDIA's catalogue" in caplog.messages


def test_nothing_resets_through_a_reload_a_loss_or_a_change_of_places(
    fake: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "DISCOVER_SECONDS", 0)
    monkeypatch.setattr(gpus, "DISCOVER_MISSING_SECONDS", 0)
    nvml = Nvml()
    nvml.sample()
    fake.xid(0, 63)
    nvml.sample()
    fake.reload()
    assert heard(nvml).counts == {"63": 1}
    fake.xid(0, 63)
    assert heard(nvml).counts == {"63": 2}
    fake.lose(0)
    assert nvml.sample()[0].xid_errors is None
    fake.restore(0)
    assert heard(nvml).counts == {"63": 2}
    fake.order = [1, 0]
    assert heard(nvml, gpu=1).counts == {"63": 2}
    fake.xid(0, 63)
    assert heard(nvml, gpu=1).counts == {"63": 3}
    assert heard(nvml, gpu=0) == NOTHING


def test_nothing_resets_when_a_gpu_says_who_it_is_only_later(fake: FakeNvml) -> None:
    clock = Clock()
    fake.fail("nvmlDeviceGetUUID", 10, gpu=0)
    nvml = Nvml(now=clock)
    assert nvml.sample()[0].uuid is None
    fake.xid(0, 79)
    nvml.sample()
    fake.heal()
    fake.xid(0, 79)
    clock.now += gpus.DISCOVER_SECONDS
    first, second = nvml.sample()
    assert first.uuid is not None
    assert first.xid_errors is not None
    assert (first.xid_errors.counts, second.xid_errors) == ({"79": 2}, NOTHING)


def test_a_gpu_that_reports_without_end_does_not_keep_the_sample_from_its_end(fake: FakeNvml) -> None:
    nvml = Nvml()
    nvml.sample()
    fake.xid(0, 31, times=xid._MOST_IN_ONE_SAMPLE + 7)
    assert heard(nvml).counts == {"31": xid._MOST_IN_ONE_SAMPLE}
    assert heard(nvml).counts == {"31": xid._MOST_IN_ONE_SAMPLE + 7}


@pytest.mark.parametrize("call", ["nvmlEventSetCreate", "nvmlDeviceRegisterEvents"])
@pytest.mark.parametrize(
    ("code", "reason"), [(3, "unsupported"), (4, "no_permission"), (23, "error: NVML_ERROR_INSUFFICIENT_RESOURCES")]
)
def test_a_gpu_that_cannot_be_heard_says_why(fake: FakeNvml, call: str, code: int, reason: str) -> None:
    fake.fail(call, code)
    nvml = Nvml()
    for _ in range(2):
        assert [gpu.unavailable["xid_errors"] for gpu in nvml.sample()] == [reason, reason]


def test_an_event_set_that_fails_does_not_look_like_silence(fake: FakeNvml) -> None:
    nvml = Nvml()
    nvml.sample()
    fake.xid(0, 79)
    nvml.sample()
    fake.fail("nvmlEventSetWait_v2", 999)
    assert nvml.sample()[0].unavailable["xid_errors"] == "error: NVML_ERROR_UNKNOWN"
    fake.heal()
    assert heard(nvml).counts == {"79": 1}


def test_a_driver_without_the_newer_wait_is_heard_by_the_older_one(fake: FakeNvml) -> None:
    fake.missing.add("nvmlEventSetWait_v2")
    nvml = Nvml()
    nvml.sample()
    fake.xid(0, 95)
    assert heard(nvml).counts == {"95": 1}
    fake.missing.add("nvmlEventSetWait")
    assert nvml.sample()[0].unavailable["xid_errors"] == "unsupported"
