"""Who a GPU is: what does not change as long as its driver stays."""

from collections.abc import Callable
from ctypes import c_int, c_uint
from typing import Any, TypeVar

from collector.nvml import codes
from collector.nvml.library import CallError, Library, decoded
from collector.nvml.structs import PciInfo
from common.gpu import Gpu

Told = TypeVar("Told")

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


def identify(library: Library, index: int, handle: Any, known_as: str | None) -> Gpu:
    """Return all that a GPU tells of who it is; `known_as` is its uuid.

    Raises:
        CallError: with a code about the source.
    """

    def text(function: str) -> str | None:
        return told(lambda: library.text(function, index, handle))

    def number(function: str, *outputs: Callable[[], Any]) -> Any:
        return told(lambda: library.enter(function, index, handle, outputs=outputs))

    capability = number("nvmlDeviceGetCudaComputeCapability", c_int, c_int)
    return Gpu(
        index=index,
        uuid=known_as,
        name=text("nvmlDeviceGetName"),
        pci_bus_id=_bus_id(library, index, handle),
        serial=text("nvmlDeviceGetSerial"),
        minor_number=told(lambda: library.call("nvmlDeviceGetMinorNumber", index, handle)),
        architecture=_ARCHITECTURES.get(number("nvmlDeviceGetArchitecture", c_uint)),
        cuda_compute_capability=None if capability is None else "{}.{}".format(*capability),
        vbios_version=text("nvmlDeviceGetVbiosVersion"),
    )


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


def _bus_id(library: Library, index: int, handle: Any) -> str | None:
    """Return the PCI bus id with a domain of eight digits, in lower case, whatever the driver's age."""
    info = told(lambda: library.enter("nvmlDeviceGetPciInfo_v3", index, handle, outputs=(PciInfo,)))
    if info is not None:
        return decoded(info.bus_id).lower()
    info = told(lambda: library.call("nvmlDeviceGetPciInfo", index, handle))
    if info is None:
        return None
    domain, colon, rest = decoded(info.busId).lower().partition(":")
    return f"{domain:0>8}{colon}{rest}"
