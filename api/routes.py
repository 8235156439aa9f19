"""The route table: every path, what answers it, what it may be asked, and what it may say. All else derives from it."""

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from api import parameters
from api.answer import JSON, Answer, Follow, Later
from api.history.series import HistoryBody
from api.parameters import Parameter
from api.resources import Asked, Resources
from api.responses.errors import StatusBody
from api.responses.gpus import GpuBody, GpusBody
from api.responses.hosts import HostsBody
from api.responses.metrics import MetricsBody
from api.responses.targets import Target

MONITORING = "/api/v1/monitoring"
METRICS_PATH = f"{MONITORING}/gpu-metrics"
STREAM_PATH = f"{MONITORING}/stream"
GPUS_PATH = f"{MONITORING}/gpus"
TARGETS_PATH = f"{MONITORING}/targets"


class Route(NamedTuple):
    """One path. `{...}` in it stands for a segment, which is given to `answer`. `codes` are those of its errors that
    not every route has; `is_fresh` says that it answers 503 when there is nothing fresh, `is_tagged` that it answers
    304 to who has it already, `is_open` that no token is needed; `body` is the struct of its success (with `is_list`,
    of each item of the list that it is), or None where the media types say it all."""

    path: str
    answer: Callable[[Resources, Asked], Answer | Later | Follow]
    summary: str
    parameters: tuple[Parameter, ...] = ()
    body: type[Struct] | None = None
    media: tuple[str, ...] = (JSON,)
    codes: tuple[tuple[int, str], ...] = ()
    is_fresh: bool = False
    is_tagged: bool = False
    is_open: bool = False
    is_list: bool = False


_HOST, _GPU, _BUSY = (404, "unknown_host"), (404, "unknown_gpu"), (503, "busy")

ROUTES = (
    Route(
        METRICS_PATH,
        Resources.gpu_metrics,
        "The GPUs of all fresh hosts, in the form of the first API.",
        (parameters.HOST, parameters.MAX_AGE),
        MetricsBody,
        codes=(_HOST, _BUSY),
        is_fresh=True,
        is_tagged=True,
    ),
    Route(
        GPUS_PATH,
        Resources.gpus,
        "Every reading of the GPUs of all fresh hosts, filtered and sorted.",
        (parameters.HOST, parameters.MAX_AGE, parameters.STATE, parameters.SORT, parameters.LIMIT, *parameters.BOUNDS),
        GpusBody,
        codes=(_HOST, _BUSY),
        is_fresh=True,
        is_tagged=True,
    ),
    Route(
        f"{GPUS_PATH}/{{uuid}}",
        Resources.gpu,
        "Every reading of one GPU.",
        (parameters.HOST, parameters.MAX_AGE),
        GpuBody,
        codes=(_HOST, _GPU, (409, "ambiguous_gpu")),
        is_fresh=True,
        is_tagged=True,
    ),
    Route(
        f"{MONITORING}/hosts",
        Resources.hosts,
        "How each host is, fresh or not.",
        body=HostsBody,
    ),
    Route(
        TARGETS_PATH,
        Resources.targets,
        "The hosts, for Prometheus' HTTP service discovery: each to be scraped from this API by itself.",
        body=Target,
        is_list=True,
    ),
    Route(
        f"{MONITORING}/history",
        Resources.history,
        "Numeric readings over time.",
        (
            parameters.HOST,
            parameters.GPU,
            parameters.READING,
            parameters.SINCE,
            parameters.UNTIL,
            parameters.STEP,
        ),
        HistoryBody,
        codes=(_HOST, (400, "too_much"), _BUSY),
        is_tagged=True,
    ),
    Route(
        STREAM_PATH,
        Resources.stream,
        "Every snapshot as a server-sent event, as `gpus` tells it of that host. Last-Event-ID resumes.",
        (parameters.HOST,),
        media=("text/event-stream",),
        codes=(_HOST, (503, "too_many_listeners")),
    ),
    Route(
        "/metrics",
        Resources.metrics,
        "All there is, for Prometheus: as OpenMetrics where that is accepted, else as its text format.",
        (parameters.HOST, parameters.DIALECT),
        media=("text/plain", "application/openmetrics-text"),
        codes=(_HOST, (400, "too_many_hosts"), _BUSY),
        is_tagged=True,
    ),
    Route(
        "/metrics/api",
        Resources.api_metrics,
        "The same of the API and its endpoints alone, without hosts: however many those are.",
        media=("text/plain", "application/openmetrics-text"),
        codes=(_BUSY,),
        is_tagged=True,
    ),
    Route("/openapi.json", Resources.openapi, "This description.", is_tagged=True),
    Route("/healthz", Resources.healthz, "Whether this process answers.", body=StatusBody, is_open=True),
    Route(
        "/readyz",
        Resources.readyz,
        "Whether any host is fresh and its driver answers.",
        body=StatusBody,
        codes=tuple((503, code) for code in ("placeholder", "stalled", "stale", "unheard")),
        is_open=True,
    ),
)
