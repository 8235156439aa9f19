"""On which series each alert fires, and on which it just does not; and what each recording rule makes of some.

Series are written as `promtool test rules` has them, one value every 30 seconds: `1x9` is ten times 1, `1+2x9` grows by
2, `_` is none, and `stale` ends a series, as when what is scraped no longer has it.
"""

import json
from typing import NamedTuple

ON = {"gpu": "1", "host": "node-1", "uuid": "GPU-1"}
AT = {"host": "node-1"}
FEED = {"endpoint": "tcp://node-1:8481", "instance": "api:8480"}
Series = dict[str, str]


class Fires(NamedTuple):
    """The series on which an alert fires, after how long, its labels but for the severity, and its description."""

    series: Series
    after: str
    labels: dict[str, str]
    says: str


class Case(NamedTuple):
    """One alert: on what it fires, and on what it just does not, at any time within three hours."""

    fires: Fires
    quiet: tuple[Series, ...]


def of(name: str, labels: dict[str, str], **more: str) -> str:
    """Return how a series is written."""
    return f"{name}{{{','.join(f'{label}={json.dumps(text)}' for label, text in (labels | more).items())}}}"


def xid(code: str) -> str:
    return of("gpu_xid_errors_total", ON, code=code)


def readings(**values: str) -> Series:
    """Return series of readings of one GPU, named without `gpu_`."""
    return {of(f"gpu_{name}", ON): value for name, value in values.items()}


def temperatures(celsius: str) -> Series:
    threshold = "gpu_temperature_threshold_celsius"
    return {
        of("gpu_temperature_celsius", ON): celsius,
        of(threshold, ON, threshold="shutdown"): "95x360",
        of(threshold, ON, threshold="slowdown"): "90x360",
    }


def snapshots(lost: str, received: str) -> Series:
    return {of("gpu_host_snapshots_lost_total", AT): lost, of("gpu_host_snapshots_received_total", AT): received}


def host(up: str, age: str) -> Series:
    return {of("gpu_host_up", AT): up, of("gpu_host_last_sample_timestamp_seconds", AT): age}


def feed(hosts: str, state: str) -> Series:
    return {of("gpu_feed_hosts", FEED): hosts, of("gpu_feed_connection", FEED, state=state): "1x360"}


def reason(name: str, value: str) -> Series:
    return {of("gpu_clock_event_reason", ON, reason=name): value}


def throttled(why: str, seconds: str) -> Series:
    return {of("gpu_throttled_seconds_total", ON, reason=why): seconds}


