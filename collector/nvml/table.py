"""Which NVML call gives which readings, how its answer becomes them, and how often it is made.

A new reading is one line here and one field in `common/gpu.py`. A row is a function of the binding or, if it has
`outputs`, an entry point of the driver's library that the binding has no function for. FIELDS are asked for together,
by one call of nvmlDeviceGetFieldValues. What hardly changes is RARE: asked at start and then every few minutes.
"""

from collections.abc import Callable
from ctypes import c_uint
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from collector.nvml.structs import memory_of_version_2

NOT_AVAILABLE = (2**32 - 1, 2**64 - 1)
"""What NVML writes in place of a value it has not got (NVML_VALUE_NOT_AVAILABLE, in 32 and in 64 bits)."""

PERCENT, FAN_PERCENT, CELSIUS, MEGAHERTZ, MILLIWATTS, KIBIBYTES_PER_SECOND = 100, 1000, 250, 10**5, 10**8, 2**31
BYTES, KIBIBYTES, COUNT, COUNTER, MILLIJOULES, NANOSECONDS, BITS = 2**50, 2**53, 2**31, 2**63, 2**60, 2**63, 2**63
FLAG, STATE, GENERATION, LANES = 1, 15, 16, 64
"""The largest values, as NVML gives them, that can be true; drivers have been seen to send larger ones."""

EVERY_SAMPLE, RARE = False, True

_ALL_LINKS = 2**32 - 1
_COMPUTE_MODES = ("default", "exclusive_thread", "prohibited", "exclusive_process")  # nvmlComputeMode_t
_CLOCK_EVENT_REASONS = {  # nvmlClocksEventReason...
    0x1: "gpu_idle",
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}
_KNOWN_REASONS = sum(_CLOCK_EVENT_REASONS)


class Given(NamedTuple):
    """One reading that a call gives: how its value is had from the call's answer (None: it is the answer), the largest
    that can be true, and what is made of it (None: it is the reading)."""

    reading: str
    value_of: Callable[[Any], int] | None
    ceiling: int
    convert: Callable[[int], Any] | None = None


class Read(NamedTuple):
    """One call on a GPU: NVML's function, the readings it gives, its arguments after the handle, the types of its
    outputs if the binding has no such function, and its cadence. `instead` is called where the driver has none."""

    function: str
    gives: tuple[Given, ...]
    arguments: tuple[int, ...] = ()
    outputs: tuple[Callable[[], Any], ...] = ()
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


def _thousandth(value: int) -> float:
    return value / 1000


def _billionth(value: int) -> float:
    return value / 1_000_000_000


def _kibibytes(value: int) -> int:
    return value * 1024


def _reasons(mask: int) -> list[str]:
    names = [name for bit, name in _CLOCK_EVENT_REASONS.items() if mask & bit]
    return [*names, "other"] if mask & ~_KNOWN_REASONS else names


def _number(function: str, reading: str, ceiling: int, *arguments: int, is_rare: bool = EVERY_SAMPLE) -> Read:
    return Read(function, (Given(reading, None, ceiling),), arguments, is_rare=is_rare)


def _first(function: str, reading: str, ceiling: int, *outputs: Callable[[], Any]) -> Read:
    """A call that answers with several numbers, of which the first is the reading."""
    return Read(function, (Given(reading, itemgetter(0), ceiling),), outputs=outputs)


def _power(function: str, reading: str) -> Read:
    return Read(function, (Given(reading, None, MILLIWATTS, _thousandth),), is_rare=RARE)


def _flag(function: str, reading: str, value_of: Callable[[Any], int] | None = None) -> Read:
    return Read(function, (Given(reading, value_of, FLAG, bool),), is_rare=RARE)


def _field(number: int, reading: str, ceiling: int, convert: Callable[[int], Any] | None = None) -> Field:
    return Field(number, Given(reading, None, ceiling, convert))


def _rare_field(number: int, reading: str, ceiling: int, convert: Callable[[int], Any] | None = None) -> Field:
    return Field(number, Given(reading, None, ceiling, convert), RARE)


_MEMORY = (
    Given("memory_total_bytes", attrgetter("total"), BYTES),
    Given("memory_used_bytes", attrgetter("used"), BYTES),
    Given("memory_free_bytes", attrgetter("free"), BYTES),
)

