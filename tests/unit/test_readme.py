"""What people read says what the code says: README.md, common/README.md and deploy/env.example."""

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from msgspec import Struct

from api.responses import _ROWS, GpuMetrics, MetricsBody, Status
from collector.nvml.codes import LIBRARY_NOT_FOUND, explain
from collector.nvml.table import READS
from common import settings
from common.settings import PREFIX, ApiSettings, CollectorSettings
from common.snapshot import READINGS, Cost, Gpu, SlowestCall, Snapshot, Source, StalledCall

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
FEED = (ROOT / "common/README.md").read_text()
ENVIRONMENT = (ROOT / "deploy/env.example").read_text()

COMMANDS = {
    "run": "python3 -m venv .venv && .venv/bin/pip install --quiet -e . && .venv/bin/supervisord",
    "test": "python3 -m venv .venv && .venv/bin/pip install --quiet -e '.[test]' && .venv/bin/pytest",
    "demo": "python3 -m venv .venv && .venv/bin/pip install --quiet -e . && .venv/bin/python -m tests.demo",
}
PROCESSES: dict[str, type[Struct]] = {"The collector:": CollectorSettings, "The API:": ApiSettings}


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip().strip("|").split(" | "))


def _table(after: str, text: str = README) -> list[tuple[str, ...]]:
    """Return the rows of the first table after a line of the text, without its head."""
    lines = text[text.index(f"\n{after}\n") :].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    rows = lines[start + 1 :]
    end = next((number for number, line in enumerate(rows) if not line.startswith("|")), len(rows))
    return [_cells(row) for row in rows[:end]]


def _anchor(heading: str) -> str:
    """Return the fragment that a heading is reached by."""
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


def _settings_row(kind: type[Struct], name: str) -> tuple[str, ...]:
    words = (settings.default(kind, name), settings.expectation(kind, name), settings.meaning(kind, name))
    return f"`{PREFIX}{name.upper()}`", *words


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_one_line_that_a_script_can_take_out(name: str) -> None:
    assert re.findall(rf"(?m)^<!-- command: {name} -->\n```sh\n(.*)\n```$", README) == [COMMANDS[name]]


@pytest.mark.parametrize("process", PROCESSES)
def test_the_settings_table_says_what_the_settings_say(process: str) -> None:
    kind = PROCESSES[process]
    assert _table(process) == [_settings_row(kind, name) for name in settings.names(kind)]


def test_the_readings_table_says_what_the_catalogue_says() -> None:
    assert [row[:3] for row in _table("## Readings")] == [
        (f"`{reading.name}`", reading.unit, reading.meaning) for reading in READINGS.values()
    ]


def test_the_readings_table_names_the_call_that_each_reading_comes_from() -> None:
    calls: dict[str, str] = {}
    for read in READS:
        arguments = f"({', '.join(map(str, read.arguments))})" if read.arguments else ""
        calls.update((f"`{given.reading}`", f"`{read.function}{arguments}`") for given in read.gives)
    assert {row[0]: row[3] for row in _table("## Readings")} == calls


def test_the_readings_table_names_each_reading_as_the_endpoint_does() -> None:
    named = {row[0]: row[4] for row in _table("## Readings") if row[4]}
    assert named == {f"`{row.reading}`": f"`{row.name}`" for row in _ROWS}


def test_the_endpoint_s_fields_are_all_described() -> None:
    described = "\n".join(row[0] for row in _table("## The endpoint"))
    expected = [*MetricsBody.__struct_fields__, *(f"gpus[].{name}" for name in GpuMetrics.__struct_fields__)]
    assert [name for name in expected if f"`{name}" not in described] == []


def test_every_status_of_an_answer_is_explained_from_best_to_worst() -> None:
    rows = _table("**The answer's `status`**, best to worst; the worst wins:")
    assert [row[0] for row in rows][:-1] == [f"`{status}`" for status in get_args(Status)]


def test_the_answer_without_a_driver_says_what_the_collector_says() -> None:
    (message,) = re.findall(r'"code":"placeholder","message":"vm: (.*?)"', README)
    assert message == explain(LIBRARY_NOT_FOUND)


@pytest.mark.parametrize("kind", [Snapshot, Source, Cost, Gpu, StalledCall, SlowestCall])
def test_the_feed_s_description_names_every_field(kind: type[Struct]) -> None:
    assert [name for name in kind.__struct_fields__ if f"`{name}`" not in FEED] == []


@pytest.mark.parametrize(
    ("after", "kind"),
    [
        ("Snapshot, the map itself:", Snapshot),
        ("Source, in `source`:", Source),
        ("Cost, in `collector`:", Cost),
        ("Gpu, in `gpus`:", Gpu),
    ],
)
def test_the_feed_s_tables_have_the_fields_in_their_order(after: str, kind: type[Struct]) -> None:
    assert [row[0].strip("`") for row in _table(after, FEED)] == list(kind.__struct_fields__)


def test_the_feed_s_subscriber_is_short_and_compiles() -> None:
    (code,) = re.findall(r"(?s)```python\n(.*?)```", FEED)
    compile(code, "common/README.md", "exec")
    assert code.count("\n") <= 20


def test_env_example_has_every_setting_at_its_default() -> None:
    written = dict(re.findall(r"(?m)^#(GPU_METRICS_\w+)=(.*)$", ENVIRONMENT))
    expected = {
        row[0].strip("`"): "" if row[1] in {"empty", "the machine's host name"} else row[1]
        for kind in PROCESSES.values()
        for row in (_settings_row(kind, name) for name in settings.names(kind))
    }
    assert written == expected


def test_env_example_explains_each_setting_in_the_words_of_the_settings() -> None:
    for kind in PROCESSES.values():
        for name in settings.names(kind):
            above = ENVIRONMENT[: ENVIRONMENT.index(f"#{PREFIX}{name.upper()}=")].rsplit("\n\n", 1)[-1]
            _, default, expected, meaning = _settings_row(kind, name)
            assert above.startswith(f"# {meaning}")
            assert f"# {expected[0].upper()}{expected[1:]}; default: {default}\n" in above


def test_env_example_changes_nothing_when_all_of_it_is_uncommented() -> None:
    environment = dict(re.findall(r"(?m)^#(GPU_METRICS_\w+)=(.*)$", ENVIRONMENT))
    assert settings.load(CollectorSettings, [], environment) == settings.load(CollectorSettings, [], {})
    assert settings.load(ApiSettings, [], environment) == settings.load(ApiSettings, [], {})


def test_env_example_has_nothing_but_comments() -> None:
    assert [line for line in ENVIRONMENT.splitlines() if line and not line.startswith("#")] == []


@pytest.mark.parametrize("path", ["README.md", "common/README.md"])
def test_every_relative_link_leads_somewhere(path: str) -> None:
    here = ROOT / path
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", here.read_text())
    assert links
    for target, fragment in links:
        page = here.parent / target if target else here
        assert page.exists(), target
        headings = re.findall(r"(?m)^#+ (.*)$", page.read_text())
        assert not fragment or fragment in map(_anchor, headings), fragment


def test_every_room_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"`((?:api|collector|common|tests|deploy)/[\w/.]*)`", README))
    assert len(named) > 5
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_readme_names_the_pinned_binding_and_the_distribution_s_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (pin,) = (dependency for dependency in project["dependencies"] if dependency.startswith("nvidia-ml-py3"))
    assert f"`{pin}`" in README
    assert f"({project['version']})" in README
