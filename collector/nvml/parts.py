"""What a GPU has several of, asked part by part: its NVLink links, and the instances that it is partitioned into."""

from collections.abc import Generator, Iterator
from ctypes import c_uint, c_void_p
from typing import Any

import msgspec

from collector.nvml import codes
from collector.nvml.errand import Errand, go_on
from collector.nvml.identity import told
from collector.nvml.library import CallError, Library
from collector.nvml.plan import RARE_SECONDS, UNLIMITED
from collector.nvml.structs import memory_of_version_2
from common.gpu import MigInstance

MOST_LINKS = 18  # NVML_NVLINK_MAX_LINKS
MOST_INSTANCES = 64
"""More than any GPU has, whatever the driver says."""
LIST_INSTANCES_SECONDS = 60.0

NOT_LISTED_REASON = "error: not listed yet"
"""Why a GPU that was just partitioned has no instances for some samples."""

_NO_SUCH_LINK = codes.UNSUPPORTED | {codes.INVALID_ARGUMENT}
_NO_SUCH_INSTANCE = codes.UNSUPPORTED | {codes.INVALID_ARGUMENT, codes.NOT_FOUND}


class Parts:
    """The links and instances of one GPU. A text in the place of a reading is the reason why there is none."""

    def __init__(self, library: Library, index: int, handle: Any) -> None:
        self._links = Links(library, index, handle)
        self._instances = Instances(library, index, handle)

    @property
    def calls(self) -> int:
        """How many calls each sample makes for them: one for each instance."""
        return len(self._instances.listed or ())

    @property
    def due(self) -> float:
        """From when on there is something to ask of a GPU that is not partitioned."""
        return self._links.errand.due

    def begin_anew(self) -> None:
        """The GPU was gone: what is known of it may no longer be."""
        self._links.errand.begin_anew()
        self._instances.forget()

    def read(self, now: float, room: int, *, is_divided: bool | None) -> tuple[int | str, list[MigInstance] | str]:
        """Return how many links are up, and every instance with its memory. `room` is how many calls may be made;
        whether the GPU is partitioned is None where it does not tell.

        Raises:
            CallError: with a code about the source.
        """
        errands = [self._links.errand, *([self._instances.errand] if is_divided else [])]
        if is_divided is False:
            self._instances.forget()
        if room == UNLIMITED:
            go_on(errands, now, room)
        # An instance that is found now is read from the next sample on, which has room for it.
        instances = self._instances.read() if is_divided else []
        if room != UNLIMITED:
            go_on(errands, now, max(1, room - self.calls))
        return self._links.up_count(), instances


class Links:
    """The NVLink links of one GPU: whether each is up, asked anew every few minutes."""

    def __init__(self, library: Library, index: int, handle: Any) -> None:
        self.errand = Errand(self._walk, RARE_SECONDS)
        self._library = library
        self._index = index
        self._handle = handle
        self._count = 0

    def up_count(self) -> int | str:
        """Return how many links were up when they were counted last, or why that is not known."""
        return codes.reason(self.errand.failure) if self.errand.failure else self._count

    def _walk(self) -> Iterator[None]:
        """Count them; the first that there is not is their end. A GPU that has not even one does not support them."""
        states: list[int] = []
        for link in range(MOST_LINKS):
            state = self._state(link)
            yield
            if state is None:
                break
            states.append(state)
        if not states:
            raise CallError(codes.NOT_SUPPORTED)
        self._count = sum(states)

    def _state(self, link: int) -> int | None:
        function = "nvmlDeviceGetNvLinkState"
        try:
            return int(self._library.enter(function, self._index, self._handle, link, outputs=(c_uint,)))
        except CallError as error:
            if error.code in _NO_SUCH_LINK:
                return None
            raise


class Instances:
    """The MIG instances of one GPU: listed anew every minute, their memory read in every sample."""

    def __init__(self, library: Library, index: int, handle: Any) -> None:
        self.errand = Errand(self._walk, LIST_INSTANCES_SECONDS)
        self.listed: list[tuple[Any, MigInstance]] | None = None
        """Each with its handle; None until all have been listed."""
        self._library = library
        self._index = index
        self._handle = handle

    def forget(self) -> None:
        """There are none now, or others."""
        self.listed = None
        self.errand.begin_anew()

    def read(self) -> list[MigInstance] | str:
        """Return every instance with its memory, or why they are not known."""
        if self.errand.failure:
            return codes.reason(self.errand.failure)
        if self.listed is None:
            return NOT_LISTED_REASON
        return [self._with_memory(handle, instance) for handle, instance in self.listed]

    def _walk(self) -> Iterator[None]:
        """List them; of one that is known no more than the uuid is asked."""
        known = {instance.uuid: instance for _, instance in self.listed or () if _is_told(instance)}
        listed = []
        count = self._number("nvmlDeviceGetMaxMigDeviceCount", self._handle)
        yield
        for place in range(min(count, MOST_INSTANCES)):
            handle = self._handle_at(place)
            yield
            if handle:
                instance = yield from self._identified(handle, known)
                listed.append((handle, instance))
        self.listed = listed

    def _identified(self, handle: Any, known: dict[str | None, MigInstance]) -> Generator[None, None, MigInstance]:
        uuid = told(lambda: self._library.text("nvmlDeviceGetUUID", self._index, handle))
        yield
        if uuid in known:
            return known[uuid]
        name = told(lambda: self._library.text("nvmlDeviceGetName", self._index, handle))
        yield
        gpu_instance_id = told(lambda: self._number("nvmlDeviceGetGpuInstanceId", handle))
        yield
        compute_instance_id = told(lambda: self._number("nvmlDeviceGetComputeInstanceId", handle))
        yield
        return MigInstance(
            uuid=uuid,
            name=name,
            gpu_instance_id=gpu_instance_id,
            compute_instance_id=compute_instance_id,
            memory_total_bytes=None,
            memory_used_bytes=None,
            memory_free_bytes=None,
        )

    def _handle_at(self, place: int) -> Any:
        """Return the handle of the instance there, None if there is none."""
        function = "nvmlDeviceGetMigDeviceHandleByIndex"
        try:
            handle = self._library.enter(function, self._index, self._handle, c_uint(place), outputs=(c_void_p,))
        except CallError as error:
            if error.code in _NO_SUCH_INSTANCE:
                return None
            raise
        return c_void_p(handle)

    def _number(self, function: str, handle: Any) -> int:
        return int(self._library.enter(function, self._index, handle, outputs=(c_uint,)))

    def _with_memory(self, handle: Any, instance: MigInstance) -> MigInstance:
        function = "nvmlDeviceGetMemoryInfo_v2"
        memory = told(lambda: self._library.enter(function, self._index, handle, outputs=(memory_of_version_2,)))
        if memory is None:
            return instance
        return msgspec.structs.replace(
            instance,
            memory_total_bytes=memory.total,
            memory_used_bytes=memory.used,
            memory_free_bytes=memory.free,
        )


def _is_told(instance: MigInstance) -> bool:
    return None not in (instance.uuid, instance.name, instance.gpu_instance_id, instance.compute_instance_id)
