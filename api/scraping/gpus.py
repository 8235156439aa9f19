"""The families of GPUs: readings, identity, state, XID errors, MIG instances, processes. Pure: reports in, series out.

A host that is stale has no series here, and a reading that was not taken has none. A process's command line is never
told: it can hold secrets, and each one would be a series of its own.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, get_args

from api.reports import Report
from api.scraping.families import (
    FAMILIES,
    Family,
    Labels,
    Part,
    Series,
    Told,
    as_it_is,
    of_unit,
    ratio,
    seconds,
    unique,
)
from common.gpu import READINGS, Gpu, GpuState
from common.snapshot import Source


class Known(NamedTuple):
    """A GPU of a fresh host, with the labels that all of its series share."""

    gpu: Gpu
    labels: Labels
    host: str
    source: Source


def known_gpus(reports: Iterable[Report]) -> list[Known]:
    """Return the GPUs of all fresh hosts. Of two whose labels are the same, as can be without a uuid, the first."""
    known: dict[tuple[str, ...], Known] = {}
    for report in reports:
        if report.is_fresh and report.snapshot:
            host = report.snapshot.host
            for gpu in report.snapshot.gpus:
                labels = {"gpu": str(gpu.index), "host": host, "uuid": gpu.uuid or ""}
                known.setdefault(tuple(labels.values()), Known(gpu, labels, host, report.snapshot.source))
    return list(known.values())


def gpu_families(reports: Iterable[Report]) -> Iterator[Told]:
    """Return every family of GPUs, the catalogue's numbers after the identity and the state."""
    known = known_gpus(reports)
    for family, told in _BEFORE:
        yield family, unique(chain.from_iterable(map(told, known)))
    for family, parts in FAMILIES:
        yield family, _taken(family, parts, known)
    for family, told in _AFTER:
        yield family, unique(chain.from_iterable(map(told, known)))


def _taken(family: Family, parts: Sequence[Part], known: Iterable[Known]) -> list[Series]:
    """GPUs differ in their labels, and so do a family's parts: nothing here can be twice."""
    return [
        ({**one.labels, **part.labels} if part.labels else one.labels, part.convert(value))
        for one in known
        for part in parts
        if family.admits(value := getattr(one.gpu, part.reading))
    ]


_IDENTITY = (
    "name",
    "pci_bus_id",
    "serial",
    "minor_number",
    "architecture",
    "cuda_compute_capability",
    "vbios_version",
)
_VERSIONS = ("driver_version", "nvml_version", "cuda_version")


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _info(one: Known) -> Iterator[Series]:
    identity = {name: _text(getattr(one.gpu, name)) for name in _IDENTITY}
    yield {**one.labels, **identity, **{name: _text(getattr(one.source, name)) for name in _VERSIONS}}, 1


def _states(one: Known) -> Iterator[Series]:
    for state in get_args(GpuState):
        yield {**one.labels, "state": state}, state == one.gpu.state


def _clock_events(one: Known) -> Iterator[Series]:
    for reason in one.gpu.clock_event_reasons or ():
        yield {**one.labels, "reason": reason}, 1


def _compute_mode(one: Known) -> Iterator[Series]:
    if one.gpu.compute_mode is not None:
        yield {**one.labels, "mode": one.gpu.compute_mode}, 1


_XID_ERRORS = Family(
    "gpu_xid_errors", "counter", "XID errors of each code that the driver reported, from the collector's start"
)


def _xid_counts(one: Known) -> Iterator[Series]:
    if one.gpu.xid_errors:
        for code, count in one.gpu.xid_errors.counts.items():
            if _XID_ERRORS.admits(count):
                yield {**one.labels, "code": code}, count


def _xid_last(one: Known) -> Iterator[Series]:
    if one.gpu.xid_errors and one.gpu.xid_errors.last:
        last = one.gpu.xid_errors.last
        yield {**one.labels, "code": str(last.code)}, seconds(last.heard_at_ns)


Teller = Callable[[Known], Iterator[Series]]


def _each(family: Family, listed: str, labels: Labels, number: str) -> tuple[Family, Teller]:
    """Return the family with what tells a number of each thing in a list of the GPU's. `listed` and `number` name
    attributes, and so do the values of `labels`."""
    convert = ratio if number.endswith("_percent") else as_it_is

    def told(one: Known) -> Iterator[Series]:
        for thing in getattr(one.gpu, listed) or ():
            value = getattr(thing, number)
            if family.admits(value):
                yield {**one.labels, **{name: _text(getattr(thing, of)) for name, of in labels.items()}}, convert(value)

    return family, told


_MIG_LABELS = {
    "compute_instance": "compute_instance_id",
    "gpu_instance": "gpu_instance_id",
    "mig_uuid": "uuid",
    "profile": "name",
}
_PROCESS_LABELS = {"container": "container_id", "kind": "kind", "pid": "pid", "process": "name", "user": "user"}


def _of_mig(name: str, number: str, meaning: str) -> tuple[Family, Teller]:
    return _each(of_unit(name, "gauge", meaning), "mig_instances", _MIG_LABELS, number)


def _of_process(name: str, number: str, meaning: str) -> tuple[Family, Teller]:
    return _each(of_unit(name, "gauge", meaning), "processes", _PROCESS_LABELS, number)


_BEFORE: tuple[tuple[Family, Teller], ...] = (
    (Family("gpu", "info", "Who the GPU is and which driver serves it, in labels; empty where not told"), _info),
    (
        Family(
            "gpu_state",
            "gauge",
            "1 for how the GPU is, 0 for the rest: ok, lost (off the bus), error (no reading could be taken), "
            "unknown (the driver does not answer)",
        ),
        _states,
    ),
)

_AFTER: tuple[tuple[Family, Teller], ...] = (
    (
        Family(
            "gpu_clock_event_reason", "gauge", "1 for each thing that holds the clocks down (or up), by NVML's names"
        ),
        _clock_events,
    ),
    (Family("gpu_compute_mode", "gauge", READINGS["compute_mode"].meaning), _compute_mode),
    (_XID_ERRORS, _xid_counts),
    (of_unit("gpu_xid_last_timestamp_seconds", "gauge", "Unix time of the latest XID error, and its code"), _xid_last),
    _of_mig("gpu_mig_memory_total_bytes", "memory_total_bytes", "Memory that the MIG instance has"),
    _of_mig("gpu_mig_memory_used_bytes", "memory_used_bytes", "Memory in use in the MIG instance"),
    _of_mig("gpu_mig_memory_free_bytes", "memory_free_bytes", "Memory not in use in the MIG instance"),
    _of_process("gpu_process_memory_used_bytes", "memory_used_bytes", "GPU memory that the process holds"),
    *(
        _of_process(f"gpu_process_{part}_utilization_ratio", f"utilization_{part}_percent", f"Share of {what}")
        for part, what in (
            ("sm", "the driver's last sample period that the process had of the streaming multiprocessors"),
            ("memory", "that period in which the memory was read or written for the process"),
            ("encoder", "that period that the process had of the video encoder"),
            ("decoder", "that period that the process had of the video decoder"),
        )
    ),
)
