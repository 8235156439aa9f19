"""Work in a thread: once for all who want it, not at all when nobody does, and never without end."""

import asyncio
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from api.answer import Content, Refusal
from api.works import Works
from tests.processes import PATIENCE_SECONDS, ROOT


class Made:
    """Something to make, which waits until it may be done."""

    def __init__(self) -> None:
        self.times = 0
        self.may_be_done = threading.Event()

    def __call__(self) -> Content:
        self.times += 1
        assert self.may_be_done.wait(PATIENCE_SECONDS)
        return Content(b"made")


def run(story: Callable[[Works], Coroutine[Any, Any, None]]) -> None:
    async def told() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await story(Works(most=3))

    asyncio.run(told())


async def begun(making: Works, make: Callable[[], Content]) -> "asyncio.Task[Content]":
    task = asyncio.create_task(making.made(make))
    await asyncio.sleep(0)
    return task


def test_what_many_want_is_made_once() -> None:
    async def story(making: Works) -> None:
        make = Made()
        waiting = [await begun(making, make) for _ in range(5)]
        waiting.pop().cancel()
        make.may_be_done.set()
        assert {id(await task) for task in waiting} == {id(await waiting[0])}
        assert make.times == 1

    run(story)


def test_what_is_wanted_is_made_however_soon_the_thread_comes_for_it() -> None:
    async def story(making: Works) -> None:
        for number in range(5000):
            said = str(number).encode()
            assert (await making.made(partial(Content, said))).plain == said

    before = sys.getswitchinterval()
    # The two threads change at any place then, as they do on a machine that is busy.
    sys.setswitchinterval(1e-6)
    try:
        run(story)
    finally:
        sys.setswitchinterval(before)


def test_what_all_have_left_before_it_was_begun_is_not_made() -> None:
    async def story(making: Works) -> None:
        long, left, last = Made(), Made(), Made()
        busy = await begun(making, long)
        leaving = await begun(making, left)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        for make in (long, last):
            make.may_be_done.set()
        await busy
        await making.made(last)
        assert (left.times, last.times) == (0, 1)

    run(story)


def test_what_was_made_is_let_go_though_nothing_else_is_wanted() -> None:
    async def story(making: Works) -> None:
        make = Made()
        make.may_be_done.set()
        await making.made(make)
        held = weakref.ref(make)
        del make
        while held() is not None:
            await asyncio.sleep(0)

    run(story)


def test_what_all_have_left_is_let_go_while_the_thread_is_busy() -> None:
    async def story(making: Works) -> None:
        long, left = Made(), Made()
        busy = await begun(making, long)
        held = weakref.ref(left)
        leaving = await begun(making, left)
        leaving.cancel()
        del leaving, left
        while held() is not None:
            await asyncio.sleep(0)
        long.may_be_done.set()
        await busy

    run(story)


def test_who_wants_what_another_has_just_left_is_not_left_alone() -> None:
    async def story(making: Works) -> None:
        long, wanted = Made(), Made()
        busy = await begun(making, long)
        leaving = await begun(making, wanted)
        leaving.cancel()
        staying = await begun(making, wanted)
        for make in (long, wanted):
            make.may_be_done.set()
        await busy
        assert (await staying).plain == b"made"

    run(story)


def test_a_process_ends_while_something_is_being_made() -> None:
    code = """
import asyncio, threading
from api.works import Works
async def main():
    task = asyncio.create_task(Works(3).made(threading.Event().wait))
    await asyncio.sleep(0.1)
    task.cancel()
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=PATIENCE_SECONDS, check=False)
    assert ended.returncode == 0


def test_beyond_a_number_one_is_sent_away_and_later_let_in_again() -> None:
    async def story(making: Works) -> None:
        makes = [Made() for _ in range(3)]
        waiting = [await begun(making, make) for make in makes]
        with pytest.raises(Refusal) as refused:
            await making.made(Made())
        assert refused.value.answer.status == 503
        joined = await begun(making, makes[0])
        for make in makes:
            make.may_be_done.set()
        await asyncio.gather(*waiting, joined)
        assert (await making.made(makes[0])).plain == b"made"

    run(story)


def test_who_wants_what_cannot_be_made_is_told_why() -> None:
    def fail() -> Content:
        raise ZeroDivisionError

    async def story(making: Works) -> None:
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await making.made(fail)

    run(story)


def test_what_all_have_left_while_it_was_made_harms_nobody() -> None:
    async def story(making: Works) -> None:
        left, last = Made(), Made()
        leaving = await begun(making, left)
        while not left.times:
            await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        for make in (left, last):
            make.may_be_done.set()
        assert (await making.made(last)).plain == b"made"

    run(story)
