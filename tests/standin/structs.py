"""NVML's structs as nvml.h lays them out, for the fake and the recorder. The service has definitions of its own."""

import ctypes
from ctypes import c_char, c_int, c_longlong, c_uint, c_ulonglong, c_void_p


class Utilization(ctypes.Structure):
    """nvmlUtilization_t."""

    _fields_ = (("gpu", c_uint), ("memory", c_uint))


class Memory(ctypes.Structure):
    """nvmlMemory_t."""

    _fields_ = (("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong))


class MemoryV2(ctypes.Structure):
    """nvmlMemory_v2_t."""

    _fields_ = (
        ("version", c_uint),
        ("total", c_ulonglong),
        ("reserved", c_ulonglong),
        ("free", c_ulonglong),
        ("used", c_ulonglong),
    )


class Bar1(ctypes.Structure):
    """nvmlBAR1Memory_t."""

    _fields_ = (("bar1Total", c_ulonglong), ("bar1Free", c_ulonglong), ("bar1Used", c_ulonglong))


class PciInfoV2(ctypes.Structure):
    """nvmlPciInfo_t as nvmlDeviceGetPciInfo_v2 fills it, and the binding knows it."""

    _fields_ = (
        ("busId", c_char * 16),
        ("domain", c_uint),
        ("bus", c_uint),
        ("device", c_uint),
        ("pciDeviceId", c_uint),
        ("pciSubSystemId", c_uint),
        ("reserved", c_uint * 4),
    )


class PciInfoV3(ctypes.Structure):
    """nvmlPciInfo_t as nvmlDeviceGetPciInfo_v3 fills it."""

    _fields_ = (
        ("busIdLegacy", c_char * 16),
        ("domain", c_uint),
        ("bus", c_uint),
        ("device", c_uint),
        ("pciDeviceId", c_uint),
        ("pciSubSystemId", c_uint),
        ("busId", c_char * 32),
    )


class Value(ctypes.Union):
    """nvmlValue_t."""

    _fields_ = (
        ("dVal", ctypes.c_double),
        ("uiVal", c_uint),
        ("ullVal", c_ulonglong),
        ("sllVal", c_longlong),
        ("siVal", c_int),
        ("usVal", ctypes.c_ushort),
    )


class FieldValue(ctypes.Structure):
    """nvmlFieldValue_t."""

    _fields_ = (
        ("fieldId", c_uint),
        ("scopeId", c_uint),
        ("timestamp", c_longlong),
        ("latencyUsec", c_longlong),
        ("valueType", c_uint),
        ("nvmlReturn", c_uint),
        ("value", Value),
    )


#: What of the union a value of each nvmlValueType_t is in.
VALUE_MEMBERS = {0: "dVal", 1: "uiVal", 2: "ullVal", 3: "ullVal", 4: "sllVal", 5: "siVal", 6: "usVal"}


class Process16(ctypes.Structure):
    """nvmlProcessInfo_v1_t."""

    _fields_ = (("pid", c_uint), ("usedGpuMemory", c_ulonglong))


class Process24(ctypes.Structure):
    """nvmlProcessInfo_v2_t."""

    _fields_ = (*Process16._fields_, ("gpuInstanceId", c_uint), ("computeInstanceId", c_uint))


class Process32(ctypes.Structure):
    """What some drivers took nvmlProcessInfo_t for."""

    _fields_ = (*Process24._fields_, ("usedGpuCcProtectedMemory", c_ulonglong))


#: By stride.
PROCESSES: dict[int, type[ctypes.Structure]] = {16: Process16, 24: Process24, 32: Process32}


class Sample(ctypes.Structure):
    """nvmlProcessUtilizationSample_t."""

    _fields_ = (
        ("pid", c_uint),
        ("timeStamp", c_ulonglong),
        ("smUtil", c_uint),
        ("memUtil", c_uint),
        ("encUtil", c_uint),
        ("decUtil", c_uint),
    )


class EventData(ctypes.Structure):
    """nvmlEventData_t."""

    _fields_ = (
        ("device", c_void_p),
        ("eventType", c_ulonglong),
        ("eventData", c_ulonglong),
        ("gpuInstanceId", c_uint),
        ("computeInstanceId", c_uint),
    )
