"""What the collector's `--check` says of what was seen. Pure: what was seen in, findings out."""

from collections import Counter
from collections.abc import Iterator, Mapping

from collector.neighbour import Neighbour
from collector.nvml.codes import NO_FAULTS
from collector.nvml.parts import NOT_LISTED_REASON
from collector.publisher import EndpointError
from common.finding import Finding, ok, warning, wrong
from common.gpu import READINGS, Gpu
from common.snapshot import Snapshot, Source

_TAKEN_TODO = (
    "another program has it, which sudo ss -ltnp names (-lxp of a path): end that, or set GPU_METRICS_FEED_BIND, and "
    "GPU_METRICS_FEED_CONNECT with it, to another"
)
_STUCK_TODO = (
    "the driver hangs: look for Xid in sudo dmesg; a process that is stuck in the kernel ends with a reboot only"
)
_FAULTLESS = NO_FAULTS | {NOT_LISTED_REASON}


def library(path: str | None) -> Finding:
    """Say where the NVML library was loaded from."""
    return wrong("library", "no NVML library was loaded") if path is None else ok("library", path)


def driver(source: Source) -> Finding:
    """Say whether the driver answers, and its versions."""
    if source.state != "ok":
        return wrong("driver", source.error or "", _todo(source))
    versions = (source.driver_version, source.nvml_version, source.cuda_version)
    return ok("driver", "driver {}, NVML {}, CUDA {}".format(*(version or "untold" for version in versions)))


def devices(may_open: Mapping[str, bool], user: str, *, is_answering: bool) -> Finding:
    """Say whether the GPUs' device files may be opened, each by its path. A driver that answers may have none (WSL)."""
    closed = [path for path, may in may_open.items() if not may]
    if closed:
        judge = warning if is_answering else wrong
        todo = "see ls -l /dev/nvidia*, and in a container, which devices are passed in"
        return judge("devices", f"{user} may not open {', '.join(closed)}", todo)
    if may_open:
        return ok("devices", f"{user} may open {', '.join(may_open)}")
    if is_answering:
        return ok("devices", "no /dev/nvidia* here, and the driver answers without")
    return wrong(
        "devices",
        "no /dev/nvidia* here",
        "the driver is not loaded (nvidia-smi loads it), or in a container, no GPU is passed in",
    )


def processes(blindness: str) -> Finding:
    """Say whether the processes that use the GPUs can be told of."""
    if blindness:
        return warning("processes", f"names, users and command lines stay null: {blindness}")
    return ok("processes", "those of other users can be told of")


def gpus(snapshot: Snapshot) -> Iterator[Finding]:
    """Say how each GPU is."""
    if snapshot.source.state == "ok" and not snapshot.gpus:
        yield warning("GPUs", "the driver answers, and has none")
    for gpu in snapshot.gpus_by_index():
        yield _gpu(gpu)


def sample(first: Snapshot, second: Snapshot, interval_seconds: float) -> Finding:
    """Say how long the first sample took, which asks for everything, and one as they are from then on."""
    if second.source.state != "ok":
        return wrong("sample", f"the second failed: {second.source.error}", _todo(second.source))
    count, took = len(second.gpus), second.duration_seconds
    slowest = second.collector.slowest_call
    call = f" (slowest call {slowest.function}, {slowest.seconds * 1000:.3g} ms)" if slowest else ""
    found = f"{count} GPUs in {first.duration_seconds:.3f} s at first, then in {took:.3f} s{call}"
    if took > interval_seconds:
        todo = "ticks will be skipped; raise GPU_METRICS_INTERVAL_SECONDS"
        return warning("sample", f"{found}: longer than the interval of {interval_seconds:g} s", todo)
    return ok("sample", f"{found}: fits the interval of {interval_seconds:g} s")


def never_sampled(where: str, seconds: float) -> Finding:
    """Say that there was no sample at all within some time, and which call the collector is in."""
    return wrong("sample", f"not done within {seconds:g} s, now in {where}", _STUCK_TODO)


def free(endpoint: str) -> Finding:
    """Say that the feed's endpoint can be had."""
    return ok("feed", f"{endpoint} is free: no collector publishes there now")


def refused(error: EndpointError) -> Finding:
    """Say that nobody could publish on the endpoint."""
    return wrong("feed", str(error), _TAKEN_TODO if error.is_taken else "see GPU_METRICS_FEED_BIND")


def taken(error: EndpointError, neighbour: Neighbour, host: str) -> Finding:
    """Say who has the endpoint. That a collector of this host publishes there is as it should be."""
    snapshot = neighbour.snapshot
    if neighbour.has_our_key:
        return ok("feed", f"{error.endpoint} is in use by this collector, which runs, with this key")
    if snapshot is None:
        return refused(error)
    if snapshot.host != host:
        todo = f"end one of them; or is GPU_METRICS_HOST, {host} here, not set as for the service?"
        return wrong("feed", f"{error}: a collector that calls itself {snapshot.host} publishes there", todo)
    told = f"source {snapshot.source.state}, latest snapshot {snapshot.held_seconds:.1f} s old"
    return ok("feed", f"{error.endpoint} is in use by this collector, which runs: {told}")


def _todo(source: Source) -> str:
    """Return what to do about a driver that does not answer; empty: its error says it."""
    return _STUCK_TODO if source.state == "stalled" else ""


def _gpu(gpu: Gpu) -> Finding:
    what, who = f"GPU {gpu.index}", f"{gpu.name or 'of unknown name'} ({gpu.uuid or 'of unknown uuid'})"
    if gpu.state != "ok":
        return wrong(what, f"{who} is {gpu.state}: {gpu.error}")
    taken = len(READINGS) - len(gpu.unavailable)
    counts = Counter(gpu.unavailable.values())
    refused = [name for name, reason in gpu.unavailable.items() if reason not in _FAULTLESS]
    found = "; ".join([f"{who}: {taken} readings", *(f"{count} {reason}" for reason, count in counts.items())])
    return warning(what, f"{found}: {', '.join(refused)}") if refused else ok(what, found)
