"""What a finding is as a line, in the log and in JSON; and in what surroundings it was made."""

import io
import json
import logging
import os
import sys

import pytest

from common import output, surroundings
from common.finding import Finding, Report, loaded, ok, warning, worst, wrong
from common.wording import refused


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        (ok("driver", "driver 550"), "ok       driver       driver 550"),
        (warning("GPU 1", "hot", "cool it"), "warning  GPU 1        hot: cool it"),
        (wrong("feed tcp://127.0.0.1:8481", "refused"), "wrong    feed tcp://127.0.0.1:8481 refused"),
    ],
)
def test_a_finding_is_a_line_with_what_to_do(finding: Finding, line: str) -> None:
    assert finding.line == line


def test_what_drivers_and_peers_say_breaks_no_line_and_has_an_end() -> None:
    line = wrong("GPU\n0", "a\nb\x1b[2J" + "x" * 10_000, "y" * 10_000).line
    assert "\n" not in line
    assert "\x1b" not in line
    assert "a?b?[2Jxxx" in line
    assert "...: yyy" in line
    assert len(line) < 1300


def test_a_text_of_just_the_greatest_length_is_whole() -> None:
    assert ok("a", "x" * 600).line == "ok       a            " + "x" * 600
    assert ok("a", "x" * 601).line == "ok       a            " + "x" * 600 + "..."


@pytest.mark.parametrize(
    ("finding", "level"),
    [(ok("a", "b"), logging.INFO), (warning("a", "b"), logging.WARNING), (wrong("a", "b"), logging.ERROR)],
)
def test_the_log_has_it_as_severe_as_it_is(caplog: pytest.LogCaptureFixture, finding: Finding, level: int) -> None:
    caplog.set_level(logging.INFO)
    finding.log(logging.getLogger("collector"))
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(level, "b")]


def test_all_are_as_the_worst_is() -> None:
    assert worst([]) == "ok"
    assert worst([ok("a", ""), warning("b", "")]) == "warning"
    assert worst([wrong("a", ""), warning("b", ""), ok("c", "")]) == "wrong"


def test_what_cannot_be_loaded_is_wrong_in_the_words_of_a_start() -> None:
    def fails() -> str:
        raise refused("api_port", "x", "a number")

    assert loaded("port", lambda: "80") == ok("port", "80")
    assert loaded("port", fails) == wrong("port", "GPU_METRICS_API_PORT (--api-port): 'x' is not a number")


def test_a_report_is_one_line_of_json_however_odd_its_texts() -> None:
    report = Report(
        process="api",
        state="wrong",
        checked_at="2026-11-25T00:00:00+00:00",
        user="root",
        platform="Linux",
        versions={"tornado": None},
        settings={"api_port": 8480},
        findings=[wrong("a", "b\n\N{REPLACEMENT CHARACTER}", "c")],
    )
    assert "\n" not in report.json()
    told = json.loads(report.json())
    assert (told["process"], told["versions"], told["settings"]) == ("api", {"tornado": None}, {"api_port": 8480})
    finding = {"what": "a", "state": "wrong", "found": "b\n\N{REPLACEMENT CHARACTER}", "todo": "c"}
    assert told["findings"] == [finding]


def test_a_report_can_be_written_whatever_bytes_a_path_has() -> None:
    report = Report(
        process="collector",
        state="ok",
        checked_at="2026-11-25T00:00:00+00:00",
        user="root",
        platform="Linux",
        versions={},
        settings={"nvml_library": os.fsdecode(b"/lib/\xff")},
        findings=[ok("library", os.fsdecode(b"/lib/\xff"))],
    )
    told = json.loads(report.json().encode())
    assert (told["settings"]["nvml_library"], told["findings"][0]["found"]) == ("/lib/?", "/lib/?")


def test_a_user_without_a_name_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    assert surroundings.user() == "54321, which has no name here"


def test_versions_are_those_of_what_is_installed() -> None:
    told = surroundings.versions("msgspec", "no-such-package")
    assert list(told) == ["gpu-fleet-manager", "Python", "msgspec", "no-such-package"]
    assert told["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert told["msgspec"]
    assert told["no-such-package"] is None


def test_what_is_said_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert output.say("é\n")
    assert written.getvalue().decode() == "é\n"
