"""The judge of the chaos tests finds a lie when it is told one, and none in the truth."""

from typing import Any

import msgspec
import pytest

from api.routes import GPUS_PATH, METRICS_PATH
from common.gpu import Gpu
from common.snapshot import Snapshot
from tests.builders import ask, make_answers, make_cache, make_gpu, make_snapshot
from tests.chaos import judge
from tests.chaos.allowed import CALM, HOST, Allowed
from tests.chaos.faults import FAULTS
from tests.chaos.judge import Finding, Told
from tests.chaos.tally import MOST_WRONG, Tally
from tests.chaos.truth import true_gpu, uuid
from tests.chaos.waits import Waits
from tests.processes import ROOT

EPOCH = 500.0
NOW = 1000.0
LOST = Allowed(statuses=frozenset({"degraded"}), harmed=frozenset({1}), states=frozenset({"lost"}))


def gpu(number: int, made_at: float = NOW, **overrides: Any) -> Gpu:
    """Return what the stand-in's GPU of that number reads, asked for its power at that moment."""
    return true_gpu(number, **{"power_draw_watts": made_at - EPOCH, **overrides})


def snapshot(*gpus: Gpu, **overrides: Any) -> Snapshot:
    given: dict[str, Any] = {"host": HOST, "interval_seconds": 0.2, "duration_seconds": 0.01}
    return make_snapshot(**(given | {"gpus": list(gpus or (gpu(0), gpu(1)))} | overrides))


def told(*snapshots: Snapshot, path: str = METRICS_PATH, sealed_at: float = NOW, asked_at: float = NOW) -> Told:
    """Return what the real answers say of snapshots."""
    said = ask(make_answers(make_cache(*snapshots, now=sealed_at)), path, now=asked_at)
    headers = {name.lower(): value for name, value in said.headers}
    return Told(path, asked_at, asked_at + 0.01, said.status, headers, said.body)


def changed(one: Told, **changes: Any) -> Told:
    """Return an answer of which the body says something else."""
    body = msgspec.json.decode(one.body)
    body["gpus"][0] |= changes
    return one._replace(body=msgspec.json.encode(body))


def found(one: Told, allowed: Allowed = CALM) -> Finding:
    return judge.judge(one, allowed, EPOCH)


@pytest.mark.parametrize("path", [METRICS_PATH, GPUS_PATH, judge.SCRAPE_PATH, judge.READY_PATH])
def test_the_truth_is_found_true(path: str) -> None:
    one = found(told(snapshot(), path=path))
    assert (one.wrong, one.is_calm) == ([], True)
    assert one.excess_seconds <= 0.0
    assert one.understated_seconds <= 0.0


def test_how_old_a_reading_is_needs_nobody_s_word() -> None:
    old = snapshot(gpu(0, NOW - 7.0), gpu(1))
    for path in (METRICS_PATH, GPUS_PATH, judge.SCRAPE_PATH):
        assert found(told(old, path=path)).age_seconds == pytest.approx(7.0)
    one = found(told(old))
    assert one.excess_seconds == pytest.approx(7.0 - CALM.live_seconds)
    assert one.understated_seconds == pytest.approx(7.0 - CALM.sample_seconds - 1.0)
    assert "too old" in " ".join(broken(one))
    assert "less than the truth" in " ".join(broken(one))


def broken(*findings: Finding) -> list[str]:
    tally = Tally()
    for one in findings:
        tally.add(one)
    return tally.broken()


def test_an_age_that_is_more_than_the_truth_is_found() -> None:
    one = told(snapshot())
    assert "more than the truth" in broken(found(one._replace(headers={"age": "9"})))[0]


