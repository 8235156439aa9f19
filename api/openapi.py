"""The description of the API in OpenAPI 3.1, derived from the route table and the structs of the bodies. Pure."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from api.answer import JSON, Content, json_content
from api.parameters import Parameter
from api.responses.errors import ErrorBody, NotFreshBody
from api.routes import ROUTES, Route
from common.gpu import READINGS
from common.version import VERSION

_SCHEMAS = "#/components/schemas/"
ERROR_HEADERS: dict[int, tuple[str, ...]] = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.METHOD_NOT_ALLOWED: ("Allow",),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
}
"""What every error of that status has."""

EVERYWHERE = (
    (400, "bad_parameter"),
    (400, "bad_host"),
    (405, "method_not_allowed"),
    (413, "body_too_large"),
    (431, "headers_too_large"),
    (500, "internal_error"),
)
"""What every path may answer."""

_TEXT = {"type": "string"}
_HEADERS = {
    "Age": {"description": "Seconds since the oldest sample shown was finished.", "schema": {"type": "integer"}},
    "Allow": {"description": "The methods that the path knows.", "schema": _TEXT},
    "ETag": {"description": "Weak, to be sent back as If-None-Match.", "schema": _TEXT},
    "Retry-After": {"description": "Seconds until it is worth asking again.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "That a bearer token is needed (RFC 6750).", "schema": _TEXT},
}


def description(*, needs_token: bool) -> Content:
    """Return the document as it is sent."""
    return json_content(document(needs_token=needs_token))


def document(*, needs_token: bool) -> dict[str, Any]:
    """Return the document. `needs_token` says whether paths that are not open need one."""
    bodies = [route.body for route in ROUTES if route.body is not None]
    _, schemas = msgspec.json.schema_components(
        [*dict.fromkeys(bodies), ErrorBody, NotFreshBody], ref_template=_SCHEMAS + "{name}"
    )
    components: dict[str, Any] = {"schemas": _with_units(schemas)}
    if needs_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "GPU metrics",
            "version": VERSION,
            "description": "NVIDIA GPUs as NVML tells of them. HEAD is answered wherever GET is.",
        },
        "paths": {route.path: {"get": _operation(route, needs_token=needs_token)} for route in ROUTES},
        "components": components,
    }


def _with_units(schemas: dict[str, Any]) -> dict[str, Any]:
    """Add each reading's unit, which JSON Schema has no word for."""
    for schema in schemas.values():
        for name, told in schema.get("properties", {}).items():
            if name in READINGS:
                told["x-unit"] = READINGS[name].unit
    return schemas


def _operation(route: Route, *, needs_token: bool) -> dict[str, Any]:
    is_closed = needs_token and not route.is_open
    told: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", route.path.strip("/")),
        "summary": route.summary,
        "parameters": [*_segments(route.path), *map(_parameter, route.parameters)],
        "responses": _responses(route, is_closed=is_closed),
    }
    return {**told, "security": [{"token": []}]} if is_closed else told


def _segments(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[^/]+$"}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    told = {"name": parameter.name, "in": "query", "description": parameter.meaning}
    return {**told, "schema": dict(parameter.schema), "style": "form", "explode": False}


def _responses(route: Route, *, is_closed: bool) -> dict[str, Any]:
    codes = [*EVERYWHERE, *route.codes, *([(401, "unauthorized")] if is_closed else [])]
    told = {str(status): _error(status, _of(status, codes)) for status in sorted({status for status, _ in codes})}
    if route.is_fresh:
        told["503"] = _not_fresh(_of(503, codes))
    return {"200": _success(route), **({"304": {"description": "As before."}} if route.is_tagged else {}), **told}


def _of(status: int, codes: Iterable[tuple[int, str]]) -> str:
    return ", ".join(code for of, code in codes if of == status)


def _success(route: Route) -> dict[str, Any]:
    headers = [*(["Age"] if route.is_fresh else []), *(["ETag"] if route.is_tagged else [])]
    if route.body is not None:
        told = _response(route.summary, route.body, *headers)
        if route.is_list:
            told["content"] = {JSON: {"schema": {"type": "array", "items": told["content"][JSON]["schema"]}}}
        return told
    content = {media: {"schema": _TEXT if media != JSON else {"type": "object"}} for media in route.media}
    return {"description": route.summary, "content": content, "headers": {name: _HEADERS[name] for name in headers}}


def _error(status: int, codes: str) -> dict[str, Any]:
    return _response(f"{HTTPStatus(status).phrase}: {codes}.", ErrorBody, *ERROR_HEADERS.get(status, ()))


def _not_fresh(codes: str) -> dict[str, Any]:
    said = "Nothing fresh to show (stale), or nothing heard yet (unheard)."
    told = _response(f"{said[:-1]}; {codes}." if codes else said, NotFreshBody, "Retry-After")
    if codes:
        schemas = [{"$ref": _SCHEMAS + body.__name__} for body in (NotFreshBody, ErrorBody)]
        told["content"][JSON]["schema"] = {"anyOf": schemas}
    return told


def _response(description: str, body: type[msgspec.Struct], *headers: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {JSON: {"schema": {"$ref": _SCHEMAS + body.__name__}}},
        "headers": {name: _HEADERS[name] for name in headers},
    }
