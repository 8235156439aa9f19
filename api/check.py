"""What the API's `--check` looks at: tokens, certificate, its address, how many files it may open, and what each feed
sends.

Feeds are subscribed to as the API itself does it, for a bounded time. Nothing is listened to.
"""

import asyncio
import contextlib
import errno
import time
from collections.abc import AsyncIterator, Iterator

from api import address, findings
from api.cache import Cache
from api.connections import most_connections
from api.feeds import Feeds
from api.subscriber import LIBZMQ_VERSION, Subscriber, public_key
from api.tls import Certificate
from api.tokens import Tokens, overheard
from common import curve, named_file, surroundings
from common.checking import Check
from common.clock import elapsed_seconds
from common.finding import Finding, loaded, ok, wrong
from common.settings import ApiSettings, SettingsError

LISTEN_SECONDS = 10.0
"""How long a feed may take to be heard; who is no collector is known as such by then."""

RETRY_SECONDS = 2.0
"""How long a feed that fails has: a collector may just be starting."""

ANSWER_SECONDS = 5.0
"""How long who has our address may take to show that it is an API."""

_LOOK_SECONDS = 0.05


async def look(settings: ApiSettings) -> AsyncIterator[Finding]:
    """Look at all that the API needs."""
    for finding in (*_who_may_read(settings), _certificate(settings), findings.connections(most_connections())):
        yield finding
    yield await _address(settings)
    if settings.feed_client_key:
        key = loaded("client key", lambda: _client_key(settings.feed_client_key))
        yield key
        if key.state == "wrong":
            return
    async for finding in _feeds(settings):
        yield finding


def _who_may_read(settings: ApiSettings) -> Iterator[Finding]:
    path = settings.api_token_file
    if not path:
        yield ok("tokens", "none is needed: whoever reaches the address may read")
        return
    yield loaded("tokens", lambda: f"{Tokens(path).count} in {path}, mode {named_file.mode(path)}")
    if (concern := overheard(settings)) is not None:
        yield concern


def _certificate(settings: ApiSettings) -> Finding:
    if not settings.api_tls_cert:
        return ok("certificate", "none: HTTP, not HTTPS")
    try:
        return findings.certificate(Certificate(settings.api_tls_cert, settings.api_tls_key), time.time())
    except SettingsError as error:
        return wrong("certificate", str(error))


async def _address(settings: ApiSettings) -> Finding:
    place = settings.api_address, settings.api_port
    try:
        address.try_out(*place)
    except OSError as error:
        is_ours = error.errno == errno.EADDRINUSE and await _is_api(settings)
        return findings.taken(*place) if is_ours else findings.refused(*place, error)
    return findings.free(*place)


async def _is_api(settings: ApiSettings) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return await address.ask(settings, "/healthz", ANSWER_SECONDS) == address.HEALTHY
    return False


def _client_key(path: str) -> str:
    key = public_key(curve.read_secret("feed_client_key", path)).decode()
    return f"{path}, mode {named_file.mode(path)}; the public key, for the collectors, is {key}"


async def _feeds(settings: ApiSettings) -> AsyncIterator[Finding]:
    try:
        feeds = Feeds(settings)
        await feeds.check_names()
    except SettingsError as error:
        yield wrong("feeds", str(error))
        return
    cache = Cache(feeds.endpoints, settings.stale_after_seconds)
    subscriber = Subscriber(feeds.feeds, cache.accept, cache.reject, elapsed_seconds, feeds.secret_key)
    cache.contacts = subscriber.contacts
    serving = asyncio.create_task(subscriber.serve())
    began = elapsed_seconds()
    while not _is_settled(cache, elapsed_seconds() - began):
        await asyncio.sleep(_LOOK_SECONDS)
    for finding in findings.feeds(cache, elapsed_seconds(), LISTEN_SECONDS):
        yield finding
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    subscriber.close()


def _is_settled(cache: Cache, waited_seconds: float) -> bool:
    """Return whether more waiting would tell no more."""
    silent = cache.unheard()
    has_failed = all(cache.contacts[endpoint].told(0.0).reason for endpoint in silent)
    return not silent or waited_seconds >= (RETRY_SECONDS if has_failed else LISTEN_SECONDS)


def versions() -> dict[str, str | None]:
    """Return the versions of what the API is made of."""
    packages = ("pyzmq", "tornado", "msgspec", "prometheus-client")
    return surroundings.versions(*packages) | {"libzmq": LIBZMQ_VERSION}


CHECK = Check(look, versions)
