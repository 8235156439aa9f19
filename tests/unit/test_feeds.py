"""Which feeds are subscribed to: the settings, or a list in a file that may change."""

import asyncio
import resource
import socket
from pathlib import Path
from typing import Any

import pytest
import zmq

from api import feeds, open_files
from api.feeds import Feed, Feeds
from common.settings import ApiSettings, SettingsError, load

PUBLIC, SECRET = zmq.curve_keypair()
OTHER, _ = zmq.curve_keypair()


class Listed:
    """A list of feeds in a file, and the API's key."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "feeds"
        self._key = directory / "api.secret"
        self._key.write_bytes(SECRET)
        self._key.chmod(0o600)

    def write(self, *lines: str) -> None:
        self._path.write_text("\n".join(lines))

    def load(self, *lines: str, **settings: str) -> Feeds:
        self.write(*lines)
        return Feeds(load(ApiSettings, [f"--feed-connect=file:{self._path}"], named(settings)))

    def load_with_key(self, *lines: str, **settings: str) -> Feeds:
        return self.load(*lines, FEED_CLIENT_KEY=str(self._key), **settings)


def named(settings: dict[str, str]) -> dict[str, str]:
    return {f"GPU_METRICS_{name}": value for name, value in settings.items()}


@pytest.fixture
def listed(tmp_path: Path) -> Listed:
    return Listed(tmp_path)


def test_the_feeds_of_the_setting_all_have_the_one_key(listed: Listed) -> None:
    given = {"FEED_CONNECT": "tcp://a:1,tcp://b:1", "FEED_CLIENT_KEY": str(listed._key)}
    found = Feeds(load(ApiSettings, [], named({**given, "FEED_SERVER_KEY": PUBLIC.decode()})))
    assert found.feeds == (Feed("tcp://a:1", PUBLIC), Feed("tcp://b:1", PUBLIC))
    assert (found.secret_key, found.files) == (SECRET, ())


def test_a_list_has_a_feed_in_each_line_and_its_key_where_it_has_one(listed: Listed) -> None:
    found = listed.load_with_key(
        "# ours", "", f"tcp://a:1  {OTHER.decode()}", "  ipc:///b", FEED_SERVER_KEY=PUBLIC.decode()
    )
    assert found.feeds == (Feed("tcp://a:1", OTHER), Feed("ipc:///b", PUBLIC))
    assert listed.load("tcp://a:1").feeds == (Feed("tcp://a:1"),)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("tcp://a", "line 2: its endpoint"),
        ("tcp://a:99999", "line 2: its endpoint"),
        ("tcp://*:1", "line 2: its endpoint"),
        ("tcp://first:1", "line 2: it has the endpoint of line 1"),
        ("tcp://a:1 key", "line 2: behind the endpoint"),
        (f"tcp://a:1 {PUBLIC.decode()} more", "line 2: behind the endpoint"),
        (
            f"tcp://a:1 {PUBLIC.decode()}",
            "line 2: it has a public key, for which GPU_METRICS_FEED_CLIENT_KEY must be set",
        ),
    ],
)
def test_a_line_that_cannot_be_is_named(listed: Listed, line: str, wrong: str) -> None:
    with pytest.raises(SettingsError, match="GPU_METRICS_FEED_CONNECT") as refused:
        listed.load("tcp://first:1", line)
    assert wrong in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff"])
def test_a_file_that_lists_nothing_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "feeds").write_bytes(content)
    with pytest.raises(SettingsError, match="GPU_METRICS_FEED_CONNECT"):
        Feeds(load(ApiSettings, [f"--feed-connect=file:{tmp_path}/feeds"], {}))


def test_who_comes_and_goes_is_told_and_what_cannot_be_loaded_changes_nothing(listed: Listed) -> None:
    found = listed.load("tcp://a:1", "tcp://b:1")
    told: list[tuple[Feed, ...]] = []
    found.listeners.append(told.append)
    assert (found.load(), told) == ("", [])
    listed.write("tcp://b:1", "tcp://c:1", "tcp://d:1")
    assert found.load() == "2 feeds are new, 1 are gone, 3 there are"
    assert told == [found.feeds]
    listed.write("nonsense")
    with pytest.raises(SettingsError):
        found.load()
    assert found.endpoints == ("tcp://b:1", "tcp://c:1", "tcp://d:1")


def test_a_list_may_be_as_long_as_files_may_be_open(listed: Listed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_files, "allow", lambda _wanted: 1100)
    assert len(listed.load(*(f"tcp://a:{port}" for port in range(1, 126))).feeds) == 125
    with pytest.raises(SettingsError, match=r"the limit of open files, 1100; 126 feeds need 1108 \(ulimit -n\)"):
        listed.load(*(f"tcp://a:{port}" for port in range(1, 127)))
    monkeypatch.setattr(feeds, "MOST_FEEDS", 2)
    with pytest.raises(SettingsError, match="1 to 2 endpoints"):
        listed.load("tcp://a:1", "tcp://a:2", "tcp://a:3")


def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(100, 500)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))
    assert [open_files.allow(wanted) for wanted in (100, 200, 600)] == [100, 200, 500]
    assert limits == [(100, 500), (200, 500), (500, 500)]


@pytest.mark.parametrize(("code", "is_refused"), [(socket.EAI_NONAME, True), (socket.EAI_AGAIN, False)])
def test_a_name_that_is_not_known_is_refused_and_one_that_cannot_be_asked_for_is_not(
    monkeypatch: pytest.MonkeyPatch, code: int, *, is_refused: bool
) -> None:
    def answer(name: str, *_: Any, **__: Any) -> list[Any]:
        assert name == "node-1.example"
        raise socket.gaierror(code, "said the resolver")

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    given = {"FEED_CONNECT": "tcp://127.0.0.1:1,tcp://[::1]:1,ipc:///a,tcp://node-1.example:1"}
    found = Feeds(load(ApiSettings, [], named(given)))
    if not is_refused:
        asyncio.run(found.check_names())
        return
    with pytest.raises(SettingsError, match=r"'tcp://node-1\.example:1' is not an endpoint whose name is known"):
        asyncio.run(found.check_names())
