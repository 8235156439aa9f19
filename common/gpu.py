"""The catalogue: every reading's name, unit and meaning, once.

REST fields, labels, schemas and the README's table derive from `Gpu` below. A reading that could not be taken is `None`
and its name stands in `Gpu.unavailable` with the reason; nothing here ever invents a number.
"""

from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

GpuState = Literal["ok", "lost", "error", "unknown"]


def _reading(title: str, unit: str, meaning: str, metric: str = "", **labels: str) -> Meta:
    """`metric` names the reading's Prometheus family where its name does not; `labels` tell it apart within that."""
    return Meta(title=title, description=meaning, extra={"unit": unit, "metric": metric, "labels": labels})


def _counter(title: str, unit: str, meaning: str, metric: str = "", **labels: str) -> Meta:
    """A reading that only grows, until the driver is loaded anew or its meaning says otherwise."""
    told = _reading(title, unit, f"{meaning}; a counter", metric, **labels)
    return Meta(title=told.title, description=told.description, extra={**(told.extra or {}), "is_counter": True})


def _identifier(title: str, meaning: str) -> Meta:
    return Meta(title=title, description=meaning)


class MigInstance(Struct, frozen=True, kw_only=True):
    """One part of a GPU that is partitioned; a number is None where the driver does not tell it."""

    uuid: str | None
    name: str | None
    gpu_instance_id: int | None
    compute_instance_id: int | None
    memory_total_bytes: int | None
    memory_used_bytes: int | None
    memory_free_bytes: int | None


class Xid(Struct, frozen=True, kw_only=True):
    """One XID error: NVIDIA's code for it, when it was heard (Unix time, nanoseconds), and a short text where the code
    is a known one."""

    code: int
    heard_at_ns: int
    text: str | None


class XidErrors(Struct, frozen=True, kw_only=True):
    """The errors that the driver reported of a GPU since the collector started: how many of each code (as text, for a
    map's keys), and the latest; repeats count, and nothing resets them but a new start."""

    counts: dict[str, int]
    last: Xid | None


class Process(Struct, frozen=True, kw_only=True):
    """One process that uses the GPU. What cannot be told of it is None: to other users' processes, and those outside
    a container, the collector may be blind. Utilization is percent of the driver's last sample period. `kind` is
    `compute` or `graphics`, or what a newer collector tells apart."""

    pid: int
    kind: str
    memory_used_bytes: int | None = None
    utilization_sm_percent: int | None = None
    utilization_memory_percent: int | None = None
    utilization_encoder_percent: int | None = None
    utilization_decoder_percent: int | None = None
    name: str | None = None
    user: str | None = None
    command: str | None = None
    container_id: str | None = None


