"""What a call of NVML is made of here: how it passes its answer, and how that comes from what a library was told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import c_uint
from typing import Any, NamedTuple, Protocol

import pynvml

from tests.standin.answers import FIELDS
from tests.standin.layouts import Layout, Numbers, Processes, Struct, Text, require
from tests.standin.structs import Memory, MemoryV2

_ALL_ONES = 2**64 - 1
_INSTANCE_STEP = 1000003


class Asked(Protocol):
    """The GPU or MIG instance that is asked, as its library was told to be."""

    instance: int | None
    """Which MIG instance; None: the GPU as a whole."""

    def look(self, name: str) -> Any:
        """Return a number or text."""

    def gpus(self) -> int:
        """Return how many GPUs there are."""

    def instances(self) -> int | None:
        """Return how many MIG instances the GPU has; None: it is not in MIG mode."""

    def records(self, name: str) -> Sequence[Sequence[int]]:
        """Return the "compute" or "graphics" processes, or the "utilization" of processes."""

    def stride(self) -> int:
        """Return how long a record of the running-processes calls _v3 is."""

    def fault(self, call: str) -> int:
        """Return the code that a call, or a part of one, was told to give."""


class Call(NamedTuple):
    """One C function."""

    layout: Layout
    answer: Callable[..., Any]
    """Given who is asked, and the inputs."""
    inputs: tuple[tuple[int, ...], ...] = ((),)
    """What the recorder asks it with, after the handle; one call for each."""


def text(name: str) -> Call:
    return Call(Text(), lambda asked: asked.look(name))


def numbers(kind: type[Any], *names: str) -> Call:
    return Call(Numbers(kind, len(names)), lambda asked: [asked.look(name) for name in names])


def uint(*names: str) -> Call:
    return numbers(c_uint, *names)


def choice(*names: str) -> Call:
    def answer(asked: Asked, choice: int) -> list[Any]:
        require(choice < len(names))
        return [asked.look(names[choice])]

    return Call(Numbers(c_uint), answer, tuple((choice,) for choice in range(len(names))))


def struct(kind: type[Any], **names: str) -> Call:
    return Call(Struct(kind), lambda asked: {field: asked.look(name) for field, name in names.items()})


def undivided(call: Call) -> Call:
    """What a GPU in MIG mode does not support."""

    def answer(asked: Asked, *inputs: int) -> Any:
        if asked.instances() is not None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return call.answer(asked, *inputs)

    return call._replace(answer=answer)


def utilization(engine: str) -> Call:
    return undivided(uint(f"utilization_{engine}_percent", f"period_{engine}_microseconds"))


def memory(asked: Asked) -> dict[str, int]:
    if asked.instance is None:
        return {part: asked.look(f"memory_{part}_bytes") for part in ("total", "reserved", "free", "used")}
    more = asked.instance * _INSTANCE_STEP
    parts = {part: asked.look(f"mig_memory_{part}_bytes") + more for part in ("reserved", "free", "used")}
    return {"total": sum(parts.values()), **parts}


def memory_v1(asked: Asked) -> dict[str, int]:
    """What the driver reserves counts as used here; a value that is not available stays so."""
    parts = memory(asked)
    used = parts["used"] if parts["used"] == _ALL_ONES else parts["used"] + parts["reserved"]
    return {"total": parts["total"], "free": parts["free"], "used": used}


def link_state(asked: Asked, link: int) -> list[int]:
    require(link < asked.look("nvlink_link_count"))
    return [int(link < asked.look("nvlink_active_count"))]


def field(asked: Asked, field: int, scope: int) -> list[int]:
    code = asked.fault(f"field:{field}") or (0 if field in FIELDS else pynvml.NVML_ERROR_NOT_SUPPORTED)
    if code:
        raise pynvml.NVMLError(code)
    require(FIELDS[field].scope in {None, scope})
    return [FIELDS[field].type, asked.look(FIELDS[field].name)]


def processes(kind: str, stride: int | None) -> Call:
    def answer(asked: Asked) -> dict[str, Any]:
        written = stride or asked.stride()
        whole = [[*record, 2**32 - 1, 2**32 - 1, 0] for record in asked.records(kind)]
        fields = {16: 2, 24: 4, 32: 5}[written]
        return {"stride": written if whole else 0, "records": [record[:fields] for record in whole]}

    return Call(Processes(), answer)


def samples(asked: Asked) -> list[list[int]]:
    first = asked.look("process_sampled_microseconds")
    return [[pid, first + i, *percents] for i, (pid, *percents) in enumerate(asked.records("utilization"))]


PCI = {
    "domain": "pci_domain",
    "bus": "pci_bus",
    "device": "pci_device",
    "pciDeviceId": "pci_device_id",
    "pciSubSystemId": "pci_subsystem_id",
}
MEMORY = Call(Struct(Memory), memory_v1)
MEMORY_V2 = Call(Struct(MemoryV2), memory)
