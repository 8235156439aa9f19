"""The bodies that are judged, as the README describes them, written down apart from the API's own code."""

from typing import Literal

from msgspec import Struct

GpuStatus = Literal["ok", "lost", "error", "unknown"]
LIVE_STATUSES = ("ok", "degraded", "placeholder", "stalled")


class Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """What has the fields that are described, and no other."""


class Error(Strict, frozen=True):
    """Why, for programs and for people."""

    code: str
    message: str


class Memory(Strict, frozen=True):
    """In MB."""

    total: int
    used: int
    free: int


class ClockSpeeds(Strict, frozen=True):
    """In MHz."""

    graphics: int
    memory: int


class MetricsGpu(Strict, frozen=True):
    """One of `gpu-metrics`' GPUs."""

    id: str
    name: str
    uuid: str
    utilization: int
    memory: Memory
    temperature: int
    power_usage: float
    clock_speeds: ClockSpeeds
    memory_utilization: int
    status: GpuStatus
    unavailable: list[str]
    host: str

    def numbers(self) -> dict[str, float]:
        """Return the readings by the names that `unavailable` has for them."""
        return {
            "utilization": self.utilization,
            "memory.total": self.memory.total,
            "memory.used": self.memory.used,
            "memory.free": self.memory.free,
            "temperature": self.temperature,
            "power_usage": self.power_usage,
            "clock_speeds.graphics": self.clock_speeds.graphics,
            "clock_speeds.memory": self.clock_speeds.memory,
            "memory_utilization": self.memory_utilization,
        }


class Metrics(Strict, frozen=True):
    """The 200 of `gpu-metrics`."""

    timestamp: str
    gpus: list[MetricsGpu]
    status: Literal["ok", "degraded", "placeholder", "stalled"]
    host: str | None
    error: Error | None
    missing_hosts: list[str] = []


class NotFresh(Strict, frozen=True):
    """The 503 of what is only answered when there is something fresh."""

    error: Error
    status: Literal["stale", "unheard"]
    age_seconds: float | None


class Refused(Strict, frozen=True):
    """Any other error."""

    error: Error


class Gpu(Struct, frozen=True):
    """One of `gpus`' and the stream's, of whose readings these are looked at."""

    uuid: str | None
    host: str
    state: GpuStatus
    unavailable: dict[str, str]
    power_draw_watts: float | None
    utilization_gpu_percent: int | None
    temperature_gpu_celsius: int | None
    memory_used_bytes: int | None
    clock_graphics_megahertz: int | None

    def numbers(self) -> dict[str, float | None]:
        """Return the readings that are looked at by their names."""
        return {
            "power_draw_watts": self.power_draw_watts,
            "utilization_gpu_percent": self.utilization_gpu_percent,
            "temperature_gpu_celsius": self.temperature_gpu_celsius,
            "memory_used_bytes": self.memory_used_bytes,
            "clock_graphics_megahertz": self.clock_graphics_megahertz,
        }


class Gpus(Struct, frozen=True):
    """The 200 of `gpus`, and what an event of the stream says."""

    status: Literal["ok", "degraded", "unavailable", "stalled"]
    error: Error | None
    gpus: list[Gpu]
