"""Who is there. One GPU that fails never keeps another from being read, and one that was seen stays listed."""

import ctypes
from collections.abc import Callable, Iterable
from math import inf
from typing import Any

import msgspec

from collector.nvml import codes, identity
from collector.nvml.device import Device
from collector.nvml.library import CallError, Library
from collector.nvml.plan import Asked
from collector.nvml.xid import Listener
from common.gpu import Gpu

DISCOVER_SECONDS = 60.0
"""How often the GPUs are listed anew: some come, return or change places while the driver stays."""

DISCOVER_MISSING_SECONDS = 5.0
"""The same while a GPU could not be opened, or would not say who it is."""


class Gpus:
    """The GPUs of one library, by identity, through any number of initialisations."""

    def __init__(self, library: Library, asked: Asked, now: Callable[[], float]) -> None:
        self._library = library
        self._asked = asked
        self._now = now
        self._listener = Listener(library)
        self._devices: dict[str, Device] = {}
        self._count = -1
        self._discover_at = -inf

    def begin_anew(self) -> None:
        """The library was initialised again: handles are void, and what was not supported may be now."""
        self._discover_at = -inf
        self._listener.forget()
        for device in self._devices.values():
            device.handle = None
            device.memory.forget_answers()

    def sample(self) -> list[Gpu]:
        """Read every GPU once, in the order of their indices.

        Raises:
            CallError: with a code about the source, or one that every GPU answers alike.
        """
        count = self._library.call("nvmlDeviceGetCount", None)
        now = self._now()
        if count != self._count or now >= self._discover_at:
            self._discover(count, now)
            self._count = count
            is_whole = all(device.handle is not None and device.identity.uuid for device in self._devices.values())
            self._discover_at = now + (DISCOVER_SECONDS if is_whole else DISCOVER_MISSING_SECONDS)
        self._listener.drain()
        gpus = [device.read(now) for device in self._devices.values()]
        if gpus and all(device.failed_with in codes.ABOUT_ALL_IF_ALL_SAY_SO for device in self._devices.values()):
            raise CallError(next(iter(self._devices.values())).failed_with)
        return gpus

    def _discover(self, count: int, now: float) -> None:
        found = [self._find(index) for index in range(count)]
        devices = sorted([*found, *self._gone(found)], key=lambda device: device.identity.index)
        earlier, self._devices = self._devices, {device.key: device for device in devices}
        for key, device in self._devices.items():
            before = earlier.get(key) or _nameless(earlier.values(), device.handle)
            if before is not None:
                device.memory = before.memory
            device.listen(self._listener, now)

    def _find(self, index: int) -> Device:
        """Return the GPU at an index: the one that is known, a new one, or, if it cannot be opened, the fault."""
        try:
            handle = self._library.call("nvmlDeviceGetHandleByIndex", index, index)
        except CallError as error:
            if error.code in codes.ABOUT_THE_SOURCE:
                raise
            return Device(self._library, self._asked, identity.unidentified(index), None, error.code)
        uuid = identity.uuid(self._library, index, handle)
        known = self._devices.get(uuid or "")
        if known is not None and known.identity.index == index and _is_same(known.handle, handle):
            known.identify_further()
            return known
        place = msgspec.structs.replace(identity.unidentified(index), uuid=uuid)
        found, untold = identity.identify(self._library, place, handle, identity.ASKS)
        device = Device(self._library, self._asked, found, handle)
        device.untold = untold
        return device

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
                gone.append(Device(self._library, self._asked, known.identity, None, codes.GPU_IS_LOST))
            else:
                nameless.remove(same)
                same.identity = known.identity
        return gone

    def _is_the_same(self, nameless: Device, known: Device, count: int) -> bool:
        """By the bus id; where that is not told either, by the index, which stands as long as none came or went."""
        if nameless.identity.pci_bus_id is not None:
            return nameless.identity.pci_bus_id == known.identity.pci_bus_id
        return count == self._count and nameless.identity.index == known.identity.index


def _nameless(known: Iterable[Device], handle: Any) -> Device | None:
    """Return the GPU behind the handle that had not said who it is, None if there was none."""
    return next((device for device in known if not device.identity.uuid and _is_same(device.handle, handle)), None)


def _is_same(known: Any, handle: Any) -> bool:
    """The binding's handles are pointers, which compare by what they are and not by where they point."""
    pointers = [ctypes.cast(pointer, ctypes.c_void_p).value for pointer in (known, handle) if pointer is not None]
    return len(pointers) > 1 and pointers[0] == pointers[1]
