"""The bodies of `gpus` and `gpus/{uuid}`, which the stream's events share: every reading, nothing made up. Pure."""

from msgspec import UNSET, Struct, UnsetType, structs

from api.responses.errors import Error
from api.responses.judgement import Status, findings, judge, worst
from api.responses.moments import timestamp
from api.selection import Chosen, Selection
from api.wanted import EVERYTHING, Wanted
from common.gpu import Gpu
from common.snapshot import Source


class HostGpu(Gpu, frozen=True, kw_only=True):
    """One GPU, as the feed has it: names and units are the catalogue's, a reading that was not taken is null and its
    reason stands in `unavailable`. `host` is the host that it is in."""

    host: str


class SampledHost(Struct, frozen=True):
    """One host that is shown: how it is, when its GPUs were sampled (UTC, six decimals, no offset), and its driver."""

    host: str
    status: Status
    timestamp: str
    source: Source


class GpusBody(Struct, frozen=True):
    """The body of `gpus`. `status` is the worst that holds, whatever GPUs are asked for, and `error` says why.
    `missing_hosts` is there only if some are left out."""

    status: Status
    error: Error | None
    hosts: list[SampledHost]
    gpus: list[HostGpu]
    missing_hosts: list[str] | UnsetType = UNSET


class GpuBody(HostGpu, frozen=True, kw_only=True):
    """The body of `gpus/{uuid}`: one GPU, how its host is, and when it was sampled (UTC, six decimals, no offset)."""

    status: Status
    timestamp: str


def gpus_body(selection: Selection, wanted: Wanted = EVERYTHING) -> GpusBody:
    """Return the body of `gpus` for the hosts selected and the GPUs wanted."""
    status, error = judge(selection)
    found = [(gpu, chosen.snapshot.host) for chosen in selection.chosen for gpu in chosen.snapshot.gpus_by_index()]
    return GpusBody(
        status=status,
        error=error,
        hosts=[_sampled(chosen) for chosen in selection.chosen],
        gpus=[HostGpu(**structs.asdict(gpu), host=host) for gpu, host in wanted.choose(found)],
        missing_hosts=selection.missing or UNSET,
    )


def gpu_body(chosen: Chosen, gpu: Gpu) -> GpuBody:
    """Return the body of `gpus/{uuid}`."""
    host = _sampled(chosen)
    return GpuBody(**structs.asdict(gpu), host=host.host, status=host.status, timestamp=host.timestamp)


def _sampled(chosen: Chosen) -> SampledHost:
    snapshot = chosen.snapshot
    status = worst(findings(chosen)).status
    return SampledHost(snapshot.host, status, timestamp(snapshot.sampled_at_ns), snapshot.source)
