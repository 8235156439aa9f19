"""Who is there. One GPU that fails never keeps another from being read, and one that was seen stays listed."""

from collections.abc import Callable
from math import inf
from typing import Any

from collector.nvml import codes
from collector.nvml.device import Device
from collector.nvml.library import CallError, Library, decoded
from common.snapshot import Gpu

DISCOVER_SECONDS = 60.0
"""How often the GPUs are listed anew: some come, return or change places while the driver stays."""

DISCOVER_MISSING_SECONDS = 5.0
"""The same while a GPU could not be opened, or would not say who it is."""


class Gpus:
    """The GPUs of one library, by identity, through any number of initialisations."""

    def __init__(self, library: Library, now: Callable[[], float]) -> None:
        self._library = library
        self._now = now
        self._devices: dict[str, Device] = {}
        self._count = -1
        self._discover_at = -inf

    def begin_anew(self) -> None:
        """The library was initialised again: handles are void, and what was not supported may be now."""
        self._discover_at = -inf
        for device in self._devices.values():
            device.learnt.silences.clear()

    def sample(self) -> list[Gpu]:
        """Read every GPU once, in the order of their indices.

        Raises:
            CallError: with a code about the source, or one that every GPU answers alike.
        """
        count = self._library.call("nvmlDeviceGetCount", None)
        now = self._now()
        if count != self._count or now >= self._discover_at:
            self._discover(count)
            self._count = count
            is_whole = all(device.handle is not None and device.identity.uuid for device in self._devices.values())
            self._discover_at = now + (DISCOVER_SECONDS if is_whole else DISCOVER_MISSING_SECONDS)
        gpus = [device.read(now) for device in self._devices.values()]
        if gpus and all(device.failed_with in codes.ABOUT_ALL_IF_ALL_SAY_SO for device in self._devices.values()):
            raise CallError(next(iter(self._devices.values())).failed_with)
        return gpus

    def _discover(self, count: int) -> None:
        found = [self._identify(index) for index in range(count)]
        devices = sorted([*found, *self._gone(found)], key=lambda device: device.identity.index)
        earlier, self._devices = self._devices, {device.key: device for device in devices}
        for key in earlier.keys() & self._devices.keys():
            self._devices[key].learnt = earlier[key].learnt

    def _gone(self, found: list[Device]) -> list[Device]:
        """Return the known GPUs that are not found, as lost; one that was found but would not say who it is takes the
        identity of a known one that is not found, if it can be no other."""
        present = {device.identity.uuid for device in found}
        nameless = [device for device in found if not device.identity.uuid]
        gone = []
        for known in self._devices.values():
            if not known.identity.uuid or known.identity.uuid in present:
                continue
            same = next((device for device in nameless if self._is_the_same(device, known, len(found))), None)
            if same is None:
                gone.append(Device(self._library, known.identity, None, codes.GPU_IS_LOST))
            else:
                nameless.remove(same)
                same.identity = known.identity
        return gone

    def _is_the_same(self, nameless: Device, known: Device, count: int) -> bool:
        """By the bus id; where that is not told either, by the index, which stands as long as none came or went."""
        if nameless.identity.pci_bus_id is not None:
            return nameless.identity.pci_bus_id == known.identity.pci_bus_id
        return count == self._count and nameless.identity.index == known.identity.index

    def _identify(self, index: int) -> Device:
        """Ask who the GPU at an index is; one that cannot be opened is listed with the fault."""
        try:
            handle = self._library.call("nvmlDeviceGetHandleByIndex", index, index)
        except CallError as error:
            if error.code in codes.ABOUT_THE_SOURCE:
                raise
            return Device(self._library, Gpu(index=index, uuid=None, name=None, pci_bus_id=None), None, error.code)
        identity = Gpu(
            index=index,
            uuid=self._told("nvmlDeviceGetUUID", index, handle),
            name=self._told("nvmlDeviceGetName", index, handle),
            pci_bus_id=_bus_id(self._told("nvmlDeviceGetPciInfo", index, handle)),
        )
        return Device(self._library, identity, handle)

    def _told(self, function: str, index: int, handle: Any) -> str | None:
        """Return one text about who a GPU is, None where it would not tell."""
        try:
            answer = self._library.call(function, index, handle)
        except CallError as error:
            if error.code in codes.ABOUT_THE_SOURCE:
                raise
            return None
        return decoded(getattr(answer, "busId", answer))


def _bus_id(told: str | None) -> str | None:
    """Return a PCI bus id with a domain of eight digits, in lower case, as drivers of today write it."""
    if told is None:
        return None
    domain, colon, rest = told.lower().partition(":")
    return f"{domain:0>8}{colon}{rest}"
