"""The doors of the feed: a frame that a collector sent, and all that is made of it; the request of somebody who wants
to subscribe; and a recording."""

import math
import tempfile
from pathlib import Path

from zmq.utils import z85

from api.routes import GPUS_PATH, MONITORING, ROUTES, STREAM_PATH
from collector.gate import Gate
from common import wire
from common.recording import Recording, RecordingError
from tests.fuzz.clients import House

MOST_WORDS = 400
"""Characters of what is said of a frame or a recording, which goes to the log."""

KEY = b"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
_DIRECTORY = tempfile.TemporaryDirectory()
_RECORDING = Path(_DIRECTORY.name) / "feed"


def frame(data: bytes) -> None:
    """Decode a frame, and show what it says in every way there is."""
    try:
        snapshot = wire.decode(data)
    except wire.WireError as refused:
        check_said(refused)
        return
    assert wire.encode(wire.decode(wire.encode(snapshot))) == wire.encode(snapshot)
    house = House([snapshot])
    headers = {"Host": "localhost"}
    for route in ROUTES:
        if "{" not in route.path:
            house.ask("GET", route.path, headers, now=0.0)
    house.ask("GET", f"{MONITORING}/history?step=60", headers, now=0.0)
    house.ask("GET", "/metrics?dialect=dcgm", {**headers, "Accept": "application/openmetrics-text"}, now=0.0)
    house.ask("GET", f"{GPUS_PATH}?sort=power_draw_watts&max_age=5&temperature_gpu_celsius_min=1", headers, now=3.0)
    house.ask("GET", STREAM_PATH, {**headers, "Last-Event-ID": f"{snapshot.run_id}-{snapshot.sequence}"}, now=0.0)


def check_said(refused: Exception) -> None:
    """Fail unless what is said of what a peer sent is one line, and no more than a log can bear."""
    assert len(str(refused).splitlines()) == 1
    assert len(str(refused)) < MOST_WORDS


def _gate() -> Gate:
    directory = Path(_DIRECTORY.name) / "keys"
    directory.mkdir()
    (directory / "somebody.public").write_bytes(KEY)
    return Gate(str(directory), lambda: 0.0)


GATE = _gate()


def subscription(data: bytes) -> None:
    """Ask the gate; each part of the request has its length before it, in one byte."""
    parts = []
    while data:
        length, data = data[0], data[1:]
        parts.append(data[:length])
        data = data[length:]
    reply = GATE.answer(parts)
    version, number, status, *_ = reply
    assert (len(reply), version, number) == (6, b"1.0", parts[1] if len(parts) > 1 else b"")
    may = len(parts) == 7 and (parts[0], parts[5], parts[6]) == (b"1.0", b"CURVE", z85.decode(KEY))
    assert (status, reply[4]) == ((b"200", b"somebody") if may else (b"400", b""))


def recording(data: bytes) -> None:
    """Read a recording to its end."""
    _RECORDING.write_bytes(data)
    before = 0.0
    try:
        with Recording(str(_RECORDING)) as opened:
            for recorded in opened:
                assert before <= recorded.seconds < math.inf
                before = recorded.seconds
    except RecordingError as refused:
        check_said(refused)
