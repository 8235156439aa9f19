"""A Prometheus that watches the real processes by the files that are shipped for it: a machine with an API of its own,
as in `prometheus.yml`, and the API of a fleet, as in `fleet.yml`. Only times are shorter, and addresses this test's.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import trustme
import yaml
import zmq

from common import wire
from tests.builders import make_frame, make_snapshot
from tests.ports import free_port
from tests.processes import Service, eventually, get
from tests.prometheus import RULES, SHIPPED, prometheus, query
from tests.standin import StandIn

TOKEN = "the-token-of-prometheus-02"  # noqa: S105 -- it opens nothing but this test
GPUS = 9
WELL = {"pcie_width": 16, "retired_pages_pending": 0, "remapped_rows_failed": 0}
"""What the stand-in's GPUs suffer from at first, for a test to see it."""

Alarm = tuple[str, str]
"""An alert's name, and which GPU, host or endpoint it is about."""


class Watch(NamedTuple):
    """The Prometheus at `port`, and what it watches: the machine node-1, and the fleet, which is node-2."""

    port: int
    node: Service
    fleet: Service

    def firing(self) -> set[Alarm]:
        """Return the alarms that are raised now, each of which says something."""
        alerts = get(self.port, "/api/v1/alerts").body["data"]["alerts"]
        for alert in alerts:
            description = alert["annotations"]["description"]
            assert not re.search(r"no value|error (parsing|executing)|<|\{\{", description), description
        return {(one["labels"]["alertname"], _about(one["labels"])) for one in alerts if one["state"] == "firing"}

    def until_firing(self, *alarms: Alarm) -> None:
        """Wait until these are raised and no others."""
        eventually(self.firing, lambda seen: seen == set(alarms))


def listen(service: Service, *endpoints: str) -> None:
    """Let a service's API listen to these, beside its own collector."""
    feeds = Path(service.api.settings["GPU_METRICS_FEED_CONNECT"].removeprefix("file:"))
    feeds.write_text("".join(f"{endpoint}\n" for endpoint in (service.feed, *endpoints)))


class BadFeed:
    """A feed of node-3, on which every other snapshot is missing, and each comes with something that is none."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        self._socket = context.socket(zmq.PUB)
        self._socket.bind(self.endpoint)
        self._sequence = 0

    def publish(self) -> None:
        self._sequence += 2
        self._socket.send(wire.encode(make_snapshot(host="node-3", sequence=self._sequence)))
        self._socket.send(make_frame(held_seconds=-1.0))


def _about(labels: dict[str, str]) -> str:
    return next(labels[name] for name in ("gpu", "host", "endpoint", "job") if name in labels)


def shortened(text: str) -> str:
    """Return shipped rules or configuration with a second in place of each time to wait, and eight of each time to look
    back. Nothing else is changed."""
    text = re.sub(r"(?m)^( *(?:for|scrape_interval|evaluation_interval)): \d+[smh]", r"\1: 1s", text)
    return re.sub(r"(\[|offset )\d+[smh]", r"\g<1>8s", text)


def configuration(directory: Path, node: Service, fleet: Service) -> dict[str, Any]:
    """Return both shipped configurations as one, with the addresses and files of this test."""
    here = {
        "gpu-metrics.example:8480": f"127.0.0.1:{fleet.port}",
        "127.0.0.1:8480": f"127.0.0.1:{node.port}",
        "/etc/prometheus": str(directory),
    }
    texts = [shortened((SHIPPED / name).read_text()) for name in ("prometheus.yml", "fleet.yml")]
    for shipped, tried in here.items():
        assert any(shipped in text for text in texts)
        texts = [text.replace(shipped, tried) for text in texts]
    of_machines, of_fleet = map(yaml.safe_load, texts)
    jobs = [*of_machines["scrape_configs"], *of_fleet["scrape_configs"]]
    for discovery in (found for job in jobs for found in job.get("http_sd_configs", [])):
        discovery["refresh_interval"] = "1s"
    return {**of_machines, "scrape_configs": jobs}


def make_service(library: Path, directory: Path, **settings: str) -> Service:
    """Return a service whose host has the directory's name and GPUs that are well."""
    directory.mkdir()
    standin = StandIn(library, directory / "nvml.control")
    standin.gpus(GPUS)
    for name, number in WELL.items():
        standin.value(name, number)
    common = {"host": directory.name, "feed_connect": f"file:{directory}/feeds"}
    service = Service(standin, directory, **common, stale_after_seconds="2", stall_after_seconds="1", **settings)
    listen(service)
    return service


def secured(directory: Path) -> dict[str, str]:
    """Make a token and a certificate, and return the settings that name them."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "gpu-metrics-ca.pem")
    leaf = authority.issue_cert("127.0.0.1")
    leaf.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    (directory / "gpu-metrics-token").write_text(TOKEN)
    for name, content in (("tokens", f"prometheus {TOKEN}\n".encode()), ("key.pem", leaf.private_key_pem.bytes())):
        (directory / name).touch(mode=0o600)
        (directory / name).write_bytes(content)
    files = {"api_token_file": "tokens", "api_tls_cert": "cert.pem", "api_tls_key": "key.pem"}
    return {setting: str(directory / name) for setting, name in files.items()}


@contextlib.contextmanager
def watching(library: Path, directory: Path) -> Iterator[Watch]:
    """Run it all in a directory that exists."""
    node = make_service(library, directory / "node-1", processes="true", pcie_throughput="true")
    fleet = make_service(library, directory / "node-2", **secured(directory))
    (directory / "rules.yml").write_text(shortened(RULES.read_text()))
    processes = (node.collector, node.api, fleet.collector, fleet.api)
    with contextlib.ExitStack() as stack:
        for process in processes:
            process.start()
            stack.callback(process.kill)
        # Prometheus looks for hosts when it starts, and acts on what it finds later only after many seconds.
        eventually(lambda: ": connected" in fleet.api.log)
        port = stack.enter_context(prometheus(directory, configuration(directory, node, fleet)))
        seen = Watch(port, node, fleet)
        eventually(
            lambda: {labels["host"] for labels, _ in query(port, "gpu_host_up == 1")}, {"node-1", "node-2"}.__eq__
        )
        yield seen
