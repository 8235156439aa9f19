"""Prometheus's formats: reports in, a body that a scrape takes out. Pure, and the only importer of prometheus_client.

Which families there are is said in `gpu_families`, `host_families` and `dcgm`; here they are written. All is frozen on
the way in and made anew on the way out, so that a scrape of many hosts can be written in another thread.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.samples import Sample

from api.remembered import remembered
from api.reports import FeedReport, Report
from api.scraping.dcgm import dcgm_families
from api.scraping.families import Family, Series, Told, of_unit
from api.scraping.gpus import gpu_families
from api.scraping.hosts import feed_families, host_families


class Exposition(NamedTuple):
    """The answer to a scrape."""

    content_type: str
    body: bytes


class Own(NamedTuple):
    """What the API is, costs and has done since it started: its version, answers by HTTP status, CPU time in seconds,
    resident memory (None where the platform does not tell), open connections, listeners of the stream, its start in
    Unix time."""

    version: str
    requests: Mapping[int, int]
    cpu_seconds: float
    resident_bytes: int | None
    connections: int
    listeners: int
    started_at_seconds: float


_API = Family("gpu_api", "info", "The version of the API, in a label")
_REQUESTS = Family("gpu_api_requests", "counter", "Answers that the API has given, by HTTP status")
_OWN: tuple[tuple[Family, Callable[[Own], float | None]], ...] = (
    (of_unit("gpu_api_cpu_seconds", "counter", "CPU time of the API since it started"), lambda own: own.cpu_seconds),
    (of_unit("gpu_api_resident_bytes", "gauge", "Resident memory of the API"), lambda own: own.resident_bytes),
    (Family("gpu_api_connections", "gauge", "HTTP connections that are open"), lambda own: own.connections),
    (Family("gpu_api_stream_listeners", "gauge", "Listeners of the stream of snapshots"), lambda own: own.listeners),
    (
        of_unit("gpu_api_start_time_seconds", "gauge", "Unix time when the API started"),
        lambda own: own.started_at_seconds,
    ),
)


@remembered
def chosen_media(accept: str) -> str:
    """Return the media type that an Accept header is answered with; it is an Accept header itself."""
    return choose_encoder(_understood(accept))[1]


def exposition(reports: Sequence[Report], feeds: Sequence[FeedReport], own: Own, accept: str) -> Exposition:
    """Return every host, GPU and endpoint, and the API's own cost, in this project's names and base units: as
    OpenMetrics where the Accept header asks for that, else as Prometheus's text."""
    return _written(
        chain(gpu_families(reports), feed_families(feeds), host_families(reports), _own_families(own)), accept
    )


def host_exposition(reports: Sequence[Report], accept: str) -> Exposition:
    """Return hosts and their GPUs alone, as `exposition` has them."""
    return _written(chain(gpu_families(reports), host_families(reports)), accept)


def api_exposition(feeds: Sequence[FeedReport], own: Own, accept: str) -> Exposition:
    """Return every endpoint and the API's own cost, as `exposition` has them, without hosts and GPUs."""
    return _written(chain(feed_families(feeds), _own_families(own)), accept)


def dcgm_exposition(reports: Sequence[Report], accept: str) -> Exposition:
    """Return the GPUs of all fresh hosts in the names, labels and units of NVIDIA's dcgm-exporter.

    Its counters do not end in `_total`. OpenMetrics forbids that, so they are `unknown` there; in the text format,
    whose encoder would put `_total` into the TYPE line, they are written as untyped and then called counters.
    """
    content_type, body = _written(dcgm_families(reports), accept)
    return Exposition(content_type, _UNTYPED.sub(rb"\1 counter\n", body))


_UNTYPED = re.compile(rb"(# TYPE DCGM_\w+) untyped\n")
"""Cannot be met within a label's value: a newline is written as two characters there."""


def _own_families(own: Own) -> Iterator[Told]:
    yield _API, [({"version": own.version}, 1)]
    yield _REQUESTS, [({"code": str(code)}, count) for code, count in own.requests.items()]
    for family, number in _OWN:
        value = number(own)
        yield family, [({}, value)] if family.admits(value) else []


class _Families:
    """What a registry of prometheus_client asks for families. One that has no series is left out."""

    def __init__(self, told: Iterable[Told]) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        for family, series in self._told:
            if series:
                yield _metric(family, series)


_SUFFIXES = {"counter": "_total", "info": "_info"}


def _metric(family: Family, series: Iterable[Series]) -> Metric:
    """The library's own families would copy a GPU's labels for each sample: here all of them share one map."""
    metric = Metric(family.name, family.meaning, family.kind, family.unit)
    name = family.name + _SUFFIXES.get(family.kind, "")
    metric.samples = [Sample(name, labels, value) for labels, value in series]
    return metric


def _written(told: Iterable[Told], accept: str) -> Exposition:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(told))
    encode, content_type = choose_encoder(_understood(accept))
    return Exposition(content_type, encode(registry))


_VERSIONS = ("version=0.0.1", "version=0.0.4", "version=1.0.0")


def _understood(accept: str) -> str:
    """Return of an Accept header what prometheus_client may choose from.

    It would promise any version that is asked for, so others than those that exist are dropped. An escaping is dropped
    too: our names need none, and two of its schemes would alter plain names (`dots` doubles each underscore).
    """
    kept = []
    for entry in accept.split(","):
        media, *parameters = (word.strip().lower() for word in entry.split(";"))
        versions = [word for word in parameters if word.startswith("version=")]
        if all(version in _VERSIONS for version in versions):
            kept.append(";".join([media, *versions]))
    return ",".join(kept)
