"""`python -m api --check`, with real collectors, certificates and sockets."""

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
import zmq

from tests.checked import Checked, check, documented
from tests.ports import free_port
from tests.processes import Process, Service, Start, eventually
from tests.standin import StandIn

TOKEN = "alice-s-secret-0123456789"  # noqa: S105 -- no secret
CA = trustme.CA()


@pytest.fixture
def collecting(standin: StandIn, tmp_path: Path) -> Iterator[Service]:
    """Return a service of which the collector alone runs."""
    service = Service(standin, tmp_path)
    service.collector.start()
    try:
        eventually(lambda: service.collector.log, lambda log: "source ok" in log)
        yield service
    finally:
        service.collector.kill()


def checked(service: Service, *flags: str) -> Checked:
    return check("api", service.api.settings, "--json", *flags)


def private(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


def certified(place: Path, days: float = 90.1) -> tuple[str, str]:
    """Return the flags of a certificate, which is valid for so many days more, and its key."""
    now = datetime.now(UTC)
    valid = now - timedelta(days=200), now + timedelta(days=days)
    leaf = CA.issue_cert("gpu.example", "127.0.0.1", not_before=valid[0], not_after=valid[1])
    cert, key = place / "cert.pem", private(place / "key.pem", leaf.private_key_pem.bytes())
    cert.write_bytes(leaf.cert_chain_pems[0].bytes())
    return f"--api-tls-cert={cert}", f"--api-tls-key={key}"


def test_where_all_is_well_each_thing_is_a_line_and_the_status_is_0(collecting: Service) -> None:
    told = check("api", collecting.api.settings)
    assert (told.status, told.err) == (0, "")
    lines = told.out.splitlines()
    assert all(line.startswith("ok ") for line in lines)
    report = checked(collecting).report
    whats = ["settings", "versions", "user", "tokens", "certificate", "connections", "address"]
    assert [finding.what for finding in report.findings] == [*whats, f"feed {collecting.feed}"]
    assert len(lines) == len(report.findings)
    assert {"gpu-fleet-manager", "Python", "pyzmq", "libzmq", "tornado", "msgspec"} <= report.versions.keys()


def test_every_line_is_explained_to_operators(collecting: Service, tmp_path: Path) -> None:
    plain = checked(collecting).report.findings
    client, server = private(tmp_path / "a.secret", zmq.curve_keypair()[1]), zmq.curve_keypair()[0].decode()
    keys = f"--feed-client-key={client}", f"--feed-server-key={server}"
    unknown = checked(collecting, *keys, "--feed-connect=file:/nowhere").report.findings
    whats = {re.sub(r"feed t.*", "feed ENDPOINT", finding.what) for finding in (*plain, *unknown)}
    assert whats == documented("The API looks at:")


def test_a_feed_tells_its_host_age_number_and_gpus(collecting: Service) -> None:
    found = checked(collecting).finding(f"feed {collecting.feed}").found
    assert found.startswith("node-1, 0.")
    assert ", 2 GPUs, source ok" in found


def test_a_feed_without_a_driver_is_a_warning(standin: StandIn, collecting: Service) -> None:
    standin.fail("nvmlDeviceGetCount_v2", 9)
    eventually(lambda: collecting.collector.log, lambda log: "source unavailable" in log)
    told = checked(collecting)
    assert told.status == 0
    assert told.finding(f"feed {collecting.feed}").state == "warning"
    assert "NVML_ERROR_DRIVER_NOT_LOADED" in told.finding(f"feed {collecting.feed}").found


def test_the_address_of_an_api_that_runs_is_no_fault(start: Start) -> None:
    service = start()
    service.until_status("ok")
    told = checked(service)
    assert told.status == 0
    assert told.finding("address").found.endswith("is in use by an API, which answers")


def test_the_address_of_an_api_with_https_is_no_fault_either(collecting: Service, tmp_path: Path) -> None:
    flags = (*certified(tmp_path), "--api-address=0.0.0.0", "--api-allow-anonymous=true")
    api = Process("api", collecting.api.settings, tmp_path / "api.log", *flags)
    api.start()
    try:
        eventually(lambda: api.log, lambda log: "listening on https" in log)
        told = checked(collecting, *flags)
        assert told.finding("address").found.endswith("is in use by an API, which answers")
    finally:
        api.kill()


def test_another_program_at_the_address_is_wrong_in_the_words_of_a_start(collecting: Service, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        flag = f"--api-port={other.getsockname()[1]}"
        told = checked(collecting, flag)
        api = Process("api", collecting.api.settings, tmp_path / "second.log", flag)
        api.start()
        assert api.ended() == 1
    assert told.status == 1
    finding = told.finding("address")
    assert api.log.endswith(f" api: {finding.found}: {finding.todo}\n")


def test_tokens_are_counted_and_never_told(collecting: Service, tmp_path: Path) -> None:
    tokens = private(tmp_path / "tokens", f"alice {TOKEN}\nbob {TOKEN}-2\n".encode())
    told = checked(collecting, f"--api-token-file={tokens}")
    assert told.status == 0
    assert told.finding("tokens").found == f"2 in {tokens}, mode 0600"
    assert TOKEN not in told.out


def test_a_token_file_that_others_may_read_is_wrong(collecting: Service, tmp_path: Path) -> None:
    tokens = private(tmp_path / "tokens", f"alice {TOKEN}\n".encode())
    tokens.chmod(0o644)
    told = checked(collecting, f"--api-token-file={tokens}")
    assert told.status == 1
    assert "with mode 0644: chmod 600" in told.finding("tokens").found


def test_a_certificate_is_told_with_its_names_and_its_days(collecting: Service, tmp_path: Path) -> None:
    told = checked(collecting, *certified(tmp_path))
    assert told.status == 0
    found = told.finding("certificate").found
    assert found.startswith("for gpu.example, 127.0.0.1, valid until ")
    assert found.endswith(", 90 days more")


@pytest.mark.parametrize(("days", "state", "status"), [(3, "warning", 0), (-1, "wrong", 1)])
def test_a_certificate_that_expires_soon_is_a_warning_and_one_that_has_is_wrong(
    collecting: Service, tmp_path: Path, days: int, state: str, status: int
) -> None:
    told = checked(collecting, *certified(tmp_path, days))
    assert (told.finding("certificate").state, told.status) == (state, status)


def test_an_expired_certificate_is_said_at_a_start_in_the_same_words(collecting: Service, tmp_path: Path) -> None:
    flags = certified(tmp_path, -1)
    found = checked(collecting, *flags).finding("certificate").found
    api = Process("api", collecting.api.settings, tmp_path / "api.log", *flags)
    api.start()
    try:
        assert found in eventually(lambda: api.log, lambda log: "WARNING" in log)
    finally:
        api.kill()


def test_a_key_of_another_certificate_is_wrong(collecting: Service, tmp_path: Path) -> None:
    flags = certified(tmp_path)
    (tmp_path / "key.pem").write_bytes(CA.issue_cert("gpu.example").private_key_pem.bytes())
    told = checked(collecting, *flags)
    assert told.status == 1
    assert "is not the key of the certificate in" in told.finding("certificate").found


def test_each_feed_is_told_and_one_that_fails_is_wrong(collecting: Service) -> None:
    silent = f"tcp://127.0.0.1:{free_port()}"
    told = checked(collecting, f"--feed-connect={collecting.feed},{silent}")
    assert told.status == 1
    assert told.finding(f"feed {collecting.feed}").state == "ok"
    assert told.finding(f"feed {silent}").found == "refused: nobody listens there, or no way leads there"


def test_who_accepts_and_says_nothing_is_no_collector_and_hangs_no_check(collecting: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        told = checked(collecting, f"--feed-connect={endpoint}")
    assert told.status == 1
    assert told.finding(f"feed {endpoint}").found.startswith("wrong protocol: no collector answers there")


def test_a_collector_that_does_not_know_this_key_is_told_as_such(standin: StandIn, tmp_path: Path) -> None:
    server, client = zmq.curve_keypair(), zmq.curve_keypair()
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "another.public").write_bytes(zmq.curve_keypair()[0])
    given = {
        "feed_secret_key": str(private(tmp_path / "node-1.secret", server[1])),
        "feed_authorized_keys": str(keys),
        "feed_client_key": str(private(tmp_path / "api-1.secret", client[1])),
        "feed_server_key": server[0].decode(),
    }
    service = Service(standin, tmp_path, **given)
    service.collector.start()
    try:
        eventually(lambda: service.collector.log, lambda log: "source ok" in log)
        told = checked(service)
    finally:
        service.collector.kill()
    assert told.status == 1
    assert told.finding(f"feed {service.feed}").found.startswith("rejected: the collector does not know")
    # What has to be carried over to the collector.
    assert client[0].decode() in told.finding("client key").found
    assert client[1].decode() not in told.out
    assert server[1].decode() not in told.out


def test_a_feed_whose_name_nobody_knows_is_wrong(collecting: Service) -> None:
    told = checked(collecting, "--feed-connect=tcp://no-such-name.invalid:8481")
    assert told.status in (0, 1)
    (found,) = (finding for finding in told.report.findings if finding.what.startswith("feed"))
    assert found.state == "wrong"
