"""The dashboard that is shipped, and what it asks Prometheus for."""

import json
import re
from typing import Any

from tests.processes import ROOT

PATH = ROOT / "deploy/grafana/dashboard.json"
DASHBOARD: dict[str, Any] = json.loads(PATH.read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

QUERIES: dict[str, str] = {
    f"{panel['title']} {target['refId']}": target["expr"] for panel in PANELS for target in panel["targets"]
}
"""What each panel asks for, by its title and the query's letter."""

VARIABLES: dict[str, str] = {
    one["name"]: one["query"]["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"
}
"""What each variable that is asked for is made of: `label_values(SERIES, LABEL)`."""


def asked(expression: str, rate_interval: str) -> str:
    """Return what Grafana asks of Prometheus with everything chosen."""
    chosen = {one["name"]: one["allValue"] for one in DASHBOARD["templating"]["list"] if one.get("includeAll")}
    for name, text in {**chosen, "__rate_interval": rate_interval}.items():
        expression = re.sub(rf"\${name}\b", text, expression)
    return expression
