"""The clients: they ask everything all the time, and have each answer judged. In a thread of their own."""

import asyncio
import contextlib
import functools
import operator
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

from api.routes import GPUS_PATH, METRICS_PATH, MONITORING, STREAM_PATH
from common.clock import elapsed_seconds
from tests.chaos import judge
from tests.chaos.allowed import CALM, Allowed
from tests.chaos.judge import READY_PATH, SCRAPE_PATH, Finding, Told
from tests.chaos.tally import Tally
from tests.chaos.waits import Waits, waited_seconds
from tests.served import Client, request

OTHER_PATHS = (
    "/healthz",
    "/",
    "/openapi.json",
    f"{MONITORING}/hosts",
    f"{MONITORING}/targets",
    f"{MONITORING}/history?reading=power_draw_watts,temperature_gpu_celsius&step=10",
)
METRICS_CLIENTS = 6
PAUSE_SECONDS = 0.1
STARVED_SECONDS = 0.5
"""Where the machine has kept the service waiting for longer, samples take longer, and snapshots may be stale."""

PATIENCE_SECONDS = 60.0
"""Whoever has no answer by then gives up."""

REMEMBERED_MOMENTS = 64


class Watcher:
    """All clients of the API on one port. What they see goes into `tally`. `pids` are the service's processes now."""

    def __init__(self, port: int, epoch: float, pids: Callable[[], Iterable[int]]) -> None:
        self._port = port
        self._epoch = epoch
        self._pids = pids
        self._waits = Waits()
        self._moments: tuple[tuple[float, Allowed], ...] = ((0.0, CALM),)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._watch()), name="watcher")
        self.tally = Tally()
        self.troubled_at = 0.0
        """When a client last saw something else than all being well."""

        self.well: dict[str, float] = {}
        """When each kind of client last saw that all is well: the time at which it asked."""

    def allow(self, allowed: Allowed) -> None:
        """Say what may be told from now on."""
        # Another thread reads it meanwhile.
        self._moments = (*self._moments[-REMEMBERED_MOMENTS:], (elapsed_seconds(), allowed))

    def begin(self) -> Tally:
        """Begin a new tally, and return it."""
        self.tally = Tally()
        return self.tally

    @contextlib.contextmanager
    def watching(self) -> Iterator["Watcher"]:
        """Watch until the end of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()

    def is_calm_since(self, moment: float) -> bool:
        """Return whether each kind of client has seen since then that all is well, and none anything else."""
        kinds = (METRICS_PATH, GPUS_PATH, SCRAPE_PATH, STREAM_PATH)
        return self.troubled_at < moment and all(self.well.get(kind, 0.0) > moment for kind in kinds)

    async def _watch(self) -> None:
        asking: list[tuple[str, bool]] = [(METRICS_PATH, True)] * METRICS_CLIENTS
        asking += [(METRICS_PATH, False), (GPUS_PATH, True), (SCRAPE_PATH, True), (READY_PATH, True)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask(path, keeps_connection=keeps)) for path, keeps in asking]
            tasks += [group.create_task(self._ask(*OTHER_PATHS, keeps_connection=True)) for _ in range(2)]
            tasks += [group.create_task(self._listen()) for _ in range(2)]
            tasks.append(group.create_task(self._look_at_the_machine()))
            while not self._stop.is_set():
                await asyncio.sleep(PAUSE_SECONDS)
            for task in tasks:
                task.cancel()

    async def _ask(self, *paths: str, keeps_connection: bool) -> None:
        """Ask for the paths in turn, for ever."""
        caller = Caller(self._port, keeps_connection=keeps_connection)
        while True:
            for path in paths:
                self._judge(await caller.ask(path))
                await asyncio.sleep(PAUSE_SECONDS)

    async def _look_at_the_machine(self) -> None:
        while True:
            before = elapsed_seconds()
            await asyncio.sleep(PAUSE_SECONDS)
            now = elapsed_seconds()
            self._waits.note(now, {pid: waited_seconds(pid) for pid in self._pids()}, now - before - PAUSE_SECONDS)
            self.tally.machine_seconds = max(self.tally.machine_seconds, self._waits.seconds)

    async def _listen(self) -> None:
        """Listen to the stream, and come back when it ends, for ever."""
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
                async with connected(self._port) as client:
                    await self._hear(client)
            if not self._allowed(elapsed_seconds(), elapsed_seconds()).statuses & {"away", "torn"}:
                self.tally.wrong["the stream has ended"] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def _hear(self, client: Client) -> None:
        answer = await client.ask(request("GET", STREAM_PATH), has_body=False)
        if answer.status != 200:
            self.tally.wrong[f"{STREAM_PATH}: {answer.status}"] += 1
            return
        while True:
            message = await client.chunk()
            now = elapsed_seconds()
            if b"event: snapshot\n" in message:
                found = judge.event(message.partition(b"data: ")[2], now, self._allowed(now, now), self._epoch)
                self.tally.events += 1
                self._note(STREAM_PATH, found, now, now)

    def _judge(self, told: Told) -> None:
        allowed = self._allowed(told.sent_at, told.received_at)
        found = judge.judge(told, allowed, self._epoch)
        if told.path == METRICS_PATH:
            self.tally.labels[found.label] += 1
        self.tally.took(told.received_at - told.sent_at, allowed.wait_seconds)
        self._note(told.path, found, told.sent_at, told.received_at)

    def _note(self, kind: str, found: Finding, asked_at: float, now: float) -> None:
        self.tally.add(found)
        if found.is_calm and not found.wrong:
            self.well[kind] = asked_at
        else:
            self.troubled_at = now

    def _allowed(self, since: float, until: float) -> Allowed:
        """Return what may be told between two moments."""
        moments = self._moments
        first = max(place for place, (began_at, _) in enumerate(moments) if began_at <= since)
        held = [allowed for began_at, allowed in moments[first:] if began_at <= until]
        if self._waits.seconds > STARVED_SECONDS:
            late = CALM.sample_seconds + self._waits.seconds
            held.append(Allowed(statuses=frozenset({"stale"}), sample_seconds=late))
        return functools.reduce(operator.or_, held)


class Caller:
    """One client, with a connection that it keeps, or a new one for each question."""

    def __init__(self, port: int, *, keeps_connection: bool) -> None:
        self._port = port
        self._keeps_connection = keeps_connection
        self._kept: contextlib.AsyncExitStack | None = None
        self._client: Client | None = None

    async def ask(self, path: str) -> Told:
        """Ask, and return what was told; nothing, if nobody answered."""
        was_kept = self._client is not None
        told = await self._ask(path)
        if told.failure == "away" and was_kept:
            # Between two questions a server may close a connection, and a client asks again.
            told = await self._ask(path)
        if not self._keeps_connection:
            await self._leave()
        return told

    async def _ask(self, path: str) -> Told:
        sent_at = elapsed_seconds()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                client = self._client or await self._connect()
                answer = await client.ask(request("GET", path))
        except asyncio.IncompleteReadError as error:
            failure = "torn" if error.partial else "away"
        except TimeoutError:
            failure = "silent"
        except OSError:
            failure = "away"
        else:
            return Told(path, sent_at, elapsed_seconds(), answer.status, answer.headers, answer.body)
        await self._leave()
        return Told(path, sent_at, elapsed_seconds(), 0, failure=failure)

    async def _connect(self) -> Client:
        self._kept = contextlib.AsyncExitStack()
        self._client = await self._kept.enter_async_context(connected(self._port))
        return self._client

    async def _leave(self) -> None:
        kept, self._kept, self._client = self._kept, None, None
        if kept is not None:
            await kept.aclose()


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    """Connect to a port of loopback."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    client = Client(reader, writer)
    try:
        yield client
    finally:
        await client.close()
