"""CURVE keys as text: 40 characters of Z85 (ZeroMQ RFC 32), alone in a file or in a setting. No cryptography here.

A secret key stands in a file that its owner keeps from others; its public key is derived from it where sockets are
made. Nothing that a file holds is ever told.
"""

import os
import re

from common import named_file
from common.wording import refused

KEY_CHARACTERS = 40

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_FIVE = re.compile(r".{5}", re.DOTALL)


def key(text: str) -> bytes | None:
    """Return the key that a text is, as sockets take it; None: it is none."""
    if len(text) != KEY_CHARACTERS or not set(text) <= _VALUES.keys():
        return None
    return text.encode() if all(_number(five) < 2**32 for five in _FIVE.findall(text)) else None


def text(raw: bytes) -> str:
    """Return the key that 32 bytes are, as CURVE's own messages have it, as it is written."""
    numbers = [int.from_bytes(raw[start : start + 4], "big") for start in range(0, len(raw), 4)]
    return "".join(_DIGITS[number // 85**place % 85] for number in numbers for place in (4, 3, 2, 1, 0))


def shown(path: str) -> str:
    """Return a path as it may be told: not at all if it is a key that was put where the path of its file belongs."""
    # By its letters, a path of that many characters may be a key.
    return "..." if key(path) and not os.access(path, os.F_OK) else path


def read_secret(setting: str, path: str) -> bytes:
    """Return the secret key in a file that a setting names.

    Raises:
        SettingsError: the file cannot be had, is not kept from others, or holds no key.
    """
    if path != shown(path):
        raise refused(setting, shown(path), "the path of a file; the secret key itself does not belong into a setting")
    return _only_key(setting, path, named_file.read_secret(setting, path), "secret")


def read_public(setting: str, path: str) -> bytes:
    """Return the public key in a file. Raises SettingsError: it cannot be had, or holds no key."""
    return _only_key(setting, path, named_file.read(setting, path), "public")


def public_key(setting: str, text: str) -> bytes:
    """Return the public key that a setting gives: itself, or as `file:PATH`. Raises SettingsError: it gives none."""
    if path := named_file.path_in(text):
        return read_public(setting, path)
    found = key(text)
    if found is None:
        raise refused(setting, text, f"a public key of {KEY_CHARACTERS} characters, nor file:PATH of one")
    return found


def _only_key(setting: str, path: str, content: bytes, kind: str) -> bytes:
    found = key(content.decode("ascii", "replace").strip())
    if found is None:
        expected = f"a file of one {kind} key, of {KEY_CHARACTERS} characters; `python -m collector.keys` makes them"
        raise refused(setting, path, expected)
    return found


def _number(five: str) -> int:
    """Return what five digits of base 85 are."""
    number = 0
    for digit in five:
        number = number * 85 + _VALUES[digit]
    return number
