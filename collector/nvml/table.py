"""Which NVML call gives which readings, how its answer becomes them, and how often it is made.

A new reading is one line here and one field in `common/gpu.py`. A row is an entry point of the driver's library,
whether or not the binding has a function for it. FIELDS are asked for together, by one call of
nvmlDeviceGetFieldValues. What hardly changes is RARE: asked at start and then every few minutes.
"""

from collections.abc import Callable
from ctypes import Structure, c_uint, c_ulonglong
from typing import Any, NamedTuple

from collector.nvml.structs import Bar1, Memory, MemoryOfVersion1, Utilization, memory_of_version_2
from collector.nvml.units import COMPUTE_MODES, billionth, bytes_of_kibibytes, clock_event_reasons, thousandth

NOT_AVAILABLE = (2**32 - 1, 2**64 - 1)
"""What NVML writes in place of a value it has not got (NVML_VALUE_NOT_AVAILABLE, in 32 and in 64 bits)."""

PERCENT, FAN_PERCENT, CELSIUS, MEGAHERTZ, MILLIWATTS, KIBIBYTES_PER_SECOND = 100, 1000, 250, 10**5, 10**8, 2**31
BYTES, KIBIBYTES, COUNT, COUNTER, MILLIJOULES, NANOSECONDS, BITS = 2**50, 2**53, 2**31, 2**63, 2**60, 2**63, 2**63
FLAG, STATE, GENERATION, LANES, ANYTHING = 1, 15, 16, 64, 2**64
"""The largest values, as NVML gives them, that can be true; drivers have been seen to send larger ones."""

EVERY_SAMPLE, RARE = False, True

_ALL_LINKS = 2**32 - 1


class Given(NamedTuple):
    """One reading that a call gives: which of the numbers that it writes, counted through all its outputs; the largest
    that can be true; and what is made of it (None: it is the reading)."""

    reading: str
    place: int
    ceiling: int
    convert: Callable[[int], Any] | None = None


class Read(NamedTuple):
    """One call on a GPU: NVML's function, the readings it gives, its arguments after the handle, the types of what it
    writes behind them, and its cadence. `instead` is called where the driver has no such function."""

    function: str
    gives: tuple[Given, ...]
    arguments: tuple[int, ...] = ()
    outputs: tuple[Callable[[], Any], ...] = (c_uint,)
    is_rare: bool = EVERY_SAMPLE
    instead: "Read | None" = None

    @property
    def key(self) -> tuple[str, tuple[int, ...]]:
        """What tells it from the table's other rows."""
        return self.function, self.arguments


class Field(NamedTuple):
    """One field of nvmlDeviceGetFieldValues: its id (NVML_FI_DEV_...), the reading, its cadence, its scope."""

    number: int
    gives: Given
    is_rare: bool = EVERY_SAMPLE
    scope: int = 0

    @property
    def key(self) -> tuple[str, tuple[int, ...]]:
        """What tells it from the table's other rows."""
        return "field", (self.number,)


def _number(function: str, reading: str, ceiling: int, *arguments: int, is_rare: bool = EVERY_SAMPLE) -> Read:
    return Read(function, (Given(reading, 0, ceiling),), arguments, is_rare=is_rare)


def _utilization(function: str, reading: str) -> Read:
    """A call that writes two numbers: what is read, and the period that it was measured over."""
    return Read(function, (Given(reading, 0, PERCENT),), outputs=(c_uint, c_uint))


def _power(function: str, reading: str) -> Read:
    return Read(function, (Given(reading, 0, MILLIWATTS, thousandth),), is_rare=RARE)


def _flag(function: str, reading: str) -> Read:
    return Read(function, (Given(reading, 0, FLAG, bool),), is_rare=RARE)


def _mode(function: str, reading: str) -> Read:
    """A call that writes two flags: what is on now, and what will be after a reboot."""
    return _flag(function, reading)._replace(outputs=(c_uint, c_uint))


def _field(number: int, reading: str, ceiling: int, convert: Callable[[int], Any] | None = None) -> Field:
    return Field(number, Given(reading, 0, ceiling, convert))


def _rare_field(number: int, reading: str, ceiling: int, convert: Callable[[int], Any] | None = None) -> Field:
    return Field(number, Given(reading, 0, ceiling, convert), RARE)


def _place(kind: type[Structure], member: str) -> int:
    return [name for name, *_ in kind._fields_].index(member)


