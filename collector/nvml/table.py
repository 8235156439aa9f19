"""Which NVML call gives which readings. A new reading is one line here and one field in `common/snapshot.py`."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

_TEMPERATURE_GPU = 0  # nvmlTemperatureSensors_t
_CLOCK_GRAPHICS, _CLOCK_MEMORY = 0, 2  # nvmlClockType_t

NOT_AVAILABLE = (2**32 - 1, 2**64 - 1)
"""What NVML writes in place of a value it has not got (NVML_VALUE_NOT_AVAILABLE, in 32 and in 64 bits)."""

PERCENT, BYTES, CELSIUS, MILLIWATTS, MEGAHERTZ = 100, 2**50, 250, 10**8, 10**5
"""The largest values, as NVML gives them, that can be true; drivers have been seen to send larger ones."""


class Given(NamedTuple):
    """One reading that a call gives: how its value is had from the call's answer (None: it is the answer), the largest
    that can be true, and what is made of it (None: it is the reading)."""

    reading: str
    value_of: Callable[[Any], int] | None
    ceiling: int
    convert: Callable[[int], float] | None = None


class Read(NamedTuple):
    """One call on a GPU: NVML's function, its arguments after the handle, the readings that it gives."""

    function: str
    arguments: tuple[int, ...]
    gives: tuple[Given, ...]

    @property
    def key(self) -> str:
        """What tells it from the table's other rows: the first reading that it gives."""
        return self.gives[0].reading


def _thousandth(value: int) -> float:
    return value / 1000


READS = (
    Read(
        "nvmlDeviceGetUtilizationRates",
        (),
        (
            Given("utilization_gpu_percent", attrgetter("gpu"), PERCENT),
            Given("utilization_memory_percent", attrgetter("memory"), PERCENT),
        ),
    ),
    Read(
        "nvmlDeviceGetMemoryInfo",
        (),
        (
            Given("memory_total_bytes", attrgetter("total"), BYTES),
            Given("memory_used_bytes", attrgetter("used"), BYTES),
            Given("memory_free_bytes", attrgetter("free"), BYTES),
        ),
    ),
    Read("nvmlDeviceGetTemperature", (_TEMPERATURE_GPU,), (Given("temperature_gpu_celsius", None, CELSIUS),)),
    Read("nvmlDeviceGetPowerUsage", (), (Given("power_draw_watts", None, MILLIWATTS, _thousandth),)),
    Read("nvmlDeviceGetClockInfo", (_CLOCK_GRAPHICS,), (Given("clock_graphics_megahertz", None, MEGAHERTZ),)),
    Read("nvmlDeviceGetClockInfo", (_CLOCK_MEMORY,), (Given("clock_memory_megahertz", None, MEGAHERTZ),)),
)
