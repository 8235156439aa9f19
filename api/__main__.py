"""Wiring and orderly shutdown of the API: `python -m api`."""

import asyncio
import logging
import sys
import time

from api import findings
from api.access import Access
from api.answers import Answers
from api.app import Server
from api.cache import Cache
from api.check import CHECK
from api.feeds import Feeds
from api.history.store import History
from api.openapi import description
from api.resources import Resources
from api.scraping.tally import Tally
from api.stream import Stream
from api.subscriber import Subscriber
from api.tls import Certificate
from api.tokens import Tokens, overheard
from common import process
from common.clock import elapsed_seconds
from common.reloading import Reloading
from common.settings import ApiSettings
from common.snapshot import Snapshot

_log = logging.getLogger("api")

STOP_GRACE_SECONDS = 3.0
"""How long requests that have begun may take to be answered at the end."""


async def main(settings: ApiSettings, stop: asyncio.Event) -> int:
    """Receive and answer until told to stop (0); 1 if the address cannot be had.

    Raises:
        SettingsError: a file that the settings name cannot be loaded.
    """
    tokens = Tokens(settings.api_token_file) if settings.api_token_file else None
    certificate = Certificate(settings.api_tls_cert, settings.api_tls_key) if settings.api_tls_cert else None
    feeds = Feeds(settings)
    await feeds.check_names()
    cache = Cache(feeds.endpoints, settings.stale_after_seconds)
    server = _server(settings, cache, tokens)
    try:
        server.listen(settings.api_address, settings.api_port, certificate.context if certificate else None)
    except OSError as error:
        findings.refused(settings.api_address, settings.api_port, error).log(_log)
        return 1
    if (concern := overheard(settings)) is not None:
        concern.log(_log)
    subscriber = _subscriber(feeds, cache)
    reloading = Reloading([loaded for loaded in (tokens, certificate, feeds) if loaded], time.time)
    await process.serve(stop, subscriber.serve(), reloading.serve())
    await server.stop(STOP_GRACE_SECONDS)
    subscriber.close()
    _log.info("stopped")
    return 0


def _server(settings: ApiSettings, cache: Cache, tokens: Tokens | None) -> Server:
    """Return the server of what a cache, and the history that is kept of it, know."""
    history = History(settings.history_seconds, settings.history_megabytes)
    stream, tally = Stream(cache, history), Tally()
    cache.listeners.append(stream.add)
    access = Access(tokens, settings.api_cors_origin)
    resources = Resources(cache, history, tally.own, description(needs_token=access.needs_token))
    return Server(Answers(resources, access), stream, tally, elapsed_seconds, logs_each=settings.access_log)


def _subscriber(feeds: Feeds, cache: Cache) -> Subscriber:
    """Return the subscriber that feeds a cache, and follows the list of feeds."""

    def accept(endpoint: str, snapshot: Snapshot, arrived: float) -> None:
        cache.accept(endpoint, snapshot, arrived, elapsed_seconds())

    subscriber = Subscriber(feeds.feeds, accept, cache.reject, elapsed_seconds, feeds.secret_key)
    cache.contacts = subscriber.contacts
    feeds.listeners += [subscriber.follow, lambda _: cache.follow(feeds.endpoints)]
    return subscriber


if __name__ == "__main__":
    sys.exit(process.run(ApiSettings, main, check=CHECK))
