"""Every setting once: name, default, range and meaning. `--help`, the errors and the README's table derive from here.

A setting is the environment variable `GPU_METRICS_<NAME>` or the flag `--<name-with-dashes>`, which wins. One
environment may serve both processes, so each accepts the other's names there. A name that neither knows, a bad
value or an impossible combination is a `SettingsError`, one line that names the setting.
"""

import argparse
import difflib
import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import msgspec
from msgspec import Meta, Struct, field
from msgspec.inspect import BoolType, FloatType, IntType, LiteralType, Metadata, type_info

from common import endpoint
from common.snapshot import HOST_PATTERN

PREFIX = "GPU_METRICS_"
DEFAULT_FEED = "tcp://127.0.0.1:8481"


class SettingsError(Exception):
    """The operator's: one line that names the setting and says what would be right."""


class _CommonSettings(Struct, frozen=True, kw_only=True):
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Meta(description="Least severe records to log.")
    ] = "INFO"


class CollectorSettings(_CommonSettings, frozen=True, kw_only=True):
    """What the collector can be told."""

    host: Annotated[
        str,
        Meta(
            description="This host's name in every snapshot: letters, digits, `.`, `_`, `-`.",
            extra={"default": "the machine's host name"},
        ),
    ] = field(default_factory=socket.gethostname)
    interval_seconds: Annotated[float, Meta(ge=0.05, le=3600, description="Time from one sample to the next.")] = 30.0
    feed_bind: Annotated[
        str, Meta(description="Endpoint the feed is published on: `tcp://ADDRESS:PORT` or `ipc:///PATH`.")
    ] = DEFAULT_FEED
    nvml_library: Annotated[
        str,
        Meta(
            description="Path of the NVML library; empty: where the binding looks, then the platform's other "
            "known places."
        ),
    ] = ""
    stall_after_seconds: Annotated[
        float,
        Meta(ge=0.1, le=3600, description="An NVML call that takes longer makes the source `stalled`."),
    ] = 10.0
    stall_exit_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="A call stuck for so long ends the process, for the supervisor to restart; 0: never.",
        ),
    ] = 300.0
    processes: Annotated[
        bool, Meta(description="Read which processes use each GPU: costs more, and shows others their command lines.")
    ] = False
    pcie_throughput: Annotated[
        bool, Meta(description="Read the PCIe rates: the driver blocks for 40 ms or more per GPU and sample.")
    ] = False


class ApiSettings(_CommonSettings, frozen=True, kw_only=True):
    """What the API can be told."""

    api_address: Annotated[str, Meta(description="IP address to listen on.")] = "127.0.0.1"
    api_port: Annotated[int, Meta(ge=1, le=65535, description="TCP port to listen on.")] = 8480
    api_allow_anonymous: Annotated[
        bool, Meta(description="Must be true to listen beyond loopback: whoever reaches the port can read.")
    ] = False
    feed_connect: Annotated[str, Meta(description="Endpoints of the collectors' feeds, separated by commas.")] = (
        DEFAULT_FEED
    )
    stale_after_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="Age from which a snapshot is stale; 0: 2.5 times the longer of its interval and sampling "
            "time, at least 2.",
        ),
    ] = 0.0

    @property
    def feed_endpoints(self) -> tuple[str, ...]:
        """`feed_connect`, taken apart; each endpoint once."""
        return tuple(dict.fromkeys(part.strip() for part in self.feed_connect.split(",")))


Settings = TypeVar("Settings", CollectorSettings, ApiSettings)


def names(kind: type[Struct]) -> tuple[str, ...]:
    """Return the settings of one process, in order."""
    return kind.__struct_fields__