def _memory(kind: type[Structure], includes_reserved: Callable[[int], bool]) -> tuple[Given, ...]:
    """What both versions of the struct have; whether `used` includes the reserve is told by the version alone."""
    parts = ("total", "used", "free")
    return (
        *(Given(f"memory_{part}_bytes", _place(kind, part), BYTES) for part in parts),
        Given("memory_used_includes_reserved", _place(kind, "used"), ANYTHING, includes_reserved),
    )


READS = (
    Read(
        "nvmlDeviceGetUtilizationRates",
        (
            Given("utilization_gpu_percent", _place(Utilization, "gpu"), PERCENT),
            Given("utilization_memory_percent", _place(Utilization, "memory"), PERCENT),
        ),
        outputs=(Utilization,),
    ),
    _utilization("nvmlDeviceGetEncoderUtilization", "utilization_encoder_percent"),
    _utilization("nvmlDeviceGetDecoderUtilization", "utilization_decoder_percent"),
    _utilization("nvmlDeviceGetJpgUtilization", "utilization_jpeg_percent"),
    _utilization("nvmlDeviceGetOfaUtilization", "utilization_ofa_percent"),
    Read(
        "nvmlDeviceGetMemoryInfo_v2",
        (
            *_memory(Memory, lambda _: False),
            Given("memory_reserved_bytes", _place(Memory, "reserved"), BYTES),
        ),
        outputs=(memory_of_version_2,),
        instead=Read("nvmlDeviceGetMemoryInfo", _memory(MemoryOfVersion1, lambda _: True), outputs=(MemoryOfVersion1,)),
    ),
    Read(
        "nvmlDeviceGetBAR1MemoryInfo",
        (
            Given("bar1_total_bytes", _place(Bar1, "total"), BYTES),
            Given("bar1_used_bytes", _place(Bar1, "used"), BYTES),
        ),
        outputs=(Bar1,),
    ),
    _number("nvmlDeviceGetTemperature", "temperature_gpu_celsius", CELSIUS, 0),  # nvmlTemperatureSensors_t
    Read("nvmlDeviceGetPowerUsage", (Given("power_draw_watts", 0, MILLIWATTS, thousandth),)),
    _number("nvmlDeviceGetClockInfo", "clock_graphics_megahertz", MEGAHERTZ, 0),  # nvmlClockType_t
    _number("nvmlDeviceGetClockInfo", "clock_sm_megahertz", MEGAHERTZ, 1),
    _number("nvmlDeviceGetClockInfo", "clock_memory_megahertz", MEGAHERTZ, 2),
    _number("nvmlDeviceGetClockInfo", "clock_video_megahertz", MEGAHERTZ, 3),
    Read(
        "nvmlDeviceGetCurrentClocksThrottleReasons",
        (Given("clock_event_reasons", 0, BITS, clock_event_reasons),),
        outputs=(c_ulonglong,),
    ),
    _number("nvmlDeviceGetPerformanceState", "performance_state", STATE),
    _number("nvmlDeviceGetFanSpeed", "fan_speed_percent", FAN_PERCENT),
    _number("nvmlDeviceGetCurrPcieLinkGeneration", "pcie_link_generation", GENERATION),
    _number("nvmlDeviceGetCurrPcieLinkWidth", "pcie_link_width", LANES),
    # nvmlTemperatureThresholds_t
    _number("nvmlDeviceGetTemperatureThreshold", "temperature_shutdown_celsius", CELSIUS, 0, is_rare=RARE),
    _number("nvmlDeviceGetTemperatureThreshold", "temperature_slowdown_celsius", CELSIUS, 1, is_rare=RARE),
    _number("nvmlDeviceGetTemperatureThreshold", "temperature_max_operating_celsius", CELSIUS, 3, is_rare=RARE),
    _power("nvmlDeviceGetPowerManagementLimit", "power_limit_watts"),
    _power("nvmlDeviceGetEnforcedPowerLimit", "power_limit_enforced_watts"),
    _power("nvmlDeviceGetPowerManagementDefaultLimit", "power_limit_default_watts"),
    Read(
        "nvmlDeviceGetPowerManagementLimitConstraints",
        (
            Given("power_limit_min_watts", 0, MILLIWATTS, thousandth),
            Given("power_limit_max_watts", 1, MILLIWATTS, thousandth),
        ),
        outputs=(c_uint, c_uint),
        is_rare=RARE,
    ),
    _number("nvmlDeviceGetMaxClockInfo", "clock_max_graphics_megahertz", MEGAHERTZ, 0, is_rare=RARE),
    _number("nvmlDeviceGetMaxClockInfo", "clock_max_sm_megahertz", MEGAHERTZ, 1, is_rare=RARE),
    _number("nvmlDeviceGetMaxClockInfo", "clock_max_memory_megahertz", MEGAHERTZ, 2, is_rare=RARE),
    _number("nvmlDeviceGetMaxClockInfo", "clock_max_video_megahertz", MEGAHERTZ, 3, is_rare=RARE),
    _number("nvmlDeviceGetMaxPcieLinkGeneration", "pcie_link_generation_max", GENERATION, is_rare=RARE),
    _number("nvmlDeviceGetMaxPcieLinkWidth", "pcie_link_width_max", LANES, is_rare=RARE),
    _mode("nvmlDeviceGetEccMode", "ecc_enabled"),
    _mode("nvmlDeviceGetMigMode", "mig_enabled"),
    Read(
        "nvmlDeviceGetComputeMode",
        (Given("compute_mode", 0, len(COMPUTE_MODES) - 1, COMPUTE_MODES.__getitem__),),
        is_rare=RARE,
    ),
    _flag("nvmlDeviceGetPersistenceMode", "persistence_enabled"),
    _flag("nvmlDeviceGetAccountingMode", "accounting_enabled"),
    _flag("nvmlDeviceGetDisplayMode", "display_connected"),
    _flag("nvmlDeviceGetDisplayActive", "display_active"),
)

