"""An API and its collectors with keys and a list that changes: the real processes."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from collector import keys
from tests.processes import Process, Service, eventually, get
from tests.standin import StandIn

HOSTS = "/api/v1/monitoring/hosts"


class Fleet:
    """Collectors that have a key and an allow-list each, and one API that a list tells of them."""

    def __init__(self, standin: StandIn, directory: Path) -> None:
        self._standin = standin
        self._directory = directory
        self._list = directory / "feeds"
        self.started: list[Process] = []
        self.make("api-1")

    def make(self, name: str) -> None:
        assert keys.main([name, "--directory", str(self._directory)]) == 0

    def allow(self, host: str, name: str) -> None:
        shutil.copy(self._directory / f"{name}.public", self._directory / f"{host}.allowed")

    def collect(self, host: str, allowed: str = "api-1") -> str:
        """Start a collector, and return its line for the list."""
        self.make(host)
        (self._directory / f"{host}.allowed").mkdir()
        self.allow(host, allowed)
        (self._directory / f"of {host}").mkdir()
        settings = {"host": host, "feed_authorized_keys": f"{self._directory}/{host}.allowed"}
        settings["feed_secret_key"] = f"{self._directory}/{host}.secret"
        service = Service(self._standin, self._directory / f"of {host}", **settings)
        self._start(service.collector)
        return f"{service.feed} {(self._directory / f'{host}.public').read_text()}"

    def serve(self) -> int:
        """Start the API, and return its port."""
        given = {"feed_connect": f"file:{self._list}", "feed_client_key": f"{self._directory}/api-1.secret"}
        service = Service(self._standin, self._directory, **given)
        self._start(service.api)
        eventually(lambda: self._is_up(service.port))
        return service.port

    def write_list(self, *lines: str) -> None:
        self._list.write_text("".join(lines))

    def _start(self, process: Process) -> None:
        process.start()
        self.started.append(process)

    @staticmethod
    def _is_up(port: int) -> bool:
        try:
            return get(port, "/healthz").status == 200
        except OSError:
            return False


@pytest.fixture
def fleet(standin: StandIn, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(standin, tmp_path)
    yield made
    for process in made.started:
        process.kill()


def told(port: int) -> dict[str | None, Any]:
    return {host["host"]: host for host in get(port, HOSTS).body["hosts"]}


def is_connected(host: str) -> Callable[[dict[str | None, Any]], bool]:
    return lambda hosts: host in hosts and hosts[host]["connection"]["state"] == "connected"


def test_a_list_that_changes_brings_hosts_and_takes_them_and_leaves_the_others_as_they_are(fleet: Fleet) -> None:
    first = fleet.collect("node-1")
    fleet.write_list(first)
    port = fleet.serve()
    eventually(lambda: told(port), is_connected("node-1"))
    fleet.write_list(first, fleet.collect("node-2"))
    hosts = eventually(lambda: told(port), is_connected("node-2"))
    assert hosts["node-1"]["connection"]["times"]["connected"] == 1
    assert hosts["node-1"]["messages"]["lost"] == 0
    assert abs(hosts["node-2"]["clock_offset_seconds"]) < 5
    fleet.write_list(first)
    assert list(eventually(lambda: told(port), lambda hosts: "node-2" not in hosts)) == ["node-1"]
    targets = get(port, "/api/v1/monitoring/targets").body
    assert [one["labels"]["__param_host"] for one in targets] == ["node-1"]


def test_an_api_that_is_not_allowed_says_so_and_hears_the_host_once_it_is(fleet: Fleet) -> None:
    fleet.make("stranger")
    fleet.write_list(fleet.collect("node-1", allowed="stranger"))
    port = fleet.serve()
    hosts = eventually(lambda: told(port), lambda hosts: hosts[None]["connection"]["state"] == "rejected")
    assert "FEED_AUTHORIZED_KEYS" in hosts[None]["connection"]["reason"]
    assert hosts[None]["state"] == "unheard"
    fleet.allow("node-1", "api-1")
    assert eventually(lambda: told(port), is_connected("node-1"))["node-1"]["state"] == "ok"
