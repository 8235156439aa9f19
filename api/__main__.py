"""Wiring and orderly shutdown of the API: `python -m api`."""

import asyncio
import logging
import sys

from api.answers import Answers
from api.app import Server
from api.cache import Cache
from api.resources import Resources
from api.subscriber import Subscriber
from api.tally import Tally
from common import process
from common.clock import elapsed_seconds
from common.settings import ApiSettings

_log = logging.getLogger("api")

STOP_GRACE_SECONDS = 3.0
"""How long requests that have begun may take to be answered at the end."""


async def main(settings: ApiSettings, stop: asyncio.Event) -> int:
    """Receive and answer until told to stop (0); 1 if the address cannot be had."""
    cache, tally = Cache(settings.feed_endpoints, settings.stale_after_seconds), Tally()
    server = Server(Answers(Resources(cache, tally.own)), tally, elapsed_seconds)
    try:
        server.listen(settings.api_address, settings.api_port)
    except OSError as error:
        _log.error("cannot listen on %s port %d: %s", settings.api_address, settings.api_port, error.strerror)
        return 1
    subscriber = Subscriber(settings.feed_endpoints, cache.accept, cache.reject, elapsed_seconds)
    serving, stopping = asyncio.create_task(subscriber.serve()), asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    await server.stop(STOP_GRACE_SECONDS)
    serving.cancel()
    subscriber.close()
    _log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(process.run(ApiSettings, main))
