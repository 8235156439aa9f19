"""Work that is done in a thread, so that the event loop goes on meanwhile. Nothing here knows what is made."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from api.answer import Content, Refusal, refusal

Make = Callable[[], Content]


@dataclass(slots=True, eq=False)
class _Piece:
    """What is to be made, and by how many it is wanted."""

    make: Make | None
    """None once nobody wants it: what it would be made of may be large, and is kept for nobody."""

    future: "asyncio.Future[Content]"
    wanted: int = 0

    def settle(self, made: Content | Exception) -> None:
        """Let those who want it have it."""
        if self.future.done():
            return
        if isinstance(made, Exception):
            self.future.set_exception(made)
        else:
            self.future.set_result(made)

    def abandon(self) -> None:
        """Be made no more."""
        self.make = None
        self.future.cancel()


class Works:
    """One thread's work, one piece after the other: each is made once for all who want the same, and not at all if all
    have left before it was begun. `most` is how many may wait, or be under way."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pieces: dict[Make, _Piece] = {}
        self._begun: SimpleQueue[_Piece] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def made(self, make: Make) -> Content:
        """Return what is made. Who wants the same gives the same object.

        Raises:
            Refusal: too much is waiting already; or what `make` raises.
        """
        piece = self._pieces.get(make) or self._begin(make)
        piece.wanted += 1
        try:
            return await asyncio.shield(piece.future)
        finally:
            piece.wanted -= 1
            if not piece.wanted:
                del self._pieces[make]
                piece.abandon()

    def _begin(self, make: Make) -> _Piece:
        if len(self._pieces) >= self._most:
            said = "too many answers that take long are being made; ask again later"
            raise Refusal(refusal(503, "busy", said, ("Retry-After", "1")))
        loop = asyncio.get_running_loop()
        if self._loop is None:
            # A daemon, since the process must end at once also while something is being made.
            self._loop = loop
            threading.Thread(target=self._work, args=(loop,), daemon=True, name="work").start()
        piece = self._pieces[make] = _Piece(make, loop.create_future())
        self._begun.put(piece)
        return piece

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            _do(self._begun.get(), loop)


def _do(piece: _Piece, loop: asyncio.AbstractEventLoop) -> None:
    """Make one piece, in the thread, which keeps nothing of it while it waits for the next."""
    # Whoever begins a piece wants it, though that is not counted yet when it is begun.
    if (make := piece.make) is not None:
        made = _made(make)
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(piece.settle, made)


def _made(make: Make) -> Content | Exception:
    try:
        return make()
    except Exception as error:  # noqa: BLE001 -- raised again where it is wanted
        return error
