"""What may come of a request: an answer, work to be done first, or a stream. Plain values, no I/O."""

import gzip
import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import msgspec

from api.responses.errors import Error, ErrorBody

Headers = list[tuple[str, str]]
"""Names and values. None of them ever repeats what a client said, for they are sent unchecked."""

JSON = "application/json"

_encoder = msgspec.json.Encoder()


class Answer(NamedTuple):
    """What to send. The headers are complete but for the date and the connection's own."""

    status: int
    headers: Headers
    body: bytes


class Content:
    """A body in both its encodings."""

    def __init__(self, plain: bytes, kind: str = JSON) -> None:
        self.plain = plain
        self.kind = kind

    @cached_property
    def gzipped(self) -> bytes:
        """The body, compressed when first asked for so."""
        return gzip.compress(self.plain, compresslevel=6, mtime=0)

    @property
    def size_bytes(self) -> int:
        """The memory that it takes, in the encodings that it was asked for in."""
        return len(self.plain) + len(self.__dict__.get("gzipped", b""))

    def finish(self) -> "Content":
        """Compress and digest it now, where that keeps nobody waiting, and return it."""
        _ = self.gzipped, self.digest
        return self

    @cached_property
    def digest(self) -> bytes:
        """What tells it from every other."""
        return hashlib.blake2b(self.plain).digest()

    def tag(self, query: str = "") -> str:
        """Return the tag of this body as the answer to that query; weak, for both encodings share it."""
        return f'W/"{hashlib.blake2b(self.digest + query.encode(), digest_size=12).hexdigest()}"'


class Later(NamedTuple):
    """What takes too long to be done while others wait. `make` may be called in any thread, and once for all whose
    `make` is the same object; it may raise a `Refusal`. With what it returned, `then` gives the answer, at the time
    that is passed to it, or what must be made instead, because that is old by then. `lane` is whom it may keep waiting:
    others that are as long."""

    make: Callable[[], Content]
    then: "Callable[[Content, float], Answer | Later]"
    lane: Literal["short", "long"] = "short"


def _always() -> bool:
    return True


class Follow(NamedTuple):
    """A stream of events is to be sent after these headers; it has no end, and so no length. `after` is the id of the
    last event that the client has, None for a new one; `host` the only host to be told of, None for all; `is_welcome`
    tells whether the client may go on reading."""

    after: str | None
    host: str | None
    headers: Headers
    is_welcome: Callable[[], bool] = _always


class Refusal(Exception):  # noqa: N818 -- an answer on its way out, not an error of ours
    """A request that cannot be answered as it stands; carries the answer that says so."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def refusal(status: int, code: str, message: str, *headers: tuple[str, str]) -> Answer:
    """Return an error answer; all of them have this form."""
    return json_answer(status, ErrorBody(Error(code, message)), *headers)


def json_answer(status: int, body: msgspec.Struct | Sequence[msgspec.Struct], *headers: tuple[str, str]) -> Answer:
    """Return an answer that nobody is to keep."""
    encoded = _encoder.encode(body)
    told = [("Cache-Control", "no-store"), ("Content-Type", JSON), ("Content-Length", str(len(encoded)))]
    return Answer(status, [*told, *headers], encoded)


def json_content(body: msgspec.Struct | dict[str, Any]) -> Content:
    """Return a body as JSON."""
    return Content(_encoder.encode(body))
