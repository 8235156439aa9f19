"""The files that are shipped for Prometheus and Grafana, with the real ones of both processes: what goes wrong raises
the alarm that it should, and no other, and the alarm ends when it is mended; no panel of the dashboard asks in vain.

One Prometheus watches a machine with an API of its own (`prometheus.yml`) and an API of several hosts (`fleet.yml`).
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pynvml
import pytest
import trustme
import yaml
import zmq

from common import wire
from tests.builders import make_frame, make_snapshot
from tests.ports import free_port
from tests.processes import Service, eventually, get
from tests.prometheus import RULES, SHIPPED, needs_prometheus, prometheus, query
from tests.standin import StandIn

TOKEN = "the-token-of-prometheus-02"  # noqa: S105 -- it opens nothing but this test
GPUS = 8
WELL = {"pcie_width": 16, "retired_pages_pending": 0, "remapped_rows_failed": 0}
"""What the stand-in's GPUs suffer from at first, for a test to see it."""

FAULTS = {
    "temperature_gpu_celsius": (103, 1),
    "remapped_rows_pending": (1, 2),
    "remapped_rows_failed": (1, 2),
    "pcie_width": (8, 4),
    "utilization_gpu_percent": (0, 5),
    "clock_event_reasons": (0x80 | 0x40, 6),
    "memory_free_bytes": (2**20, 7),
}
"""A number of the stand-in's, and on which GPU it is what it should not be."""

ALARMS = (
    ("GpuLost", "0"),
    ("GpuNearShutdown", "1"),
    ("GpuRowRemapPending", "2"),
    ("GpuRowRemapFailed", "2"),
    ("GpuPcieLinkNarrow", "4"),
    ("GpuIdleMemoryHeld", "5"),
    ("GpuPowerBrake", "6"),
    ("GpuThrottledByHeat", "6"),
    ("GpuMemoryFull", "7"),
)

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
    whole: dict[str, Any] = {"scrape_configs": []}
    for name in ("prometheus.yml", "fleet.yml"):
        text = shortened((SHIPPED / name).read_text())
        for shipped, tried in here.items():
            assert name == "prometheus.yml" or shipped in text or shipped == "127.0.0.1:8480"
            text = text.replace(shipped, tried)
        read = yaml.safe_load(text)
        whole = {**whole, **read, "scrape_configs": [*whole["scrape_configs"], *read["scrape_configs"]]}
    for job in whole["scrape_configs"]:
        for found in job.get("http_sd_configs", []):
            found["refresh_interval"] = "1s"
    return whole


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


@pytest.fixture(scope="module")
def watch(standin_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    directory = tmp_path_factory.mktemp("watch")
    node = make_service(standin_library, directory / "node-1", processes="true", pcie_throughput="true")
    fleet = make_service(standin_library, directory / "node-2", **secured(directory))
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


@needs_prometheus
def test_where_all_is_well_no_alarm_is_raised_and_every_number_is_there_once(watch: Watch) -> None:
    eventually(lambda: query(watch.port, "fleet:gpus:sum"))
    watch.until_firing()
    told = [labels for labels, _ in query(watch.port, "{__name__=~'gpu_.+',__name__!~'gpu_api_.+'}")]
    apart = {tuple(sorted(labels.items() - {(name, labels[name]) for name in ("job", "instance")})) for labels in told}
    assert len(apart) == len(told) > 0
    assert not query(watch.port, "{__name__=~'exported_.+'} or {exported_host=~'.+'}")
    assert {labels["job"] for labels, _ in query(watch.port, "gpu_feed_up")} == {"gpu", "gpu-api"}


@needs_prometheus
def test_each_fault_of_a_gpu_raises_its_own_alarm_until_it_is_mended(watch: Watch) -> None:
    for name, (number, gpu) in FAULTS.items():
        watch.node.standin.value(name, number, gpu=gpu)
    watch.node.standin.lose(0)
    watch.node.standin.reload()  # what hardly changes is read again at once
    watch.until_firing(*ALARMS)
    watch.node.standin.value("ecc_uncorrected_volatile_count", 5000, gpu=3)
    watch.node.standin.xid(3, 79)
    watch.node.standin.xid(3, 94)
    watch.until_firing(*ALARMS, ("GpuEccUncorrectable", "3"), ("GpuXidCritical", "3"), ("GpuXidMemory", "3"))
    for name, (_, gpu) in FAULTS.items():
        watch.node.standin.value(name, WELL.get(name), gpu=gpu)
    watch.node.standin.restore(0)
    watch.node.standin.reload()
    watch.until_firing()


@needs_prometheus
def test_a_driver_that_hangs_or_is_away_raises_an_alarm_for_the_host_alone(watch: Watch) -> None:
    watch.node.standin.hang("nvmlDeviceGetTemperature", gpu=1)
    watch.fleet.standin.fail("nvmlInit_v2", pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    watch.fleet.standin.reload()
    watch.until_firing(("GpuCollectorStalled", "node-1"), ("GpuDriverUnavailable", "node-2"))
    watch.node.standin.heal()
    watch.fleet.standin.heal()
    watch.until_firing()


@needs_prometheus
def test_a_collector_and_an_api_that_are_killed_each_raise_an_alarm_until_they_are_back(watch: Watch) -> None:
    services = (watch.node, watch.fleet)
    for service in services:
        service.collector.kill()
    watch.until_firing(("GpuHostDown", "node-1"), ("GpuHostDown", "node-2"))
    for service in services:
        service.api.kill()
    watch.until_firing(("GpuApiDown", "gpu"), ("GpuApiDown", "gpu-api"))
    for service in services:
        service.api.start()
    watch.until_firing(*(("GpuFeedSilent", service.feed) for service in services))
    for service in services:
        service.collector.start()
    watch.until_firing()


@needs_prometheus
def test_a_feed_that_does_not_come_about_or_goes_wrong_raises_an_alarm(watch: Watch) -> None:
    silent, stranger = (f"tcp://127.0.0.1:{port}" for port in (free_port(), watch.port))
    listen(watch.fleet, silent, stranger)
    with zmq.Context() as context:
        bad = BadFeed(context)
        listen(watch.node, bad.endpoint)
        expected = {("GpuFeedSilent", silent), ("GpuFeedRejected", stranger)}
        expected |= {("GpuFeedUnreadable", bad.endpoint), ("GpuMessagesLost", "node-3")}

        def firing() -> set[Alarm]:
            bad.publish()
            return watch.firing()

        eventually(firing, expected.__eq__)
        context.destroy(linger=0)
    listen(watch.fleet)
    listen(watch.node)
    watch.until_firing()
