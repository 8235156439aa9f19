"""Who may ask: whoever holds a token, where tokens are needed, and pages of which other origin. Pure."""

from collections.abc import Mapping

from api.answer import Answer, Refusal, refusal
from api.tokens import Holder, Tokens

_PREFLIGHT = (
    ("Access-Control-Allow-Methods", "GET, HEAD"),
    ("Access-Control-Allow-Headers", "Authorization, If-None-Match, Last-Event-ID"),
    ("Access-Control-Max-Age", "600"),
)
_EXPOSED = "Age, ETag, Retry-After, WWW-Authenticate"


class Access:
    """Who may ask. With no `tokens`, all; with no `origin`, the pages of no other."""

    def __init__(self, tokens: Tokens | None = None, origin: str = "") -> None:
        self._tokens = tokens
        self._origin = origin

    @property
    def needs_token(self) -> bool:
        """Whether only those with a token may ask."""
        return self._tokens is not None

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that a path knows."""
        return ("GET", "HEAD", "OPTIONS") if self._origin else ("GET", "HEAD")

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that every answer has, so that a browser lets pages of that origin read it (Fetch, 3.3)."""
        if not self._origin:
            return ()
        return ("Access-Control-Allow-Origin", self._origin), ("Access-Control-Expose-Headers", _EXPOSED)

    def preflight(self) -> Answer:
        """Return what a browser is told that asks whether a page of another origin may ask."""
        return Answer(204, list(_PREFLIGHT), b"")

    def admit(self, headers: Mapping[str, str]) -> Holder | None:
        """Return who asks; None where nobody needs a token.

        Raises:
            Refusal: 401, the request carries no token, or one that is none of ours (RFC 6750 section 3).
        """
        holder = self.holder_of(headers)
        if holder is None and self.needs_token:
            raise Refusal(_unauthorized(is_wrong="Authorization" in headers))
        return holder

    def holder_of(self, headers: Mapping[str, str]) -> Holder | None:
        """Return who holds the token that a request carries; None: nobody."""
        return None if self._tokens is None else self._tokens.holder_of(headers.get("Authorization"))

    def is_welcome(self, holder: Holder | None) -> bool:
        """Return whether who was admitted once still would be."""
        return holder is None or self._tokens is None or self._tokens.has(holder)


def _unauthorized(*, is_wrong: bool) -> Answer:
    challenge, said = 'Bearer realm="gpu-metrics"', "a token is needed: Authorization: Bearer TOKEN"
    if is_wrong:
        challenge, said = f'{challenge}, error="invalid_token"', "no such token, or it was revoked"
    return refusal(401, "unauthorized", said, ("WWW-Authenticate", challenge))
