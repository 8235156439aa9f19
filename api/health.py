"""Tells whether this machine's service is beyond help: `python -m api.health`, with the settings of the API.

It is for those that restart what is ill, such as Docker's health check. A driver that is away or stuck is no reason:
the collector says so itself, and a restart mends it no sooner.
"""

import http.client
import ipaddress
import os
import ssl
import sys
from collections.abc import Sequence

import msgspec

from common.settings import ApiSettings, SettingsError, load

ANSWER_SECONDS = 3.0
"""How long the API may take for one of the two answers."""

_OF_THE_DRIVER = ("placeholder", "stalled")


class _Error(msgspec.Struct):
    code: str
    message: str


class _NotReady(msgspec.Struct):
    error: _Error


def main(argv: Sequence[str]) -> int:
    """Say in one line how the service is: 0, well, or as well as its driver lets it be; 1, beyond help."""
    try:
        trouble = beyond_help(load(ApiSettings, argv, os.environ))
    except (OSError, http.client.HTTPException, msgspec.MsgspecError, SettingsError) as error:
        trouble = f"{type(error).__name__}: {error}"
    sys.stdout.write(f"{trouble or 'ok'}\n")
    return 1 if trouble else 0


def beyond_help(settings: ApiSettings) -> str:
    """Return why the service needs a restart; empty: it does not.

    Raises:
        OSError, http.client.HTTPException: the API cannot be asked.
        msgspec.MsgspecError: what answers is not the API.
    """
    status, body = _ask(settings, "/healthz")
    if status != http.client.OK:
        return f"/healthz: status {status}"
    status, body = _ask(settings, "/readyz")
    if status == http.client.OK:
        return ""
    error = msgspec.json.decode(body, type=_NotReady).error
    return "" if error.code in _OF_THE_DRIVER else f"/readyz: {error.code}: {error.message}"


def _ask(settings: ApiSettings, target: str) -> tuple[int, bytes]:
    connection = _connection(settings)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _connection(settings: ApiSettings) -> http.client.HTTPConnection:
    address, port = reachable(settings.api_address), settings.api_port
    if not settings.api_tls_cert:
        return http.client.HTTPConnection(address, port, timeout=ANSWER_SECONDS)
    context = ssl.create_default_context()
    # The certificate names the host as others call it, and nothing secret is sent.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(address, port, timeout=ANSWER_SECONDS, context=context)


def reachable(address: str) -> str:
    """Return an address at which this machine reaches an API that listens on `address`."""
    ip = ipaddress.ip_address(address)
    if not ip.is_unspecified:
        return address
    return "127.0.0.1" if ip.version == 4 else "::1"  # noqa: PLR2004 -- IP's version


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
