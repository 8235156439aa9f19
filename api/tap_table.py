"""The table that the tap shows: a line for each GPU, a dash for what was not taken. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from common.gpu import Gpu
from common.snapshot import Snapshot

_HEADINGS = ("host", "age", "source", "gpu", "name", "state", "gpu %", "memory MiB", "celsius", "watts")
_LONGEST = 40


class Seen(NamedTuple):
    """A host's latest snapshot, and when it was sealed."""

    snapshot: Snapshot
    sealed_at: float


def table(seen: Iterable[Seen], now: float) -> str:
    """Return the table of all GPUs, by host and index; a host without any has a line, too."""
    rows: list[Sequence[str]] = [_HEADINGS]
    for one in sorted(seen, key=lambda one: one.snapshot.host):
        rows += _rows(one, now)
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _rows(one: Seen, now: float) -> list[Sequence[str]]:
    snapshot = one.snapshot
    state = "replay" if snapshot.source.replay_of_ns is not None else snapshot.source.state
    host = (snapshot.host, f"{now - one.sealed_at:.1f} s", state)
    gpus = snapshot.gpus_by_index()
    return [(*host, *_cells(gpu)) for gpu in gpus] or [(*host, *["-"] * (len(_HEADINGS) - len(host)))]


def _cells(gpu: Gpu) -> Sequence[str]:
    memory = f"{_mebibytes(gpu.memory_used_bytes)} / {_mebibytes(gpu.memory_total_bytes)}"
    numbers = (gpu.utilization_gpu_percent, memory, gpu.temperature_gpu_celsius, gpu.power_draw_watts)
    return [str(gpu.index), _told(gpu.name), gpu.state, *map(_told, numbers)]


def _mebibytes(count: int | None) -> str:
    return "-" if count is None else str(count // 2**20)


def _told(value: object) -> str:
    """Return what can be shown: a peer's text may have what moves a terminal's cursor."""
    text = "-" if value is None else str(value)
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:_LONGEST]
