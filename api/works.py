"""Work that is done in threads, so that the event loop goes on meanwhile. Nothing here knows what is made."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from api.answer import Content, Refusal, refusal

MOST_WAITING = 64
"""Pieces of work that may wait at once, or be under way."""

_THREADS = 2
"""So that a long one does not keep all others waiting; more would only take turns."""


@dataclass(slots=True)
class _Piece:
    """What is being made, and by how many it is wanted."""

    future: "asyncio.Future[Content]"
    wanted: int = 0


class Works:
    """Each piece is made once for all who want the same, and not at all if all have left before it was begun."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="work")
        self._pieces: dict[Callable[[], Content], _Piece] = {}

    async def made(self, make: Callable[[], Content]) -> Content:
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
                piece.future.cancel()

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self, make: Callable[[], Content]) -> _Piece:
        if len(self._pieces) >= MOST_WAITING:
            said = "too many answers that take long are being made; ask again later"
            raise Refusal(refusal(503, "busy", said, ("Retry-After", "1")))
        piece = _Piece(asyncio.get_running_loop().run_in_executor(self._threads, make))
        self._pieces[make] = piece
        piece.future.add_done_callback(lambda _: self._pieces.pop(make))
        return piece
