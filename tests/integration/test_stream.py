"""The stream over real sockets: many who listen, who are slow, who leave, who come back, and the end."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from api import app, listeners
from api.access import Access
from api.routes import STREAM_PATH
from api.tokens import Tokens
from common.snapshot import Snapshot
from tests.builders import ENDPOINT, make_cache, make_gpu, make_snapshot
from tests.processes import Start
from tests.served import GET, HEALTHY, Client, Served, request, serve

LISTEN = request("GET", STREAM_PATH)


class Ear:
    """A client that listens; it takes the messages out of their chunks."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.headers: dict[str, str] = {}
        self._heard = b""

    async def listen(self, *headers: str) -> None:
        answer = await self.client.ask(request("GET", STREAM_PATH, *headers), has_body=False)
        assert answer.status == 200
        self.headers = answer.headers

    async def message(self) -> str:
        """Return the next message that is no comment."""
        while True:
            message = (await self.client.chunk()).decode()
            if not message.startswith(":"):
                return message

    async def event(self) -> Any:
        """Return what the next message says."""
        return msgspec.json.decode((await self.message()).partition("data: ")[2])

    async def power(self) -> Any:
        return (await self.event())["gpus"][0]["power_draw_watts"]


@contextlib.asynccontextmanager
async def ear(served: Served, *headers: str, receive_buffer: int | None = None) -> AsyncIterator[Ear]:
    async with served.client(receive_buffer) as client:
        listening = Ear(client)
        await listening.listen(*headers)
        yield listening


def snapshot(sequence: int, **overrides: Any) -> Snapshot:
    return make_snapshot(sequence=sequence, gpus=[make_gpu(power_draw_watts=float(sequence))], **overrides)


def hear(served: Served, *sequences: int, **overrides: Any) -> None:
    for sequence in sequences:
        served.cache.accept(ENDPOINT, snapshot(sequence, **overrides), 0.0)


def test_a_listener_is_told_the_latest_and_then_all_news_at_once() -> None:
    async def story(served: Served) -> None:
        hear(served, 0)
        async with ear(served) as one:
            assert one.headers["content-type"] == "text/event-stream"
            assert one.headers["x-accel-buffering"] == "no"
            assert (await one.message()).startswith("id: 0123456789abcdef-0\nevent: snapshot\ndata: {")
            hear(served, 1, 2)
            assert [await one.power(), await one.power()] == [1.0, 2.0]

    serve(story, make_cache())


def test_many_listen_and_each_hears_everything_in_order() -> None:
    async def story(served: Served) -> None:
        async with contextlib.AsyncExitStack() as stack:
            ears = [await stack.enter_async_context(ear(served)) for _ in range(50)]
            for sequence in range(20):
                hear(served, sequence)
                await asyncio.sleep(0)
            for one in ears:
                assert [await one.power() for _ in range(20)] == [float(number) for number in range(20)]
            assert (await served.ask(GET)).body == HEALTHY

    serve(story, make_cache())


def test_a_listener_that_comes_back_is_told_what_it_missed() -> None:
    async def story(served: Served) -> None:
        hear(served, 0)
        async with ear(served) as one:
            last = (await one.message()).splitlines()[0].removeprefix("id: ")
        hear(served, 1, 2)
        async with ear(served, f"Last-Event-ID: {last}") as again:
            assert [await again.power(), await again.power()] == [1.0, 2.0]

    serve(story, make_cache())


def test_a_listener_that_does_not_read_costs_nothing_but_what_it_misses_and_then_learns_of_it() -> None:
    async def story(served: Served) -> None:
        gpus = [make_gpu(index, processes=[]) for index in range(64)]
        async with ear(served, receive_buffer=4096) as slow, ear(served) as quick:
            for sequence in range(200):
                served.cache.accept(ENDPOINT, make_snapshot(sequence=sequence, gpus=gpus), 0.0)
                assert (await quick.message()).startswith(f"id: 0123456789abcdef-{sequence}\n")
            messages = [await slow.message()]
            while not messages[-1].startswith("id: 0123456789abcdef-199\n"):
                messages.append(await slow.message())
            (lost,) = (message for message in messages if message.startswith("event: lost\n"))
            missed = msgspec.json.decode(lost.partition("data: ")[2])["snapshots"]
            assert missed + len(messages) - 1 == 200

    serve(story, make_cache())


