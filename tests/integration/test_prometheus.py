"""A real Prometheus scrapes the real API, and its linter reads what is written."""

import contextlib
import http.client
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.processes import PATIENCE_SECONDS, Start, eventually, get
from tests.prometheus import needs_prometheus, prometheus, query, value
from tests.standin import StandIn

TOKEN = "the-token-of-prometheus-01"  # noqa: S105 -- it opens nothing but this test
DASHBOARD = ("GPU_TEMP", "POWER_USAGE", "SM_CLOCK", "GPU_UTIL", "FB_USED")
"""What Grafana's dashboard 12239 asks dcgm-exporter for, as far as NVML knows it."""


def scrapes(api_port: int, token: Path) -> dict[str, Any]:
    """Return the configuration of one who has the token, in both dialects, and of one who has not."""
    targets = [{"targets": [f"127.0.0.1:{api_port}"]}]
    known = {"authorization": {"credentials_file": str(token)}, "static_configs": targets}
    return {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {"job_name": "gpu", **known},
            {"job_name": "dcgm", "params": {"dialect": ["dcgm"]}, **known},
            {"job_name": "stranger", "static_configs": targets},
        ],
    }


@needs_prometheus
def test_a_real_prometheus_reads_both_dialects_and_sees_a_gpu_lost_and_the_collector_gone(
    start: Start, standin: StandIn, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text(f"prometheus {TOKEN}\n")
    service = start(api_token_file=str(tokens), stale_after_seconds="2")
    eventually(lambda: get(service.port, "/readyz").status == 200)
    standin.value("temperature_gpu_celsius", 83, gpu=0)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with prometheus(tmp_path, scrapes(service.port, token)) as port:
        eventually(lambda: value(port, 'gpu_temperature_celsius{gpu="0"}'), lambda seen: seen == 83.0)
        eventually(lambda: value(port, 'up{job="stranger"}'), lambda seen: seen == 0.0)
        for name in DASHBOARD:
            eventually(lambda name=name: query(port, f'DCGM_FI_DEV_{name}{{gpu="0"}}'))  # type: ignore[misc]
        assert query(port, "avg by (instance, gpu) (DCGM_FI_DEV_SM_CLOCK * 1000000)")
        standin.lose(1)
        eventually(lambda: value(port, 'gpu_state{gpu="1",state="lost"}'), lambda seen: seen == 1.0)
        service.collector.kill()
        eventually(lambda: value(port, "gpu_host_up"), lambda seen: seen == 0.0)
        eventually(lambda: query(port, "gpu_temperature_celsius"), lambda seen: not seen)


@needs_prometheus
@pytest.mark.parametrize("target", ["/metrics", "/metrics?host=node-1"])
def test_the_linter_of_prometheus_has_nothing_to_say(start: Start, target: str) -> None:
    service = start()
    service.until_status("ok")
    written = _text(service.port, target)
    linted = subprocess.run(
        ["promtool", "check", "metrics"], input=written, capture_output=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, b"")


def _text(port: int, target: str) -> bytes:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("GET", target)
        return bytes(connection.getresponse().read())
