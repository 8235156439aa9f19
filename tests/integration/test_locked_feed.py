"""A feed that CURVE encrypts, on real sockets: who is let in, who is not and is told so, and who recovers."""

import asyncio
import contextlib
import itertools
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import zmq
import zmq.asyncio

from api.contact import ContactState, Told
from api.feeds import Feed
from api.subscriber import Subscriber
from collector import publisher as publisher_module
from collector.gate import Gate
from collector.publisher import Locked, Publisher
from common.clock import elapsed_seconds
from common.cost import own_resident_bytes
from common.snapshot import Snapshot
from tests.builders import make_snapshot
from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS

SERVER, SERVER_SECRET = zmq.curve_keypair()
CLIENT, CLIENT_SECRET = zmq.curve_keypair()
STRANGER, STRANGER_SECRET = zmq.curve_keypair()


class Ours:
    """A collector's publisher, with one key at its gate, and whoever listens to it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        self.allow("api-1", CLIENT)
        self.gate = Gate(str(directory), elapsed_seconds)

    def allow(self, name: str, key: bytes) -> None:
        (self.directory / f"{name}.public").write_bytes(key)

    def disallow(self, name: str) -> None:
        (self.directory / f"{name}.public").unlink()

    @contextlib.asynccontextmanager
    async def publishing(self, *, is_locked: bool = True, sequence: int = 0) -> AsyncIterator[Publisher]:
        locked = Locked(SERVER_SECRET, self.gate) if is_locked else None
        publisher = Publisher(self.endpoint, elapsed_seconds, locked)
        await publisher.publish(make_snapshot(sequence=sequence))
        serving = asyncio.create_task(publisher.serve())
        try:
            yield publisher
        finally:
            await ended(serving)
            publisher.close()

    @contextlib.asynccontextmanager
    async def listening(
        self, secret_key: bytes | None = CLIENT_SECRET, server_key: bytes | None = SERVER
    ) -> AsyncIterator["Listener"]:
        listener = Listener(Feed(self.endpoint, server_key), secret_key)
        serving = asyncio.create_task(listener.subscriber.serve())
        try:
            yield listener
        finally:
            await ended(serving)
            listener.subscriber.close()


class Listener:
    """An API's subscriber, and what it hears."""

    def __init__(self, feed: Feed, secret_key: bytes | None) -> None:
        self.heard: asyncio.Queue[Snapshot] = asyncio.Queue()
        self.subscriber = Subscriber([feed], self._accept, lambda _: None, elapsed_seconds, secret_key)
        self._contact = self.subscriber.contacts[feed.endpoint]

    def _accept(self, _endpoint: str, snapshot: Snapshot, _arrived: float) -> None:
        self.heard.put_nowait(snapshot)

    async def until(self, state: ContactState) -> Told:
        while self._contact.state != state:
            await asyncio.sleep(0.01)
        return self._contact.told(elapsed_seconds())


async def until_hears_more(publisher: Publisher, listener: Listener) -> None:
    """Publish until that is heard: what is published between a welcome and the subscription is not."""
    for sequence in itertools.count(1):
        await publisher.publish(make_snapshot(sequence=sequence))
        await asyncio.sleep(0.01)
        while not listener.heard.empty():
            if listener.heard.get_nowait().sequence > 0:
                return


async def ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def tell(directory: Path, story: Callable[[Ours], Awaitable[None]]) -> None:
    async def told() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await story(Ours(directory))

    asyncio.run(told())


def test_who_has_a_key_that_is_allowed_hears_and_the_welcome_too(tmp_path: Path) -> None:
    async def story(ours: Ours) -> None:
        async with ours.publishing(sequence=7), ours.listening() as listener:
            assert (await listener.heard.get()).sequence == 7
            assert (await listener.until("connected")).reason is None

    tell(tmp_path, story)


def test_who_has_another_key_is_rejected_and_heard_once_that_is_allowed(tmp_path: Path) -> None:
    async def story(ours: Ours) -> None:
        async with ours.publishing(), ours.listening(STRANGER_SECRET) as listener:
            told = await listener.until("rejected")
            assert "does not know this API's public key" in (told.reason or "")
            ours.allow("api-2", STRANGER)
            assert ours.gate.load() == "added api-2"
            await listener.until("connected")
            await listener.heard.get()

    tell(tmp_path, story)


@pytest.mark.parametrize(("secret_key", "server_key"), [(CLIENT_SECRET, STRANGER), (None, None)])
def test_who_knows_the_collector_by_another_key_or_by_none_hears_nothing(
    tmp_path: Path, secret_key: bytes | None, server_key: bytes | None
) -> None:
    async def story(ours: Ours) -> None:
        async with ours.publishing(), ours.listening(secret_key, server_key) as listener:
            assert "another public key" in ((await listener.until("wrong_protocol")).reason or "")
            assert listener.heard.empty()

    tell(tmp_path, story)


def test_a_collector_that_is_given_its_key_only_later_is_heard_then(tmp_path: Path) -> None:
    async def story(ours: Ours) -> None:
        async with ours.listening() as listener:
            await listener.until("refused")
            async with ours.publishing(is_locked=False):
                await listener.until("wrong_protocol")
                assert listener.heard.empty()
            async with ours.publishing():
                await listener.until("connected")
                await listener.heard.get()

    tell(tmp_path, story)


def test_whose_key_is_removed_hears_no_more_and_the_others_go_on(tmp_path: Path) -> None:
    async def story(ours: Ours) -> None:
        ours.allow("api-2", STRANGER)
        ours.gate.load()
        async with ours.publishing() as publisher, ours.listening() as stays, ours.listening(STRANGER_SECRET) as goes:
            await asyncio.gather(stays.heard.get(), goes.heard.get())
            ours.disallow("api-2")
            ours.gate.load()
            await goes.until("rejected")
            await stays.heard.get()
            await until_hears_more(publisher, stays)
            assert goes.heard.empty()

    tell(tmp_path, story)


