"""What people read says what the code says: the READMEs and deploy/env.example."""

import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest
import zmq
from msgspec import Meta, Struct

from api.app import BODY_SECONDS, IDLE_SECONDS, MOST_LISTENERS, MOST_LONG_WORKS, MOST_SHORT_WORKS
from api.connections import MOST, MOST_UNREAD_BYTES
from api.exchange import ANSWER_SECONDS, MAX_BODY_BYTES, MAX_HEADER_BYTES
from api.history.series import MOST_TIMESTAMPS, MOST_VALUES
from api.listeners import HEARTBEAT_SECONDS, STUCK_SECONDS
from api.openapi import EVERYWHERE
from api.responses.metrics import _ROWS, GpuMetrics, MetricsBody, Status
from api.routes import ROUTES
from api.scraping.scrapes import MAX_HOSTS_MERGED
from collector import publisher
from collector.nvml import parts, plan, running, xid
from collector.nvml.codes import LIBRARY_NOT_FOUND, explain
from collector.nvml.table import FIELDS, PCIE_THROUGHPUT_READS, READS, Read
from common import settings, wording
from common.gpu import READINGS, Gpu, MigInstance, Process, Xid, XidErrors
from common.settings import PREFIX, ApiSettings, CollectorSettings
from common.snapshot import Cost, SlowestCall, Snapshot, Source, StalledCall
from common.version import VERSION

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
FEED = (ROOT / "common/README.md").read_text()
PAGES = ("README.md", "common/README.md", "deploy/README.md", "tests/README.md")
ENVIRONMENT = (ROOT / "deploy/env.example").read_text()

COMMANDS = {
    "run": "python3 -m venv .venv && .venv/bin/pip install --quiet -e . && .venv/bin/supervisord",
    "test": "python3 -m venv .venv && .venv/bin/pip install --quiet -e '.[test]' && .venv/bin/pytest",
    "demo": "python3 -m venv .venv && .venv/bin/pip install --quiet -e . && .venv/bin/python -m tests.demo",
}
SERVICE: dict[str, type[Struct]] = {"The collector:": CollectorSettings, "The API:": ApiSettings}

#: What is no row of `collector.nvml.table`: the module that reads it, NVML's calls, and when they are made.
PARTS: dict[str, tuple[ModuleType, tuple[str, ...], str]] = {
    "nvlink_links_up_count": (parts, ("nvmlDeviceGetNvLinkState",), "5 minutes"),
    "mig_instances": (parts, ("nvmlDeviceGetMigDeviceHandleByIndex", "nvmlDeviceGetMemoryInfo_v2"), "every sample"),
    "xid_errors": (xid, ("nvmlEventSetWait_v2",), "every sample"),
    "processes": (
        running,
        (
            "nvmlDeviceGetComputeRunningProcesses_v3",
            "nvmlDeviceGetGraphicsRunningProcesses_v3",
            "nvmlDeviceGetProcessUtilization",
        ),
        "`PROCESSES`",
    ),
}
IDENTITY = "**Who a GPU is**, told when it is found and when NVML is initialised; null where the driver does not tell:"

#: How the feed's description says what a reading's Python type is, and its unit where that is no plain word.
TYPES: dict[Any, str] = {
    int: "integer",
    float: "number",
    bool: "boolean",
    str: "text",
    list[str]: "list of texts",
    list[MigInstance]: "list of maps",
    list[Process]: "list of maps",
    XidErrors: "map",
}
UNITS = {"celsius": "degrees Celsius", "megahertz": "MHz", "bytes_per_second": "bytes per second"}


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip().strip("|").split(" | "))


def _table(after: str, text: str = README) -> list[tuple[str, ...]]:
    """Return the rows of the first table after a line of the text, without its head."""
    lines = text[text.index(f"\n{after}\n") :].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    rows = lines[start + 1 :]
    end = next((number for number, line in enumerate(rows) if not line.startswith("|")), len(rows))
    return [_cells(row) for row in rows[:end]]


def _calls(read: Read, reading: str) -> str:
    arguments = f"({', '.join(map(str, read.arguments))})" if read.arguments else ""
    first = f"`{read.function}{arguments}`"
    has_other = read.instead is not None and reading in plan.readings(read.instead)
    return f"{first}, else {_calls(read.instead, reading)}" if read.instead and has_other else first


def _feed_type(reading: str) -> str:
    kind, _ = get_args(get_type_hints(Gpu)[reading])
    unit = READINGS[reading].unit
    numeric = f", {UNITS.get(unit, unit)}," if kind in {int, float} else ""
    return f"{TYPES[kind]}{numeric} or null"


def _anchor(heading: str) -> str:
    """Return the fragment that a heading is reached by."""
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


def _settings_row(kind: type[Struct], name: str) -> tuple[str, ...]:
    words = (wording.default(kind, name), wording.expectation(kind, name), wording.meaning(kind, name))
    return f"`{PREFIX}{name.upper()}`", *words


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_one_line_that_a_script_can_take_out(name: str) -> None:
    assert re.findall(rf"(?m)^<!-- command: {name} -->\n```sh\n(.*)\n```$", README) == [COMMANDS[name]]


