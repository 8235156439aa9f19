"""The page's files, read once at the start, and the headers that keep a browser from loading anything else."""

from functools import partial
from pathlib import Path

from api.answer import Answer, Content
from api.conditional import conditional
from api.resources import Asked, Resources
from api.routes import Route

WEB = Path(__file__).parent / "web"

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
)


def page_routes() -> tuple[Route, ...]:
    """Return the routes of the page and its files: `/`, and below `/web/` what it loads. They are open to all, for what
    they hold is in this repository, and ask for a token themselves."""
    files = {path: _content(path) for path in sorted(WEB.iterdir()) if path.suffix in _KINDS}
    paths = {f"/web/{path.name}" if path.suffix != ".html" else "/": content for path, content in files.items()}
    return tuple(_route(path, content) for path, content in paths.items())


def _content(path: Path) -> Content:
    return Content(path.read_bytes(), _KINDS[path.suffix])


def _route(path: str, content: Content) -> Route:
    return Route(path, partial(_answer, content), f"The file {path}.", media=(content.kind,), is_open=True)


def _answer(content: Content, _resources: Resources, asked: Asked) -> Answer:
    return conditional(content, content.tag(), asked.headers, *_HEADERS)
