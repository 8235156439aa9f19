"""`python -m api.health` against the two real processes: what a restart may mend, and what it does not."""

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

from api.address import nearby
from tests.processes import PATIENCE_SECONDS, ROOT, Service, Start, eventually, inherited
from tests.standin import StandIn

Ask = Callable[[Service], tuple[int, str]]


@pytest.fixture
def ask() -> Ask:
    """Return what asks for the health of a service: exit status and what is said, with the settings of its API."""

    def asked(service: Service) -> tuple[int, str]:
        ran = subprocess.run(
            [sys.executable, "-m", "api.health"],
            cwd=ROOT,
            env=inherited() | service.api.settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert ran.stderr == ""
        return ran.returncode, ran.stdout

    return asked


def say(listening: socket.socket, said: bytes) -> None:
    """Say something to the next who asks, whatever it is, and hang up."""
    connection, _ = listening.accept()
    with connection, contextlib.suppress(ConnectionError):
        connection.recv(1000)
        connection.sendall(said)


def test_a_web_server_at_the_address_is_no_api(standin: StandIn, tmp_path: Path, ask: Ask) -> None:
    said = b"HTTP/1.1 200 OK\r\nServer: other\r\nContent-Length: 2\r\n\r\nok"
    with socket.create_server(("127.0.0.1", 0)) as other, ThreadPoolExecutor(1) as answering:
        answering.submit(say, other, said)
        service = Service(standin, tmp_path, api_port=str(other.getsockname()[1]))
        assert ask(service) == (1, "/healthz: status 200, and not what an API says that is well\n")


def test_all_is_well(start: Start, ask: Ask) -> None:
    service = start()
    service.until_status("ok")
    assert ask(service) == (0, "ok\n")


def test_a_driver_that_is_away_is_no_reason_to_restart(start: Start, ask: Ask) -> None:
    service = start(nvml_library="/nonexistent")
    service.until_status("placeholder")
    assert service.get("/readyz").status == 503
    assert ask(service) == (0, "ok\n")


def test_a_driver_that_is_stuck_is_no_reason_to_restart(start: Start, standin: StandIn, ask: Ask) -> None:
    standin.hang("nvmlDeviceGetTemperature")
    service = start(stall_after_seconds="0.2")
    service.until_status("stalled")
    assert service.get("/readyz").status == 503
    assert ask(service) == (0, "ok\n")


def test_a_collector_that_is_gone_is_beyond_help_until_it_is_back(start: Start, ask: Ask) -> None:
    service = start()
    service.until_status("ok")
    service.collector.kill()
    service.until_status("stale")
    status, said = ask(service)
    assert (status, said[:16]) == (1, "/readyz: stale: ")
    service.collector.start()
    service.until_status("ok")
    assert ask(service) == (0, "ok\n")


def test_a_collector_that_was_never_heard_is_beyond_help(standin: StandIn, tmp_path: Path, ask: Ask) -> None:
    service = Service(standin, tmp_path)
    service.api.start()
    try:
        service.until_status("unheard")
        status, said = ask(service)
        assert (status, said[:18]) == (1, "/readyz: unheard: ")
    finally:
        service.api.kill()


def test_an_api_that_is_stuck_or_gone_is_beyond_help(start: Start, ask: Ask) -> None:
    service = start()
    service.until_status("ok")
    service.api.signal(signal.SIGSTOP)
    assert ask(service) == (1, f"127.0.0.1 port {service.port}: no answer within 3 s\n")
    service.api.kill()
    assert ask(service) == (1, f"127.0.0.1 port {service.port}: nobody listens there\n")


@pytest.mark.parametrize("said", [b"", b"220 mail.example ESMTP\r\n", b"HTTP/1.1 200 OK\r\n\r\nHello", b"x" * 100_000])
def test_another_program_at_the_address_is_beyond_help(said: bytes, standin: StandIn, tmp_path: Path, ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, ThreadPoolExecutor(1) as answering:
        service = Service(standin, tmp_path, api_port=str(other.getsockname()[1]))
        answering.submit(say, other, said)
        assert ask(service) == (1, f"127.0.0.1 port {other.getsockname()[1]}: no API answers there\n")


def test_settings_that_cannot_be_are_said_in_one_line(standin: StandIn, tmp_path: Path, ask: Ask) -> None:
    status, said = ask(Service(standin, tmp_path, api_address="everywhere"))
    assert (status, said.count("\n")) == (1, 1)
    assert "GPU_METRICS_API_ADDRESS" in said


def test_it_asks_where_the_api_listens_and_needs_neither_token_nor_authority(
    start: Start, tmp_path: Path, ask: Ask
) -> None:
    certificate = trustme.CA().issue_cert("node-1.example")
    chain, key, tokens = tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "tokens"
    for path in (key, tokens):
        path.touch(mode=0o600)
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    tokens.write_text("alice alice-s-secret-0123456789\n")
    service = start(api_address="0.0.0.0", api_tls_cert=chain, api_tls_key=key, api_token_file=tokens)  # noqa: S104
    assert eventually(lambda: ask(service), lambda told: told[0] == 0) == (0, "ok\n")


@pytest.mark.parametrize(
    ("address", "asked"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("127.0.0.1", "127.0.0.1"), ("192.0.2.7", "192.0.2.7")],  # noqa: S104
)
def test_an_api_that_listens_everywhere_is_asked_on_loopback(address: str, asked: str) -> None:
    assert nearby(address) == asked
