"""The API is what it says that it is: its description, and schemathesis, which asks whatever that admits and more."""

import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from api.openapi import document
from api.routes import ROUTES, STREAM_PATH
from common.gpu import READINGS
from tests.fuzz.clients import is_at
from tests.processes import Service, Start, eventually, get

TOKEN = "a-token-of-somebody-0123456789"  # noqa: S105 -- it opens nothing but this test
CONFIGURATION = """
[checks]
# What is not fresh is 503, which the description says.
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]
"""


def test_every_route_is_described_with_its_parameters_and_its_errors() -> None:
    paths = document(needs_token=True)["paths"]
    assert list(paths) == [route.path for route in ROUTES]
    for route in ROUTES:
        told = paths[route.path]["get"]
        assert [one["name"] for one in told["parameters"] if one["in"] == "query"] == [p.name for p in route.parameters]
        assert all(one["description"] for one in told["parameters"] if one["in"] == "query")
        for status, code in route.codes:
            assert code in told["responses"][str(status)]["description"]
        assert ("401" in told["responses"]) == ("security" in told) == (not route.is_open)


def test_every_route_says_what_other_methods_are_answered_with() -> None:
    for told in document(needs_token=False)["paths"].values():
        refused = told["get"]["responses"]["405"]
        assert refused["description"] == "Method Not Allowed: method_not_allowed."
        assert list(refused["headers"]) == ["Allow"]


def test_where_nobody_needs_a_token_none_is_spoken_of() -> None:
    assert "401" not in msgspec.json.encode(document(needs_token=False)).decode()


def test_every_reading_is_described_with_its_unit() -> None:
    properties = document(needs_token=False)["components"]["schemas"]["HostGpu"]["properties"]
    assert {name: properties[name]["x-unit"] for name in READINGS} == {r.name: r.unit for r in READINGS.values()}
    assert all(properties[name]["description"] for name in READINGS)


def test_every_field_of_a_body_is_described() -> None:
    schemas = document(needs_token=False)["components"]["schemas"]
    assert [name for name, schema in schemas.items() if not schema.get("description")] == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_heard", [True, False])
def test_schemathesis_finds_nothing(start: Start, tmp_path: Path, *, is_heard: bool) -> None:
    tokens = tmp_path / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text(f"somebody {TOKEN}\n")
    service = start(api_token_file=str(tokens))
    if not is_heard:
        service.collector.kill()
        service.api.stop()
        service.api.start()
    eventually(lambda: _answers(service), lambda status: status == (200 if is_heard else 503))
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    ran = subprocess.run(_command(service), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    # It leaves alone where the description itself is.
    assert f"{len(ROUTES) - 2} selected / {len(ROUTES) - 1} total" in ran.stdout
    assert "API Links:    1 covered" in ran.stdout or not is_heard  # from `gpus` to each of them
    asked = _asked(tmp_path / "asked.har")
    for route in (route for route in ROUTES if route.path != STREAM_PATH):
        for name in (one.name for one in route.parameters):
            statuses = {status for path, of, status in asked if of == name and is_at(route, path)}
            assert 400 in statuses, f"{name} of {route.path} was never given what it may not be"
            assert statuses - {400, 401}, f"{name} of {route.path} was never given what it may be"


def _asked(archive: Path) -> set[tuple[str, str, int]]:
    """Return the path, each parameter's name and the status of every request that was answered."""
    asked = set()
    for entry in msgspec.json.decode(archive.read_bytes())["log"]["entries"]:
        target, status = urlsplit(entry["request"]["url"]), entry["response"]["status"]
        asked |= {(target.path, name, status) for name, _ in parse_qsl(target.query, keep_blank_values=True)}
    return asked


def _answers(service: Service) -> Any:
    return get(service.port, "/api/v1/monitoring/gpus", Authorization=f"Bearer {TOKEN}").status


def _command(service: Service) -> list[str]:
    return [
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        f"http://127.0.0.1:{service.port}/openapi.json",
        f"--exclude-path={STREAM_PATH}",
        "--checks=all",
        "--max-examples=20",
        "--seed=1",
        "--no-color",
        "--report=har",
        "--report-har-path=asked.har",
        f"--header=Authorization: Bearer {TOKEN}",
    ]
