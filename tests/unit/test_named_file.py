"""Files that the operator names: what they hold, or one line that says what is wrong with them.

A superuser may read any file, so that modes are judged by what they say, not by whether reading works.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from common import named_file, surroundings
from common.settings import SettingsError

READERS = (named_file.read, named_file.read_secret)


def refusal(path: Path | str, read: Callable[[str, str], bytes] = named_file.read_secret) -> str:
    with pytest.raises(SettingsError) as refused:
        read("api_token_file", str(path))
    line = str(refused.value)
    assert "\n" not in line
    assert line.startswith(f"GPU_METRICS_API_TOKEN_FILE (--api-token-file): {str(path)!r} is not ")
    return line


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "a secret"
    path.write_bytes(b"xyzzy\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700, 0o640, 0o440])
def test_a_secret_may_be_its_owner_s_and_readable_by_its_group(secret: Path, mode: int) -> None:
    secret.chmod(mode)
    assert named_file.read_secret("api_token_file", str(secret)) == b"xyzzy\n"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o606, 0o666, 0o620, 0o660])
def test_a_secret_that_others_may_use_is_refused_with_what_to_do(secret: Path, mode: int) -> None:
    secret.chmod(mode)
    line = refusal(secret)
    assert f"kept from others, with mode {mode:04o}: chmod 600 '{secret}' " in line
    assert "xyzzy" not in line


def test_what_is_no_secret_may_be_read_by_all(secret: Path) -> None:
    secret.chmod(0o644)
    assert named_file.read("api_tls_cert", str(secret)) == b"xyzzy\n"


def test_a_link_s_own_mode_says_nothing(secret: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(secret)
    assert named_file.read_secret("api_token_file", str(link)) == b"xyzzy\n"
    secret.chmod(0o644)
    assert "with mode 0644" in refusal(link)


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(
    secret: Path, tmp_path: Path, read: Callable[[str, str], bytes]
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert refusal(tmp_path / "none", read).endswith("a file that can be read: No such file or directory")
    assert refusal(tmp_path, read).endswith("a file that can be read: Is a directory")
    assert refusal(secret / "below", read).endswith("a file that can be read: Not a directory")
    assert "a file that can be read: " in refusal(loop, read)
    assert refusal("a\0b", read).endswith("a file that can be read: no path has a NUL")


def test_a_file_that_its_user_may_not_open_is_refused(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    assert f"a file that can be read: Permission denied for the user {surroundings.user()}: chgrp " in refusal(secret)
    assert f"chmod 640 '{secret}'" in refusal(secret)


@pytest.mark.parametrize("read", READERS)
def test_nobody_is_waited_for_at_a_pipe(tmp_path: Path, read: Callable[[str, str], bytes]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    assert refusal(pipe, read).endswith("a regular file")


@pytest.mark.parametrize("read", READERS)
def test_a_file_is_read_up_to_a_bound(secret: Path, read: Callable[[str, str], bytes]) -> None:
    secret.write_bytes(b"x" * named_file.MOST_BYTES)
    assert read("api_token_file", str(secret)) == b"x" * named_file.MOST_BYTES
    secret.write_bytes(b"x" * (named_file.MOST_BYTES + 1))
    assert refusal(secret, read).endswith("a file of at most 64 KiB")
    os.truncate(secret, 2**43)  # to read it all would take more memory than there is
    assert refusal(secret, read).endswith("a file of at most 64 KiB")
