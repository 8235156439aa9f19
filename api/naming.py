"""What a request says of the host that it means, and of what it wants there: checked as RFC 9112 section 3.2 has it.

Tornado checks the host in its routing, which our requests do not pass.
"""

import re
from collections.abc import Mapping

from api.answer import Refusal, refusal
from api.remembered import remembered
from common.endpoint import is_loopback

_NAME = r"[A-Za-z0-9._~!$&'()*+;=:%\[\]-]"  # RFC 9110 section 7.2; a comma is two Host headers
_HOST = re.compile(rf"{_NAME}*")
_ABSOLUTE = re.compile(rf"https?://({_NAME}+)([/?].*)?", re.IGNORECASE)
_NOT_LOCAL = (
    "this API listens on loopback only, and so answers only who asks it by a name of loopback: localhost, 127.0.0.1 or "
    "[::1]"
)


def wanted_target(path: str, version: str, headers: Mapping[str, str], *, is_local: bool) -> str:
    """Return the path and query that a request wants, `is_local` when only names of loopback may be used.

    Raises:
        Refusal: there is no Host header, or none that can be, or one that a request to loopback cannot have.
    """
    host = headers.get("Host", "" if version == "HTTP/1.0" else None)
    if host is None or not _is_host(host):
        raise Refusal(refusal(400, "bad_host", "the request needs one valid Host header"))
    if path[:1] != "/" and (absolute := _ABSOLUTE.fullmatch(path)):
        # RFC 9112 section 3.2.2: what the target says of the host takes the header's place.
        host, path = absolute[1], f"/{(absolute[2] or '').removeprefix('/')}"
    if is_local and not _is_local_host(host):
        raise Refusal(refusal(400, "bad_host", _NOT_LOCAL))
    return path


@remembered
def _is_host(host: str) -> bool:
    return bool(_HOST.fullmatch(host))


@remembered
def _is_local_host(host: str) -> bool:
    """Return whether a Host names this machine's loopback, or nothing; a name that somebody's DNS points at us (DNS
    rebinding: a web page that asks us in its reader's name) does not."""
    name = re.sub(r":[0-9]*$", "", host.lower()).removesuffix(".")
    return name in ("", "localhost") or name.endswith(".localhost") or is_loopback(name)
