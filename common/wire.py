"""The feed's frame: `gpu.snapshot.v1.<host>`, a zero byte, then the snapshot as a msgpack map with string keys.

Topics are byte prefixes, hence the zero byte: `node-1` must not match `node-10`. What a peer sent is never trusted:
whatever cannot be a snapshot is a `WireError`, and nothing else leaves `decode`.
"""

import math
import re
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
from msgspec import structs

from common.gpu import Gpu, GpuState
from common.snapshot import HOST_PATTERN, Snapshot, Source, SourceState

TOPIC_PREFIX = b"gpu.snapshot.v1."

MAX_GPUS = 256
"""In one snapshot; no machine has more."""

MAX_MESSAGE_BYTES = 4 * 2**20
"""That a subscriber of ours takes at once."""

_LONGEST_MESSAGE = 300
_LONGEST_STATE = 40


class _NewerSource(Source, frozen=True, kw_only=True):
    state: str  # type: ignore[assignment]  # whatever a newer collector says


class _NewerGpu(Gpu, frozen=True, kw_only=True):
    state: str = "ok"  # type: ignore[assignment]  # the same


class _NewerSnapshot(Snapshot, frozen=True, kw_only=True):
    source: _NewerSource
    gpus: list[_NewerGpu]  # type: ignore[assignment]  # of these


_host = re.compile(HOST_PATTERN)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)
_newer_decoder = msgspec.msgpack.Decoder(_NewerSnapshot)


class WireError(Exception):
    """The peer sent something that is no snapshot of this version; the message says what is wrong with it, and
    repeats of what the peer wrote no more than a log can bear."""

    def __init__(self, message: str) -> None:
        super().__init__(message[:_LONGEST_MESSAGE])


def topic(host: str) -> bytes:
    """Return the prefix that subscribes to this host alone."""
    return TOPIC_PREFIX + host.encode() + b"\0"


def encode(snapshot: Snapshot) -> bytes:
    """Return the one frame that carries the snapshot, topic first."""
    return topic(snapshot.host) + _encoder.encode(snapshot)


def decode(frame: bytes) -> Snapshot:
    """Return the snapshot in a frame; unknown keys are ignored. A state that only a newer collector knows is taken for
    the most careful one that this version has, and the error says so.

    Raises:
        WireError: the frame has no topic of ours, no msgpack of a snapshot, another host in its topic than in its
            body, an envelope that cannot be (a number, a time or a duration that no clock or count gives), or more
            GPUs than any machine.
    """
    head, separator, body = frame.partition(b"\0")
    if not separator or not head.startswith(TOPIC_PREFIX):
        raise WireError("no topic of the form gpu.snapshot.v1.<host> and a zero byte")
    try:
        snapshot = _snapshot(body)
    # msgspec lets the last two through from deep nesting and bad UTF-8; neither is a MsgspecError.
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise WireError(f"not a snapshot: {error}") from error
    _check_envelope(snapshot, head.removeprefix(TOPIC_PREFIX))
    return snapshot


def _snapshot(body: bytes) -> Snapshot:
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError:
        newer = _newer_decoder.decode(body)
    source = Source(**_in_known_state(newer.source, get_args(SourceState), "unavailable"))
    gpus = [Gpu(**_in_known_state(gpu, get_args(GpuState), "unknown")) for gpu in newer.gpus]
    return Snapshot(**structs.asdict(newer) | {"source": source, "gpus": gpus})


def _in_known_state(told: _NewerSource | _NewerGpu, known: tuple[str, ...], instead: str) -> dict[str, Any]:
    fields = structs.asdict(told)
    if told.state not in known:
        said = f"{told.state[:_LONGEST_STATE]!r} is a state that only a newer version knows"
        fields |= {"state": instead, "error": f"{said}: {told.error}" if told.error else said}
    return fields


def _check_envelope(snapshot: Snapshot, topic_host: bytes) -> None:
    if not _host.fullmatch(snapshot.host) or snapshot.host.encode() != topic_host:
        raise WireError(f"host {snapshot.host!r} does not belong to the topic's {topic_host!r}")
    if len(snapshot.gpus) > MAX_GPUS:
        raise WireError(f"gpus: {len(snapshot.gpus)} are more than {MAX_GPUS}")
    for name in ("sequence", "sampled_at_ns"):
        # 2**64 - 1, the most that msgpack can carry, is a time in the year 2554.
        if getattr(snapshot, name) < 0:
            raise WireError(f"{name} {getattr(snapshot, name)} is below 0")
    for name, seconds in _durations(snapshot):
        if not 0 <= seconds < math.inf:
            raise WireError(f"{name} {seconds} is no duration")


def _durations(snapshot: Snapshot) -> Iterator[tuple[str, float]]:
    """Yield what must be seconds for all that is told of a host to be as it is documented."""
    for name in ("held_seconds", "interval_seconds", "duration_seconds"):
        yield name, getattr(snapshot, name)
    cost, stalled = snapshot.collector, snapshot.source.stalled_call
    yield "collector.cpu_seconds", cost.cpu_seconds
    if cost.slowest_call is not None:
        yield "collector.slowest_call.seconds", cost.slowest_call.seconds
    if stalled is not None:
        yield "source.stalled_call.seconds", stalled.seconds