IT = "GPU 1 (GPU-1) of node-1"
CASES = {
    "GpuApiDown": Case(
        Fires(
            {of("up", {"job": "gpu-api", "instance": "api:8480"}): "0x10"},
            "3m",
            {"job": "gpu-api", "instance": "api:8480"},
            "The API at api:8480 does not answer.",
        ),
        (
            {of("up", {"job": "gpu", "instance": "api:8480"}): "1x9 0x3 1x9"},
            {of("up", {"job": "gpu-hosts", "instance": "node-1"}): "0x360"},
        ),
    ),
    "GpuFeedRejected": Case(
        Fires(
            feed("1x20", "rejected"),
            "6m",
            FEED | {"state": "rejected"},
            "The feed tcp://node-1:8481 is not heard by api:8480, rejected.",
        ),
        (feed("0x360", "refused"), {of("gpu_feed_connection", FEED, state="wrong_protocol"): "0x9 1x8 0x9"}),
    ),
    "GpuFeedSilent": Case(
        Fires(
            feed("0x20", "refused"),
            "6m",
            FEED,
            "The feed tcp://node-1:8481 has told api:8480 nothing since the API started.",
        ),
        (feed("0x360", "wrong_protocol"), feed("1x360", "lost"), feed("0x8 1x300", "connected")),
    ),
    "GpuFeedUnreadable": Case(
        Fires(
            {of("gpu_feed_messages_rejected_total", FEED): "0x3 2x40"},
            "8m",
            FEED,
            "2 messages of tcp://node-1:8481 in 15 minutes were not understood by api:8480.",
        ),
        ({of("gpu_feed_messages_rejected_total", FEED): "7x360"},),
    ),
    "GpuMessagesLost": Case(
        Fires(snapshots("0+1x60", "0+3x60"), "25m", AT, "25% of the snapshots of node-1 do not arrive."),
        (snapshots("0x30 1x330", "0+1x360"), snapshots("0x360", "0x360")),
    ),
    "GpuHostDown": Case(
        Fires(host("1x3 0x20", "0+30x3 90x20"), "6m30s", AT, "node-1 was last sampled 5m 0s ago."),
        (host("1x360", "0x360"), host("1x9 0x3 1x9", "0x22"), host("1x3 0x3 stale", "0x6 stale")),
    ),
    "GpuCollectorStalled": Case(
        Fires(
            {of("gpu_host_state", AT, state="stalled"): "0x3 1x20"},
            "5m",
            AT | {"state": "stalled"},
            "The collector of node-1 is stuck in the driver.",
        ),
        (
            {of("gpu_host_state", AT, state="stalled"): "0x3 1x3 0x9"},
            {of("gpu_host_state", AT, state="unavailable"): "1x360"},
        ),
    ),
    "GpuDriverUnavailable": Case(
        Fires(
            {of("gpu_host_state", AT, state="unavailable"): "0x3 1x20"},
            "8m",
            AT | {"state": "unavailable"},
            "The collector of node-1 runs, but has no driver.",
        ),
        (
            {of("gpu_host_state", AT, state="unavailable"): "0x3 1x9 0x9"},
            {of("gpu_host_state", AT, state="stalled"): "1x360"},
        ),
    ),
    "GpuLost": Case(
        Fires({of("gpu_state", ON, state="lost"): "0x3 1x20"}, "4m", ON | {"state": "lost"}, f"{IT} is lost."),
        (
            {of("gpu_state", ON, state="lost"): "0x3 1x1 0x9"},
            {of("gpu_state", ON, state="unknown"): "1x360", of("gpu_state", ON, state="lost"): "0x360"},
        ),
    ),
    "GpuInError": Case(
        Fires({of("gpu_state", ON, state="error"): "0x3 1x20"}, "8m", ON | {"state": "error"}, f"{IT} is in error."),
        ({of("gpu_state", ON, state="error"): "0x3 1x9 0x9"}, {of("gpu_state", ON, state="lost"): "1x360"}),
    ),
    "GpuXidCritical": Case(
        # A code's first error makes its series: nothing has increased, and it must be seen all the same.
        Fires({xid("79"): "_x9 1x360", xid("31"): "5x360"}, "30m", ON | {"code": "79"}, f"XID 79 of {IT}, 1 times."),
        ({xid("31"): "_x9 1x360"}, {xid("63"): "_x9 1x360"}),
    ),
    "GpuXidMemory": Case(
        Fires({xid("94"): "1x239 3x120"}, "2h10m", ON | {"code": "94"}, f"XID 94 of {IT}, 2 times."),
        ({xid("95"): "_x9 1x360"}, {xid("92"): "_x9 1x360"}),
    ),
    "GpuEccUncorrectable": Case(
        Fires(
            readings(ecc_errors_uncorrected_volatile_total="4x9 1x99", ecc_errors_uncorrected_aggregate_total="9x99"),
            "20m",
            ON,
            f"1 uncorrectable errors in the memory of {IT}.",
        ),
        (
            readings(ecc_errors_uncorrected_aggregate_total="9x360"),
            readings(ecc_errors_uncorrected_volatile_total="9x30 0x330"),
            readings(ecc_errors_corrected_volatile_total="0+9x360"),
        ),
    ),
    "GpuRowRemapPending": Case(
        Fires(readings(retired_pages_pending="1x20"), "6m", ON, f"{IT} has rows or pages to be replaced."),
        (readings(remapped_rows_pending="0x9 1x8 0x9"), readings(remapped_rows_failed="1x360")),
    ),
    "GpuRowRemapFailed": Case(
        Fires(readings(remapped_rows_failed="1x20"), "6m", ON, f"{IT} has no spare rows left."),
        (
            readings(remapped_rows_failed="0x360", remapped_rows_pending="1x360"),
            readings(remapped_rows_failed="0x9 1x8 0x9"),
        ),
    ),
    "GpuNearShutdown": Case(
        Fires(temperatures("91x9"), "2m", ON, f"{IT} is 4 degrees Celsius below its shutdown temperature."),
        (temperatures("90x360"), temperatures("80x9 99x1 80x9"), readings(temperature_celsius="120x360")),
    ),
    "GpuThrottledByHeat": Case(
        Fires(throttled("thermal", "0+15x60"), "8m", ON, f"{IT} is held down 50% of the time."),
        (
            throttled("thermal", "0+3x360"),
            throttled("power", "0+15x360"),
            reason("sw_thermal_slowdown", "1x8 stale"),
            reason("hw_slowdown", "1x360"),
        ),
    ),
    "GpuPowerBrake": Case(
        Fires(
            reason("hw_power_brake_slowdown", "1x20"),
            "3m",
            ON | {"reason": "hw_power_brake_slowdown"},
            f"{IT} is held down by the power brake.",
        ),
        (reason("hw_power_brake_slowdown", "1x3 stale"), reason("sw_power_cap", "1x360")),
    ),
    "GpuPcieLinkNarrow": Case(
        Fires(
            readings(pcie_link_width="8x60", pcie_link_width_max="16x60"),
            "16m",
            ON,
            f"The link of {IT} has 8 lanes only.",
        ),
        (
            readings(pcie_link_width="16x360", pcie_link_width_max="16x360", pcie_link_generation="1x360"),
            readings(pcie_link_width="16x9 8x28 16x9", pcie_link_width_max="16x60"),
        ),
    ),
    "GpuMemoryFull": Case(
        Fires(
            readings(memory_free_bytes="1x60", memory_total_bytes="100x60"),
            "16m",
            ON,
            f"99% of the memory of {IT} is in use.",
        ),
        (
            readings(memory_free_bytes="2x360", memory_total_bytes="100x360"),
            readings(memory_free_bytes="9x9 1x28 9x9", memory_total_bytes="100x60"),
            readings(memory_total_bytes="100x360"),
        ),
    ),
    "GpuIdleMemoryHeld": Case(
        Fires(
            readings(utilization_ratio="0x200", memory_used_bytes="2147483648x200"),
            "61m",
            ON,
            f"2GiB of {IT} are held by who does nothing with it.",
        ),
        (
            readings(utilization_ratio="0x99 0.01 0x99 0.01 0x99", memory_used_bytes="2147483648x360"),
            readings(utilization_ratio="0x360", memory_used_bytes="1073741824x360"),
            readings(memory_used_bytes="2147483648x360"),
        ),
    ),
}

