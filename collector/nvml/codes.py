"""NVML's error codes (`nvmlReturn_t` in nvml.h): their names, what they are about, and what an operator can do."""

INVALID_ARGUMENT = 2
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
INSUFFICIENT_SIZE = 7
TIMEOUT = 10
LIBRARY_NOT_FOUND = 12
GPU_IS_LOST = 15
LIB_RM_VERSION_MISMATCH = 18

NAMES = {
    1: "UNINITIALIZED",
    2: "INVALID_ARGUMENT",
    3: "NOT_SUPPORTED",
    4: "NO_PERMISSION",
    5: "ALREADY_INITIALIZED",
    6: "NOT_FOUND",
    7: "INSUFFICIENT_SIZE",
    8: "INSUFFICIENT_POWER",
    9: "DRIVER_NOT_LOADED",
    10: "TIMEOUT",
    11: "IRQ_ISSUE",
    12: "LIBRARY_NOT_FOUND",
    13: "FUNCTION_NOT_FOUND",
    14: "CORRUPTED_INFOROM",
    15: "GPU_IS_LOST",
    16: "RESET_REQUIRED",
    17: "OPERATING_SYSTEM",
    18: "LIB_RM_VERSION_MISMATCH",
    19: "IN_USE",
    20: "MEMORY",
    21: "NO_DATA",
    22: "VGPU_ECC_NOT_SUPPORTED",
    23: "INSUFFICIENT_RESOURCES",
    24: "FREQ_NOT_SUPPORTED",
    25: "ARGUMENT_VERSION_MISMATCH",
    26: "DEPRECATED",
    27: "NOT_READY",
    28: "GPU_NOT_FOUND",
    29: "INVALID_STATE",
    30: "RESET_TYPE_NOT_SUPPORTED",
    999: "UNKNOWN",
}

ABOUT_THE_SOURCE = frozenset({1, 9, 12, 18})
"""Not about one GPU: the library or the driver is gone, and has to be initialised again."""

ABOUT_ALL_IF_ALL_SAY_SO = frozenset({17, 999})
"""One GPU may fail so alone; if every GPU does, it is the source, which initialising again may mend."""

ABOUT_THE_GPU = frozenset({15, 16, 28})
"""The whole GPU is beyond answering: nothing more is asked of it in this sample."""

LOST = frozenset({15, 28})
"""Of these, those that say it is no longer there."""

ABOUT_MORE_THAN_ONE_CALL = ABOUT_THE_SOURCE | ABOUT_THE_GPU

UNSUPPORTED = frozenset({3, 13, 25, 26})
"""This GPU or this driver has no such reading."""

UNSUPPORTED_REASON = "unsupported"
NOT_COLLECTED_REASON = "not_collected"
NO_FAULTS = frozenset({UNSUPPORTED_REASON, NOT_COLLECTED_REASON})
"""Reasons that say nothing against the GPU."""

IMPLAUSIBLE_REASON = "error: implausible value"

LASTING = UNSUPPORTED | {NO_PERMISSION}
"""What will hardly be answered otherwise the next time."""

_WHAT_TO_DO = {
    1: "the driver was unloaded or reloaded",
    4: "this process may not open the GPU devices; check the owner of /dev/nvidia*, or the container's devices",
    9: "the NVIDIA kernel driver is not loaded; check nvidia-smi and dmesg",
    12: "libnvidia-ml.so.1 was not found; is the NVIDIA driver installed (nvidia-smi), and in a container, are GPUs "
    "passed in? GPU_METRICS_NVML_LIBRARY names another place",
    13: "the library that was loaded is not NVML, or too old; see GPU_METRICS_NVML_LIBRARY",
    15: "the GPU has fallen off the bus or cannot be reached; check dmesg for Xid messages",
    16: "the GPU must be reset before it can be used again",
    17: "the operating system has blocked the request",
    18: "the driver was upgraded and this process still has its old library, which it mends by starting anew; if this "
    "stays, the kernel driver is the old one: reload it or reboot",
    28: "the GPU is no longer there",
    999: "the driver gives no cause; in a container, access to the GPU devices may have been lost: restart it",
}


def name(code: int) -> str:
    """Return NVML's name of an error, also of one that is newer than this table."""
    return f"NVML_ERROR_{NAMES.get(code, code)}"


def explain(code: int) -> str:
    """Return NVML's name of an error and, where there is something to say, what it means for an operator."""
    hint = _WHAT_TO_DO.get(code)
    return f"{name(code)}: {hint}" if hint else name(code)


def reason(code: int) -> str:
    """Return why a reading was not taken, as `Gpu.unavailable` says it."""
    if code in UNSUPPORTED:
        return UNSUPPORTED_REASON
    return "no_permission" if code == NO_PERMISSION else f"error: {name(code)}"