READS = (
    Read(
        "nvmlDeviceGetUtilizationRates",
        (
            Given("utilization_gpu_percent", attrgetter("gpu"), PERCENT),
            Given("utilization_memory_percent", attrgetter("memory"), PERCENT),
        ),
    ),
    _first("nvmlDeviceGetEncoderUtilization", "utilization_encoder_percent", PERCENT),
    _first("nvmlDeviceGetDecoderUtilization", "utilization_decoder_percent", PERCENT),
    _first("nvmlDeviceGetJpgUtilization", "utilization_jpeg_percent", PERCENT, c_uint, c_uint),
    _first("nvmlDeviceGetOfaUtilization", "utilization_ofa_percent", PERCENT, c_uint, c_uint),
    Read(
        "nvmlDeviceGetMemoryInfo_v2",
        (
            *_MEMORY,
            Given("memory_reserved_bytes", attrgetter("reserved"), BYTES),
            Given("memory_used_includes_reserved", lambda _: 0, FLAG, bool),
        ),
        outputs=(memory_of_version_2,),
        instead=Read(
            "nvmlDeviceGetMemoryInfo",
            (
                *_MEMORY,
                Given("memory_reserved_bytes", lambda _: NOT_AVAILABLE[1], BYTES),
                Given("memory_used_includes_reserved", lambda _: 1, FLAG, bool),
            ),
        ),
    ),
    Read(
        "nvmlDeviceGetBAR1MemoryInfo",
        (
            Given("bar1_total_bytes", attrgetter("bar1Total"), BYTES),
            Given("bar1_used_bytes", attrgetter("bar1Used"), BYTES),
        ),
    ),
    _number("nvmlDeviceGetTemperature", "temperature_gpu_celsius", CELSIUS, 0),  # nvmlTemperatureSensors_t
    Read("nvmlDeviceGetPowerUsage", (Given("power_draw_watts", None, MILLIWATTS, _thousandth),)),
    _number("nvmlDeviceGetClockInfo", "clock_graphics_megahertz", MEGAHERTZ, 0),  # nvmlClockType_t
    _number("nvmlDeviceGetClockInfo", "clock_sm_megahertz", MEGAHERTZ, 1),
    _number("nvmlDeviceGetClockInfo", "clock_memory_megahertz", MEGAHERTZ, 2),
    _number("nvmlDeviceGetClockInfo", "clock_video_megahertz", MEGAHERTZ, 3),
    Read("nvmlDeviceGetCurrentClocksThrottleReasons", (Given("clock_event_reasons", None, BITS, _reasons),)),
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
            Given("power_limit_min_watts", itemgetter(0), MILLIWATTS, _thousandth),
            Given("power_limit_max_watts", itemgetter(1), MILLIWATTS, _thousandth),
        ),
        is_rare=RARE,
    ),
    _number("nvmlDeviceGetMaxClockInfo", "clock_max_graphics_megahertz", MEGAHERTZ, 0, is_rare=RARE),
    _number("nvmlDeviceGetMaxClockInfo", "clock_max_sm_megahertz", MEGAHERTZ, 1, is_rare=RARE),
    _number("nvmlDeviceGetMaxClockInfo", "clock_max_memory_megahertz", MEGAHERTZ, 2, is_rare=RARE),
    _number("nvmlDeviceGetMaxClockInfo", "clock_max_video_megahertz", MEGAHERTZ, 3, is_rare=RARE),
    _number("nvmlDeviceGetMaxPcieLinkGeneration", "pcie_link_generation_max", GENERATION, is_rare=RARE),
    _number("nvmlDeviceGetMaxPcieLinkWidth", "pcie_link_width_max", LANES, is_rare=RARE),
    _flag("nvmlDeviceGetEccMode", "ecc_enabled", itemgetter(0)),
    _flag("nvmlDeviceGetMigMode", "mig_enabled", itemgetter(0))._replace(outputs=(c_uint, c_uint)),
    Read(
        "nvmlDeviceGetComputeMode",
        (Given("compute_mode", None, len(_COMPUTE_MODES) - 1, _COMPUTE_MODES.__getitem__),),
        is_rare=RARE,
    ),
    _flag("nvmlDeviceGetPersistenceMode", "persistence_enabled"),
    _flag("nvmlDeviceGetAccountingMode", "accounting_enabled"),
    _flag("nvmlDeviceGetDisplayMode", "display_connected"),
    _flag("nvmlDeviceGetDisplayActive", "display_active"),
)

PCIE_THROUGHPUT_READS = tuple(
    Read("nvmlDeviceGetPcieThroughput", (Given(name, None, KIBIBYTES_PER_SECOND, _kibibytes),), (counter,))
    for counter, name in enumerate(  # nvmlPcieUtilCounter_t
        ("pcie_throughput_sent_bytes_per_second", "pcie_throughput_received_bytes_per_second")
    )
)
"""Each blocks for 20 ms or more: made only where a setting asks for it."""

FIELDS = (
    _field(82, "temperature_memory_celsius", CELSIUS),
    _field(185, "power_draw_average_watts", MILLIWATTS, _thousandth),
    _field(186, "power_draw_instant_watts", MILLIWATTS, _thousandth),
    _field(83, "energy_joules", MILLIJOULES, _thousandth),
    _field(74, "throttled_power_seconds", NANOSECONDS, _billionth),
    _field(75, "throttled_thermal_seconds", NANOSECONDS, _billionth),
    _field(76, "throttled_sync_boost_seconds", NANOSECONDS, _billionth),
    _field(77, "throttled_board_limit_seconds", NANOSECONDS, _billionth),
    _field(78, "throttled_low_utilization_seconds", NANOSECONDS, _billionth),
    _field(79, "throttled_reliability_seconds", NANOSECONDS, _billionth),
    _field(94, "pcie_replay_count", COUNT),
    _field(197, "pcie_sent_bytes", COUNTER),
    _field(198, "pcie_received_bytes", COUNTER),
    _field(3, "ecc_errors_corrected_volatile_count", COUNTER),
    _field(4, "ecc_errors_uncorrected_volatile_count", COUNTER),
    _field(138, "nvlink_sent_bytes", KIBIBYTES, _kibibytes)._replace(scope=_ALL_LINKS),
    _field(139, "nvlink_received_bytes", KIBIBYTES, _kibibytes)._replace(scope=_ALL_LINKS),
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
