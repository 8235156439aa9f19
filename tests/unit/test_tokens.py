"""Who may read: what a token file says, and whom a request's `Authorization` names."""

import hmac
import re
import subprocess
from pathlib import Path

import pytest

from api import tokens
from api.tokens import Tokens
from common.settings import SettingsError

ALICE = "alice-s-token-0123456789"
BOB = "bob.s_token~+/0123456789=="
FILE = f"# who may read\n\nalice {ALICE}\n  bob\t {BOB}  \r\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "tokens", FILE)


def write(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def name_of(known: Tokens, authorization: str | None) -> str | None:
    holder = known.holder_of(authorization)
    return holder.name if holder else None


def refusal(path: Path, text: str) -> str:
    with pytest.raises(SettingsError) as refused:
        Tokens(str(write(path, text)))
    line = str(refused.value)
    start = f"GPU_METRICS_API_TOKEN_FILE (--api-token-file): {str(path)!r} is not a list of tokens: "
    assert line.startswith(start)
    return line.removeprefix(start)


def test_a_token_names_its_holder(path: Path) -> None:
    known = Tokens(str(path))
    assert name_of(known, f"Bearer {ALICE}") == "alice"
    assert name_of(known, f"Bearer {BOB}") == "bob"


@pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "bEaReR    "])
def test_the_scheme_is_in_any_case_with_blanks_after_it(path: Path, scheme: str) -> None:
    assert name_of(Tokens(str(path)), scheme + ALICE) == "alice"


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        ALICE,
        f"Bearer{ALICE}",
        f"Bearer\t{ALICE}",
        f" Bearer {ALICE}",
        f"Bearer {ALICE} ",
        f"Bearer {ALICE}\n",
        f"Bearer {ALICE}=",
        f"Bearer {ALICE[:-1]}",
        f"Bearer {ALICE.upper()}",
        f"Bearer {ALICE},Bearer {BOB}",
        f"Bearer {ALICE} {BOB}",
        f"Basic {ALICE}",
        f"Token {ALICE}",
        f'Bearer "{ALICE}"',
        "Bearer alice",
        "Bearer \N{LATIN SMALL LETTER E WITH ACUTE}" + "x" * 20,
        "Bearer \0",
        "Bearer " + "x" * 60000,
        "Bearer " + " " * 60000 + ALICE,
    ],
)
def test_nobody_is_named_by_anything_else(path: Path, authorization: str | None) -> None:
    assert Tokens(str(path)).holder_of(authorization) is None


def test_the_longest_token_is_taken(path: Path) -> None:
    known = Tokens(str(write(path, "alice " + "x" * tokens.MOST_CHARACTERS)))
    assert name_of(known, "Bearer " + "x" * tokens.MOST_CHARACTERS) == "alice"


def test_every_token_is_compared_whoever_asks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Tokens(str(path))
    compared: list[int] = []
    compare = hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        compared.append(len(one))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    for token in (ALICE, BOB, "nobody-s-token"):
        compared.clear()
        known.holder_of(f"Bearer {token}")
        assert compared == [32, 32]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("alice\n", "line 1 is not a name, a blank and a token"),
        (f"# one\n\n{ALICE}\n", "line 3 is not a name, a blank and a token"),
        (f"alice {ALICE} # hers\n", "line 1 is not a name, a blank and a token"),
        (f"alice: {ALICE}\n", "line 1 has a name that is not 1 to 64 letters, digits, '.', '_' and '-'"),
        (f"{'a' * 65} {ALICE}\n", "line 1 has a name that is not 1 to 64 letters, digits, '.', '_' and '-'"),
        (f"alice {ALICE}#1\n", "line 1 has a token of other characters"),
        (f'alice "{ALICE}"\n', "line 1 has a token of other characters"),
        (f"alice ={ALICE}\n", "line 1 has a token of other characters"),
        (f"alice {ALICE}\0\n", "line 1 has a token of other characters"),
        (f"bob {BOB}\nalice {ALICE[:15]}\n", "line 2 has a token that is not 16 to 1024 characters long"),
        (f"alice {'x' * 1025}\n", "line 1 has a token that is not 16 to 1024 characters long"),
        (f"alice {ALICE}\n\nalice {BOB}\n", "line 3 has the name of line 1; each may be there once"),
        (f"alice {ALICE}\nbob {ALICE}\n", "line 2 has the token of line 1; each may be there once"),
        (f"{ALICE} alice\n", "line 1 has a token that is not 16 to 1024 characters long"),
    ],
)
def test_a_line_that_is_wrong_is_named_and_not_shown(tmp_path: Path, text: str, wrong: str) -> None:
    line = refusal(tmp_path / "tokens", text)
    assert line.startswith(wrong)
    assert not re.search("alice|bob|0123", line)


@pytest.mark.parametrize("text", ["", "\n\n", f"# alice {ALICE}\n"])
def test_no_token_at_all_is_refused_as_it_would_lock_everybody_out(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path / "tokens", text) == "it has no token, which would lock everybody out"


def test_a_file_in_another_encoding_is_refused(path: Path) -> None:
    path.write_bytes(b"# \xff\n")
    with pytest.raises(SettingsError, match="it is not UTF-8"):
        Tokens(str(path))


def test_a_byte_order_mark_is_no_part_of_a_name(path: Path) -> None:
    path.write_text(f"alice {ALICE}", encoding="utf-8-sig")
    assert name_of(Tokens(str(path)), f"Bearer {ALICE}") == "alice"


def test_a_token_file_that_others_may_read_is_refused(path: Path) -> None:
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        Tokens(str(path))


def test_who_came_and_went_is_told_by_name(path: Path) -> None:
    known = Tokens(str(path))
    assert known.load() == ""
    write(path, f"bob {ALICE}\ncarol carols-token-0123456789\ndave daves-token-0123456789\n")
    assert known.load() == "added carol, dave; removed alice; another token for bob"
    assert name_of(known, f"Bearer {ALICE}") == "bob"


def test_a_holder_is_had_until_the_token_is_revoked(path: Path) -> None:
    known = Tokens(str(path))
    alice, bob = known.holder_of(f"Bearer {ALICE}"), known.holder_of(f"Bearer {BOB}")
    assert alice is not None
    assert bob is not None
    write(path, f"bob {BOB}\nalice another-token-of-alice\n")
    known.load()
    assert known.has(bob)
    assert not known.has(alice)


def test_a_file_that_went_bad_leaves_the_former_holders(path: Path) -> None:
    known = Tokens(str(path))
    write(path, "alice short\n")
    with pytest.raises(SettingsError):
        known.load()
    assert name_of(known, f"Bearer {ALICE}") == "alice"


def test_tokens_and_their_digests_are_never_shown(path: Path) -> None:
    known = Tokens(str(path))
    alice = known.holder_of(f"Bearer {ALICE}")
    assert repr(alice) == "Holder(name='alice')"
    assert ALICE not in f"{known!r}{vars(known)!r}"


def test_the_documented_command_makes_a_token_that_is_taken(tmp_path: Path) -> None:
    (command,) = re.findall(r"(?m)^ {4}(\(umask .*)$", str(tokens.__doc__))
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    path = tmp_path / "tokens"
    token = path.read_text().split()[1]
    assert name_of(Tokens(str(path)), f"Bearer {token}") == "alice"
