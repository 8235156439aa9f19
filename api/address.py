"""The address that the API listens on: whether it can be had, and whether an API answers there already."""

import asyncio
import socket
import ssl
import sys

from api.answer import json_answer
from api.responses.errors import StatusBody
from common.endpoint import near

_HEALTHY = json_answer(200, StatusBody("ok")).body
_ASKED = b"GET /healthz HTTP/1.0\r\n\r\n"
_MOST_BYTES = 4096


def refusal(address: str, port: int, error: OSError) -> str:
    """Return in words why the API cannot listen there."""
    return f"cannot listen on {address} port {port}: {error.strerror}"


def try_out(address: str, port: int) -> None:
    """Find out whether one could listen there, and do not. Raises OSError: one could not."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as tried:
        if family == socket.AF_INET6:
            tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if sys.platform != "win32":  # where it would let two have the same
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tried.bind((address, port))


async def is_answered(address: str, port: int, seconds: float, *, is_https: bool) -> bool:
    """Return whether an API is healthy there, as its `/healthz` tells within so many seconds."""
    reached = near(f"[{address}]" if ":" in address else address).strip("[]")
    try:
        async with asyncio.timeout(seconds):
            context = _unverified() if is_https else None
            reader, writer = await asyncio.open_connection(reached, port, ssl=context, limit=_MOST_BYTES)
            try:
                writer.write(_ASKED)
                answer = await reader.readuntil(b"\r\n\r\n" + _HEALTHY)
            finally:
                writer.close()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):  # of OSError, TimeoutError and SSLError
        return False
    return answer.startswith(b"HTTP/1.1 200 ")


def _unverified() -> ssl.SSLContext:
    # Nothing is told to whoever answers, and what they answer is believed of their own port only.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
