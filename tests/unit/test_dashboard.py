"""The dashboard that is shipped: Grafana knows every word of it, and it is drawn and explained as it should be."""

import json
import re
from collections import Counter
from itertools import pairwise
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.dashboard import DASHBOARD, PANELS, QUERIES, VARIABLES, asked
from tests.prometheus import known_metrics, metrics_of

COLUMNS = 24
"""The width of Grafana's grid."""


def lost(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Return where one JSON has something that another, which may have more, has not."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        pairs = [(value, theirs.get(name, ...), f"{path}.{name}") for name, value in ours.items()]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(value, theirs[place], f"{path}[{place}]") for place, value in enumerate(ours)]
    else:
        return [] if ours == theirs else [path]
    return [place for pair in pairs for place in lost(*pair)]


def cells(panel: dict[str, Any]) -> list[tuple[int, int]]:
    """Return the places of the grid that a panel takes."""
    at = panel["gridPos"]
    rows, columns = range(at["y"], at["y"] + at["h"]), range(at["x"], at["x"] + at["w"])
    return [(x, y) for y in rows for x in columns]


def test_grafana_s_own_types_know_every_word_of_it() -> None:
    register_default_plugins()
    read = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(DASHBOARD)))
    assert lost(DASHBOARD, read) == []


def test_it_can_be_imported_anywhere_and_finds_its_data_source_by_the_choice_of_who_looks() -> None:
    assert DASHBOARD["schemaVersion"] >= 38
    assert DASHBOARD["uid"] == "gpu-metrics"
    assert "id" not in DASHBOARD
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    asking = [one for panel in PANELS for one in (panel, *panel["targets"])]
    asking += [one for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    assert all(one["datasource"] == chosen for one in asking)
    assert DASHBOARD["templating"]["list"][0]["type"] == "datasource"


def test_every_panel_has_a_number_of_its_own_a_title_and_an_explanation() -> None:
    everything = DASHBOARD["panels"]
    assert max(Counter(panel["id"] for panel in everything).values()) == 1
    assert max(Counter(panel["title"] for panel in PANELS).values()) == 1
    assert [panel["title"] for panel in everything if panel["type"] == "row"] == ["Fleet", "Hosts", "GPUs"]
    for panel in PANELS:
        assert panel["description"].endswith("."), panel["title"]
        assert [target["refId"] for target in panel["targets"]] == list("ABCDE"[: len(panel["targets"])])
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], panel["title"]


def test_no_panel_covers_another_or_lies_beyond_the_edge_and_there_are_no_holes() -> None:
    taken = Counter(cell for panel in DASHBOARD["panels"] for cell in cells(panel))
    assert max(taken.values()) == 1
    assert {x for x, _ in taken} == set(range(COLUMNS))
    assert len(taken) == COLUMNS * (max(y for _, y in taken) + 1)


def test_panels_stand_in_the_file_as_they_are_read() -> None:
    places = [(panel["gridPos"]["y"], panel["gridPos"]["x"]) for panel in DASHBOARD["panels"]]
    assert all(before < after for before, after in pairwise(places))


def test_a_line_says_whose_it_is_and_ends_where_nothing_was_told() -> None:
    for panel in PANELS:
        lines = [target for target in panel["targets"] if target["range"]]
        assert all("{{host}}" in target["legendFormat"] for target in lines), panel["title"]
        of_gpus = [target for target in lines if "$gpu" in target["expr"]]
        assert all("{{gpu}}" in target["legendFormat"] for target in of_gpus), panel["title"]
        assert panel["type"] != "timeseries" or panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] is False


def test_no_query_shows_what_was_as_what_is() -> None:
    old = r"\w+_over_time|offset|\[(?!\$__rate_interval\])"
    assert [name for name, expression in QUERIES.items() if re.search(old, expression)] == []


def test_every_metric_that_is_asked_for_is_told_or_recorded() -> None:
    asked_for = [*QUERIES.values(), *VARIABLES.values()]
    assert {name for expression in asked_for for name in metrics_of(expression)} - known_metrics() == set()


def test_no_variable_is_left_in_what_is_asked() -> None:
    assert [one for one in map(_everything, (*QUERIES.values(), *VARIABLES.values())) if "$" in one] == []


def _everything(expression: str) -> str:
    return asked(expression, "1m")
