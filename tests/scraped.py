"""What is scraped, for tests: reports with everything in them, and expositions read back with the parsers of
prometheus_client, of which OpenMetrics's is the stricter one."""

from collections.abc import Iterable, Sequence
from typing import Any

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from api.contact import Contact
from api.prometheus import Exposition, Own, exposition
from api.reports import FeedReport, Report, feeds, reports
from common.gpu import NUMERIC, READINGS, Gpu, MigInstance, Process, Xid, XidErrors
from tests.builders import (
    ENDPOINT,
    make_cache,
    make_gpu,
    make_lost_gpu,
    make_missing_source,
    make_snapshot,
    make_unknown_gpu,
)

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5"
OWN = Own("0.1.0", {200: 7, 503: 1}, 2.5, 50_000_000, 3, 1, 1_741_129_000.5)
GPU_LABELS = {"host": "node-1", "gpu": "0", "uuid": "GPU-05a9ed06-0ddb-1882-ccba-3e5f36943990"}
PLAIN = [*NUMERIC, *(reading.name for reading in READINGS.values() if reading.kind is bool)]
INSTANCE = MigInstance(
    uuid="MIG-1",
    name="1g.10gb",
    gpu_instance_id=7,
    compute_instance_id=0,
    memory_total_bytes=10_000,
    memory_used_bytes=4000,
    memory_free_bytes=6000,
)
PROCESS = Process(
    pid=4242,
    kind="compute",
    memory_used_bytes=1000,
    utilization_sm_percent=7,
    utilization_memory_percent=0,
    utilization_encoder_percent=None,
    name="python",
    user="ada",
    command="python train.py --token=hunter2",
    container_id="c0ffee",
)


def make_whole_gpu(index: int = 0, **overrides: Any) -> Gpu:
    """Return a GPU of which everything was taken."""
    taken: dict[str, Any] = {name: READINGS[name].kind(place) for place, name in enumerate(PLAIN, 1)}
    taken |= {
        "clock_event_reasons": ["gpu_idle", "sw_power_cap"],
        "compute_mode": "default",
        "mig_instances": [INSTANCE],
        "processes": [PROCESS],
        "xid_errors": XidErrors(
            counts={"31": 2, "79": 1}, last=Xid(code=79, heard_at_ns=1_741_129_300_250_000_000, text=None)
        ),
    }
    return make_gpu(index, **(taken | overrides))


def of_one_gpu(**overrides: Any) -> list[Report]:
    """Return the report of a host with one GPU."""
    return reports(make_cache(make_snapshot(gpus=[make_gpu(**overrides)])), 0.0)


def every_case() -> tuple[list[Report], list[FeedReport]]:
    """Return the reports of a whole host, one that lost a GPU, one without a driver, a stale one, and an endpoint that
    is silent, for it does not let us in; and those of the feeds.

    No number has eleven digits: releases of prometheus_client before 0.26 write the exponent of such with a zero more.
    """
    ways = {ENDPOINT: Contact(0.0), "tcp://silent:8481": Contact(0.0)}
    ways[ENDPOINT].note("open", 0.0)
    ways["tcp://silent:8481"].note("rejected", 0.0)
    cache = make_cache(make_snapshot(host="stale-1"), endpoints=tuple(ways), contacts=ways)
    cache.reject(ENDPOINT)
    for snapshot in (
        make_snapshot(gpus=[make_whole_gpu()]),
        make_snapshot(host="node-2", gpus=[make_gpu(memory_total_bytes=2**33), make_lost_gpu(1)]),
        make_snapshot(host="node-3", source=make_missing_source(), gpus=[make_unknown_gpu()]),
    ):
        cache.accept(ENDPOINT, snapshot, 1000.0)
    return reports(cache, 1000.0), feeds(cache, 1000.0)


def read(answer: Exposition) -> list[Metric]:
    """Parse either format."""
    parse = read_openmetrics if "openmetrics" in answer.content_type else read_text
    return list(parse(answer.body.decode()))


def numbers(families: Iterable[Metric]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the value of each series, none of which may be there twice."""
    samples = [sample for family in families for sample in family.samples]
    values = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(values) == len(samples)
    return values


def scrape(
    of: Sequence[Report], told: Sequence[FeedReport] = (), accept: str = ""
) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the value of each series."""
    return numbers(read(exposition(of, told, OWN, accept)))


def key(name: str, /, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """Return what a series is found by."""
    return name, frozenset(labels.items())


def names(of: Iterable[tuple[str, object]]) -> set[str]:
    """Return the names of series."""
    return {name for name, _ in of}
