"""What is loaded again, when, and what the log says of it."""

import asyncio
import logging
import os
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from api.tokens import Tokens
from common.reloading import CONCERN_SECONDS, Reloading
from common.settings import SettingsError

NEVER = 0.0


class Note:
    """Watches one file with one word in it; `bad` is refused."""

    def __init__(self, path: Path) -> None:
        self.files: Sequence[str] = (str(path),)
        self.word = path.read_text()
        self.loads = 0
        self.worry = ""
        self.asked_at: list[float] = []
        self.on_load: Callable[[], None] = lambda: None

    def load(self) -> str:
        self.loads += 1
        self.on_load()
        try:
            word = Path(self.files[0]).read_text()
        except OSError:
            raise SettingsError("no note") from None
        if word == "bad":
            raise SettingsError("a bad note")
        before, self.word = self.word, word
        return "" if before == word else f"{before} became {word}"

    def concern(self, unix_seconds: float) -> str:
        self.asked_at.append(unix_seconds)
        return self.worry


@pytest.fixture
def note(tmp_path: Path) -> Note:
    return Note(replace(tmp_path / "note", "one"))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return what takes the lines that were logged since it was last asked."""
    caplog.set_level(logging.DEBUG, "common.reloading")

    def taken() -> list[str]:
        lines = [f"{record.levelname} {record.getMessage()}" for record in caplog.records]
        caplog.clear()
        return lines

    return taken


def replace(path: Path, text: str) -> Path:
    """Put another file in a file's place, as careful programs do."""
    new = path.with_name(f"{path.name}.new")
    new.touch(mode=0o600)
    new.write_text(text)
    return new.replace(path)


def looking(*watched: Note | Tokens) -> Reloading:
    """Return what has already looked, twice."""
    reloading = Reloading(watched, lambda: NEVER)
    reloading.look()
    reloading.look()
    return reloading


def test_what_changed_between_the_start_and_the_first_look_is_not_missed(
    note: Note, tmp_path: Path, log: Callable[[], list[str]]
) -> None:
    replace(tmp_path / "note", "two")
    looking(note)
    assert note.word == "two"
    assert log() == [f"INFO loaded {tmp_path / 'note'} again: one became two"]


def test_what_has_not_changed_is_not_loaded_again(note: Note, log: Callable[[], list[str]]) -> None:
    reloading = looking(note)
    assert note.loads == 1
    reloading.look()
    assert note.loads == 1
    assert log() == []


def test_a_change_is_loaded_when_it_has_been_there_for_two_looks(note: Note, tmp_path: Path) -> None:
    reloading = looking(note)
    for unfinished in ("t", "tw", "two"):
        (tmp_path / "note").write_text(unfinished)
        reloading.look()
        assert note.word == "one"
    reloading.look()
    assert note.word == "two"


def test_another_file_of_the_same_size_and_time_is_a_change(note: Note, tmp_path: Path) -> None:
    path = tmp_path / "note"
    os.utime(path, ns=(1, 1))
    reloading = looking(note)
    os.utime(replace(path, "two"), ns=(1, 1))
    reloading.look()
    reloading.look()
    assert note.word == "two"


def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    for day in ("one", "two"):
        (tmp_path / day).mkdir()
        replace(tmp_path / day / "note", day)
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "note").symlink_to("data/note")
    note = Note(tmp_path / "note")
    reloading = looking(note)
    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").replace(tmp_path / "data")
    reloading.look()
    reloading.look()
    assert note.word == "two"


def test_bad_content_is_said_once_and_leaves_the_former_in_force(
    note: Note, tmp_path: Path, log: Callable[[], list[str]]
) -> None:
    reloading = looking(note)
    replace(tmp_path / "note", "bad")
    for _ in range(4):
        reloading.look()
    assert note.word == "one"
    assert log() == ["ERROR a bad note; what was loaded before stays in force"]
    replace(tmp_path / "note", "two")
    reloading.look()
    reloading.look()
    assert note.word == "two"


def test_what_is_good_again_without_a_change_is_said_once(
    note: Note, tmp_path: Path, log: Callable[[], list[str]]
) -> None:
    note.files = (note.files[0], str(tmp_path / "another"))
    reloading = looking(note)
    for word in ("bad", "one", "one"):
        replace(tmp_path / "note", word)
        reloading.load()
    assert log() == [
        "ERROR a bad note; what was loaded before stays in force",
        f"INFO loaded {tmp_path / 'note'} and {tmp_path / 'another'} again: as it was before",
    ]


