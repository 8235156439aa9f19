"""HTTP when something goes wrong: hostile, slow and leaving clients, a fault of ours, the end."""

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from api import app, connections, exchange
from api.app import MAX_READ_HEADER_BYTES, Server
from api.cache import Cache
from api.exchange import MAX_BODY_BYTES
from api.routes import STREAM_PATH
from api.scraping.tally import Tally
from tests.builders import ENDPOINT, make_answers, make_cache, make_gpu, make_snapshot, make_stream
from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS, ROOT, eventually, get
from tests.served import GET, HEALTHY, Served, request, serve

NEVER_SECONDS = 10 * PATIENCE_SECONDS
BEGUN = request("POST", "/healthz", "content-length: 4", "expect: 100-continue")


def large() -> Cache:
    """Return a cache whose body is larger than what the sockets' buffers hold."""
    return make_cache(make_snapshot(gpus=[make_gpu(index) for index in range(30_000)]))


@pytest.mark.parametrize(
    "raw",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
        b"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo",
        GET.replace(b"Host", b"x: " + b"x" * MAX_READ_HEADER_BYTES + b"\r\nHost"),
        b"x" * 4 * MAX_READ_HEADER_BYTES,
    ],
)
def test_what_is_no_request_ends_its_own_connection_only(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "BODY_SECONDS", 0.1)

    async def story(served: Served) -> None:
        async with served.client() as other, served.client() as client:
            client.send(raw)
            assert await client.rest() in (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n")
            assert (await other.ask(GET)).body == HEALTHY

    serve(story)


def test_a_fault_of_ours_is_logged_and_answered_and_the_connection_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([1.0])

    async def story(served: Served) -> None:
        async with served.client() as client:
            assert (await client.ask(GET)).status == 200
            failed = await client.ask(GET)
            assert (failed.status, failed.said["error"]["code"]) == (500, "internal_error")
            assert (await client.ask(GET)).status == 500

    serve(story, now=lambda: next(times))
    assert [record.message for record in caplog.records if record.name == "api.app"][
        -1
    ] == "no answer to GET '/healthz'"


def test_a_client_that_does_not_read_keeps_nobody_waiting_and_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(served: Served) -> None:
        monkeypatch.setattr(exchange, "ANSWER_SECONDS", 0.1)
        async with served.client(4096) as slow:
            await slow.ask(request(), has_body=False)
            assert (await served.ask(GET)).body == HEALTHY
            await served.server.stop(NEVER_SECONDS)
            assert not (await slow.rest()).endswith(b"}")

    serve(story, large())


def test_a_connection_that_asks_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "IDLE_SECONDS", 0.1)

    async def story(served: Served) -> None:
        async with served.client() as idle, served.client() as half:
            half.send(GET[:-2])
            assert await half.rest() == b""
            assert await idle.rest() == b""

    serve(story)


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind() -> None:
    async def story(served: Served) -> None:
        async with served.client(4096) as client:
            await client.ask(request(), has_body=False)
        async with served.client() as client:
            assert (await client.ask(BEGUN)).status == 100
        assert (await served.ask(request("POST", "/healthz", f"content-length: {MAX_BODY_BYTES + 1}"))).status == 413
        await served.server.stop(NEVER_SECONDS)

    serve(story, large())


def test_a_request_in_flight_is_answered_before_the_end_and_no_other_is_taken() -> None:
    async def story(served: Served) -> None:
        async with served.client() as idle, served.client() as client:
            await idle.ask(GET)
            assert (await client.ask(BEGUN)).status == 100
            stopping = asyncio.create_task(served.server.stop(NEVER_SECONDS))
            await asyncio.sleep(0)
            with pytest.raises(ConnectionRefusedError):
                await served.ask(GET)
            assert not stopping.done()
            assert (await client.ask(b"body")).status == 405
            await stopping
            assert (await client.rest(), await idle.rest()) == (b"", b"")

    serve(story)


# Tornado leaves the socket that it could not bind to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_port_in_use_is_an_os_error() -> None:
    async def story(served: Served) -> None:
        with pytest.raises(OSError, match="in use"):
            Server(make_answers(), make_stream(), Tally(), lambda: 0.0).listen("127.0.0.1", served.port)

    serve(story)


