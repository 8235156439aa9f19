"""The second dialect: what NVIDIA's dcgm-exporter calls a reading, for dashboards made for it. Pure.

Names, types and units are those of its default set up to release 4.8 and of the extras that are often turned on, as far
as NVML tells the number; the profiling metrics, vGPU licences and what DCGM reckons itself are absent. So is
DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL: it is called a counter and carries a rate whose unit differs by release.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from api.reports import Report
from api.scraping.families import Family, Labels, Series, Told, as_it_is
from api.scraping.gpus import Known, known_gpus


class Row(NamedTuple):
    """One number of dcgm-exporter's: its name, type and HELP text, our reading, and the way into its unit."""

    name: str
    kind: Literal["gauge", "counter"]
    reading: str
    convert: Callable[[float], float]
    meaning: str


def _mebibytes(count: float) -> float:
    return int(count) >> 20


def _millijoules(joules: float) -> float:
    """NVML counts whole millijoules: rounding takes back what the float of joules has lost."""
    return round(joules * 1e3)


def _nanoseconds(seconds: float) -> float:
    return round(seconds * 1e9)


ROWS = (
    Row("DCGM_FI_DEV_SM_CLOCK", "gauge", "clock_sm_megahertz", as_it_is, "SM clock, in MHz"),
    Row("DCGM_FI_DEV_MEM_CLOCK", "gauge", "clock_memory_megahertz", as_it_is, "Memory clock, in MHz"),
    Row("DCGM_FI_DEV_GPU_TEMP", "gauge", "temperature_gpu_celsius", as_it_is, "Die temperature, in Celsius"),
    Row("DCGM_FI_DEV_MEMORY_TEMP", "gauge", "temperature_memory_celsius", as_it_is, "Memory temperature, in Celsius"),
    Row("DCGM_FI_DEV_POWER_USAGE", "gauge", "power_draw_watts", as_it_is, "Power of the board, in W"),
    Row(
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "counter",
        "energy_joules",
        _millijoules,
        "Energy used since the driver was loaded, in mJ",
    ),
    Row("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "pcie_replay_count", as_it_is, "Packets sent again over PCIe"),
    Row("DCGM_FI_DEV_GPU_UTIL", "gauge", "utilization_gpu_percent", as_it_is, "Time with a kernel running, in %"),
    Row(
        "DCGM_FI_DEV_MEM_COPY_UTIL",
        "gauge",
        "utilization_memory_percent",
        as_it_is,
        "Time with the memory being read or written, in %",
    ),
    Row("DCGM_FI_DEV_ENC_UTIL", "gauge", "utilization_encoder_percent", as_it_is, "Video encoder in use, in %"),
    Row("DCGM_FI_DEV_DEC_UTIL", "gauge", "utilization_decoder_percent", as_it_is, "Video decoder in use, in %"),
    Row("DCGM_FI_DEV_FB_FREE", "gauge", "memory_free_bytes", _mebibytes, "Memory not in use, in MiB"),
    Row("DCGM_FI_DEV_FB_USED", "gauge", "memory_used_bytes", _mebibytes, "Memory in use, in MiB"),
    Row("DCGM_FI_DEV_FB_RESERVED", "gauge", "memory_reserved_bytes", _mebibytes, "Memory the driver keeps, in MiB"),
    Row(
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "counter",
        "remapped_rows_uncorrectable_count",
        as_it_is,
        "Memory rows remapped for uncorrectable errors",
    ),
    Row(
        "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS",
        "counter",
        "remapped_rows_correctable_count",
        as_it_is,
        "Memory rows remapped for correctable errors",
    ),
    Row("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "remapped_rows_failed", as_it_is, "1 where remapping a row failed"),
    Row(
        "DCGM_FI_PROF_PCIE_TX_BYTES",
        "gauge",
        "pcie_throughput_sent_bytes_per_second",
        as_it_is,
        "Sent over PCIe, in bytes per second",
    ),
    Row(
        "DCGM_FI_PROF_PCIE_RX_BYTES",
        "gauge",
        "pcie_throughput_received_bytes_per_second",
        as_it_is,
        "Received over PCIe, in bytes per second",
    ),
    *(
        Row(
            f"DCGM_FI_DEV_{name}_VIOLATION",
            "counter",
            f"throttled_{reason}_seconds",
            _nanoseconds,
            f"Time with clocks held down, {why}, in ns",
        )
        for name, reason, why in (
            ("POWER", "power", "power limit reached"),
            ("THERMAL", "thermal", "too hot"),
            ("SYNC_BOOST", "sync_boost", "waiting for the sync boost group"),
            ("BOARD_LIMIT", "board_limit", "board limit reached"),
            ("LOW_UTIL", "low_utilization", "too little to do"),
            ("RELIABILITY", "reliability", "voltage kept reliable"),
        )
    ),
    *(
        Row(
            f"DCGM_FI_DEV_ECC_{bits}_{since}_TOTAL",
            "counter",
            f"ecc_errors_{outcome}_{span}_count",
            as_it_is,
            f"Memory errors {outcome}, {spoken}",
        )
        for bits, outcome in (("SBE", "corrected"), ("DBE", "uncorrected"))
        for since, span, spoken in (
            ("VOL", "volatile", "since the driver was loaded"),
            ("AGG", "aggregate", "over the GPU's life"),
        )
    ),
    Row("DCGM_FI_DEV_RETIRED_SBE", "counter", "retired_pages_single_bit_count", as_it_is, "Pages retired, single bit"),
    Row("DCGM_FI_DEV_RETIRED_DBE", "counter", "retired_pages_double_bit_count", as_it_is, "Pages retired, double bit"),
    Row("DCGM_FI_DEV_RETIRED_PENDING", "gauge", "retired_pages_pending", as_it_is, "1 where pages wait for a reboot"),
    *(
        Row(
            f"DCGM_FI_DEV_NVLINK_{error.upper()}_ERROR_COUNT_TOTAL",
            "counter",
            f"nvlink_{error}_error_count",
            as_it_is,
            f"NVLink errors over all links: {spoken}",
        )
        for error, spoken in (
            ("crc_flit", "bad checksum of a flow control unit"),
            ("crc_data", "bad checksum of data"),
            ("replay", "sent again"),
            ("recovery", "link brought up again"),
        )
    ),
)

_XID = Family("DCGM_FI_DEV_XID_ERRORS", "gauge", "Code of the latest XID error, 0 where none was heard")


def dcgm_families(reports: Iterable[Report]) -> Iterator[Told]:
    """Return every family of the dialect. Its counters are of the kind `unknown`, for their names lack `_total`: who
    writes a format in which that may be, calls them counters there."""
    labelled = [(one, _labels(one)) for one in known_gpus(reports)]
    for row in ROWS:
        family = Family(row.name, "gauge" if row.kind == "gauge" else "unknown", row.meaning)
        yield family, list(_taken(row, family, labelled))
    yield _XID, list(_last_xids(labelled))


def _labels(one: Known) -> Labels:
    """Return dcgm-exporter's labels, in its order, though who writes them may sort them: it means nothing. A PCI bus id
    has upper case digits there."""
    number = one.gpu.index if one.gpu.minor_number is None else one.gpu.minor_number
    return {
        "gpu": str(one.gpu.index),
        "UUID": one.gpu.uuid or "",
        "pci_bus_id": (one.gpu.pci_bus_id or "").upper(),
        "device": f"nvidia{number}",
        "modelName": one.gpu.name or "",
        "Hostname": one.host,
        "DCGM_FI_DRIVER_VERSION": one.source.driver_version or "",
    }


def _taken(row: Row, family: Family, labelled: Iterable[tuple[Known, Labels]]) -> Iterator[Series]:
    for one, labels in labelled:
        value = getattr(one.gpu, row.reading)
        if family.admits(value):
            yield labels, row.convert(value)


def _last_xids(labelled: Iterable[tuple[Known, Labels]]) -> Iterator[Series]:
    for one, labels in labelled:
        if one.gpu.xid_errors:
            last = one.gpu.xid_errors.last
            yield labels, last.code if last else 0
