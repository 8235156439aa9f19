"""The address that the API listens on: whether it can be had, and what an API answers that has it already."""

import asyncio
import re
import socket
import ssl
import sys
from typing import NamedTuple

from api.answer import json_answer
from api.responses.errors import StatusBody
from common.endpoint import near
from common.settings import ApiSettings

_MOST_BYTES = 4096
_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) .*\r\nContent-Length: (\d{1,4})\r\n.*", re.DOTALL)


class Reply(NamedTuple):
    """What was answered."""

    status: int
    body: bytes


HEALTHY = Reply(200, json_answer(200, StatusBody("ok")).body)
"""What an API answers to `/healthz`, and hardly anybody else."""


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


async def ask(settings: ApiSettings, target: str, seconds: float) -> Reply:
    """Ask the API that has these settings, from its own machine. Nothing that may not be told is asked for: whoever has
    the address may answer.

    Raises:
        OSError: it cannot be asked, or has not answered within so many seconds (TimeoutError).
        ValueError: what answers is no API, or says more than one does.
    """
    context = _unverified() if settings.api_tls_cert else None
    async with asyncio.timeout(seconds):
        place = nearby(settings.api_address), settings.api_port
        reader, writer = await asyncio.open_connection(*place, ssl=context, limit=_MOST_BYTES)
        try:
            writer.write(f"GET {target} HTTP/1.0\r\n\r\n".encode())
            return await _read(reader)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise ValueError("no API answers there") from error
        finally:
            writer.close()


def nearby(address: str) -> str:
    """Return the address at which this machine itself reaches an API that listens on one, which may mean all."""
    return near(f"[{address}]" if ":" in address else address).strip("[]")


async def _read(reader: asyncio.StreamReader) -> Reply:
    head = _HEAD.fullmatch(await reader.readuntil(b"\r\n\r\n"))
    if head is None:
        raise ValueError("no API answers there")
    return Reply(int(head[1]), await reader.readexactly(int(head[2])))


def _unverified() -> ssl.SSLContext:
    # The certificate names the host as others call it; nothing secret is sent.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