def test_beyond_the_most_connections_who_is_idle_or_has_not_asked_for_longest_makes_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "MOST", 4)

    async def story(served: Served) -> None:
        async with contextlib.AsyncExitStack() as stack:
            busy, first, *others = [await stack.enter_async_context(served.client()) for _ in range(4)]
            assert (await busy.ask(request("GET", STREAM_PATH), has_body=False)).status == 200
            assert (await others[1].ask(BEGUN)).status == 100
            assert (await first.ask(GET)).body == HEALTHY
            for _ in range(20):
                assert (await served.ask(GET)).body == HEALTHY
            newcomers = [await stack.enter_async_context(served.client()) for _ in range(2)]
            assert [await other.rest() for other in others] == [b"", b""]
            assert (await newcomers[0].ask(GET)).body == (await newcomers[1].ask(GET)).body == HEALTHY
            assert (await first.ask(GET)).body == HEALTHY
            served.cache.accept(ENDPOINT, make_snapshot(sequence=1), 0.0)
            assert b"event: snapshot" in await busy.chunk()

    serve(story)
    assert len([record for record in caplog.records if record.name == "api.connections"]) == 1


def test_clients_that_read_no_answer_make_room_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 3)

    async def story(served: Served) -> None:
        async with contextlib.AsyncExitStack() as stack:
            slow = [await stack.enter_async_context(served.client(4096)) for _ in range(3)]
            for client in slow:
                await client.ask(request(), has_body=False)
            for _ in range(5):
                assert (await served.ask(GET)).body == HEALTHY

    serve(story, large())


class Closing:
    """A connection that knows whether it was closed."""

    is_closed = False

    def close(self) -> None:
        self.is_closed = True


def test_who_comes_when_all_connections_are_busy_is_sent_away() -> None:
    kept, busy = connections.Connections(2, lambda: 0.0), [Closing(), Closing()]
    for one in busy:
        assert kept.open(one)
        kept.busy(one)
    late = Closing()
    assert not kept.open(late)
    assert (late.is_closed, [one.is_closed for one in busy]) == (True, [False, False])
    kept.slow(busy[1])
    assert kept.open(Closing())
    assert [one.is_closed for one in busy] == [False, True]


def test_an_answer_is_waited_for_to_its_end_also_when_its_head_must_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "ANSWER_SECONDS", 0.2)

    async def story(served: Served) -> None:
        async with served.client(4096) as slow:
            # What is asked before fills the buffers, so that at some point a large answer's head finds them full.
            slow.send(request("GET", "/openapi.json") * 64 + request() * 4)
            while not served.server._in_flight:
                await asyncio.sleep(0)
            while served.server._in_flight or len(served.server._connections):
                await asyncio.sleep(0.01)

    serve(story, large())


@pytest.mark.skipif(sys.platform == "win32", reason="there, sockets are not counted with files")
def test_a_process_that_may_open_few_files_answers_beside_a_crowd_of_idle_connections(tmp_path: Path) -> None:
    script = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)); "
    port, log = free_port(), tmp_path / "api.log"
    settings = {"GPU_METRICS_API_PORT": str(port), "GPU_METRICS_FEED_CONNECT": f"tcp://127.0.0.1:{free_port()}"}
    with log.open("wb") as written, contextlib.ExitStack() as stack:
        api = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", f"{script} runpy.run_module('api', run_name='__main__')"],
                cwd=ROOT,
                env=os.environ | settings,
                stderr=written,
            )
        )
        stack.callback(api.kill)
        eventually(lambda: get(port, "/healthz").status == 200)
        for _ in range(600):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert [get(port, "/healthz").status for _ in range(10)] == [200] * 10
    lines = log.read_text().splitlines()
    assert [line for line in lines if "api.connections" in line] == [line for line in lines if "WARNING" in line]
    assert len(lines) < 6


def test_malformed_requests_are_not_logged_each(caplog: pytest.LogCaptureFixture) -> None:
    async def story(served: Served) -> None:
        async with served.client() as client:
            client.send(b"hello\r\n\r\n")
            assert (await client.rest()).startswith(b"HTTP/1.1 400 ")

    with caplog.at_level(logging.INFO):
        serve(story)
    assert {record.name for record in caplog.records} <= {"api.app", "asyncio"}