def test_a_file_that_is_gone_is_said_once_and_loaded_when_it_is_back(
    note: Note, tmp_path: Path, log: Callable[[], list[str]]
) -> None:
    reloading = looking(note)
    (tmp_path / "note").unlink()
    for _ in range(4):
        reloading.look()
    assert log() == ["ERROR no note; what was loaded before stays in force"]
    replace(tmp_path / "note", "two")
    reloading.look()
    reloading.look()
    assert note.word == "two"


def test_what_is_loaded_without_a_change_of_content_is_not_logged(
    note: Note, tmp_path: Path, log: Callable[[], list[str]]
) -> None:
    reloading = looking(note)
    replace(tmp_path / "note", "one")
    reloading.look()
    reloading.look()
    reloading.load()
    assert note.loads == 3
    assert log() == []


def test_what_changes_while_it_is_loaded_is_loaded_again(note: Note, tmp_path: Path) -> None:
    reloading = looking(note)
    writes = iter(["three"])

    def write_meanwhile() -> None:
        for word in writes:
            replace(tmp_path / "note", word)

    note.on_load = write_meanwhile
    replace(tmp_path / "note", "two")
    for _ in range(4):
        reloading.look()
    assert note.loads == 3
    assert note.word == "three"


def test_one_that_cannot_be_loaded_keeps_none_of_the_others(note: Note, tmp_path: Path) -> None:
    other = Note(replace(tmp_path / "other", "one"))
    reloading = looking(note, other)
    replace(tmp_path / "note", "bad")
    replace(tmp_path / "other", "two")
    reloading.look()
    reloading.look()
    assert (note.word, other.word) == ("one", "two")


def test_holders_are_logged_by_name_and_never_their_tokens(tmp_path: Path, log: Callable[[], list[str]]) -> None:
    path = replace(tmp_path / "tokens", "alice alices-token-0123456789\n")
    reloading = looking(Tokens(str(path)))
    replace(path, "bob bobs-token-0123456789\n")
    reloading.load()
    replace(path, "bob bobs-token-0123456789\ncarol alices-token\n")
    reloading.load()
    added, refused = log()
    assert added == f"INFO loaded {path} again: added bob; removed alice"
    assert "line 2 has a token that is not" in refused
    assert not re.search("0123|alices|bobs", added + refused)


def test_a_file_that_is_kept_from_others_at_last_is_loaded(tmp_path: Path) -> None:
    path = replace(tmp_path / "tokens", "alice alices-token-0123456789\n")
    tokens = Tokens(str(path))
    reloading = looking(tokens)
    replace(path, "bob bobs-token-0123456789\n").chmod(0o644)
    reloading.look()
    reloading.look()
    assert tokens.holder_of("Bearer bobs-token-0123456789") is None
    path.chmod(0o600)
    reloading.look()
    reloading.look()
    assert tokens.holder_of("Bearer bobs-token-0123456789") is not None


def test_a_concern_is_said_once_a_day_and_another_at_once(note: Note, log: Callable[[], list[str]]) -> None:
    now = 1e9
    reloading = Reloading([note], lambda: now)
    said = []
    for worry, after in (
        ("soon", 0),
        ("soon", 1),
        ("soon", CONCERN_SECONDS - 1),
        ("", 1),
        ("now", 1),
        ("now", 1),
    ):
        note.worry = worry
        now += after
        reloading.look()
        said.append(log())
    assert said == [["WARNING soon"], [], ["WARNING soon"], [], ["WARNING now"], []]
    assert (note.asked_at[0], note.asked_at[-1]) == (1e9, now)


def test_a_hangup_loads_at_once(note: Note, tmp_path: Path) -> None:
    async def serve() -> None:
        serving = asyncio.create_task(Reloading([note], lambda: NEVER).serve())
        loaded = asyncio.Event()
        note.on_load = loaded.set
        await asyncio.sleep(0)
        replace(tmp_path / "note", "two")
        os.kill(os.getpid(), signal.SIGHUP)
        await loaded.wait()
        serving.cancel()
        await asyncio.wait({serving})

    asyncio.run(serve())
    assert note.word == "two"
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


def test_a_hangup_does_not_end_who_watches_nothing() -> None:
    async def serve() -> bool:
        serving = asyncio.create_task(Reloading([], lambda: NEVER).serve())
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)
        still = not serving.done()
        serving.cancel()
        await asyncio.wait({serving})
        return still

    assert asyncio.run(serve())


def test_a_hangup_is_left_to_who_handles_it_already() -> None:
    async def serve() -> None:
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, told.set)
        serving = asyncio.create_task(Reloading([], lambda: NEVER).serve())
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGHUP)
        await told.wait()
        serving.cancel()
        await asyncio.wait({serving})
        assert callable(signal.getsignal(signal.SIGHUP))
        loop.remove_signal_handler(signal.SIGHUP)

    asyncio.run(serve())
