"""NVML's structs, with the layouts of nvml.h: the binding is too old to know some, and hides its own from us."""

import ctypes
from ctypes import c_char, c_double, c_longlong, c_uint, c_ulonglong, c_void_p


class Utilization(ctypes.Structure):
    """nvmlUtilization_t."""

    _fields_ = (("gpu", c_uint), ("memory", c_uint))


class Bar1(ctypes.Structure):
    """nvmlBAR1Memory_t."""

    _fields_ = (("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong))


class MemoryOfVersion1(ctypes.Structure):
    """nvmlMemory_t, where `used` counts what the driver reserves."""

    _fields_ = (("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong))


class Memory(ctypes.Structure):
    """nvmlMemory_v2_t: unlike v1, `used` leaves out what the driver reserves."""

    _fields_ = (
        ("version", c_uint),
        ("total", c_ulonglong),
        ("reserved", c_ulonglong),
        ("free", c_ulonglong),
        ("used", c_ulonglong),
    )


def memory_of_version_2() -> Memory:
    """Return an empty struct that says which version it is, as NVML wants it."""
    return Memory(version=ctypes.sizeof(Memory) | 2 << 24)


class PciInfo(ctypes.Structure):
    """nvmlPciInfo_t, whose `bus_id` has room for a domain of eight digits."""

    _fields_ = (
        ("bus_id_legacy", c_char * 16),
        ("domain", c_uint),
        ("bus", c_uint),
        ("device", c_uint),
        ("device_id", c_uint),
        ("subsystem_id", c_uint),
        ("bus_id", c_char * 32),
    )


class _Value(ctypes.Union):
    _fields_ = (("double", c_double), ("unsigned", c_ulonglong), ("signed", c_longlong))


class FieldValue(ctypes.Structure):
    """nvmlFieldValue_t. `value_type` is nvmlValueType_t, `code` the field's own nvmlReturn_t."""

    _fields_ = (
        ("field_id", c_uint),
        ("scope_id", c_uint),
        ("timestamp", c_longlong),
        ("latency_microseconds", c_longlong),
        ("value_type", c_uint),
        ("code", c_uint),
        ("value", _Value),
    )


class EventData(ctypes.Structure):
    """nvmlEventData_t as `nvmlEventSetWait_v2` writes it: 32 bytes, where the binding's own has 24."""

    _fields_ = (
        ("device", c_void_p),
        ("event_type", c_ulonglong),
        ("event_data", c_ulonglong),
        ("gpu_instance_id", c_uint),
        ("compute_instance_id", c_uint),
    )


class ProcessUtilization(ctypes.Structure):
    """nvmlProcessUtilizationSample_t."""

    _fields_ = (
        ("pid", c_uint),
        ("timestamp", c_ulonglong),
        ("sm", c_uint),
        ("memory", c_uint),
        ("encoder", c_uint),
        ("decoder", c_uint),
    )
