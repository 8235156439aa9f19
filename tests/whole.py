"""Snapshots with all that there is in them, and with as little as may be, made from the structs themselves: whatever
field is added is in them at once. And the recording of them by which each version's feed is kept.
"""

import struct
import zlib
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from common.gpu import GpuState
from common.recording import MAGIC
from common.snapshot import Snapshot, SourceState
from tests.builders import GOLDEN

_PLAIN: dict[Any, Any] = {int: 7, float: 0.5, str: "text", bool: True}


def whole(kind: Any) -> Any:
    """Return a value of a type: of a struct with every field, none of them null."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{name: whole(hint) for name, hint in get_type_hints(kind).items()})
    arguments = [argument for argument in get_args(kind) if argument is not NoneType]
    origin = get_origin(kind)
    if origin is dict:
        return {whole(arguments[0]): whole(arguments[1])}
    if origin is Literal:
        return arguments[0]
    assert origin in (list, UnionType), kind
    return [whole(arguments[0])] if origin is list else whole(arguments[0])


def bare(kind: Any) -> Any:
    """Return a value of a type: of a struct with every field, null or empty where it may be."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{name: bare(hint) for name, hint in get_type_hints(kind).items()})
    origin = get_origin(kind)
    if origin is UnionType:
        return None
    return origin() if origin in (list, dict) else whole(kind)


def snapshots() -> list[Snapshot]:
    """Return one whole snapshot for each state, and then a bare one."""
    first: Snapshot = whole(Snapshot)
    several = [
        msgspec.structs.replace(first, source=msgspec.structs.replace(first.source, state=state))
        for state in get_args(SourceState)
    ]
    gpus = [msgspec.structs.replace(first.gpus[0], state=state) for state in get_args(GpuState)]
    several.append(msgspec.structs.replace(first, gpus=gpus))
    several.append(bare(Snapshot))
    return [msgspec.structs.replace(one, host="node-1", sequence=number) for number, one in enumerate(several)]


def frames_in(recording: Path) -> list[bytes]:
    """Return the frames of a recording as they were written, by its form and without our code."""
    content, frames = recording.read_bytes().removeprefix(MAGIC), []
    while content:
        (length,) = struct.unpack(">8xI4x", content[:16])
        frames.append(content[16 : 16 + length])
        content = content[16 + length :]
    return frames


def write_recording(path: Path, frames: list[bytes]) -> Path:
    """Write a recording of these frames, a second after the other, likewise; return its path."""
    content = MAGIC
    for place, frame in enumerate(frames):
        seconds = struct.pack(">d", place)
        content += seconds + struct.pack(">II", len(frame), zlib.crc32(seconds + frame)) + frame
    path.write_bytes(content)
    return path


def recordings() -> list[Path]:
    """Return the recording of each version's feed."""
    return sorted(GOLDEN.glob("feed-*.recording"))