def test_a_reading_of_the_future_is_found() -> None:
    assert "in the future" in found(told(snapshot(gpu(0, NOW + 1.0), gpu(1)))).wrong[0]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (snapshot(gpu(0, temperature_gpu_celsius=99), gpu(1)), "temperature 99, not 40"),
        (snapshot(gpu(0, uuid=uuid(1), index=1), gpu(1)), "ok with 2 GPUs"),
        (snapshot(gpu(0), make_gpu(1)), "a GPU that there is not"),
        (snapshot(gpu(0, temperature_gpu_celsius=None), gpu(1)), "has no temperature"),
        (snapshot(host="node-7"), "a GPU of node-7"),
        (snapshot(gpu(0), gpu(1, state="error")), "degraded, which is none of ok"),
    ],
)
def test_what_is_not_as_the_stand_in_says_is_found(given: Snapshot, word: str) -> None:
    assert word in " ".join(found(told(given)).wrong)


def test_a_lost_gpu_with_a_number_is_found() -> None:
    lost = gpu(1, state="lost", error="GPU is lost")
    wrong = found(told(snapshot(gpu(0), lost)), LOST).wrong
    assert any("is lost and has a temperature" in each for each in wrong)
    assert found(told(snapshot(gpu(1, index=0), gpu(0, index=1, state="lost"))), LOST).wrong


def test_what_should_have_been_noticed_is_found() -> None:
    assert "ok, which is none of degraded" in found(told(snapshot()), LOST).wrong[0]


def test_a_stale_answer_is_found_where_none_is_due() -> None:
    stale = told(snapshot(), asked_at=NOW + 60)
    assert found(stale).label == "stale"
    assert found(stale).wrong
    assert not found(stale, Allowed(statuses=frozenset({"stale"}))).wrong


@pytest.mark.parametrize(
    "one",
    [
        Told(METRICS_PATH, NOW, NOW, 500, {}, b'{"error":{"code":"internal_error","message":""}}'),
        Told("/healthz", NOW, NOW, 502, {}, b""),
        Told(METRICS_PATH, NOW, NOW, 503, {}, b'{"error":{"code":"stale","message":""},"status":"stale"}'),
        Told(METRICS_PATH, NOW, NOW, 200, {}, b"{"),
        Told("/healthz", NOW, NOW, 200, {"content-type": "application/json"}, b"{"),
        changed(told(snapshot()), surprise=1),
        changed(told(snapshot()), power_usage="12"),
        Told(METRICS_PATH, NOW, NOW, 0, failure="torn"),
        Told(judge.READY_PATH, NOW, NOW, 503, {}, b'{"error":{"code":"stalled","message":""}}'),
    ],
)
def test_what_is_not_documented_is_found(one: Told) -> None:
    assert found(one).wrong


def test_a_slow_answer_is_found_unless_it_was_the_machine() -> None:
    tally = Tally()
    tally.took(5.0, 0.0)
    assert tally.broken() == ["an answer took 5.00 s"]
    tally.worst_excess_seconds, tally.machine_seconds = 3.0, 2.1
    assert tally.broken() == []
    tally.worst_excess_seconds, tally.machine_seconds = 9.0, 4.0
    assert (tally.broken(), tally.is_starved) == ([], True)
    tally.worst_excess_seconds = 40.0
    assert tally.broken()


def test_of_many_lies_some_are_told_and_the_rest_counted() -> None:
    lies = [Finding("", [f"lie {number}"]) for number in range(MOST_WRONG + 3)]
    assert broken(*lies)[-1] == "and 3 kinds more"


def test_what_the_machine_made_wait_is_counted_for_a_while() -> None:
    waits = Waits()
    waits.note(0.0, {1: 7.0}, 0.0)
    waits.note(1.0, {1: 7.5, 2: 9.0}, 0.25)
    waits.note(2.0, {1: 7.5, 2: 9.0}, 0.25)
    assert waits.seconds == 0.75
    waits.note(8.0, {2: 9.0}, 0.0)
    assert waits.seconds == 0.0


def test_every_fault_has_a_row_in_the_readme() -> None:
    rows = {line.split(" | ")[0].removeprefix("| ") for line in (ROOT / "README.md").read_text().splitlines()}
    assert {fault.row for fault in FAULTS.values()} - rows == set()
    assert all(fault.injected for fault in FAULTS.values())
