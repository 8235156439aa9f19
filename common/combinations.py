"""What settings cannot say, alone or together, though each is of the right type and in its range.

Only values are judged here: no file is read, no name looked up.
"""

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from common import curve, endpoint
from common.snapshot import HOST_PATTERN
from common.wording import PREFIX, refused

if TYPE_CHECKING:
    from common.settings import ApiSettings, CollectorSettings

_ORIGIN = (
    "one origin as browsers send it, such as https://example.org or http://localhost:3000: http or https, the host in "
    "lower case, the port unless it is the scheme's own, and nothing more"
)


def check_collector(settings: "CollectorSettings") -> None:
    """Raises SettingsError: what the collector is told cannot be, or cannot go together."""
    if not re.fullmatch(HOST_PATTERN, settings.host):
        raise refused("host", settings.host, "a host name of letters, digits, '.', '_' and '-', at most 253")
    _check_pair(settings, "feed_secret_key", "feed_authorized_keys", "an encrypted feed")
    address = _address("feed_bind", settings.feed_bind)
    if address is not None and not endpoint.is_loopback(address) and not settings.feed_secret_key:
        expected = (
            f"on loopback, where a feed without keys stays: set {PREFIX}FEED_SECRET_KEY and "
            f"{PREFIX}FEED_AUTHORIZED_KEYS to encrypt it and to choose who may subscribe"
        )
        raise refused("feed_bind", settings.feed_bind, expected)
    if 0 < settings.stall_exit_seconds <= settings.stall_after_seconds:
        raise refused(
            "stall_exit_seconds",
            settings.stall_exit_seconds,
            f"0, or more than {PREFIX}STALL_AFTER_SECONDS ({settings.stall_after_seconds:g})",
        )


def check_api(settings: "ApiSettings") -> None:
    """Raises SettingsError: what the API is told cannot be, or cannot go together."""
    for feed in settings.feed_endpoints:
        check_feed(feed)
    if settings.feed_server_key and not settings.feed_client_key:
        raise refused("feed_server_key", settings.feed_server_key, f"enough: set {PREFIX}FEED_CLIENT_KEY, too")
    if settings.feed_client_key and not settings.feed_server_key and not settings.feed_file:
        raise refused(
            "feed_client_key", curve.shown(settings.feed_client_key), f"enough: set {PREFIX}FEED_SERVER_KEY, too"
        )
    if not endpoint.is_address(settings.api_address):
        raise refused("api_address", settings.api_address, "an IP address, such as 127.0.0.1")
    if settings.api_cors_origin and not endpoint.is_origin(settings.api_cors_origin):
        raise refused("api_cors_origin", settings.api_cors_origin, _ORIGIN)
    _check_who_may_read(settings)


def check_feed(text: str) -> None:
    """Raises SettingsError: an endpoint is none that one can connect to."""
    if endpoint.is_unspecified(_address("feed_connect", text) or ""):
        raise refused("feed_connect", text, "one machine's address")


def _check_pair(settings: Struct, one: str, other: str, purpose: str) -> None:
    for given, missing in ((one, other), (other, one)):
        path = getattr(settings, given)
        if path and not getattr(settings, missing):
            raise refused(given, curve.shown(path), f"enough for {purpose}: set {PREFIX}{missing.upper()}, too")


def _check_who_may_read(settings: "ApiSettings") -> None:
    _check_pair(settings, "api_tls_cert", "api_tls_key", "HTTPS")
    is_open = not settings.api_token_file and not settings.api_allow_anonymous
    if is_open and not endpoint.is_loopback(settings.api_address):
        expected = (
            f"on loopback: set {PREFIX}API_TOKEN_FILE to let in who has a token, or {PREFIX}API_ALLOW_ANONYMOUS=true "
            "to let whoever reaches it read"
        )
        raise refused("api_address", settings.api_address, expected)


def _address(name: str, text: str) -> str | None:
    try:
        return endpoint.address(text)
    except ValueError:
        raise refused(name, text, "an endpoint of the form tcp://ADDRESS:PORT or ipc:///PATH") from None
