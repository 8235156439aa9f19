"""Clients that ask one server the same question as fast as it answers: `wrk`, or where there is none, one of ours."""

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from api.routes import METRICS_PATH

_WRK_SECONDS = 1  # the least that it takes
_SCALE = {"us": 1e-3, "ms": 1.0, "s": 1e3}


class Question(NamedTuple):
    """What is asked, of the server on a port of the loopback address; with a token if one is given."""

    port: int
    path: str = METRICS_PATH
    token: str = ""

    @property
    def headers(self) -> tuple[str, ...]:
        """Header lines."""
        return (f"Authorization: Bearer {self.token}",) if self.token else ()

    @property
    def raw(self) -> bytes:
        """The request."""
        lines = [f"GET {self.path} HTTP/1.1", "Host: 127.0.0.1", *self.headers, "", ""]
        return "\r\n".join(lines).encode()


class Served(NamedTuple):
    """Requests answered in a second, and the time within which 99 of 100 were."""

    per_second: float
    p99_milliseconds: float


#: Asks a question again and again, over so many connections that are kept open.
Load: TypeAlias = Callable[[Question, int], Served]


def strongest() -> tuple[str, Load]:
    """Return the name of the client that disturbs the measurement least, and the client."""
    if shutil.which("wrk"):
        return "wrk", wrk
    return "an asyncio client, which is slow itself (install wrk)", AsyncioClient(seconds=1.0)


def wrk(question: Question, connections: int) -> Served:
    """Load by wrk.

    Raises:
        RuntimeError: not every answer was a 200.
    """
    url = f"http://127.0.0.1:{question.port}{question.path}"
    headers = [f"-H{line}" for line in question.headers]
    command = ["wrk", "--latency", "-t1", f"-c{connections}", f"-d{_WRK_SECONDS}s", *headers, url]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    per_second = re.search(r"Requests/sec:\s+([0-9.]+)", told)
    p99 = re.search(r"99%\s+([0-9.]+)(us|ms|s)", told)
    if not per_second or not p99 or "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(f"wrk: {told}")
    return Served(float(per_second[1]), float(p99[1]) * _SCALE[p99[2]])


class AsyncioClient:
    """Load by this process, for so many seconds at a time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self, question: Question, connections: int) -> Served:
        """Load, from an event loop of its own.

        Raises:
            RuntimeError: an answer was no 200, or a connection ended.
        """
        return asyncio.run(self._load(question, connections))

    async def _load(self, question: Question, connections: int) -> Served:
        until = time.perf_counter() + self._seconds
        each = await asyncio.gather(*(_ask_until(until, question) for _ in range(connections)))
        latencies = sorted(latency for one in each for latency in one)
        return Served(len(latencies) / self._seconds, latencies[len(latencies) * 99 // 100] * 1e3)


async def _ask_until(until: float, question: Question) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", question.port)
    latencies: list[float] = []
    while not latencies or time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(question.raw)
        await read_answer(reader)
        latencies.append(time.perf_counter() - began)
    writer.close()
    await writer.wait_closed()
    return latencies


async def read_answer(reader: asyncio.StreamReader) -> None:
    """Read one answer to its end. Raises RuntimeError: it was no 200, or the connection ended."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: ([0-9]+)", head)
        if length is None or not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"not the answer that was hoped for: {head!r}")
        await reader.readexactly(int(length[1]))
    except asyncio.IncompleteReadError as error:
        raise RuntimeError("the server closed the connection") from error
