"""One line for a request and what came of it. Its token is never in it, wherever it stood."""

import logging
from http import HTTPStatus

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
        _told(exchange.start.path, exchange.status),
        exchange.status,
        exchange.sent_bytes,
        exchange.took_seconds,
    )


def _told(target: str, status: int) -> str:
    """Return of a target what may be told: no query that was refused, for that is where a token stands that somebody
    has put into the address."""
    is_refused = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return (target.partition("?")[0] if is_refused else target)[:_LONGEST_TARGET]
