"""The one thread that enters NVML: what is left before it was begun is not done."""

import asyncio
import threading

from collector.worker import Worker
from tests.processes import PATIENCE_SECONDS


def test_a_job_that_was_cancelled_before_it_began_is_not_done() -> None:
    done: list[int] = []

    async def story() -> None:
        worker, may_go_on = Worker(), threading.Event()
        first = worker.submit(lambda: may_go_on.wait(PATIENCE_SECONDS))
        worker.submit(lambda: done.append(2)).cancel()
        third = worker.submit(lambda: done.append(3))
        may_go_on.set()
        assert await first
        await third

    asyncio.run(story())
    assert done == [3]
