"""What is made of NVML's numbers: the readings' units, and names."""

COMPUTE_MODES = ("default", "exclusive_thread", "prohibited", "exclusive_process")  # nvmlComputeMode_t
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


def thousandth(value: int) -> float:
    """Return watts of milliwatts, or joules of millijoules."""
    return value / 1000


def billionth(value: int) -> float:
    """Return seconds of nanoseconds."""
    return value / 1_000_000_000


def bytes_of_kibibytes(value: int) -> int:
    """Return bytes, or bytes per second."""
    return value * 1024


def clock_event_reasons(mask: int) -> list[str]:
    """Return the names of the reasons in NVML's mask; one that has no name here is `other`."""
    names = [name for bit, name in _CLOCK_EVENT_REASONS.items() if mask & bit]
    return [*names, "other"] if mask & ~_KNOWN_REASONS else names
