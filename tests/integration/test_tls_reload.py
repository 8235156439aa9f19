"""HTTPS with real certificates: who is given which, when they change, and what is refused."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from trustme import KeyType

from api import tls
from api.tls import Certificate
from common.settings import SettingsError

CA = trustme.CA()
EXPIRY = datetime(2050, 1, 2, 3, 4, 5, tzinfo=UTC)
DAY_SECONDS = 86400


class Files:
    """A certificate's file and its key's."""

    def __init__(self, place: Path) -> None:
        self.cert, self.key = place / "cert.pem", place / "key.pem"

    def load(self) -> Certificate:
        return Certificate(str(self.cert), str(self.key))

    def write(self, leaf: trustme.LeafCert) -> bytes:
        """Write both, and return the certificate as a client is told it."""
        chain = leaf.cert_chain_pems[0].bytes()
        self.cert.write_bytes(chain)
        self.key.touch(mode=0o600)
        self.key.write_bytes(leaf.private_key_pem.bytes())
        return ssl.PEM_cert_to_DER_cert(chain.decode())


class Client:
    """One connection to a server that says again what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._tls: ssl.SSLObject = writer.get_extra_info("ssl_object")

    @property
    def certificate(self) -> bytes | None:
        return self._tls.getpeercert(binary_form=True)

    @property
    def protocols(self) -> tuple[str | None, str | None]:
        return self._tls.version(), self._tls.selected_alpn_protocol()

    async def is_answered(self) -> bool:
        self._writer.write(b"hello\n")
        return await self._reader.readline() == b"hello\n"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def issued(kind: KeyType = KeyType.ECDSA) -> trustme.LeafCert:
    return CA.issue_cert("localhost", key_type=kind, not_after=EXPIRY)


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    CA.configure_trust(context)
    return context


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
    writer.close()
    await writer.wait_closed()


