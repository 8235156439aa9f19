"""Who listens to the stream, and how it reaches them: Tornado's end. What is told is `stream`'s to decide.

Each listener has at most one message on its way; the next is taken when that one has been sent. So a slow one costs
nothing but what it misses, and one that reads nothing at all is dropped.
"""

import asyncio
import time
from collections.abc import Callable, Iterator

from api.answer import Follow
from api.exchange import Exchange
from api.stream import Heartbeat, Message, Stream

HEARTBEAT_SECONDS = 15.0
"""After so long without a message a comment is sent, so that all on the way know that the stream lives."""

_BEATS = 15
"""How often in that time it is looked for who needs one."""

STUCK_SECONDS = 75.0
"""Who takes longer to read one message is dropped."""

_TURN_SECONDS = 0.002
"""For how long messages are sent before all else has its turn."""

_HEARTBEAT = Heartbeat()
_LAST_CHUNK = b"0\r\n\r\n"


class Listener:
    """One client that listens."""

    def __init__(
        self,
        exchange: Exchange,
        messages: Iterator[Message | None],
        is_welcome: Callable[[], bool],
        owner: "Listeners",
    ) -> None:
        self.exchange = exchange
        self._messages = messages
        self._is_welcome = is_welcome
        self._owner = owner
        self._is_writing = False
        self._wrote_at = time.monotonic()

    def begin(self, headers: list[tuple[str, str]]) -> None:
        """Send the head of the answer, and then message after message."""
        self.exchange.connection.set_close_callback(self._leave)
        self._follow(self.exchange.send_head(headers))
        if self.exchange.connection.stream.closed():
            # Tornado would not tell.
            self._leave()

    def tell(self) -> bool:
        """Send the next message, if there is one and the client reads; return whether there may be more to send."""
        if self._is_writing or not self._may_go_on():
            return False
        message = next(self._messages)
        if message is not None:
            self._write(message)
        return message is not None

    def beat(self) -> None:
        """Send a comment if nothing was sent for long; drop a client that does not read."""
        seconds = time.monotonic() - self._wrote_at
        if self._is_writing:
            if seconds > STUCK_SECONDS:
                self.exchange.connection.stream.close()
        elif seconds >= HEARTBEAT_SECONDS and self._may_go_on():
            self._write(_HEARTBEAT)

    def end(self) -> None:
        """Let the client know that there is no more, and close."""
        if not self._is_writing and self.exchange.is_chunked:
            self._send(_LAST_CHUNK)
        self.exchange.connection.stream.close()

    def _may_go_on(self) -> bool:
        if self.exchange.connection.stream.closed():
            return False
        if self._is_welcome():
            return True
        self.end()
        return False

    def _write(self, message: Message) -> None:
        self._send(message.chunk if self.exchange.is_chunked else message.plain)

    def _send(self, sent: bytes) -> None:
        self.exchange.sent_bytes += len(sent)
        self._follow(self.exchange.connection.write(sent))

    def _follow(self, written: "asyncio.Future[None]") -> None:
        self._wrote_at = time.monotonic()
        if not written.done():
            self._is_writing = True
            written.add_done_callback(self._written)

    def _written(self, _written: "asyncio.Future[None]") -> None:
        self._is_writing = False
        self._wrote_at = time.monotonic()
        self._owner.ready(self)

    def _leave(self) -> None:
        self._owner.leave(self)


class Listeners:
    """All who listen, told in turn. `most` is how many there may be; `left` is called with the exchange of each that
    has gone."""

    def __init__(self, stream: Stream, most: int, left: Callable[[Exchange], None]) -> None:
        self._stream = stream
        self._most = most
        self._left = left
        self._all: dict[Listener, None] = {}
        self._ready: dict[Listener, None] = {}
        """Who may have something to be told, in their order."""

        self._is_ready = asyncio.Event()
        stream.wake = self._news
        self._serving: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self._all)

    @property
    def is_full(self) -> bool:
        """Whether no more may come."""
        return len(self._all) >= self._most

    def start(self) -> None:
        """Tell news, and beat, from now on."""
        self._serving = [asyncio.create_task(self._tell()), asyncio.create_task(self._beat())]

    def stop(self) -> None:
        """Send everybody away."""
        for task in self._serving:
            task.cancel()
        for listener in list(self._all):
            listener.end()

    def add(self, exchange: Exchange, follow: Follow, now: float) -> None:
        """Take a client."""
        messages = self._stream.read(follow.after, follow.host, now)
        listener = Listener(exchange, messages, follow.is_welcome, self)
        self._all[listener] = None
        listener.begin(follow.headers)
        self.ready(listener)

    def ready(self, listener: Listener) -> None:
        """Note that there may be something to tell a listener."""
        if listener in self._all:
            self._ready[listener] = None
            self._is_ready.set()

    def leave(self, listener: Listener) -> None:
        """Note that a listener has gone."""
        if listener in self._all:
            del self._all[listener]
            self._ready.pop(listener, None)
            self._left(listener.exchange)

    def _news(self) -> None:
        self._ready.update(self._all)
        self._is_ready.set()

    async def _tell(self) -> None:
        """Tell each who is ready one message, and again, so that nobody waits for one who has much to be told, and all
        else has its turn."""
        while True:
            await self._is_ready.wait()
            until = time.perf_counter() + _TURN_SECONDS
            while self._ready and time.perf_counter() < until:
                listener = next(iter(self._ready))
                del self._ready[listener]
                if listener.tell():
                    self.ready(listener)
            if not self._ready:
                self._is_ready.clear()
            await asyncio.sleep(0)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS / _BEATS)
            for listener in list(self._all):
                listener.beat()