OTHER_WAYS = (
    (
        "GpuThrottledByHeat",
        Fires(reason("hw_thermal_slowdown", "1x20"), "8m", ON, f"{IT} is held down 100% of the time."),
    ),
    (
        "GpuRowRemapPending",
        Fires(readings(remapped_rows_pending="1x20"), "6m", ON, f"{IT} has rows or pages to be replaced."),
    ),
    (
        "GpuEccUncorrectable",
        Fires(
            readings(ecc_errors_uncorrected_aggregate_total="7x9 9x30"),
            "6m",
            ON,
            f"2 uncorrectable errors in the memory of {IT}.",
        ),
    ),
    (
        "GpuApiDown",
        Fires(
            {of("up", {"job": "gpu", "instance": "node-1:8480"}): "0x10"},
            "3m",
            {"job": "gpu", "instance": "node-1:8480"},
            "The API at node-1:8480 does not answer.",
        ),
    ),
)
"""What else raises an alert, where there is more than one way."""

TWO = {
    of("gpu_utilization_ratio", {"gpu": str(gpu), "host": "node-1"}): value
    for gpu, value in enumerate(("0.5x9", "0x9"))
}
OTHER = {of("gpu_utilization_ratio", {"gpu": "0", "host": "node-2"}): "1x9"}
STATES = {
    of("gpu_state", {"gpu": gpu, "host": "node-1"}, state="ok"): value for gpu, value in (("0", "1x9"), ("1", "0x9"))
}
RECORDED: dict[str, tuple[Series, dict[str, float]]] = {
    "gpu:memory_used:ratio": (
        readings(memory_free_bytes="1x9", memory_total_bytes="4x9"),
        {of("gpu:memory_used:ratio", ON): 0.75},
    ),
    "host:gpu_utilization_ratio:avg": (
        TWO | OTHER,
        {of("host:gpu_utilization_ratio:avg", AT): 0.25, of("host:gpu_utilization_ratio:avg", {"host": "node-2"}): 1},
    ),
    "host:gpus_idle:sum": (
        TWO | OTHER,
        {of("host:gpus_idle:sum", AT): 1, of("host:gpus_idle:sum", {"host": "node-2"}): 0},
    ),
    "fleet:gpu_utilization_ratio:avg": (TWO | OTHER, {"fleet:gpu_utilization_ratio:avg": 0.5}),
    "fleet:gpus:sum": (STATES, {of("fleet:gpus:sum", {}, state="ok"): 1}),
}