@contextlib.asynccontextmanager
async def served(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Serve on a port of its own, and give the port."""
    server = await asyncio.start_server(_echo, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def connected(port: int, context: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context or trusting(), server_hostname="localhost"
    )
    yield Client(reader, writer)
    writer.close()
    await writer.wait_closed()


def refusal(load: Callable[[], object]) -> str:
    with pytest.raises(SettingsError) as refused:
        load()
    line = str(refused.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("kind", [KeyType.ECDSA, KeyType.RSA])
def test_new_connections_are_given_the_new_certificate_and_open_ones_go_on(files: Files, kind: KeyType) -> None:
    async def play() -> None:
        first = files.write(issued(KeyType.ECDSA))
        certificate = files.load()
        async with served(certificate.context) as port, connected(port) as before:
            second = files.write(issued(kind))
            assert certificate.load() == "another certificate or key, valid until 2050-01-02 03:04:05 UTC"
            async with connected(port) as after:
                assert (before.certificate, after.certificate) == (first, second)
                assert await before.is_answered()
                assert await after.is_answered()

    asyncio.run(play())


def test_a_pair_that_does_not_match_leaves_the_former_in_force(files: Files) -> None:
    async def play() -> None:
        first = files.write(issued())
        certificate = files.load()
        files.cert.write_bytes(issued().cert_chain_pems[0].bytes())
        assert "is not the key of the certificate in" in refusal(certificate.load)
        async with served(certificate.context) as port, connected(port) as client:
            assert client.certificate == first
            assert await client.is_answered()

    asyncio.run(play())


def test_a_client_that_names_no_server_is_given_the_certificate_too(files: Files) -> None:
    async def play() -> None:
        files.write(issued())
        certificate = files.load()
        second = files.write(issued())
        certificate.load()
        context = trusting()
        context.check_hostname = False
        async with served(certificate.context) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="")
            assert Client(reader, writer).certificate == second
            writer.close()
            await writer.wait_closed()

    asyncio.run(play())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_http_1_1_is_spoken_over_tls_1_2_and_1_3(files: Files, version: ssl.TLSVersion) -> None:
    async def play() -> tuple[str | None, str | None]:
        context = trusting()
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
        async with served(files.load().context) as port, connected(port, context) as client:
            return client.protocols

    files.write(issued())
    assert asyncio.run(play()) == (version.name.replace("_", "."), "http/1.1")


def test_nothing_older_than_tls_1_2_is_spoken(files: Files) -> None:
    files.write(issued())
    assert files.load().context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_chain_is_served_whole(files: Files) -> None:
    async def play() -> bool:
        async with served(files.load().context) as port, connected(port) as client:
            return await client.is_answered()

    intermediate = CA.create_child_ca()
    leaf = intermediate.issue_cert("localhost")
    files.write(leaf)
    files.cert.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    assert asyncio.run(play())


def test_the_same_pair_loaded_again_is_no_change(files: Files) -> None:
    files.write(issued())
    assert files.load().load() == ""


def test_one_file_may_hold_both(files: Files) -> None:
    leaf = issued()
    files.key.touch(mode=0o600)
    files.key.write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
    Certificate(str(files.key), str(files.key))


def test_a_key_that_others_may_read_is_refused(files: Files) -> None:
    files.write(issued())
    files.key.chmod(0o644)
    line = refusal(files.load)
    assert line.startswith("GPU_METRICS_API_TLS_KEY (--api-tls-key): ")
    assert "chmod 600" in line


def test_an_encrypted_key_is_refused_and_nobody_asked_for_its_password(files: Files) -> None:
    leaf = issued()
    files.write(leaf)
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    sealed = BestAvailableEncryption(b"xyzzy")
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))
    assert "is not an unencrypted key" in refusal(files.load)


@pytest.mark.parametrize("garbage", [b"", b"\0\xff", b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_or_no_key_is_refused_by_name(files: Files, garbage: bytes) -> None:
    files.write(issued())
    whole = files.cert.read_bytes()
    files.cert.write_bytes(garbage)
    assert refusal(files.load) == (
        f"GPU_METRICS_API_TLS_CERT (--api-tls-cert): {str(files.cert)!r} is not a certificate in PEM form"
    )
    files.cert.write_bytes(whole)
    files.key.write_bytes(garbage)
    assert refusal(files.load) == (
        f"GPU_METRICS_API_TLS_KEY (--api-tls-key): {str(files.key)!r} is not a private key in PEM form"
    )


def test_a_file_that_is_missing_is_refused_by_name(files: Files) -> None:
    files.write(issued())
    files.cert.unlink()
    assert refusal(files.load).startswith("GPU_METRICS_API_TLS_CERT (--api-tls-cert): ")
    files.write(issued())
    files.key.unlink()
    assert refusal(files.load).startswith("GPU_METRICS_API_TLS_KEY (--api-tls-key): ")


def test_the_key_of_another_kind_is_refused(files: Files) -> None:
    files.write(issued(KeyType.ECDSA))
    files.key.write_bytes(issued(KeyType.RSA).private_key_pem.bytes())
    assert f"is not the key of the certificate in {str(files.cert)!r}" in refusal(files.load)


def test_the_operator_is_told_when_a_certificate_expires_soon(files: Files) -> None:
    files.write(issued())
    certificate = files.load()
    expiry = EXPIRY.timestamp()
    assert certificate.expires_at == expiry
    assert certificate.concern(expiry - tls.EXPIRING_DAYS * DAY_SECONDS) == ""
    concern = certificate.concern(expiry - tls.EXPIRING_DAYS * DAY_SECONDS + 1)
    assert concern == f"the certificate {files.cert} is valid until 2050-01-02 03:04:05 UTC"


def test_an_expired_certificate_is_served_and_the_operator_told(files: Files) -> None:
    yesterday = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    files.write(CA.issue_cert("localhost", not_before=yesterday - timedelta(days=90), not_after=yesterday))
    certificate = files.load()
    assert certificate.expires_at == yesterday.timestamp()
    concern = certificate.concern(yesterday.timestamp() + DAY_SECONDS)
    assert concern.startswith(f"clients refuse the certificate {files.cert}: it has expired, being valid until ")
    assert certificate.days_left(yesterday.timestamp() + DAY_SECONDS) == -1
    assert certificate.names == ("localhost",)


def test_the_operator_is_told_of_a_certificate_that_is_no_server_s(files: Files) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, EXPIRY - timedelta(days=90), EXPIRY)
    for_clients = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    files.cert.write_bytes(for_clients.sign(key, SHA256()).public_bytes(Encoding.PEM))
    files.key.touch(mode=0o600)
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate = files.load()
    assert certificate.expires_at is None
    assert certificate.concern(0) == (
        f"clients may refuse the certificate {files.cert}: it does not verify as a server's"
    )
