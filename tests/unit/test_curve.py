"""CURVE keys: how they are written, where they are kept, who makes them, and whom they let in."""

import logging
import os
import resource
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq
from zmq.utils import z85

from collector import gate as gate_module
from collector import keys
from collector.gate import Gate
from common import curve
from common.seldom import SELDOM_SECONDS
from common.wording import SettingsError
from tests.fakes import Clock

PUBLIC, SECRET = zmq.curve_keypair()
OTHER, _ = zmq.curve_keypair()


def refusal(read: Callable[..., object], *arguments: str) -> str:
    with pytest.raises(SettingsError) as refused:
        read(*arguments)
    line = str(refused.value)
    assert "\n" not in line
    assert SECRET.decode() not in line
    return line


def request(key: bytes, mechanism: bytes = b"CURVE", version: bytes = b"1.0") -> list[bytes]:
    return [version, b"7", b"feed", b"192.0.2.1", b"", mechanism, z85.decode(key)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed" / "api-1.public").write_bytes(PUBLIC + b"\n")
    (tmp_path / "allowed" / "README").write_text("not a key")
    return tmp_path / "allowed"


def test_a_key_is_40_characters_that_stand_for_32_bytes() -> None:
    assert curve.key(PUBLIC.decode()) == PUBLIC
    assert curve.text(z85.decode(PUBLIC)) == PUBLIC.decode()
    assert z85.decode(curve.key("%nSc0" * 8) or b"") == b"\xff" * 32


@pytest.mark.parametrize(
    "text", ["", "a" * 39, "a" * 41, "a" * 39 + '"', "a" * 39 + " ", "#" * 40, "\u00e9" * 40, "%nSc1" * 8]
)
def test_what_cannot_be_a_key_is_none(text: str) -> None:
    assert curve.key(text) is None


def test_keys_are_made_once_the_secret_for_its_owner_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.umask(before := os.umask(0o077))
    assert keys.main(["node-1", "--directory", str(tmp_path)]) == 0
    os.umask(before)
    secret, public = tmp_path / "node-1.secret", tmp_path / "node-1.public"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (secret, public)] == [0o600, 0o644]
    made = curve.read_secret("feed_secret_key", str(secret))
    assert zmq.curve_public(made) == curve.read_public("feed_server_key", str(public))
    assert made.decode() not in capsys.readouterr().out
    assert keys.main(["node-1", "--directory", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{secret}: is there already; no key there was changed\n"
    assert curve.read_secret("feed_secret_key", str(secret)) == made


def test_where_one_half_cannot_be_made_there_is_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.public").write_bytes(PUBLIC)
    assert keys.main(["a", "--directory", str(tmp_path)]) == 1
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))  # as a disk that is nearly full
    try:
        assert keys.main(["b", "--directory", str(tmp_path)]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert capsys.readouterr().err == (
        f"{tmp_path}/a.public: is there already; no key there was changed\n"
        f"{tmp_path}/b.secret: File too large; no key there was changed\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.public"]


def test_a_place_where_no_key_can_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keys.main(["a", "--directory", str(tmp_path / "none")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", ".."])
def test_a_key_s_name_is_that_of_a_file(name: str) -> None:
    with pytest.raises(SystemExit):
        keys.main([name])


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.secret"
    path.write_bytes(SECRET)
    path.chmod(0o644)
    assert "chmod 600" in refusal(curve.read_secret, "feed_secret_key", str(path))


@pytest.mark.parametrize("content", [b"", b"short", PUBLIC + b"\n" + PUBLIC, b"\xff" * 40])
def test_a_file_without_a_key_is_refused_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.secret"
    path.write_bytes(content)
    path.chmod(0o600)
    line = refusal(curve.read_secret, "feed_secret_key", str(path))
    assert line.startswith(
        f"GPU_METRICS_FEED_SECRET_KEY (--feed-secret-key): {str(path)!r} is not a file of one secret"
    )


def test_a_secret_key_in_place_of_its_file_is_refused_and_not_quoted() -> None:
    assert refusal(curve.read_secret, "feed_client_key", SECRET.decode()) == (
        "GPU_METRICS_FEED_CLIENT_KEY (--feed-client-key): '...' is not the path of a file; the secret key itself does "
        "not belong into a setting"
    )


def test_a_path_that_could_be_a_key_by_its_letters_is_a_path_if_there_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "etc/gpu-metrics".ljust(curve.KEY_CHARACTERS, "x")
    assert curve.key(name)
    path = tmp_path / name
    path.parent.mkdir()
    path.touch(mode=0o600)
    path.write_bytes(SECRET)
    assert curve.read_secret("feed_secret_key", name) == SECRET


def test_a_public_key_is_given_as_text_or_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.public").write_bytes(PUBLIC)
    assert curve.public_key("feed_server_key", PUBLIC.decode()) == PUBLIC
    assert curve.public_key("feed_server_key", f"file:{tmp_path}/a.public") == PUBLIC
    said = "GPU_METRICS_FEED_SERVER_KEY (--feed-server-key): "
    line = refusal(curve.public_key, "feed_server_key", "nonsense")
    assert line.startswith(f"{said}'nonsense' is not a public key of 40")
    path = tmp_path / "b.public"
    assert refusal(curve.public_key, "feed_server_key", f"file:{path}").startswith(f"{said}{str(path)!r} is not ")
    path.write_bytes(b"nonsense")
    line = refusal(curve.public_key, "feed_server_key", f"file:{path}")
    assert line.startswith(f"{said}{str(path)!r} is not a file of one public key, of 40 characters")


def test_who_has_a_key_in_the_directory_is_let_in_and_nobody_else(directory: Path) -> None:
    gate = Gate(str(directory), Clock())
    assert gate.answer(request(PUBLIC)) == [b"1.0", b"7", b"200", b"OK", b"api-1", b""]
    for refused in (request(OTHER), request(PUBLIC, b"NULL"), request(PUBLIC, version=b"2.0"), request(PUBLIC)[:6], []):
        assert gate.answer(refused)[2] == b"400"


def test_who_is_refused_is_told_of_with_the_key_that_would_have_to_be_there(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(str(directory), clock := Clock())
    for clock.now in (0.0, 1.0, SELDOM_SECONDS):
        gate.answer(request(OTHER))
    said = f"refused a subscriber from 192.0.2.1: its public key {OTHER.decode()} is not in {directory}"
    assert [record.getMessage() for record in caplog.records] == [
        f"{said} (0 more since the last such line)",
        f"{said} (1 more since the last such line)",
    ]


def test_a_directory_that_changes_lets_in_others_and_says_who_must_leave(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(str(directory), Clock())
    left: list[bool] = []
    gate.listeners.append(lambda: left.append(True))
    (directory / "api-2.public").write_bytes(OTHER)
    assert len(gate.files) == 3
    assert (gate.load(), left) == ("added api-2", [])
    assert gate.answer(request(OTHER))[2] == b"200"
    (directory / "api-1.public").unlink()
    assert (gate.load(), left) == ("removed api-1", [True])
    assert gate.answer(request(PUBLIC))[2] == b"400"
    (directory / "api-2.public").unlink()
    caplog.set_level(logging.WARNING)
    assert gate.load() == "removed api-2"
    assert "nobody may subscribe" in caplog.text


def test_without_a_directory_or_a_key_in_it_nothing_starts(directory: Path) -> None:
    assert "No such file" in refusal(Gate, str(directory / "none"), "")
    (directory / "api-1.public").rename(directory / "api-1.txt")
    assert "no NAME.public is in it" in refusal(Gate, str(directory), "")


def test_a_directory_that_is_gone_is_watched_until_it_is_back(directory: Path) -> None:
    gate = Gate(str(directory), Clock())
    directory.rename(directory.with_name("away"))
    assert gate.files == (str(directory),)
    assert "No such file" in refusal(gate.load)
    assert gate.answer(request(PUBLIC))[2] == b"200"
    assert gate.concern(0.0) == ""


def test_a_directory_of_too_many_keys_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "MOST_KEYS", 0)
    assert "a directory of at most 0 keys" in refusal(Gate, str(directory), "")


def test_a_file_that_is_no_key_leaves_who_was_let_in_before(directory: Path) -> None:
    gate = Gate(str(directory), Clock())
    (directory / "bad.public").write_text("nonsense")
    assert "bad.public" in refusal(gate.load)
    assert gate.answer(request(PUBLIC))[2] == b"200"