PCIE_THROUGHPUT_READS = tuple(
    Read("nvmlDeviceGetPcieThroughput", (Given(name, 0, KIBIBYTES_PER_SECOND, bytes_of_kibibytes),), (counter,))
    for counter, name in enumerate(  # nvmlPcieUtilCounter_t
        ("pcie_throughput_sent_bytes_per_second", "pcie_throughput_received_bytes_per_second")
    )
)
"""Each blocks for 20 ms or more: made only where a setting asks for it."""

FIELDS = (
    _field(82, "temperature_memory_celsius", CELSIUS),
    _field(185, "power_draw_average_watts", MILLIWATTS, thousandth),
    _field(186, "power_draw_instant_watts", MILLIWATTS, thousandth),
    _field(83, "energy_joules", MILLIJOULES, thousandth),
    _field(74, "throttled_power_seconds", NANOSECONDS, billionth),
    _field(75, "throttled_thermal_seconds", NANOSECONDS, billionth),
    _field(76, "throttled_sync_boost_seconds", NANOSECONDS, billionth),
    _field(77, "throttled_board_limit_seconds", NANOSECONDS, billionth),
    _field(78, "throttled_low_utilization_seconds", NANOSECONDS, billionth),
    _field(79, "throttled_reliability_seconds", NANOSECONDS, billionth),
    _field(94, "pcie_replay_count", COUNT),
    _field(197, "pcie_sent_bytes", COUNTER),
    _field(198, "pcie_received_bytes", COUNTER),
    _field(3, "ecc_errors_corrected_volatile_count", COUNTER),
    _field(4, "ecc_errors_uncorrected_volatile_count", COUNTER),
    _field(138, "nvlink_sent_bytes", KIBIBYTES, bytes_of_kibibytes)._replace(scope=_ALL_LINKS),
    _field(139, "nvlink_received_bytes", KIBIBYTES, bytes_of_kibibytes)._replace(scope=_ALL_LINKS),
    _rare_field(5, "ecc_errors_corrected_aggregate_count", COUNTER),
    _rare_field(6, "ecc_errors_uncorrected_aggregate_count", COUNTER),
    _rare_field(29, "retired_pages_single_bit_count", COUNT),
    _rare_field(30, "retired_pages_double_bit_count", COUNT),
    _rare_field(31, "retired_pages_pending", FLAG, bool),
    _rare_field(142, "remapped_rows_correctable_count", COUNT),
    _rare_field(143, "remapped_rows_uncorrectable_count", COUNT),
    _rare_field(144, "remapped_rows_pending", FLAG, bool),
    _rare_field(145, "remapped_rows_failed", FLAG, bool),
    _rare_field(38, "nvlink_crc_flit_error_count", COUNTER),
    _rare_field(45, "nvlink_crc_data_error_count", COUNTER),
    _rare_field(52, "nvlink_replay_error_count", COUNTER),
    _rare_field(59, "nvlink_recovery_error_count", COUNTER),
)