class Gpu(Struct, frozen=True, kw_only=True):
    """One GPU in one sample: who it is, how it is, and its readings.

    `uuid` is the identity; `index` is NVML's order and may change. `uuid` to `vbios_version` are None only where the
    driver would not tell them. `error` says why `state` is not ok. `unavailable` maps each reading that is None to its
    reason: `unsupported`, `no_permission`, `not_collected` (a setting asks for it), or `error: ` and NVML's name.
    `lost_since_ns` is Unix time, in nanoseconds, when the collector first found a lost GPU lost; None in other states.
    """

    index: int
    uuid: str | None
    name: str | None
    pci_bus_id: Annotated[str | None, _identifier("PCI bus id", "With a domain of eight digits, in lower case")] = None
    serial: Annotated[str | None, _identifier("Serial number", "Of the board")] = None
    minor_number: Annotated[int | None, _identifier("Minor number", "N of the device file /dev/nvidiaN")] = None
    architecture: Annotated[str | None, _identifier("Architecture", "Such as Hopper")] = None
    cuda_compute_capability: Annotated[str | None, _identifier("CUDA compute capability", "Such as 9.0")] = None
    vbios_version: Annotated[str | None, _identifier("VBIOS version", "Of the board's firmware")] = None
    state: GpuState = "ok"
    error: str | None = None
    unavailable: dict[str, str] = {}
    lost_since_ns: int | None = None

    utilization_gpu_percent: Annotated[
        int | None,
        _reading(
            "GPU utilization",
            "percent",
            "Share of the driver's last sample period (1/6 s to 1 s) in which a kernel ran on the GPU",
            "gpu_utilization_ratio",
        ),
    ] = None
    utilization_memory_percent: Annotated[
        int | None,
        _reading(
            "Memory utilization",
            "percent",
            "Share of that period in which the memory controller read or wrote (not used / total)",
            "gpu_memory_utilization_ratio",
        ),
    ] = None
    utilization_encoder_percent: Annotated[
        int | None,
        _reading(
            "Encoder utilization",
            "percent",
            "Share of the driver's last sample period in which video was encoded",
            "gpu_encoder_utilization_ratio",
        ),
    ] = None
    utilization_decoder_percent: Annotated[
        int | None,
        _reading("Decoder utilization", "percent", "The same for decoding video", "gpu_decoder_utilization_ratio"),
    ] = None
    utilization_jpeg_percent: Annotated[
        int | None,
        _reading("JPEG utilization", "percent", "The same for decoding JPEG images", "gpu_jpeg_utilization_ratio"),
    ] = None
    utilization_ofa_percent: Annotated[
        int | None,
        _reading(
            "Optical flow utilization",
            "percent",
            "The same for the optical flow accelerator",
            "gpu_ofa_utilization_ratio",
        ),
    ] = None
    memory_total_bytes: Annotated[
        int | None, _reading("Memory total", "bytes", "Memory that the GPU has installed")
    ] = None
    memory_used_bytes: Annotated[
        int | None,
        _reading(
            "Memory used", "bytes", "Memory in use, without the driver's reserve unless `memory_used_includes_reserved`"
        ),
    ] = None
    memory_free_bytes: Annotated[int | None, _reading("Memory free", "bytes", "Memory not in use")] = None
    memory_reserved_bytes: Annotated[
        int | None, _reading("Memory reserved", "bytes", "Memory that the driver keeps for itself")
    ] = None
    memory_used_includes_reserved: Annotated[
        bool | None,
        _reading(
            "Memory used includes reserved", "boolean", "True where an older driver counts its reserve as used memory"
        ),
    ] = None
    bar1_total_bytes: Annotated[
        int | None,
        _reading("BAR1 total", "bytes", "Size of the window through which the host addresses the GPU's memory"),
    ] = None
    bar1_used_bytes: Annotated[int | None, _reading("BAR1 used", "bytes", "Mapped part of that window")] = None
    temperature_gpu_celsius: Annotated[
        int | None, _reading("Temperature", "celsius", "Temperature of the GPU's die", "gpu_temperature_celsius")
    ] = None
    temperature_memory_celsius: Annotated[
        int | None,
        _reading("Memory temperature", "celsius", "Temperature of the memory", "gpu_memory_temperature_celsius"),
    ] = None
    temperature_slowdown_celsius: Annotated[
        int | None,
        _reading(
            "Slowdown temperature",
            "celsius",
            "Temperature of the die from which the hardware slows its clocks",
            "gpu_temperature_threshold_celsius",
            threshold="slowdown",
        ),
    ] = None
    temperature_shutdown_celsius: Annotated[
        int | None,
        _reading(
            "Shutdown temperature",
            "celsius",
            "Temperature of the die at which the GPU shuts itself down",
            "gpu_temperature_threshold_celsius",
            threshold="shutdown",
        ),
    ] = None
    temperature_max_operating_celsius: Annotated[
        int | None,
        _reading(
            "Maximum operating temperature",
            "celsius",
            "Temperature of the die up to which the GPU keeps its full clocks",
            "gpu_temperature_threshold_celsius",
            threshold="max_operating",
        ),
    ] = None
    power_draw_watts: Annotated[
        float | None, _reading("Power draw", "watts", "Power of the whole board; from Ampere on a mean over one second")
    ] = None
    power_draw_average_watts: Annotated[
        float | None,
        _reading(
            "Average power draw", "watts", "Power of the board, a mean over one second, where the driver tells it apart"
        ),
    ] = None
    power_draw_instant_watts: Annotated[
        float | None,
        _reading("Instant power draw", "watts", "Power of the board at this moment, where the driver tells it apart"),
    ] = None
    power_limit_watts: Annotated[float | None, _reading("Power limit", "watts", "Limit that is set for the board")] = (
        None
    )
    power_limit_enforced_watts: Annotated[
        float | None, _reading("Enforced power limit", "watts", "Limit in force, the lowest of all that apply")
    ] = None
    power_limit_default_watts: Annotated[
        float | None, _reading("Default power limit", "watts", "Limit after the driver was loaded")
    ] = None
    power_limit_min_watts: Annotated[
        float | None, _reading("Least power limit", "watts", "Lowest limit that can be set")
    ] = None
    power_limit_max_watts: Annotated[
        float | None, _reading("Greatest power limit", "watts", "Highest limit that can be set")
    ] = None
    energy_joules: Annotated[float | None, _counter("Energy", "joules", "Energy used since the driver was loaded")] = (
        None
    )
    clock_graphics_megahertz: Annotated[
        int | None,
        _reading(
            "Graphics clock", "megahertz", "Current clock of the graphics engine", "gpu_clock_hertz", clock="graphics"
        ),
    ] = None
    clock_sm_megahertz: Annotated[
        int | None,
        _reading(
            "SM clock", "megahertz", "Current clock of the streaming multiprocessors", "gpu_clock_hertz", clock="sm"
        ),
    ] = None
    clock_memory_megahertz: Annotated[
        int | None,
        _reading("Memory clock", "megahertz", "Current clock of the memory", "gpu_clock_hertz", clock="memory"),
    ] = None
    clock_video_megahertz: Annotated[
        int | None,
        _reading("Video clock", "megahertz", "Current clock of the video engines", "gpu_clock_hertz", clock="video"),
    ] = None
    clock_max_graphics_megahertz: Annotated[
        int | None,
        _reading(
            "Maximum graphics clock",
            "megahertz",
            "Highest clock of the graphics engine",
            "gpu_clock_max_hertz",
            clock="graphics",
        ),
    ] = None
    clock_max_sm_megahertz: Annotated[
        int | None,
        _reading(
            "Maximum SM clock",
            "megahertz",
            "Highest clock of the streaming multiprocessors",
            "gpu_clock_max_hertz",
            clock="sm",
        ),
    ] = None
    clock_max_memory_megahertz: Annotated[
        int | None,
        _reading(
            "Maximum memory clock", "megahertz", "Highest clock of the memory", "gpu_clock_max_hertz", clock="memory"
        ),
    ] = None
    clock_max_video_megahertz: Annotated[
        int | None,
        _reading(
            "Maximum video clock",
            "megahertz",
            "Highest clock of the video engines",
            "gpu_clock_max_hertz",
            clock="video",
        ),
    ] = None
    clock_event_reasons: Annotated[
        list[str] | None,
        _reading(
            "Clock event reasons",
            "names",
            "What holds the clocks down (or up) at this moment, by NVML's names; empty: nothing",
        ),
    ] = None
    throttled_power_seconds: Annotated[
        float | None,
        _counter(
            "Throttled: power",
            "seconds",
            "Time with clocks held down because the power limit was reached",
            "gpu_throttled_seconds",
            reason="power",
        ),
    ] = None
    throttled_thermal_seconds: Annotated[
        float | None,
        _counter(
            "Throttled: thermal",
            "seconds",
            "Time with clocks held down because the GPU was too hot",
            "gpu_throttled_seconds",
            reason="thermal",
        ),
    ] = None
    throttled_sync_boost_seconds: Annotated[
        float | None,
        _counter(
            "Throttled: sync boost",
            "seconds",
            "Time with clocks held down because the GPU waited for others of its sync boost group",
            "gpu_throttled_seconds",
            reason="sync_boost",
        ),
    ] = None
    throttled_board_limit_seconds: Annotated[
        float | None,
        _counter(
            "Throttled: board limit",
            "seconds",
            "Time with clocks held down because the board's own limit was reached",
            "gpu_throttled_seconds",
            reason="board_limit",
        ),
    ] = None
    throttled_low_utilization_seconds: Annotated[
        float | None,
        _counter(
            "Throttled: low utilization",
            "seconds",
            "Time with clocks held down because the GPU had too little to do",
            "gpu_throttled_seconds",
            reason="low_utilization",
        ),
    ] = None
    throttled_reliability_seconds: Annotated[
        float | None,
        _counter(
            "Throttled: reliability",
            "seconds",
            "Time with clocks held down because the voltage had to stay reliable",
            "gpu_throttled_seconds",
            reason="reliability",
        ),
    ] = None
    performance_state: Annotated[
        int | None, _reading("Performance state", "state", "0 (fastest, P0) to 15 (slowest)")
    ] = None
    fan_speed_percent: Annotated[
        int | None,
        _reading("Fan speed", "percent", "Speed that the fan is told to have, of its maximum; can exceed 100"),
    ] = None
    pcie_link_generation: Annotated[
        int | None,
        _reading("PCIe generation", "generation", "Generation at which the PCIe link runs now; drops when idle"),
    ] = None
    pcie_link_generation_max: Annotated[
        int | None, _reading("Maximum PCIe generation", "generation", "Highest that GPU and slot can do together")
    ] = None
    pcie_link_width: Annotated[int | None, _reading("PCIe width", "lanes", "Lanes that the PCIe link uses now")] = None
    pcie_link_width_max: Annotated[
        int | None, _reading("Maximum PCIe width", "lanes", "Most that GPU and slot can do together")
    ] = None
    pcie_replay_count: Annotated[
        int | None, _counter("PCIe replays", "count", "Packets sent again because of errors on the link")
    ] = None
    pcie_sent_bytes: Annotated[int | None, _counter("PCIe sent", "bytes", "Bytes sent to the host")] = None
    pcie_received_bytes: Annotated[int | None, _counter("PCIe received", "bytes", "Bytes received from the host")] = (
        None
    )
    pcie_throughput_sent_bytes_per_second: Annotated[
        int | None,
        _reading(
            "PCIe send rate",
            "bytes_per_second",
            "Rate over 20 ms; only with the setting PCIE_THROUGHPUT, for the call blocks that long",
        ),
    ] = None
    pcie_throughput_received_bytes_per_second: Annotated[
        int | None, _reading("PCIe receive rate", "bytes_per_second", "The same for receiving")
    ] = None
    ecc_enabled: Annotated[bool | None, _reading("ECC", "boolean", "Whether the memory's error correction is on")] = (
        None
    )
    ecc_errors_corrected_volatile_count: Annotated[
        int | None,
        _counter("ECC errors corrected, volatile", "count", "Memory errors corrected since the driver was loaded"),
    ] = None
    ecc_errors_corrected_aggregate_count: Annotated[
        int | None,
        _counter("ECC errors corrected, aggregate", "count", "Memory errors corrected over the GPU's lifetime"),
    ] = None
    ecc_errors_uncorrected_volatile_count: Annotated[
        int | None,
        _counter(
            "ECC errors uncorrected, volatile",
            "count",
            "Memory errors uncorrected since the driver was loaded",
        ),
    ] = None
    ecc_errors_uncorrected_aggregate_count: Annotated[
        int | None,
        _counter("ECC errors uncorrected, aggregate", "count", "Memory errors uncorrected over the GPU's lifetime"),
    ] = None
    retired_pages_single_bit_count: Annotated[
        int | None,
        _counter(
            "Retired pages, single bit",
            "count",
            "Memory pages retired because of repeated single bit errors",
            "gpu_retired_pages",
            cause="single_bit",
        ),
    ] = None
    retired_pages_double_bit_count: Annotated[
        int | None,
        _counter(
            "Retired pages, double bit",
            "count",
            "Memory pages retired because of a double bit error",
            "gpu_retired_pages",
            cause="double_bit",
        ),
    ] = None
    retired_pages_pending: Annotated[
        bool | None, _reading("Retired pages pending", "boolean", "Whether pages wait for a reboot to be retired")
    ] = None
    remapped_rows_correctable_count: Annotated[
        int | None,
        _counter(
            "Remapped rows, correctable",
            "count",
            "Memory rows remapped because of correctable errors",
            "gpu_remapped_rows",
            cause="correctable",
        ),
    ] = None
    remapped_rows_uncorrectable_count: Annotated[
        int | None,
        _counter(
            "Remapped rows, uncorrectable",
            "count",
            "Memory rows remapped because of uncorrectable errors",
            "gpu_remapped_rows",
            cause="uncorrectable",
        ),
    ] = None
    remapped_rows_pending: Annotated[
        bool | None,
        _reading("Remapped rows pending", "boolean", "Whether rows wait for a reset of the GPU to be remapped"),
    ] = None
    remapped_rows_failed: Annotated[
        bool | None,
        _reading("Remapping failed", "boolean", "Whether a row could not be remapped: the GPU should be replaced"),
    ] = None
    nvlink_links_up_count: Annotated[
        int | None, _reading("NVLink links up", "count", "NVLink links that are active")
    ] = None
    nvlink_sent_bytes: Annotated[
        int | None, _counter("NVLink sent", "bytes", "Bytes of data sent over all NVLink links")
    ] = None
    nvlink_received_bytes: Annotated[
        int | None, _counter("NVLink received", "bytes", "Bytes of data received over all NVLink links")
    ] = None
    nvlink_crc_flit_error_count: Annotated[
        int | None,
        _counter(
            "NVLink errors: crc flit",
            "count",
            "Flow control units received with a bad checksum, over all links",
            "gpu_nvlink_errors",
            error="crc_flit",
        ),
    ] = None
    nvlink_crc_data_error_count: Annotated[
        int | None,
        _counter(
            "NVLink errors: crc data",
            "count",
            "Data received with a bad checksum, over all links",
            "gpu_nvlink_errors",
            error="crc_data",
        ),
    ] = None
    nvlink_replay_error_count: Annotated[
        int | None,
        _counter(
            "NVLink errors: replay",
            "count",
            "Transmissions repeated, over all links",
            "gpu_nvlink_errors",
            error="replay",
        ),
    ] = None
    nvlink_recovery_error_count: Annotated[
        int | None,
        _counter(
            "NVLink errors: recovery",
            "count",
            "Links brought up again after an error, over all links",
            "gpu_nvlink_errors",
            error="recovery",
        ),
    ] = None
    mig_enabled: Annotated[bool | None, _reading("MIG", "boolean", "Whether the GPU is partitioned into instances")] = (
        None
    )
    mig_instances: Annotated[
        list[MigInstance] | None, _reading("MIG instances", "instances", "Each instance and its memory")
    ] = None
    compute_mode: Annotated[
        str | None,
        _reading("Compute mode", "name", "Who may compute: default, exclusive_thread, prohibited or exclusive_process"),
    ] = None
    persistence_enabled: Annotated[
        bool | None,
        _reading("Persistence mode", "boolean", "Whether the driver stays loaded while nobody uses the GPU"),
    ] = None
    accounting_enabled: Annotated[
        bool | None, _reading("Accounting mode", "boolean", "Whether the driver keeps figures of ended processes")
    ] = None
    display_connected: Annotated[
        bool | None, _reading("Display connected", "boolean", "Whether a display is plugged into the GPU")
    ] = None
    display_active: Annotated[
        bool | None, _reading("Display active", "boolean", "Whether a display is set up on the GPU, plugged in or not")
    ] = None
    xid_errors: Annotated[
        XidErrors | None,
        _reading("XID errors", "errors", "What the driver has reported of the GPU since the collector started"),
    ] = None
    processes: Annotated[
        list[Process] | None,
        _reading("Processes", "processes", "Processes that use the GPU; only with the setting PROCESSES"),
    ] = None


