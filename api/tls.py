"""HTTPS: the certificate and key that new connections are given, which may change while others are open.

Nothing here knows HTTP or opens a socket. A server keeps one context for ever; each handshake is handed on to the
context of the pair that was loaded last. To load a pair into the context that is in use would not do: OpenSSL keeps
one pair for each kind of key, so that after a change from an elliptic key to an RSA one it goes on offering the former.
"""

import contextlib
import hashlib
import ssl
from datetime import UTC, datetime
from typing import Any, NamedTuple

from common import named_file
from common.settings import SettingsError
from common.wording import refused

CERT_SETTING, KEY_SETTING = "api_tls_cert", "api_tls_key"

EXPIRING_DAYS = 14
"""So many days before its certificate expires, the operator is told."""

_DAY_SECONDS = 86400
_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)  # OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which `ssl` has no name
_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


class _Told(NamedTuple):
    """What a client is told of a certificate: until when it is valid, in Unix seconds, and for which names."""

    expires_at: float
    names: tuple[str, ...]


class _Pair(NamedTuple):
    digest: bytes
    context: ssl.SSLContext
    told: _Told | None


class Certificate:
    """A certificate with its key, as they were when they were loaded last; `context` is the server's."""

    def __init__(self, cert: str, key: str) -> None:
        """Raises SettingsError: a file cannot be had, the key is not kept from others, or they are no such pair."""
        self.files = (cert, key)
        self._cert, self._key = cert, key
        self._pair = _load(cert, key)
        self.context = _server_context()
        self.context.sni_callback = self._hand_on

    @property
    def expires_at(self) -> float | None:
        """Until when the certificate is valid, in Unix seconds; None: it is none that a client would take."""
        return self._pair.told and self._pair.told.expires_at

    @property
    def names(self) -> tuple[str, ...]:
        """The names and addresses that the certificate is for; empty if it is none that a client would take."""
        return self._pair.told.names if self._pair.told else ()

    def load(self) -> str:
        """Read the files again; return in words what new connections are given from now on, empty if it is the same.

        Raises:
            SettingsError: as when they were first read; the former pair stays.
        """
        before, self._pair = self._pair, _load(self._cert, self._key)
        if self._pair.digest == before.digest:
            return ""
        return f"another certificate or key, {validity(self.expires_at)}"

    def concern(self, unix_seconds: float) -> str:
        """Return what the operator should be told today: that clients will soon refuse the certificate, or do."""
        if self.expires_at is None:
            return f"clients may refuse the certificate {self._cert}: it does not verify as a server's"
        if self.days_left(unix_seconds) < 0:
            return f"clients refuse the certificate {self._cert}: it has expired, being {validity(self.expires_at)}"
        if self.days_left(unix_seconds) < EXPIRING_DAYS:
            return f"the certificate {self._cert} is {validity(self.expires_at)}"
        return ""

    def days_left(self, unix_seconds: float) -> float:
        """Return for how many days more the certificate is valid, below 0 if it has expired."""
        return ((self.expires_at or unix_seconds) - unix_seconds) / _DAY_SECONDS

    def _hand_on(self, connection: ssl.SSLObject, _server_name: str | None, _context: ssl.SSLContext) -> None:
        # Called after every ClientHello, with a server's name in it or without.
        connection.context = self._pair.context


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client that renegotiates costs much more than it pays.
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(cert: str, key: str) -> _Pair:
    content = [named_file.read(CERT_SETTING, cert), named_file.read_secret(KEY_SETTING, key)]
    context = _server_context()
    try:
        # OpenSSL opens them once more. Who may put others there meanwhile might as well have done it before.
        context.load_cert_chain(cert, key, password=lambda: _ask_nobody(key))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise _refused(cert, key, error) from None
    digests = b"".join(hashlib.sha256(each).digest() for each in content)
    return _Pair(digests, context, _told(context, cert))


def _ask_nobody(key: str) -> str:
    # OpenSSL would ask on the terminal, and wait.
    raise refused(KEY_SETTING, key, "an unencrypted key; the file's mode keeps it from others")


def _refused(cert: str, key: str, error: Exception) -> SettingsError:
    """Return which of the two files is wrong: OpenSSL's error names none."""
    reason = getattr(error, "reason", None)
    if reason in _MISMATCHES:
        return refused(KEY_SETTING, key, f"the key of the certificate in {cert!r}")
    if reason:
        return refused(CERT_SETTING, cert, f"a certificate that can be used: {reason.replace('_', ' ').lower()}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cert)
    except OSError:
        return refused(CERT_SETTING, cert, "a certificate in PEM form")
    return refused(KEY_SETTING, key, "a private key in PEM form")


def _told(server: ssl.SSLContext, cert: str) -> _Told | None:
    """Return what a client is told of a certificate. Only one that verifies it is, so there is one, in memory."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    try:
        client.load_verify_locations(cert)
        told = _certificate_told(client, server)
        expires_at = float(ssl.cert_time_to_seconds(str(told["notAfter"])))
    except (ssl.SSLError, ValueError):
        return None
    return _Told(expires_at, tuple(str(name) for _, name in told.get("subjectAltName", ())))


def _certificate_told(client: ssl.SSLContext, server: ssl.SSLContext) -> dict[str, Any]:
    """Shake hands in memory, and return what the client is told. Raises ssl.SSLError: one of them refuses."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    # TLS 1.2 takes three rounds, TLS 1.3 less; who has done is not bothered by being asked again.
    for end in (asking, answering) * 3:
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return dict(asking.getpeercert() or {})


def validity(expires_at: float | None) -> str:
    """Return until when something is valid, in words."""
    if expires_at is None:
        return "of unknown validity"
    return f"valid until {datetime.fromtimestamp(expires_at, UTC):%Y-%m-%d %H:%M:%S} UTC"
