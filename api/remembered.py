"""What was made of a client's text, remembered for the next request that says the same."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

LONGEST = 200
"""Characters of the longest text that is remembered: a client may send 64 KiB of nonsense, different every time."""

Made = TypeVar("Made")


def remembered(make: Callable[[str], Made]) -> Callable[[str], Made]:
    """Let a function of a text alone remember what it returned; what it raises is not remembered."""
    remember = lru_cache(maxsize=256)(make)

    @wraps(make)
    def made(text: str) -> Made:
        return remember(text) if len(text) <= LONGEST else make(text)

    return made
