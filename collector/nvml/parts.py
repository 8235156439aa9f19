"""What is asked of a GPU part by part: its NVLink links, and the instances that it is partitioned into."""

from collections.abc import Callable
from ctypes import c_uint, c_void_p
from typing import Any

import msgspec

from collector.nvml import codes
from collector.nvml.identity import told
from collector.nvml.library import CallError, Library
from collector.nvml.plan import RARE_SECONDS
from collector.nvml.structs import memory_of_version_2
from common.gpu import MigInstance

MOST_LINKS = 18  # NVML_NVLINK_MAX_LINKS
MOST_INSTANCES = 64
"""More than any GPU has, whatever the driver says."""
LIST_INSTANCES_SECONDS = 60.0
LINKS_PER_SAMPLE = 6
"""So many links are asked for in one sample, except in the first, to stay within the calls a sample may make."""


_NO_SUCH_LINK = codes.UNSUPPORTED | {2}  # INVALID_ARGUMENT


class Links:
    """The NVLink links of one GPU: whether each is up, asked anew every few minutes."""

    def __init__(self, library: Library, index: int, handle: Any) -> None:
        self._library = library
        self._index = index
        self._handle = handle
        self._count: int | None = None
        self._asked = self._up = 0
        self._limit = MOST_LINKS
        self.due = 0.0
        """From when on `up_count` asks the driver."""

    def up_count(self, now: float) -> int | None:
        """Return how many links are up, None where the GPU has none.

        Raises:
            CallError: the GPU does not tell.
        """
        if now >= self.due and self._ask():
            self._count = self._up if self._asked else None
            self._asked = self._up = 0
            self.due = now + RARE_SECONDS
        return self._count

    def _ask(self) -> bool:
        """Ask for some more links; return whether all have been asked. The first that there is not is their end."""
        limit, self._limit = self._limit, LINKS_PER_SAMPLE
        try:
            for _ in range(min(limit, MOST_LINKS - self._asked)):
                self._up += self._next_state()
                self._asked += 1
        except CallError as error:
            if error.code in _NO_SUCH_LINK:
                return True
            self._asked = self._up = 0
            raise
        return self._asked == MOST_LINKS

    def _next_state(self) -> int:
        function = "nvmlDeviceGetNvLinkState"
        return int(self._library.enter(function, self._index, self._handle, self._asked, outputs=(c_uint,)))


class Instances:
    """The MIG instances of one GPU: listed anew every minute, their memory read in every sample."""

    def __init__(self, library: Library, index: int, handle: Any) -> None:
        self._library = library
        self._index = index
        self._handle = handle
        self._listed: list[tuple[Any, MigInstance]] = []
        self._due = 0.0

    def read(self, now: float) -> list[MigInstance]:
        """Return every instance with its memory.

        Raises:
            CallError: the GPU does not tell how many it may have.
        """
        if now >= self._due:
            self._listed = [(handle, self._identify(handle)) for handle in self._handles()]
            self._due = now + LIST_INSTANCES_SECONDS
        return [self._with_memory(handle, instance) for handle, instance in self._listed]

    def _enter(self, function: str, *arguments: Any, output: Callable[[], Any]) -> Any:
        return told(lambda: self._library.enter(function, self._index, *arguments, outputs=(output,)))

    def _handles(self) -> list[Any]:
        count_of = "nvmlDeviceGetMaxMigDeviceCount"
        count = int(self._library.enter(count_of, self._index, self._handle, outputs=(c_uint,)))
        places = (c_uint(place) for place in range(min(count, MOST_INSTANCES)))
        function = "nvmlDeviceGetMigDeviceHandleByIndex"
        handles = [self._enter(function, self._handle, place, output=c_void_p) for place in places]
        return [c_void_p(handle) for handle in handles if handle]

    def _identify(self, handle: Any) -> MigInstance:
        return MigInstance(
            uuid=told(lambda: self._library.text("nvmlDeviceGetUUID", self._index, handle)),
            name=told(lambda: self._library.text("nvmlDeviceGetName", self._index, handle)),
            gpu_instance_id=self._enter("nvmlDeviceGetGpuInstanceId", handle, output=c_uint),
            compute_instance_id=self._enter("nvmlDeviceGetComputeInstanceId", handle, output=c_uint),
            memory_total_bytes=None,
            memory_used_bytes=None,
            memory_free_bytes=None,
        )

    def _with_memory(self, handle: Any, instance: MigInstance) -> MigInstance:
        memory = self._enter("nvmlDeviceGetMemoryInfo_v2", handle, output=memory_of_version_2)
        if memory is None:
            return instance
        return msgspec.structs.replace(
            instance,
            memory_total_bytes=memory.total,
            memory_used_bytes=memory.used,
            memory_free_bytes=memory.free,
        )
