"""The bodies of `gpus` and `gpus/{uuid}`, which the stream's events share: every reading, nothing made up. Pure."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from api.responses.errors import Error
from api.responses.judgement import Status, findings, judge, worst
from api.responses.moments import timestamp
from api.selection import Chosen, Selection
from api.wanted import EVERYTHING, Wanted
from common.gpu import Gpu
from common.snapshot import Source


class HostGpu(Gpu, frozen=True, kw_only=True):
    """One GPU, as the feed has it: names and units are the catalogue's, a reading that was not taken is null and its
    reason stands in `unavailable`."""

    host: Annotated[str, Meta(description="The host that it is in.")]


class SampledHost(Struct, frozen=True):
    """One host that is shown."""

    host: Annotated[str, Meta(description="Its name.")]
    status: Annotated[Status, Meta(description="The worst that holds of this host.")]
    timestamp: Annotated[str, Meta(description="When it was sampled: UTC, six decimals, no offset.")]
    source: Annotated[Source, Meta(description="Its driver.")]


class GpusBody(Struct, frozen=True):
    """The body of `gpus`."""

    status: Annotated[Status, Meta(description="The worst that holds, whatever GPUs are asked for.")]
    error: Annotated[Error | None, Meta(description="Why `status` is not `ok`.")]
    hosts: Annotated[list[SampledHost], Meta(description="The hosts that are shown, by name.")]
    gpus: Annotated[list[HostGpu], Meta(description="The GPUs that are asked for.")]
    missing_hosts: Annotated[
        list[str] | UnsetType, Meta(description="Hosts (or endpoints never heard) that are left out; absent if none.")
    ] = UNSET


class GpuBody(HostGpu, frozen=True, kw_only=True):
    """The body of `gpus/{uuid}`: one GPU, and how its host is."""

    status: Annotated[Status, Meta(description="The worst that holds of its host.")]
    timestamp: Annotated[str, Meta(description="When it was sampled: UTC, six decimals, no offset.")]


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
