"""The driver as the rest of the collector sees it: a sample, or a `SourceError`."""

import logging
import time
from collections.abc import Callable
from ctypes import c_int
from typing import NamedTuple

from collector.nvml import codes
from collector.nvml.gpus import Gpus
from collector.nvml.identity import told
from collector.nvml.library import CallError, InFlight, Library
from collector.nvml.plan import asked
from common.gpu import Gpu
from common.snapshot import SlowestCall

_log = logging.getLogger(__name__)


class SourceError(Exception):
    """The driver's: no sample can be taken. `name` is NVML's for why; `restart` is true if only a new process can
    mend it."""

    def __init__(self, cause: CallError) -> None:
        super().__init__(str(cause))
        self.name = codes.name(cause.code)
        self.restart = cause.code == codes.LIB_RM_VERSION_MISMATCH


class Versions(NamedTuple):
    """What the driver says of itself; None where it has not told, or not yet."""

    driver: str | None = None
    nvml: str | None = None
    cuda: str | None = None


class Nvml:
    """One NVML library, initialised when first needed and again after the driver went away. For one thread only,
    save `in_flight`, `versions`, `library_path` and `calls`, which any thread may read."""

    def __init__(
        self,
        library_path: str = "",
        now: Callable[[], float] = time.monotonic,
        *,
        processes: bool = False,
        pcie_throughput: bool = False,
    ) -> None:
        self._library = Library(library_path, now)
        self._gpus = Gpus(self._library, asked(processes=processes, pcie_throughput=pcie_throughput), now)
        self._is_open = False
        self.versions = self._logged = Versions()

    @property
    def in_flight(self) -> InFlight | None:
        """The NVML call that is running now."""
        return self._library.in_flight

    @property
    def library_path(self) -> str | None:
        """Where the NVML library was loaded from; None as long as it is not."""
        return self._library.path

    @property
    def calls(self) -> int:
        """How many NVML calls were made since the process started."""
        return self._library.calls

    @property
    def slowest_call(self) -> SlowestCall | None:
        """The slowest NVML call of the latest sample."""
        return self._library.slowest_call

    def sample(self) -> list[Gpu]:
        """Read every GPU once, initialising NVML first where that is due.

        Raises:
            SourceError: no library, no driver, or one that answers for no GPU.
        """
        self._library.forget_slowest()
        try:
            return self._sample()
        except CallError as error:
            self.close()
            self.versions = Versions()
            raise SourceError(error) from None

    def close(self) -> None:
        """Leave NVML, if it was entered."""
        if self._is_open:
            self._is_open = False
            try:
                self._library.call("nvmlShutdown", None)
            except CallError as error:
                _log.info("nvmlShutdown: %s", error)

    def _sample(self) -> list[Gpu]:
        if self._is_open:
            try:
                return self._gpus.sample()
            except CallError as error:
                _log.warning("initialising NVML again: %s", error)
                self.close()
        self._open()
        return self._gpus.sample()

    def _open(self) -> None:
        self._library.initialise()
        self._is_open = True
        self._gpus.begin_anew()
        versions = Versions(
            told(lambda: self._library.text("nvmlSystemGetDriverVersion", None)),
            told(lambda: self._library.text("nvmlSystemGetNVMLVersion", None)),
            told(self._cuda_version),
        )
        if versions != self._logged:
            _log.info("driver %s, NVML %s, CUDA %s", *versions)
        self.versions = self._logged = versions

    def _cuda_version(self) -> str:
        version = int(self._library.enter("nvmlSystemGetCudaDriverVersion_v2", None, outputs=(c_int,)))
        return f"{version // 1000}.{version % 1000 // 10}"
