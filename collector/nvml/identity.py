"""Who a GPU is: what does not change as long as its driver stays."""

from collections.abc import Callable, Iterable
from ctypes import c_int, c_uint
from typing import Any, TypeVar

import msgspec

from collector.nvml import codes
from collector.nvml.library import CallError, Library, decoded
from collector.nvml.structs import PciInfo
from common.gpu import Gpu

Told = TypeVar("Told")
Ask = Callable[[Library, int, Any], Any]

_ARCHITECTURES = {  # nvmlDeviceArchitecture_t
    2: "Kepler",
    3: "Maxwell",
    4: "Pascal",
    5: "Volta",
    6: "Turing",
    7: "Ampere",
    8: "Ada",
    9: "Hopper",
    10: "Blackwell",
}


def unidentified(index: int) -> Gpu:
    """Return a GPU of which nothing is known but its place."""
    return Gpu(index=index, uuid=None, name=None)


def uuid(library: Library, index: int, handle: Any) -> str | None:
    """Return the GPU's identity, None where it would not tell."""
    return told(lambda: library.text("nvmlDeviceGetUUID", index, handle))


def identify(library: Library, known: Gpu, handle: Any, fields: Iterable[str]) -> tuple[Gpu, frozenset[str]]:
    """Return a GPU with what it tells of these fields, and those that it did not tell for a cause that may pass.

    Raises:
        CallError: with a code about the source.
    """
    answers: dict[str, Any] = {}
    untold = set()
    for name in fields:
        try:
            answers[name] = ASKS[name](library, known.index, handle)
        except CallError as error:
            if error.code in codes.ABOUT_THE_SOURCE:
                raise
            if error.code not in codes.LASTING:
                untold.add(name)
    return msgspec.structs.replace(known, **answers), frozenset(untold)


def told(ask: Callable[[], Told]) -> Told | None:
    """Return what a call gives, None where the GPU or the driver would not tell.

    Raises:
        CallError: with a code about the source.
    """
    try:
        return ask()
    except CallError as error:
        if error.code in codes.ABOUT_THE_SOURCE:
            raise
        return None


def _text(function: str) -> Ask:
    return lambda library, index, handle: library.text(function, index, handle)


def _bus_id(library: Library, index: int, handle: Any) -> str:
    """Return the PCI bus id with a domain of eight digits, in lower case, whatever the driver's age."""
    info = told(lambda: library.enter("nvmlDeviceGetPciInfo_v3", index, handle, outputs=(PciInfo,)))
    if info is not None:
        return decoded(info.bus_id).lower()
    older = library.call("nvmlDeviceGetPciInfo", index, handle)
    domain, colon, rest = decoded(older.busId).lower().partition(":")
    return f"{domain:0>8}{colon}{rest}"


def _minor_number(library: Library, index: int, handle: Any) -> int:
    return int(library.call("nvmlDeviceGetMinorNumber", index, handle))


def _architecture(library: Library, index: int, handle: Any) -> str | None:
    number = library.enter("nvmlDeviceGetArchitecture", index, handle, outputs=(c_uint,))
    return _ARCHITECTURES.get(number)


def _compute_capability(library: Library, index: int, handle: Any) -> str:
    major, minor = library.enter("nvmlDeviceGetCudaComputeCapability", index, handle, outputs=(c_int, c_int))
    return f"{major}.{minor}"


ASKS: dict[str, Ask] = {
    "name": _text("nvmlDeviceGetName"),
    "pci_bus_id": _bus_id,
    "serial": _text("nvmlDeviceGetSerial"),
    "minor_number": _minor_number,
    "architecture": _architecture,
    "cuda_compute_capability": _compute_capability,
    "vbios_version": _text("nvmlDeviceGetVbiosVersion"),
}
"""How each field is asked for that says who a GPU is, but for its place and its uuid."""