def test_nobody_is_let_in_while_nobody_is_at_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Publisher, "_open_door", lambda _: None)

    async def story(ours: Ours) -> None:
        async with ours.publishing(), ours.listening() as listener:
            await listener.until("wrong_protocol")
            assert listener.heard.empty()

    tell(tmp_path, story)


def test_who_only_opens_connections_is_cut_off_and_the_others_do_not_notice(tmp_path: Path) -> None:
    async def story(ours: Ours) -> None:
        async with ours.publishing(), ours.listening() as listener:
            await listener.heard.get()
            silent = [
                await asyncio.open_connection(*ours.endpoint.removeprefix("tcp://").split(":")) for _ in range(50)
            ]
            await asyncio.gather(*(reader.read() for reader, _ in silent))
            assert (await listener.until("connected")).times[0] == ("connected", 1)
            for _, writer in silent:
                writer.close()

    tell(tmp_path, story)


def test_who_subscribes_to_more_than_anybody_needs_is_dropped_and_the_others_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "MOST_TOPICS", 100)

    async def story(ours: Ours) -> None:
        async with ours.publishing(is_locked=False) as publisher, ours.listening(None, None) as listener:
            await listener.heard.get()
            context = zmq.asyncio.Context()
            flood = context.socket(zmq.XSUB)
            flood.connect(ours.endpoint)
            for number in range(200):
                await flood.send(b"\1topic %d" % number)
            await listener.until("lost")
            context.destroy(linger=0)
            await listener.until("connected")
            await listener.heard.get()
            await until_hears_more(publisher, listener)

    tell(tmp_path, story)


def flood(port: int, subscriptions: int) -> None:
    """Subscribe to so many topics of 270 bytes, as fast as they are taken, whenever we are let in."""
    sent, ready = 0, b"\5READY\x0bSocket-Type\0\0\0\3SUB"
    greeting = b"\xff" + bytes(8) + b"\x7f\3\0NULL" + bytes(48)
    while sent < subscriptions:
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(greeting + b"\4" + bytes([len(ready)]) + ready)
            while sent < subscriptions:
                sent += 100
                peer.sendall(b"".join(b"\2" + (271).to_bytes(8, "big") + b"\1" + os.urandom(270) for _ in range(100)))


def test_a_flood_of_subscriptions_costs_no_more_than_so_much_memory_and_the_beat_goes_on(tmp_path: Path) -> None:
    async def story(ours: Ours) -> None:
        async with ours.publishing(is_locked=False) as publisher:
            before = own_resident_bytes() or 0
            flooding = asyncio.create_task(asyncio.to_thread(flood, int(ours.endpoint.rpartition(":")[2]), 50_000))
            while not flooding.done():
                await publisher.publish(make_snapshot(sequence=1))
                await asyncio.sleep(0.01)
            async with ours.listening(None, None) as listener:
                await listener.heard.get()
            assert (own_resident_bytes() or 0) - before < 200 * 2**20

    tell(tmp_path, story)


def test_a_web_server_in_a_collector_s_place_is_told_as_one_and_a_collector_after_it_is_heard(tmp_path: Path) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" + bytes(100))
        writer.close()

    async def story(ours: Ours) -> None:
        _, port = ours.endpoint.removeprefix("tcp://").split(":")
        server = await asyncio.start_server(answer, "127.0.0.1", int(port))
        async with ours.listening(None, None) as listener:
            await listener.until("wrong_protocol")
            server.close()
            await server.wait_closed()
            async with ours.publishing(is_locked=False):
                await listener.until("connected")
                await listener.heard.get()

    tell(tmp_path, story)


def test_a_socket_of_another_type_is_no_collector_and_one_after_it_is_heard(tmp_path: Path) -> None:
    async def story(ours: Ours) -> None:
        context = zmq.asyncio.Context()
        other = context.socket(zmq.REP)
        other.bind(ours.endpoint)
        async with ours.listening(None, None) as listener:
            await listener.until("wrong_protocol")
            context.destroy(linger=0)
            async with ours.publishing(is_locked=False):
                await listener.until("connected")
                await listener.heard.get()

    tell(tmp_path, story)


def test_a_list_that_changes_leaves_the_others_connected(tmp_path: Path) -> None:
    async def story(ours: Ours) -> None:
        other = Ours(tmp_path)
        async with ours.publishing(), other.publishing(is_locked=False), ours.listening() as listener:
            await listener.heard.get()
            stays = Feed(ours.endpoint, SERVER)
            listener.subscriber.follow([stays, Feed(other.endpoint)])
            await listener.heard.get()
            assert list(listener.subscriber.contacts) == [ours.endpoint, other.endpoint]
            listener.subscriber.follow([stays])
            told = await listener.until("connected")
            assert (dict(told.times)["connected"], list(listener.subscriber.contacts)) == (1, [ours.endpoint])
            listener.subscriber.follow([Feed(ours.endpoint, STRANGER)])
            assert listener.subscriber.contacts[ours.endpoint].state == "connecting"

    tell(tmp_path, story)


def test_who_accepts_connections_and_says_nothing_is_no_collector(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"tcp://127.0.0.1:{mute.getsockname()[1]}"

        async def story(ours: Ours) -> None:
            ours.endpoint = endpoint
            async with ours.listening(None, None) as listener:
                assert dict((await listener.until("wrong_protocol")).times)["connected"] == 0

        tell(tmp_path, story)
