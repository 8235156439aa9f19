"""Who is let in and what is logged of it: the server in this process over HTTP, and the real API over HTTPS."""

import contextlib
import http.client
import json
import logging
import os
import signal
import socket
import ssl
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from api.access import Access
from api.routes import METRICS_PATH, ROUTES
from api.tokens import Tokens
from tests.builders import make_cache, make_gpu, make_snapshot
from tests.processes import PATIENCE_SECONDS, Start, eventually
from tests.served import GET, Served, request, serve

ALICE, BOB = "alice-s-secret-0123456789", "bob-s-secret-0123456789"
ORIGIN = "https://grafana.example"
CA = trustme.CA()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    return written(tmp_path / "tokens", f"alice {ALICE}\nbob {BOB}\n")


def written(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


PATHS = [route.path.replace("{uuid}", str(make_gpu().uuid)) for route in ROUTES]
CLOSED = [path for path, route in zip(PATHS, ROUTES, strict=True) if not route.is_open]


@pytest.mark.parametrize("path", CLOSED)
def test_a_path_that_is_not_open_wants_a_token(token_file: Path, path: str) -> None:
    async def story(served: Served) -> None:
        nobody = await served.ask(request("GET", path))
        assert (nobody.status, nobody.said["error"]["code"]) == (401, "unauthorized")
        assert nobody.headers["www-authenticate"] == 'Bearer realm="gpu-metrics"'
        for wrong in (bearer("a-token-of-nobody-012345"), f"Authorization: Basic {ALICE}", "Authorization: Bearer"):
            refused = await served.ask(request("GET", path, wrong))
            assert (refused.status, refused.headers["www-authenticate"]) == (
                401,
                'Bearer realm="gpu-metrics", error="invalid_token"',
            )
        for token in (ALICE, BOB):
            assert (await served.ask(request("GET", path, bearer(token)))).status == 200

    serve(story, access=Access(Tokens(str(token_file))))


def test_only_the_health_checks_and_the_page_are_open(token_file: Path) -> None:
    async def story(served: Served) -> None:
        for path in {*PATHS, "/", "/web/page.css"} - set(CLOSED):
            assert (await served.ask(request("GET", path))).status == 200
        assert (await served.ask(request("GET", "/nowhere"))).status == 404
        assert (await served.ask(request("POST"))).status == 405

    assert set(PATHS) - set(CLOSED) == {"/healthz", "/readyz"}
    serve(story, access=Access(Tokens(str(token_file))))


def test_what_is_not_ready_is_told_without_a_token_by_a_word_that_tells_nothing_of_hosts(token_file: Path) -> None:
    async def story(served: Served) -> None:
        answer = await served.ask(request("GET", "/readyz"))
        assert (answer.status, answer.said["error"]["code"]) == (503, "stale")
        assert b"node-1" not in answer.body

    serve(story, access=Access(Tokens(str(token_file))), now=lambda: 1000.0)


def test_a_page_of_the_origin_that_is_named_may_ask_and_no_other() -> None:
    async def story(served: Served) -> None:
        for raw in (request(), request("GET", f"{METRICS_PATH}?x"), GET):
            answer = await served.ask(raw)
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            assert "ETag" in answer.headers["access-control-expose-headers"]
        asked = request("OPTIONS", METRICS_PATH, f"Origin: {ORIGIN}", "Access-Control-Request-Method: GET")
        preflight = await served.ask(asked)
        assert (preflight.status, preflight.headers["access-control-allow-methods"]) == (204, "GET, HEAD")
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        assert (await served.ask(request("POST"))).headers["allow"] == "GET, HEAD, OPTIONS"

    serve(story, access=Access(origin=ORIGIN))


def test_without_such_an_origin_there_is_no_word_of_it() -> None:
    async def story(served: Served) -> None:
        assert not [name for name in (await served.ask(request())).headers if name.startswith("access-control")]
        assert (await served.ask(request("OPTIONS"))).status == 405

    serve(story)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "api.access_log"]