@pytest.mark.parametrize("process", SERVICE)
def test_the_settings_table_says_what_the_settings_say(process: str) -> None:
    kind = SERVICE[process]
    assert _table(process) == [_settings_row(kind, name) for name in settings.names(kind)]


def test_the_readings_table_says_what_the_catalogue_says() -> None:
    assert [row[:3] for row in _table("## Readings")] == [
        (f"`{reading.name}`", reading.unit, reading.meaning) for reading in READINGS.values()
    ]


def test_the_readings_table_names_the_call_or_the_field_that_each_reading_comes_from() -> None:
    rows = (*READS, *PCIE_THROUGHPUT_READS)
    sources = {given.reading: _calls(read, given.reading) for read in rows for given in read.gives}
    sources |= {field.gives.reading: f"field {field.number}" for field in FIELDS}
    sources |= {reading: ", ".join(map("`{}`".format, calls)) for reading, (_, calls, _) in PARTS.items()}
    assert {row[0].strip("`"): row[3] for row in _table("## Readings")} == sources


def test_the_readings_table_tells_when_each_reading_is_read() -> None:
    rare = f"{plan.RARE_SECONDS / 60:g} minutes"
    times = {given.reading: rare if read.is_rare else "every sample" for read in READS for given in read.gives}
    times |= {field.gives.reading: rare if field.is_rare else "every sample" for field in FIELDS}
    times |= {given.reading: "`PCIE_THROUGHPUT`" for read in PCIE_THROUGHPUT_READS for given in read.gives}
    times |= {reading: when for reading, (_, _, when) in PARTS.items()}
    assert {row[0].strip("`"): row[4] for row in _table("## Readings")} == times


@pytest.mark.parametrize("reading", PARTS)
def test_a_reading_that_is_no_row_of_the_code_s_table_comes_from_a_module_that_makes_its_calls(reading: str) -> None:
    module, calls, _ = PARTS[reading]
    code = Path(str(module.__file__)).read_text()
    assert [call for call in calls if f'"{call}"' not in code and f'"{call.removesuffix("_v3")}"' not in code] == []


def test_the_settings_that_ask_for_readings_exist() -> None:
    named = {row[4].strip("`") for row in _table("## Readings") if row[4].startswith("`")}
    assert named == {"PCIE_THROUGHPUT", "PROCESSES"}
    assert named <= {name.upper() for name in settings.names(CollectorSettings)}


def test_the_readme_counts_the_calls_of_a_sample_as_the_table_does() -> None:
    of_one_gpu = sum(not read.is_rare for read in READS) + any(not field.is_rare for field in FIELDS)
    assert f"**What a sample costs.** {of_one_gpu} calls for each GPU" in README
    words = " ".join(README.split())
    assert f"at most {plan.RARE_CALLS} such calls in one" in words
    assert f"at most {plan.MOST_CALLS} calls for each GPU and two for the host" in words
    assert f"`{parts.NOT_LISTED_REASON}`" in README


def test_the_identity_table_has_every_field_that_says_who_a_gpu_is_in_the_catalogue_s_words() -> None:
    rows = {row[0].strip("`"): row[1] for row in _table(IDENTITY)}
    names = Gpu.__struct_fields__
    assert list(rows) == list(names[: names.index("state")])
    told = get_type_hints(Gpu, include_extras=True)
    described = {name: meta.description for name in rows for meta in get_args(told[name]) if isinstance(meta, Meta)}
    assert {name: rows[name] for name in described} == described


def test_what_says_since_when_a_gpu_is_lost_is_told_where_losses_are() -> None:
    (row,) = (row for row in _table("## When things fail") if row[0] == "A GPU is lost")
    assert "`lost_since_ns`" in row[1]
    assert "`lost_since_ns`" in README[README.index(f"\n{IDENTITY}\n") : README.index("## When things fail")]


def test_the_readings_table_names_each_reading_as_the_endpoint_does() -> None:
    named = {row[0]: row[5] for row in _table("## Readings") if row[5]}
    assert named == {f"`{reading}`": f"`{name}`" for name, reading in _ROWS.items()}


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
        ("MigInstance, in `mig_instances`:", MigInstance),
        ("XidErrors, in `xid_errors`:", XidErrors),
        ("Xid, in its `last`:", Xid),
        ("Process, in `processes`; one that computes and draws is in it twice:", Process),
    ],
)
def test_the_feed_s_tables_have_the_fields_in_their_order(after: str, kind: type[Struct]) -> None:
    assert [row[0].strip("`") for row in _table(after, FEED)] == list(kind.__struct_fields__)


def test_the_feed_s_table_tells_each_reading_s_type_unit_and_title() -> None:
    rows = [row for row in _table("Gpu, in `gpus`:", FEED) if row[0].strip("`") in READINGS]
    assert rows == [(f"`{name}`", _feed_type(name), reading.title) for name, reading in READINGS.items()]


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_the_feed_s_subscribers_are_short(language: str) -> None:
    (code,) = re.findall(rf"(?s)```{language}\n(.*?)```", FEED)
    assert code.count("\n") <= 20


