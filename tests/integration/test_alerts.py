"""The files that are shipped for Prometheus and Grafana, with the real ones of both processes: what goes wrong raises
the alarm that it should, and no other, and the alarm ends when it is mended; no panel of the dashboard asks in vain.
"""

import math
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pynvml
import pytest
import zmq

from tests.dashboard import QUERIES, VARIABLES, asked
from tests.ports import free_port
from tests.processes import eventually
from tests.prometheus import needs_prometheus, query
from tests.watch import WELL, Alarm, BadFeed, Watch, listen, watching

NO_POWER = 8  # NVML_ERROR_INSUFFICIENT_POWER
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
    ("GpuInError", "8"),
)


@pytest.fixture(scope="module")
def watch(standin_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    with watching(standin_library, tmp_path_factory.mktemp("watch")) as started:
        yield started


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
    watch.node.standin.fail("nvmlDeviceGetHandleByIndex_v2", NO_POWER, gpu=8)
    watch.node.standin.reload()  # what hardly changes is read again at once
    watch.until_firing(*ALARMS)
    watch.node.standin.value("ecc_uncorrected_volatile_count", 5000, gpu=3)
    watch.node.standin.xid(3, 79)
    watch.node.standin.xid(3, 94)
    watch.until_firing(*ALARMS, ("GpuEccUncorrectable", "3"), ("GpuXidCritical", "3"), ("GpuXidMemory", "3"))
    for name, (_, gpu) in FAULTS.items():
        watch.node.standin.value(name, WELL.get(name), gpu=gpu)
    watch.node.standin.heal()
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


@needs_prometheus
def test_no_panel_and_no_variable_of_the_dashboard_asks_in_vain(watch: Watch) -> None:
    watch.node.standin.processes(1, (os.getpid(), 2**30))
    watch.node.standin.xid(1, 31)
    watch.node.standin.lose(0)
    watch.until_firing(("GpuLost", "0"))
    asked_for = {name: asked(expression, "8s") for name, expression in QUERIES.items()}
    for name, expression in asked_for.items():
        found = eventually(partial(query, watch.port, expression))
        assert all(math.isfinite(number) for _, number in found), name
    for name, expression in VARIABLES.items():
        of = re.fullmatch(r"label_values\((.*), (\w+)\)", asked(expression, "8s"))
        assert of, name
        assert all(of[2] in labels for labels, _ in query(watch.port, of[1]) or [({}, 0.0)]), name
    watch.node.standin.restore(0)
    watch.until_firing()


@needs_prometheus
def test_the_dashboard_tells_how_a_host_is_that_is_gone_and_shows_no_number_of_it(watch: Watch) -> None:
    watch.node.collector.kill()
    watch.until_firing(("GpuHostDown", "node-1"))
    asked_for = {name: asked(expression, "8s") for name, expression in QUERIES.items()}

    def told() -> dict[str, list[dict[str, str]]]:
        series = {name: [labels for labels, _ in query(watch.port, one)] for name, one in asked_for.items()}
        of_node = {name: [one for one in found if one.get("host") == "node-1"] for name, found in series.items()}
        return {name: found for name, found in of_node.items() if found}

    expected = {"Alarms A", "Hosts A", "Hosts B", "How hosts are A", "Snapshots that are lost A"}
    found = eventually(told, lambda seen: set(seen) == expected)
    assert [labels["state"] for labels in found["Hosts A"]] == ["stale"]
    watch.node.collector.start()
    watch.until_firing()
