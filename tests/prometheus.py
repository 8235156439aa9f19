"""The Prometheus that a test runs, and the files for it that operators are given."""

import contextlib
import json
import re
import shutil
import subprocess
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builders import GOLDEN
from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS, ROOT, eventually, get

SHIPPED = ROOT / "deploy/prometheus"
RULES = SHIPPED / "rules.yml"

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None, reason="there is no prometheus here"
)


def rules(text: str | None = None) -> list[dict[str, Any]]:
    """Return every rule, of the file that is shipped unless the text of another is given."""
    groups = yaml.safe_load(RULES.read_text() if text is None else text)["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Return the alerts that are shipped, by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def metrics_of(expression: str) -> set[str]:
    """Return the metrics that an expression asks for, of this project's and of those that the rules record."""
    return set(re.findall(r"\b(?:gpu|host|fleet)[_:]\w[\w:]*", expression))


def known_metrics() -> set[str]:
    """Return every metric that there is to ask for: those told and those recorded."""
    told = re.findall(r"(?m)^(gpu_\w+)", (GOLDEN / "metrics.txt").read_text())
    return {*told, *(rule["record"] for rule in rules() if "record" in rule)}


def promtool(*arguments: str, **given: Any) -> "subprocess.CompletedProcess[str]":
    """Run Prometheus' own checker, and return how it ended and what it said."""
    return subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS, **given
    )


@contextlib.contextmanager
def prometheus(directory: Path, configuration: Mapping[str, Any]) -> Iterator[int]:
    """Run a Prometheus of its own in a directory that exists, and give its port."""
    (directory / "prometheus.yml").write_text(json.dumps(configuration))  # which YAML is a superset of
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    told = directory / "prometheus.log"
    with told.open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            eventually(told.read_text, lambda text: "Server is ready to receive web requests" in text)
            yield port
        finally:
            process.terminate()


def query(port: int, expression: str) -> list[tuple[dict[str, str], float]]:
    """Return labels and value of each series that an expression has now."""
    reply = get(port, f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
    assert reply.status == 200, f"{expression}: {reply.body}"
    return [(one["metric"], float(one["value"][1])) for one in reply.body["data"]["result"]]


def value(port: int, expression: str) -> Any:
    """Return the value of an expression's only series; else all of them."""
    found = query(port, expression)
    return found[0][1] if len(found) == 1 else found