def test_the_feed_s_description_tells_what_the_publisher_bounds() -> None:
    told = " ".join(FEED.split())
    assert f"at most {publisher._OPTIONS[zmq.MAXMSGSIZE]} bytes" in told
    assert f"{publisher.MOST_TOPICS:,} topics of {publisher.MOST_TOPIC_BYTES // 2**20} MiB in all" in told
    assert f"{publisher.QUEUED_FRAMES} snapshots wait for a subscriber" in told


def test_env_example_has_every_setting_at_its_default() -> None:
    written = dict(re.findall(r"(?m)^#(GPU_METRICS_\w+)=(.*)$", ENVIRONMENT))
    expected = {
        row[0].strip("`"): "" if row[1] in {"empty", "the machine's host name"} else row[1]
        for kind in SERVICE.values()
        for row in (_settings_row(kind, name) for name in settings.names(kind))
    }
    assert written == expected


def test_env_example_explains_each_setting_in_the_words_of_the_settings() -> None:
    for kind in SERVICE.values():
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


@pytest.mark.parametrize("path", PAGES)
def test_every_relative_link_leads_somewhere(path: str) -> None:
    here = ROOT / path
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", here.read_text())
    assert links
    for target, fragment in links:
        page = here.parent / target if target else here
        assert page.exists(), target
        headings = re.findall(r"(?m)^#+ (.*)$", page.read_text()) if fragment else []
        assert not fragment or fragment in map(_anchor, headings), fragment


@pytest.mark.parametrize("path", PAGES)
def test_prose_fits_in_lines_of_120_characters(path: str) -> None:
    prose = re.sub(r"(?ms)^ *```.*?^ *```$", "", (ROOT / path).read_text())
    assert [line for line in prose.splitlines() if len(line) > 120 and not line.startswith("|")] == []


def test_every_room_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"`((?:api|collector|common|tests|deploy)/[\w/.]*)`", README))
    assert len(named) > 5
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("rooms", [["common"], ["collector", "collector/nvml"], ["api"]])
def test_the_map_has_each_file_of_code_and_no_other(rooms: list[str]) -> None:
    (shown,) = re.findall(rf"(?ms)^{rooms[0]}/ .*?(?=^\w)", README)
    files = {path.name for room in rooms for path in (ROOT / room).glob("*.py") if not path.name.startswith("__")}
    assert set(re.findall(r"\w+\.py\b", shown)) == files


def test_the_readme_names_the_pinned_binding_and_the_distribution_s_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (pin,) = (dependency for dependency in project["dependencies"] if dependency.startswith("nvidia-ml-py3"))
    assert f"`{pin}`" in README
    assert f"({VERSION})" in README


def test_every_path_and_every_code_of_the_api_is_in_the_readme() -> None:
    assert [route.path for route in ROUTES if f"`{route.path}`" not in README] == []
    codes = {(status, code) for route in ROUTES for status, code in route.codes} | set(EVERYWHERE)
    rows = list(_table('**Errors** are JSON, `{"error": {"code", "message"}}`:'))
    assert [one for one in codes if not any(row[0] == str(one[0]) and f"`{one[1]}`" in row[1] for row in rows)] == []


def test_the_first_api_is_described_in_the_words_of_its_structs() -> None:
    rows = {row[0]: row[2] for row in _table("`GET /api/v1/monitoring/gpu-metrics`")}
    for kind, before in ((MetricsBody, ""), (GpuMetrics, "gpus[].")):
        for name, annotation in get_type_hints(kind, include_extras=True).items():
            metas = [one for one in get_args(annotation) if isinstance(one, Meta)]
            words = next(told for of, told in rows.items() if of.startswith(f"`{before}{name}"))
            assert all(words.startswith((one.description or "").partition(", in ")[0].rstrip(".")) for one in metas)


def test_each_limit_of_the_readme_is_the_one_in_force() -> None:
    for figure in (
        f"{MOST:,} connections",
        f"{MAX_BODY_BYTES // 1024} KiB; the connection is closed",
        f"{MAX_HEADER_BYTES // 1024} KiB; the connection is closed",
        f"for {IDLE_SECONDS:g} s, and as long to read an answer",
        f"within {BODY_SECONDS:g} s",
        f"{MOST_UNREAD_BYTES // 2**20} MiB of large answers",
        f"At most {MOST_LISTENERS:,} may listen",
        f"After {HEARTBEAT_SECONDS:g} s",
        f"beyond {MAX_HOSTS_MERGED} hosts",
        f"{MOST_SHORT_WORKS} of very many GPUs or for scrapes, {MOST_LONG_WORKS} of the history",
        f"{MOST_TIMESTAMPS:,} timestamps and {MOST_VALUES:,} values",
    ):
        assert figure in " ".join(README.split()), figure
    assert IDLE_SECONDS == ANSWER_SECONDS == STUCK_SECONDS
