"""Clients that the API is better without: what they open stays open until the stack is closed."""

import contextlib
import socket

from tests.served import request


def connect(port: int, receive_buffer: int | None = None) -> socket.socket:
    """Connect to a port of loopback; with a small receive buffer, the server soon waits for this client."""
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.connect(("127.0.0.1", port))
    return client


def send_all(client: socket.socket, sent: bytes, times: int = 1) -> None:
    """Send until the other side has had enough."""
    client.settimeout(5.0)
    with contextlib.suppress(OSError):
        for _ in range(times):
            client.sendall(sent)


def half_open(port: int, stack: contextlib.ExitStack) -> None:
    """Begin 500 requests, and end none."""
    for number in range(500):
        client = stack.enter_context(connect(port))
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"[: 1 + number % 40])


def never_reading(port: int, stack: contextlib.ExitStack) -> None:
    """Ask for much, and read nothing."""
    for _ in range(100):
        send_all(stack.enter_context(connect(port, 4096)), request("GET", "/openapi.json") * 200)


def headers_of_100_kilobytes(port: int, stack: contextlib.ExitStack) -> None:
    """Send more headers than anybody takes."""
    for _ in range(20):
        send_all(stack.enter_context(connect(port)), request("GET", "/healthz", f"x: {'x' * 100_000}"))


def a_body_of_a_gigabyte(port: int, stack: contextlib.ExitStack) -> None:
    """Send a body that is far too large, announced and not."""
    announced = stack.enter_context(connect(port))
    send_all(announced, request("POST", "/healthz", f"content-length: {2**30}"))
    send_all(announced, b"x" * 2**20, times=1024)
    chunked = stack.enter_context(connect(port))
    send_all(chunked, request("POST", "/healthz", "transfer-encoding: chunked"))
    send_all(chunked, b"%x\r\n" % 2**30 + b"x" * 2**20, times=1024)


def bad_methods_and_encodings(port: int, stack: contextlib.ExitStack) -> None:
    """Send what is no request, or almost one."""
    for sent in (
        request("BREW", "/healthz"),
        request("G\xe9T", "/healthz"),
        request("GET", "/healthz", "transfer-encoding: gzip"),
        request("GET", "/healthz", "transfer-encoding: chunked, chunked"),
        request("GET", "/healthz", "content-encoding: br", "content-length: 2") + b"xx",
        request("GET", "/\xff?\xff=%ff", "accept-encoding: \xff"),
        b"\x00" * 1000,
    ):
        send_all(stack.enter_context(connect(port)), sent)
