"""What is shipped for Prometheus, by its own checker: each alert fires when it must, and not when it just must not."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alert_cases import CASES, OTHER_WAYS, RECORDED, Fires, Series, xid
from tests.prometheus import RULES, SHIPPED, alerts, known_metrics, metrics_of, needs_prometheus, promtool, rules

SUCCESS = (0, "Unit Testing:  tests.yml\n  SUCCESS\n\n")


def tried(directory: Path, name: str, *tests: dict[str, Any]) -> tuple[int, str]:
    """Return what promtool makes of some tests of one rule: its exit status, and what it said. To reckon the others too
    would take it twenty times as long, but for those that record: an alert may stand on them."""
    needed = [rule for rule in rules() if "record" in rule or rule["alert"] == name]
    (directory / "rules.yml").write_text(json.dumps({"groups": [{"name": "needed", "rules": needed}]}))
    common = {"interval": "30s"}
    written = {"rule_files": ["rules.yml"], "evaluation_interval": "30s", "tests": [common | test for test in tests]}
    (directory / "tests.yml").write_text(json.dumps(written))
    ended = promtool("test", "rules", "tests.yml", cwd=directory)
    return ended.returncode, ended.stdout + ended.stderr


def given(series: Series) -> list[dict[str, str]]:
    return [{"series": one, "values": values} for one, values in series.items()]


def fired(alert: str, times: int) -> dict[str, Any]:
    """Return the test that within three hours an alert was found firing so many times, with one set of labels."""
    samples = [{"labels": "{}", "value": times}] if times else []
    expression = f'sum(count_over_time(ALERTS{{alertname="{alert}",alertstate="firing"}}[3h]))'
    return {"expr": expression, "eval_time": "3h", "exp_samples": samples}


@needs_prometheus
@pytest.mark.parametrize(("alert", "fires"), [*((name, case.fires) for name, case in CASES.items()), *OTHER_WAYS])
def test_an_alert_fires_and_says_which_and_what_to_do(alert: str, fires: Fires, tmp_path: Path) -> None:
    rule = alerts()[alert]
    annotations = rule["annotations"] | {"description": fires.says}
    expected = {"exp_labels": fires.labels | rule["labels"], "exp_annotations": annotations}
    moment = {"alertname": alert, "eval_time": fires.after, "exp_alerts": [expected]}
    assert tried(tmp_path, alert, {"input_series": given(fires.series), "alert_rule_test": [moment]}) == SUCCESS


@needs_prometheus
@pytest.mark.parametrize("alert", CASES)
def test_an_alert_does_not_fire_on_what_is_nearly_the_same(alert: str, tmp_path: Path) -> None:
    quiet = CASES[alert].quiet
    tests = [{"input_series": given(series), "promql_expr_test": [fired(alert, 0)]} for series in quiet]
    assert tried(tmp_path, alert, *tests) == SUCCESS


@needs_prometheus
@pytest.mark.parametrize(("alert", "code"), [("GpuXidCritical", "79"), ("GpuXidMemory", "94")])
def test_an_xid_error_is_told_for_an_hour_whether_it_is_the_first_of_its_code_or_not(
    alert: str, code: str, tmp_path: Path
) -> None:
    first = {"input_series": given({xid(code): "_x9 2x300"}), "promql_expr_test": [fired(alert, 120)]}
    next_one = {"input_series": given({xid(code): "2x149 3x150"}), "promql_expr_test": [fired(alert, 120 + 120)]}
    assert tried(tmp_path, alert, first, next_one) == SUCCESS


@needs_prometheus
@pytest.mark.parametrize("record", RECORDED)
def test_what_is_recorded_is_reckoned_right(record: str, tmp_path: Path) -> None:
    series, expected = RECORDED[record]
    samples = [{"labels": labels, "value": value} for labels, value in expected.items()]
    test = {"expr": record, "eval_time": "2m", "exp_samples": samples}
    assert tried(tmp_path, record, {"input_series": given(series), "promql_expr_test": [test]}) == SUCCESS


def test_every_rule_has_its_cases() -> None:
    assert list(CASES) == list(alerts())
    assert all(case.quiet for case in CASES.values())
    assert list(RECORDED) == [rule["record"] for rule in rules() if "record" in rule]


def test_every_alert_tells_how_bad_it_is_what_happened_where_and_what_to_do() -> None:
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, name
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, name
        assert "{{" not in rule["annotations"]["summary"] + rule["annotations"]["runbook"], name
        assert "$labels" in rule["annotations"]["description"], name


@needs_prometheus
def test_prometheus_own_checker_has_nothing_to_say_of_the_rules() -> None:
    checked = promtool("check", "rules", "--lint-fatal", str(RULES))
    assert (checked.returncode, checked.stderr) == (0, "")


@needs_prometheus
@pytest.mark.parametrize("name", ["prometheus.yml", "fleet.yml"])
def test_prometheus_own_checker_takes_the_configuration(name: str) -> None:
    checked = promtool("check", "config", "--syntax-only", "--lint-fatal", str(SHIPPED / name))
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_rules_know_every_job_that_scrapes_an_api() -> None:
    jobs = [job for name in ("prometheus.yml", "fleet.yml") for job in _jobs(name)]
    known = re.fullmatch(r'up\{job=~"(.*)"\} == 0', alerts()["GpuApiDown"]["expr"])
    assert known
    assert known[1].split("|") == [job["job_name"] for job in jobs if "static_configs" in job]
    assert all(job["honor_labels"] for job in jobs)


def _jobs(name: str) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = yaml.safe_load((SHIPPED / name).read_text())["scrape_configs"]
    return jobs


def test_the_operators_page_tells_of_each_alert_in_the_words_of_the_rules() -> None:
    page = (SHIPPED.parent / "README.md").read_text()
    rows = [tuple(row.strip("| ").split(" | ")) for row in re.findall(r"(?m)^\| `Gpu\w+` .*", page)]
    told = {name: (rule["labels"]["severity"], rule.get("for", "at once")) for name, rule in alerts().items()}
    words = {name: (rule["annotations"]["summary"], rule["annotations"]["runbook"]) for name, rule in alerts().items()}
    assert rows == [(f"`{name}`", *told[name], *words[name]) for name in alerts()]


def test_every_metric_that_a_rule_asks_for_is_told_or_recorded() -> None:
    assert {name for rule in rules() for name in metrics_of(rule["expr"])} - known_metrics() == set()
