"""One line for a request and what came of it. Its token is never in it."""

import logging

from api.exchange import Exchange

_log = logging.getLogger(__name__)

_LONGEST_TARGET = 500


def log(exchange: Exchange, holder: str) -> None:
    """Log client, holder of the token, method, target, status, bytes, and the time that we took."""
    _log.info(
        "%s %s %s %r %d %d bytes %.3f s",
        exchange.client,
        holder,
        exchange.start.method,
        exchange.start.path[:_LONGEST_TARGET],
        exchange.status,
        exchange.sent_bytes,
        exchange.took_seconds,
    )
