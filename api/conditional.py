"""A success, as the request's headers want it: 304 where the client has it already, gzip where it is accepted. Pure."""

import re
from collections.abc import Mapping

from api.answer import Answer, Content
from api.remembered import remembered


def conditional(
    content: Content,
    etag: str,
    headers: Mapping[str, str],
    *more: tuple[str, str],
    vary: str = "Accept-Encoding",
) -> Answer:
    """Return the answer that carries a body, or says that the client's own is the same. `more` are further headers,
    `vary` those of the request that it depends on."""
    told = [("ETag", etag), *more, ("Vary", vary), ("Cache-Control", "no-cache")]
    tags = headers.get("If-None-Match")
    if tags is not None and _matches(tags, etag):
        return Answer(304, told, b"")
    body = content.plain
    if _accepts_gzip(headers.get("Accept-Encoding", "")):
        body = content.gzipped
        told.append(("Content-Encoding", "gzip"))
    told += [("Content-Type", content.kind), ("Content-Length", str(len(body)))]
    return Answer(200, told, body)


def _matches(tags: str, etag: str) -> bool:
    """Compare weakly, as RFC 9110 section 13.1.2 has it for If-None-Match."""
    return tags.strip() == "*" or etag.removeprefix("W/") in re.findall(r'"[^"]*"', tags)


@remembered
def _accepts_gzip(accepted: str) -> bool:
    """Read Accept-Encoding (RFC 9110 section 12.5.3): gzip, or anything, with a weight other than 0."""
    weights = {}
    for part in accepted.lower().split(","):
        coding, _, parameter = part.partition(";")
        weights[coding.strip()] = not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", parameter)
    return weights.get("gzip", weights.get("*", False))
