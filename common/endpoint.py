"""Endpoints, addresses and origins as an operator writes them: what they name, and what can be none."""

import ipaddress
import re

_LABEL = r"[A-Za-z0-9][A-Za-z0-9_-]*"
_TCP = re.compile(rf"tcp://(\[[0-9A-Fa-f:.]+\]|\*|{_LABEL}(?:\.{_LABEL})*\.?):([0-9]{{1,5}})")
_IPC = re.compile(r"ipc:///.+")
_ORIGIN = re.compile(rf"(https?)://(\[[0-9a-f:.]+\]|{_LABEL}(?:\.{_LABEL})*\.?)(?::([1-9][0-9]{{0,4}}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_MOST_PATH_BYTES = 107  # what a Unix socket's address can hold


def address(endpoint: str) -> str | None:
    """Return the address in `tcp://ADDRESS:PORT`, None for `ipc:///PATH`.

    Raises:
        ValueError: it is neither, or names what cannot be: a port beyond 65535, half an address, too long a path.
    """
    tcp = _TCP.fullmatch(endpoint)
    if tcp and (_is_name(tcp[1]) or _ip(tcp[1])) and 1 <= int(tcp[2]) < 2**16:
        return tcp[1]
    # A path that is no UTF-8 is not printable.
    is_path = endpoint.isprintable() and _IPC.fullmatch(endpoint)
    if is_path and len(endpoint.encode()) <= len("ipc://") + _MOST_PATH_BYTES:
        return None
    raise ValueError(endpoint)


def is_loopback(address: str) -> bool:
    """Return whether an IP address, or the name `localhost`, is this machine's own."""
    try:
        return address == "localhost" or ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def is_address(text: str) -> bool:
    """Return whether a text is an IP address by itself, without brackets, as one listens on."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    # What stands behind a % may be anything for `ipaddress`.
    return text.isprintable()


def is_ip(address: str) -> bool:
    """Return whether an endpoint's address is a number, not a name to be looked up."""
    return _ip(address) is not None


def is_unspecified(address: str) -> bool:
    """Return whether an endpoint's address means all of a machine's own, which nobody can connect to."""
    ip = _ip(address)
    return address == "*" or (ip is not None and ip.is_unspecified)


def nearby(endpoint: str) -> str:
    """Return where this machine itself reaches what is bound to an endpoint."""
    bound = address(endpoint)
    return endpoint if bound is None else endpoint.replace(bound, near(bound), 1)


def near(address: str) -> str:
    """Return the address by which this machine itself reaches what is bound to one, which may mean all of its own."""
    return address if not is_unspecified(address) else "[::1]" if address.startswith("[") else "127.0.0.1"


def is_origin(text: str) -> bool:
    """Return whether a text is a web page's origin as browsers write it (RFC 6454 section 6.2): lower case, without
    the scheme's own port; what is written otherwise never equals what they send."""
    found = _ORIGIN.fullmatch(text)
    if not found or not text.islower():
        return False
    scheme, host, port = found.groups()
    ip = _ip(host)
    is_host = _is_name(host) or (ip is not None and str(ip) == host.strip("[]"))
    return is_host and port != _DEFAULT_PORTS[scheme] and int(port or 1) < 2**16


def _is_name(address: str) -> bool:
    return not re.fullmatch(r"\[.*|[0-9.]+", address)


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an endpoint's IP address, of version 6 in brackets; None: it is none."""
    try:
        return ipaddress.IPv6Address(address[1:-1]) if address.startswith("[") else ipaddress.IPv4Address(address)
    except ValueError:
        return None
