"""How the two real processes refuse to start: one line for whoever must act on it, and an exit status."""

from pathlib import Path

import pytest

from tests.processes import Service, Start
from tests.standin import StandIn


@pytest.mark.parametrize(
    ("module", "settings", "line"),
    [
        ("collector", {"interval_seconds": "0"}, "GPU_METRICS_INTERVAL_SECONDS (--interval-seconds): '0' is not"),
        ("collector", {"intervall": "1"}, "GPU_METRICS_INTERVALL: no such setting"),
        ("collector", {"feed_bind": "nonsense"}, "GPU_METRICS_FEED_BIND (--feed-bind): 'nonsense' is not"),
        ("api", {"api_port": "99999"}, "GPU_METRICS_API_PORT (--api-port): '99999' is not"),
        ("api", {"api_address": "0.0.0.0"}, "GPU_METRICS_API_ADDRESS (--api-address): '0.0.0.0' is not"),  # noqa: S104 -- it must be refused
    ],
)
def test_a_bad_setting_is_one_line_and_status_2(
    standin: StandIn, tmp_path: Path, module: str, settings: dict[str, str], line: str
) -> None:
    process = getattr(Service(standin, tmp_path, **settings), module)
    process.start()
    assert process.ended() == 2
    assert process.log.startswith(line)
    assert process.log.count("\n") == 1


@pytest.mark.parametrize("module", ["collector", "api"])
def test_a_port_in_use_is_one_line_and_status_1(start: Start, standin: StandIn, tmp_path: Path, module: str) -> None:
    service = start()
    service.until_status("ok")
    (tmp_path / "second").mkdir()
    second = Service(standin, tmp_path / "second")
    process = getattr(second, module)
    process.settings |= {name: service.api.settings[name] for name in ("GPU_METRICS_FEED_BIND", "GPU_METRICS_API_PORT")}
    process.start()
    assert process.ended() == 1
    assert process.log.count("\n") == 1
    assert "in use" in process.log
    assert service.get().status == 200