def load(kind: type[Settings], argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Return the settings of one process from its flags and environment; `--help` prints and exits.

    An empty variable counts as not set, as environment files write it.

    Raises:
        SettingsError: an unknown name, a value out of range, or values that cannot go together.
    """
    flags = {name: text for name, text in vars(_parser(kind).parse_args(argv)).items() if text is not None}
    _refuse_unknown(environ)
    given = {name: environ[PREFIX + name.upper()] for name in names(kind) if environ.get(PREFIX + name.upper())}
    values: dict[str, Any] = {name: _value(kind, name, text) for name, text in (given | flags).items()}
    settings = kind(**values)
    if isinstance(settings, CollectorSettings):
        _check_collector(settings)
    else:
        _check_api(settings)
    return settings


def expectation(kind: type[Struct], name: str) -> str:
    """Return what values a setting takes, in words, from its type."""
    expected = _type(kind, name)
    if isinstance(expected, LiteralType):
        return "one of " + ", ".join(str(value) for value in expected.values)
    if isinstance(expected, BoolType):
        return "true or false"
    if isinstance(expected, IntType | FloatType):
        whole = "whole " if isinstance(expected, IntType) else ""
        return f"a {whole}number from {expected.ge:g} to {expected.le:g}"
    return "text"


def meaning(kind: type[Struct], name: str) -> str:
    """Return a setting's description."""
    described = _field(kind, name).type
    return str((described.extra_json_schema or {})["description"]) if isinstance(described, Metadata) else ""


def default(kind: type[Struct], name: str) -> str:
    """Return a setting's default as one would write it; `empty` for the empty text."""
    described = _field(kind, name)
    if isinstance(described.type, Metadata) and described.type.extra:
        return str(described.type.extra["default"])
    value = described.default
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if _is_number(value) else value or "empty"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message} (see --help)")


def _parser(kind: type[Struct]) -> argparse.ArgumentParser:
    process = kind.__name__.removesuffix("Settings").lower()
    parser = _Parser(
        prog=f"python -m {process}",
        allow_abbrev=False,
        description=f"Every flag may also be given as an environment variable, {PREFIX}<NAME>; the flag wins.",
    )
    for name in names(kind):
        text = f"{meaning(kind, name)} ({expectation(kind, name)}; default: {default(kind, name)})"
        parser.add_argument(_flag(name), metavar="VALUE", help=text.replace("%", "%%"))
    return parser


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _field(kind: type[Struct], name: str) -> msgspec.inspect.Field:
    described = type_info(kind)
    assert isinstance(described, msgspec.inspect.StructType)  # noqa: S101 -- kind is a Struct: tells mypy so
    return next(found for found in described.fields if found.name == name)


def _type(kind: type[Struct], name: str) -> msgspec.inspect.Type:
    described = _field(kind, name).type
    return described.type if isinstance(described, Metadata) else described


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = {name.upper() for kind in (CollectorSettings, ApiSettings) for name in names(kind)}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in known:
            near = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1)
            hint = f"did you mean {PREFIX}{near[0]}?" if near else "--help lists them"
            raise SettingsError(f"{name}: no such setting; {hint}")


def _value(kind: type[Struct], name: str, text: str) -> object:
    annotation = kind.__annotations__.get(name) or _CommonSettings.__annotations__[name]
    try:
        return msgspec.convert(text, annotation, strict=False)
    except msgspec.ValidationError:
        raise _bad(name, text, expectation(kind, name)) from None


def _bad(name: str, text: object, expected: str) -> SettingsError:
    return SettingsError(f"{PREFIX}{name.upper()} ({_flag(name)}): {text!r} is not {expected}")


def _check_collector(settings: CollectorSettings) -> None:
    if not re.fullmatch(HOST_PATTERN, settings.host):
        raise _bad("host", settings.host, "a host name of letters, digits, '.', '_' and '-', at most 253")
    address = _address("feed_bind", settings.feed_bind)
    if address is not None and not endpoint.is_loopback(address):
        raise _bad("feed_bind", settings.feed_bind, "on loopback; the feed is not encrypted and stays on this machine")
    if 0 < settings.stall_exit_seconds <= settings.stall_after_seconds:
        raise _bad(
            "stall_exit_seconds",
            settings.stall_exit_seconds,
            f"0, or more than {PREFIX}STALL_AFTER_SECONDS ({settings.stall_after_seconds:g})",
        )


def _check_api(settings: ApiSettings) -> None:
    for feed in settings.feed_endpoints:
        if endpoint.is_unspecified(_address("feed_connect", feed) or ""):
            raise _bad("feed_connect", feed, "one machine's address")
    try:
        ipaddress.ip_address(settings.api_address)
    except ValueError:
        raise _bad("api_address", settings.api_address, "an IP address, such as 127.0.0.1") from None
    if not endpoint.is_loopback(settings.api_address) and not settings.api_allow_anonymous:
        expected = f"on loopback; set {PREFIX}API_ALLOW_ANONYMOUS=true to let whoever reaches it read"
        raise _bad("api_address", settings.api_address, expected)


def _address(name: str, text: str) -> str | None:
    try:
        return endpoint.address(text)
    except ValueError:
        raise _bad(name, text, "an endpoint of the form tcp://ADDRESS:PORT or ipc:///PATH") from None