class Reading(Struct, frozen=True):
    """One entry of the catalogue, derived from its field in `Gpu`. `kind` is its type where it was taken; `metric` and
    `labels` are what its Prometheus family cannot derive from its name."""

    name: str
    title: str
    unit: str
    meaning: str
    kind: Any
    metric: str = ""
    labels: dict[str, str] = {}
    is_counter: bool = False

    @property
    def is_numeric(self) -> bool:
        """Whether it is one number, and no boolean."""
        return self.kind in (int, float)


def _catalogue() -> dict[str, Reading]:
    readings = {}
    for name, annotation in get_type_hints(Gpu, include_extras=True).items():
        for meta in get_args(annotation)[1:]:
            if isinstance(meta, Meta) and meta.extra:
                kind = get_args(get_args(annotation)[0])[0]
                readings[name] = Reading(
                    name, meta.title or "", meaning=meta.description or "", kind=kind, **meta.extra
                )
    return readings


READINGS = _catalogue()
"""Every reading by its name, in the catalogue's order."""

NUMERIC = tuple(reading.name for reading in READINGS.values() if reading.is_numeric)
"""The readings that are one number each, by name."""


def without_readings(gpu: Gpu, state: GpuState, error: str, reason: str, lost_since_ns: int | None = None) -> Gpu:
    """Return that GPU's identity alone: `state`, `error`, and `reason` for every reading; since when, if it is lost."""
    return msgspec.structs.replace(
        gpu,
        state=state,
        error=error,
        unavailable=dict.fromkeys(READINGS, reason),
        lost_since_ns=lost_since_ns,
        **dict.fromkeys(READINGS),
    )
