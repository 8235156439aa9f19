"""The real API among hostile and innumerable clients: the others are answered, and memory stays bounded."""

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api.connections import Unread
from api.routes import STREAM_PATH
from tests import hostile
from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS, ROOT, Start, eventually, get
from tests.served import Client, request

GROWTH_BYTES = 64 * 2**20
"""More than the buffers of some hundred connections take, and far less than what is thrown at the API."""


def resident_bytes(process: "subprocess.Popen[bytes]") -> int:
    pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def cpu_seconds(pid: int) -> float:
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def open_files(pid: int) -> list[int]:
    return [int(file.name) for file in Path(f"/proc/{pid}/fd").iterdir()]


@pytest.mark.parametrize(
    "attack",
    [
        hostile.half_open,
        hostile.never_reading,
        hostile.headers_of_100_kilobytes,
        hostile.a_body_of_a_gigabyte,
        hostile.bad_methods_and_encodings,
    ],
)
def test_others_are_answered_and_memory_stays_bounded(
    start: Start, attack: Callable[[int, contextlib.ExitStack], None]
) -> None:
    service = start()
    service.until_status("ok")
    before = resident_bytes(service.api.popen)
    with contextlib.ExitStack() as stack:
        attack(service.port, stack)
        assert [service.get().status for _ in range(20)] == [200] * 20
        assert resident_bytes(service.api.popen) - before < GROWTH_BYTES
    assert service.api.stop() == 0
    assert "ERROR" not in service.api.log


def test_where_no_file_can_be_opened_any_more_who_has_been_idle_for_longest_makes_room(start: Start) -> None:
    service = start()
    service.until_status("ok")
    pid = service.api.popen.pid
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(hostile.connect(service.port)) for _ in range(5)]
        eventually(lambda: open_files(pid), lambda files: len(files) > 5)
        service.get()
        opened = max(open_files(pid)) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (opened, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
        for _ in range(20):
            stack.enter_context(hostile.connect(service.port))
        assert [service.get().status for _ in range(10)] == [200] * 10
        idle[0].settimeout(PATIENCE_SECONDS)
        assert idle[0].recv(1) == b""
    assert service.api.stop() == 0
    assert service.api.log.count("no file can be opened any more") == 1
    assert "ERROR" not in service.api.log


def test_where_no_file_can_be_opened_and_nobody_can_be_spared_who_comes_waits_until_somebody_leaves(
    start: Start,
) -> None:
    service = start()
    service.until_status("ok")
    pid = service.api.popen.pid
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(hostile.connect(service.port)) for _ in range(5)]
        for each in listening:
            each.sendall(f"GET {STREAM_PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert each.recv(1) == b"H"
        eventually(lambda: open_files(pid), lambda files: len(files) > 5)
        most = max(open_files(pid)) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
        while len(open_files(pid)) < most:
            listening.append(stack.enter_context(hostile.connect(service.port)))
            listening[-1].sendall(f"GET {STREAM_PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert listening[-1].recv(1) == b"H"
        spent, began = cpu_seconds(pid), time.monotonic()
        with hostile.connect(service.port):
            eventually(lambda: time.monotonic() - began, lambda passed: passed > 2)
        assert cpu_seconds(pid) - spent < 1
        listening.pop().close()
        eventually(service.get, lambda reply: reply.status == 200)
    assert service.api.stop() == 0
    assert service.api.log.count("no file can be opened any more") == 1
    assert "ERROR" not in service.api.log


@contextlib.contextmanager
def limited(tmp_path: Path, soft: int, hard: int) -> Iterator[int]:
    """Run the real API, which may open so many files and is fed by nobody; give its port."""
    code = f"import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); "
    port = free_port()
    command = [sys.executable, "-c", f"{code} runpy.run_module('api', run_name='__main__')"]
    flags = [f"--api-port={port}", f"--feed-connect=tcp://127.0.0.1:{free_port()}"]
    with (tmp_path / "api.log").open("wb") as log, subprocess.Popen([*command, *flags], cwd=ROOT, stderr=log) as api:
        try:
            eventually(lambda: get(port, "/healthz").status == 200)
            yield port
        finally:
            api.kill()
    assert "Traceback" not in (tmp_path / "api.log").read_text()


async def _listen(port: int, count: int) -> list[int]:
    """Return what so many who want to listen, all at once, are answered."""
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for _ in range(count):
            clients.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
            stack.push_async_callback(clients[-1].close)
        for client in clients:
            client.send(request("GET", STREAM_PATH))
        answers = [await client.answer() for client in clients]
        healthy = Client(*await asyncio.open_connection("127.0.0.1", port))
        stack.push_async_callback(healthy.close)
        assert (await healthy.ask(request("GET", "/healthz"))).status == 200
        return [answer.status for answer in answers]


@pytest.mark.parametrize(("hard", "welcome"), [(4096, 1000), (1024, 256)])
def test_as_many_may_listen_as_there_are_files_for_and_the_next_is_told_that_there_are_too_many(
    tmp_path: Path, hard: int, welcome: int
) -> None:
    with limited(tmp_path, 1024, hard) as port:
        statuses = asyncio.run(_listen(port, welcome + 10))
        assert Counter(statuses) == {200: welcome, 503: 10}
        eventually(lambda: asyncio.run(_listen(port, 5)), lambda seen: seen == [200] * 5)


class Closing:
    """A connection that knows whether it was closed."""

    is_closed = False

    def close(self) -> None:
        self.is_closed = True


def test_a_body_that_many_read_slowly_costs_its_memory_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.connections.MOST_UNREAD_BYTES", 250)
    unread, shared = Unread(), b"x" * 100
    readers = [Closing() for _ in range(100)]
    for reader in readers:
        unread.add(reader, shared)
    late = [Closing() for _ in range(3)]
    unread.add(late[0], b"y" * 100)
    assert not any(reader.is_closed for reader in (*readers, late[0]))
    unread.add(late[1], b"z" * 60)
    assert all(reader.is_closed for reader in readers)
    assert not late[0].is_closed
    unread.discard(late[0])
    unread.discard(late[0])
    unread.add(late[2], b"y" * 190)
    assert not late[1].is_closed
