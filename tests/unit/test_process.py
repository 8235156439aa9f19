"""What goes on until it is told to stop, and what ends it before."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from common import process


async def for_ever() -> None:
    await asyncio.Event().wait()


def served(*serving: Coroutine[Any, Any, Any], stops: bool = False) -> Any:
    async def told() -> Any:
        stop = asyncio.Event()
        if stops:
            stop.set()
        return await process.serve(stop, *serving)

    return asyncio.run(told())


def test_what_is_told_to_stop_returns_nothing_and_has_ended() -> None:
    ended: list[str] = []

    async def ending() -> None:
        try:
            await for_ever()
        finally:
            ended.append("ended")

    assert served(ending(), ending(), stops=True) is None
    assert ended == ["ended", "ended"]


def test_what_one_returns_ends_the_others() -> None:
    async def reason() -> str:
        return "a reason"

    assert served(for_ever(), reason(), for_ever()) == "a reason"


def test_the_first_failure_is_told_and_not_those_that_came_of_it() -> None:
    broken = asyncio.Event()

    async def suffers() -> None:
        await broken.wait()
        raise ValueError("a consequence")

    async def fails() -> None:
        broken.set()
        raise OSError("the cause")

    with pytest.raises(OSError, match="the cause"):
        served(suffers(), fails(), suffers())