def test_each_request_is_a_line_when_that_is_asked_for_and_no_line_has_a_token(
    token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(served: Served) -> None:
        await served.ask(request("GET", METRICS_PATH, bearer(ALICE)))
        await served.ask(request("GET", "/nowhere%1b[31m?token=secret"))
        await served.ask(request("GET", METRICS_PATH, bearer("wrong")))

    with caplog.at_level(logging.INFO):
        serve(story, access=Access(Tokens(str(token_file))), logs_each=True)
    lines = logged(caplog)
    assert [line.split(" ")[:5] for line in lines[:1]] == [["127.0.0.1", "alice", "GET", f"'{METRICS_PATH}'", "200"]]
    assert lines[1].split(" ")[1:5] == ["-", "GET", "'/nowhere%1b[31m'", "404"]
    assert ["-", "GET", f"'{METRICS_PATH}'", "401"] == lines[2].split(" ")[1:5]
    assert not [line for line in lines if ALICE in line or "wrong" in line]


def test_without_that_nothing_is_said_of_what_goes_well_or_of_503(caplog: pytest.LogCaptureFixture) -> None:
    async def story(served: Served) -> None:
        for raw in (GET, request(), request("GET", "/nowhere"), request("GET", f"{METRICS_PATH}?max_age=0")):
            await served.ask(raw)

    with caplog.at_level(logging.INFO):
        serve(story, make_cache(make_snapshot()), now=lambda: 1.0)
    assert logged(caplog) == []


def test_a_slow_answer_is_logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.app.SLOW_SECONDS", 0.0)

    async def story(served: Served) -> None:
        await served.ask(GET)

    with caplog.at_level(logging.INFO):
        serve(story)
    assert "'/healthz' 200" in logged(caplog)[0]


def https(port: int, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, Any, bytes | None]:
    """Return status, body and the server's certificate."""
    context = ssl.create_default_context()
    CA.configure_trust(context)
    connection = http.client.HTTPSConnection("localhost", port, timeout=PATIENCE_SECONDS, context=context)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, json.loads(response.read()), connection.sock.getpeercert(binary_form=True)
    finally:
        connection.close()


def issue(cert: Path, key: Path) -> None:
    leaf = CA.issue_cert("localhost")
    cert.write_bytes(leaf.cert_chain_pems[0].bytes())
    key.touch(mode=0o600)
    key.write_bytes(leaf.private_key_pem.bytes())


def test_the_real_api_lets_in_over_https_who_has_a_token_and_takes_both_up_anew_at_sighup(
    start: Start, tmp_path: Path, token_file: Path
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issue(cert, key)
    service = start(api_token_file=str(token_file), api_tls_cert=str(cert), api_tls_key=str(key), access_log="true")
    alice, bob = ({"Authorization": f"Bearer {token}"} for token in (ALICE, BOB))

    def status(headers: Mapping[str, str] | None = None) -> int:
        return https(service.port, METRICS_PATH, headers)[0]

    eventually(lambda: _answers(service.port, "/readyz"))
    assert (status(), status(alice), status(bob)) == (401, 200, 200)
    first = https(service.port, "/healthz")[2]

    written(token_file, f"alice {ALICE}\n")
    issue(cert, key)
    service.api.signal(signal.SIGHUP)
    eventually(lambda: status(bob), lambda seen: seen == 401)
    assert status(alice) == 200
    eventually(lambda: https(service.port, "/healthz")[2], lambda seen: seen != first)

    os.chmod(token_file, 0o644)  # noqa: PTH101 -- a mode that is refused
    service.api.signal(signal.SIGHUP)
    eventually(lambda: service.api.log, lambda log: "what was loaded before stays in force" in log)
    assert (status(), status(alice)) == (401, 200)
    for path in (f"/api/v1/monitoring/hosts?token={ALICE}", f"/nowhere?token={ALICE}"):
        assert https(service.port, path, alice)[0] in (400, 404)
        assert https(service.port, path)[0] in (401, 404)
    assert service.api.stop() == 0
    assert ALICE not in service.api.log
    assert " alice GET '/api/v1/monitoring/hosts' 400 " in service.api.log


def _answers(port: int, path: str) -> bool:
    try:
        return https(port, path)[0] == 200
    except (ConnectionError, ssl.SSLError):
        return False


def test_beyond_loopback_tokens_over_plain_http_are_warned_of(start: Start, token_file: Path) -> None:
    service = start(api_token_file=str(token_file), api_address="0.0.0.0")  # noqa: S104 -- asked on loopback
    eventually(lambda: service.get("/healthz").status == 200)
    assert "tokens come over plain HTTP" in service.api.log
    assert service.get().status == 401


def test_who_breaks_off_handshakes_does_not_fill_the_log(start: Start, tmp_path: Path, token_file: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issue(cert, key)
    service = start(api_token_file=str(token_file), api_tls_cert=str(cert), api_tls_key=str(key))
    eventually(lambda: _answers(service.port, "/readyz"))
    before = service.api.log.count("\n")
    for number in range(100):
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            if number % 2:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                client.settimeout(PATIENCE_SECONDS)
                with contextlib.suppress(ConnectionError):
                    client.recv(100)
            else:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert https(service.port, "/healthz")[0] == 200
    assert service.api.log.count("\n") - before < 10
    assert "Traceback" not in service.api.log
