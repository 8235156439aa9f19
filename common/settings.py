"""Every setting once: name, default, range and meaning. `--help`, the errors and the README's table derive from here.

A setting is the environment variable `GPU_METRICS_<NAME>` or the flag `--<name-with-dashes>`, which wins. One
environment may serve both processes, so each accepts the other's names there. A name that neither knows, a bad
value or an impossible combination is a `SettingsError`, one line that names the setting.
"""

import difflib
import socket
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from common import combinations, named_file
from common.wording import PREFIX, SettingsError, expectation, flag, names, parser, refused

__all__ = [
    "PREFIX",
    "ApiSettings",
    "CollectorSettings",
    "Given",
    "Settings",
    "SettingsError",
    "given",
    "load",
    "names",
]

DEFAULT_FEED = "tcp://127.0.0.1:8481"


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
    feed_secret_key: Annotated[
        str, Meta(description="File of the collector's secret key, for a feed that CURVE encrypts; empty: it is not.")
    ] = ""
    feed_authorized_keys: Annotated[
        str, Meta(description="Directory of the public keys, in files `NAME.public`, whose holders may subscribe.")
    ] = ""
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
    feed_connect: Annotated[
        str,
        Meta(
            description="Endpoints of the collectors' feeds, separated by commas; or `file:PATH`, of lines with an "
            "endpoint each, and behind it its public key where it has one of its own."
        ),
    ] = DEFAULT_FEED
    feed_client_key: Annotated[
        str, Meta(description="File of the API's own secret key, for feeds that CURVE encrypts; empty: none is.")
    ] = ""
    feed_server_key: Annotated[
        str,
        Meta(description="Public key of the collectors, or `file:PATH` of it; empty: their feeds have none."),
    ] = ""
    history_seconds: Annotated[
        float, Meta(ge=0, le=604800, description="For how long snapshots are kept for the history; 0: none is kept.")
    ] = 3600.0
    history_megabytes: Annotated[
        int,
        Meta(
            ge=1,
            le=65536,
            description="Most memory for the history of all hosts, in MB of 2^20 bytes: beyond it the oldest snapshots "
            "of any host go first.",
        ),
    ] = 256
    stale_after_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="Age from which a snapshot is stale; 0: 2.5 times the longer of its interval and sampling "
            "time, at least 2.",
        ),
    ] = 0.0
    api_token_file: Annotated[
        str,
        Meta(
            description="File of the tokens that let who holds one read: lines of `NAME TOKEN`; empty: none is needed."
        ),
    ] = ""
    api_tls_cert: Annotated[
        str, Meta(description="PEM file of the certificate and its chain, for HTTPS; empty: HTTP.")
    ] = ""
    api_tls_key: Annotated[str, Meta(description="PEM file of the certificate's private key, unencrypted.")] = ""
    api_allow_anonymous: Annotated[
        bool,
        Meta(description="Must be true to listen beyond loopback without tokens: whoever reaches the port can read."),
    ] = False
    api_cors_origin: Annotated[
        str,
        Meta(
            description="Origin whose web pages may read, as browsers send it: `scheme://host` or `scheme://host:port`;"
            " empty: none."
        ),
    ] = ""
    access_log: Annotated[
        bool, Meta(description="Log every request; otherwise only errors and slow answers are logged.")
    ] = False

    @property
    def feed_file(self) -> str:
        """The path of the file that lists the endpoints; empty: `feed_connect` does."""
        return named_file.path_in(self.feed_connect)

    @property
    def feed_endpoints(self) -> tuple[str, ...]:
        """`feed_connect`, taken apart; each endpoint once, and none if a file lists them."""
        if self.feed_file:
            return ()
        return tuple(dict.fromkeys(part.strip() for part in self.feed_connect.split(",")))


Settings = TypeVar("Settings", CollectorSettings, ApiSettings)


class Given(NamedTuple):
    """What the operator gave for a setting: the variable or flag by which they did, and the text."""

    by: str
    text: str


def load(
    kind: type[Settings], argv: Sequence[str], environ: Mapping[str, str], others: Sequence[ArgumentParser] = ()
) -> Settings:
    """Return the settings of one process from its flags and environment; `--help` prints and exits.

    An empty variable counts as not set, as environment files write it. `others` are flags that are no settings.

    Raises:
        SettingsError: an unknown name, a value out of range, or values that cannot go together.
    """
    found = given(kind, argv, environ, others)
    values: dict[str, Any] = {name: _value(kind, name, text) for name, (_, text) in found.items()}
    settings = kind(**values)
    if isinstance(settings, CollectorSettings):
        combinations.check_collector(settings)
    else:
        combinations.check_api(settings)
    return settings


def given(
    kind: type[Struct], argv: Sequence[str], environ: Mapping[str, str], others: Sequence[ArgumentParser] = ()
) -> dict[str, Given]:
    """Return what the operator gave for each setting. Raises SettingsError: an unknown name."""
    flags = vars(parser(kind, others).parse_args(argv))
    _refuse_unknown(environ)
    variables = {name: PREFIX + name.upper() for name in names(kind)}
    found = {name: Given(by, environ[by]) for name, by in variables.items() if environ.get(by)}
    return found | {name: Given(flag(name), flags[name]) for name in names(kind) if flags[name] is not None}


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
    except (msgspec.ValidationError, UnicodeEncodeError):  # the latter: bytes that are no UTF-8
        raise refused(name, text, expectation(kind, name)) from None