def test_a_listener_that_reads_nothing_at_all_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "STUCK_SECONDS", 0.1)
    monkeypatch.setattr(listeners, "HEARTBEAT_SECONDS", 0.1)

    async def story(served: Served) -> None:
        gpus = [make_gpu(index) for index in range(256)]
        async with served.client(4096) as slow:
            await slow.ask(LISTEN, has_body=False)
            for sequence in itertools.count():
                if not served.tally.listeners:
                    return
                served.cache.accept(ENDPOINT, make_snapshot(sequence=sequence, gpus=gpus), 0.0)
                await asyncio.sleep(0.01)

    serve(story, make_cache())


def test_silence_is_filled_with_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "HEARTBEAT_SECONDS", 0.05)

    async def story(served: Served) -> None:
        async with ear(served) as one:
            assert [await one.client.chunk() for _ in range(3)] == [b": \n\n"] * 3

    serve(story, make_cache())


def test_listeners_that_leave_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MOST_LISTENERS", 2)

    async def story(served: Served) -> None:
        async with ear(served), contextlib.AsyncExitStack() as stack:
            leaving = await stack.enter_async_context(ear(served))
            refused = await served.ask(LISTEN)
            assert (refused.status, refused.said["error"]["code"]) == (503, "too_many_listeners")
            assert refused.headers["retry-after"] == "30"
            assert (await served.ask(GET)).body == HEALTHY
            await leaving.client.close()
            while served.tally.listeners == 2:
                await asyncio.sleep(0)
            async with ear(served):
                pass

    serve(story, make_cache())


def test_one_host_can_be_listened_to_and_an_unknown_one_is_not_found() -> None:
    async def story(served: Served) -> None:
        hear(served, 0, host="a")
        hear(served, 0, host="b")
        async with served.client() as client:
            await client.ask(request("GET", f"{STREAM_PATH}?host=b"), has_body=False)
            assert b'"host":"b"' in await client.chunk()
        assert (await served.ask(request("GET", f"{STREAM_PATH}?host=c"))).status == 404
        assert (await served.ask(request("GET", f"{STREAM_PATH}?x=c"))).status == 400
        async with served.client() as client:
            head = await client.ask(request("HEAD", STREAM_PATH), has_body=False)
            assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
            assert (await client.ask(GET)).body == HEALTHY

    serve(story, make_cache())


def test_a_client_that_knows_no_chunks_is_told_the_messages_by_themselves() -> None:
    async def story(served: Served) -> None:
        hear(served, 0)
        async with served.client() as client:
            client.send(LISTEN.replace(b"HTTP/1.1", b"HTTP/1.0"))
            assert "transfer-encoding" not in (await client.answer()).headers
            assert (await client.line()).startswith(b"id: ")
            await served.server.stop(0.0)
            assert (await client.rest()).endswith(b"}\n\n")

    serve(story, make_cache())


def test_at_the_end_listeners_are_sent_away_with_a_last_chunk() -> None:
    async def story(served: Served) -> None:
        hear(served, 0)
        async with ear(served) as one:
            await one.message()
            await served.server.stop(0.0)
            assert await one.client.rest() == b"0\r\n\r\n"

    serve(story, make_cache())


def test_a_listener_whose_token_is_revoked_is_sent_away(tmp_path: Any) -> None:
    path = tmp_path / "tokens"
    path.touch(mode=0o600)
    path.write_text("alice alice-s-secret-0123456789\nbob bob-s-secret-0123456789\n")
    tokens = Tokens(str(path))
    bearer = "Authorization: Bearer {}-s-secret-0123456789"

    async def story(served: Served) -> None:
        async with ear(served, bearer.format("bob")) as bob, ear(served, bearer.format("alice")) as alice:
            path.write_text("alice alice-s-secret-0123456789\n")
            tokens.load()
            hear(served, 0)
            assert await alice.power() == 0.0
            assert await bob.client.rest() == b"0\r\n\r\n"

    serve(story, make_cache(), access=Access(tokens))


def test_the_real_api_streams_what_the_real_collector_publishes(start: Start) -> None:
    service = start()
    service.until_status("ok")

    async def story() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        client = Client(reader, writer)
        one = Ear(client)
        await one.listen()
        sequences = [(await one.message()).splitlines()[0].rpartition("-")[2] for _ in range(5)]
        assert sequences == [str(int(sequences[0]) + number) for number in range(5)]
        await client.close()

    asyncio.run(story())
