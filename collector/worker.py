"""The one thread that enters NVML.

A daemon thread of its own, and no executor: an executor's thread is joined when the process ends, and one that is
stuck in the driver would keep the process from ending.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class Worker:
    """Runs jobs one after the other on a daemon thread; what they return or raise arrives in the event loop."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="nvml", daemon=True).start()

    def submit(self, job: Callable[[], Result]) -> "asyncio.Future[Result]":
        """Queue a job behind those before it. To cancel its future drops a job that has not begun, and stops none."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                result = job()
            except Exception as error:  # noqa: BLE001 -- raised again where the future is awaited
                _deliver(loop, future, future.set_exception, error)
            else:
                _deliver(loop, future, future.set_result, result)

        self._jobs.put(run)
        return future

    def _work(self) -> None:
        while True:
            self._jobs.get()()


def _deliver(
    loop: asyncio.AbstractEventLoop,
    future: "asyncio.Future[Result]",
    settle: Callable[..., None],
    value: object,
) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending, and nobody waits any more
        loop.call_soon_threadsafe(lambda: None if future.done() else settle(value))
