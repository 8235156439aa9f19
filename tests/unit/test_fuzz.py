"""What comes from outside, nearly right, and what once failed: nothing happens but what is documented."""

import logging
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect
from zmq.utils import z85

from api.routes import ROUTES, Route
from common import wire
from common.recording import MAGIC
from common.settings import PREFIX, ApiSettings, CollectorSettings, names
from common.snapshot import Snapshot
from common.wording import expectation, flag
from tests.builders import make_snapshot
from tests.fuzz.clients import TOKEN
from tests.fuzz.doors import DOORS, corpus
from tests.fuzz.feed import KEY

NUMBERS = ["0", "1", "-1", "0.05", "60", "1e9", "1e308", "1e-320", "nan", "inf", "9" * 400, "18446744073709551616"]
UUID = "GPU-05a9ed06-0ddb-1882-ccba-3e5f36943990"
CERTIFICATE = trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.bytes()
ODD = st.text(max_size=10) | st.sampled_from(
    ["\0", "\n", "\r\n", "%00", "%ff", "%0d%0a", "\udcff", "'", '"', "{", "\\"]
)


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Log nothing: what is said of odd input is not the point here."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    "file", [pytest.param(file, id=f"{name}/{file.name}") for name in DOORS for file in corpus(name)]
)
def test_what_is_in_the_corpus_is_borne(file: Path) -> None:
    DOORS[file.parent.name].knock(file.read_bytes())


def borne(name: str, sent: bytes | str) -> None:
    DOORS[name].knock(sent if isinstance(sent, bytes) else sent.encode("utf-8", "surrogateescape"))


def of_type(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of a field as a peer may write them: of the right type, but any."""
    return OF_TYPE[type(kind)](kind)


def of_struct(kind: inspect.StructType) -> st.SearchStrategy[dict[str, Any]]:
    fields = {field.encode_name: of_type(field.type) for field in kind.fields}
    needed = {field.encode_name: fields.pop(field.encode_name) for field in kind.fields if field.required}
    return st.fixed_dictionaries(needed, optional=fields)


INTEGERS = st.integers(-(2**63), 2**64 - 1) | st.integers(0, 100)
OF_TYPE: dict[type, Callable[[Any], st.SearchStrategy[Any]]] = {
    inspect.Metadata: lambda kind: of_type(kind.type),
    inspect.UnionType: lambda kind: st.one_of([of_type(each) for each in kind.types]),
    inspect.StructType: of_struct,
    inspect.ListType: lambda kind: st.lists(of_type(kind.item_type), max_size=3),
    inspect.DictType: lambda kind: st.dictionaries(of_type(kind.key_type), of_type(kind.value_type), max_size=3),
    inspect.LiteralType: lambda kind: st.sampled_from(kind.values),
    inspect.IntType: lambda _: INTEGERS,
    inspect.FloatType: lambda _: st.floats() | st.sampled_from([math.nan, math.inf, -0.0, 1e308]) | INTEGERS,
    inspect.BoolType: lambda _: st.booleans(),
    inspect.NoneType: lambda _: st.none(),
    inspect.StrType: lambda _: st.text(max_size=8),
}

SNAPSHOT = inspect.type_info(Snapshot)
WHOLE = msgspec.to_builtins(make_snapshot())
assert isinstance(SNAPSHOT, inspect.StructType)
FIELDS = {field.encode_name: of_type(field.type) for field in SNAPSHOT.fields}
ENVELOPE = {
    "host": st.sampled_from(["node-1", "a"]),
    "held_seconds": st.floats(0, 1e300) | st.sampled_from([0, 5e-324]),
    "interval_seconds": st.floats(0, 1.7e308),
    "duration_seconds": st.floats(0, 1e300),
    "sequence": st.integers(0, 2**64 - 1),
    "sampled_at_ns": st.integers(0, 2**64 - 1),
}
"""What passes for the envelope, so that what is inside is looked at."""

snapshots = st.fixed_dictionaries({}, optional=FIELDS | ENVELOPE).map(lambda changes: {**WHOLE, **changes})
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
odd_snapshots = st.tuples(snapshots, st.sampled_from(sorted(FIELDS)), anything).map(
    lambda odd: {**odd[0], odd[1]: odd[2]}
)


def framed(body: Any) -> bytes:
    host = body["host"] if isinstance(body["host"], str) else "node-1"
    return wire.topic(host) + msgspec.msgpack.encode(body)


WIDE = [HealthCheck.too_slow]
"""A GPU has so many fields that it takes a while to make one up."""

frames = (snapshots | odd_snapshots).map(framed)


@given(frames)
@settings(deadline=None, max_examples=100, suppress_health_check=WIDE)
def test_any_snapshot_is_refused_or_can_be_shown_in_every_way(frame: bytes) -> None:
    borne("frame", frame)


@given(st.lists(st.tuples(st.floats(), frames, st.integers(0, 9), st.binary(max_size=20)), max_size=4))
@settings(deadline=None, max_examples=50, suppress_health_check=WIDE)
def test_any_recording_is_read_as_far_as_it_can_be(records: list[tuple[float, bytes, int, bytes]]) -> None:
    written = MAGIC
    for seconds, frame, lie, rest in records:
        at = struct.pack(">d", seconds)
        written += at + struct.pack(">II", len(frame) + (lie == 1), zlib.crc32(at + frame) ^ (lie == 2)) + frame
        written += rest if lie == 3 else b""
    borne("recording", written)


parts = st.sampled_from([b"1.0", b"", b"1", b"CURVE", b"NULL", z85.decode(KEY), KEY, b"127.0.0.1"]) | st.binary(
    max_size=40
)
ZAP = [b"1.0", b"1", b"", b"::1", b"", b"CURVE", z85.decode(KEY)]

nearly_right = st.tuples(st.integers(0, 6), parts).map(lambda odd: [*ZAP[: odd[0]], odd[1], *ZAP[odd[0] + 1 :]])


@given(st.lists(parts, max_size=9) | nearly_right)
def test_nobody_subscribes_but_by_a_key_that_is_known(request_parts: list[bytes]) -> None:
    borne("subscription", b"".join(bytes([len(part)]) + part for part in request_parts))


def mostly(usual: st.SearchStrategy[str], odd: st.SearchStrategy[str] = ODD) -> st.SearchStrategy[str]:
    """Return what is odd in one case of eight."""
    return st.integers(0, 7).flatmap(lambda die: odd if die == 7 else usual)


VALUES = {
    "host": ["node-1", "node-2"],
    "gpu": [UUID, f"{UUID},GPU-a"],
    "reading": ["power_draw_watts", "power_draw_watts,energy_joules", "power_draw_watts,power_draw_watts"],
    "state": ["ok", "lost"],
    "sort": ["power_draw_watts", "-temperature_gpu_celsius"],
    "dialect": ["dcgm"],
}
"""What passes for each parameter that is no number."""


def queries(route: Route) -> st.SearchStrategy[str]:
    """Return queries to a route, most of them such as it takes."""
    if not route.parameters:
        return st.sampled_from(["", "", "", "?", "?x=1"])
    pairs = st.sampled_from([one.name for one in route.parameters]).flatmap(
        lambda name: mostly(st.sampled_from(VALUES.get(name, NUMBERS))).map(lambda value: f"{name}={value}")
    )
    return st.lists(mostly(pairs), max_size=3).map(lambda given: "?" + "&".join(given))


targets = st.sampled_from(ROUTES).flatmap(
    lambda route: st.tuples(
        mostly(st.just(""), st.sampled_from(["http://localhost", "//"])),
        mostly(st.just(route.path.replace("{uuid}", UUID)), st.just(route.path.replace("{uuid}", "%00"))),
        queries(route),
    ).map("".join)
)
WANTS = {
    "Host": ["localhost", "[::1]:1", "node-1", "localhost:x"],
    "Accept": ["*/*;q=0", "application/openmetrics-text;version=1.0.0;q=0.x", "text/plain;version=9"],
    "Accept-Encoding": ["gzip;q=0", "gzip", "*", "gzip;q=" + "0" * 99],
    "If-None-Match": ["*", 'W/"a", "b"', '"' * 99],
    "Last-Event-ID": ["0123456789abcdef-1", "a%20run%0A-7-0", "-" * 99 + "1" * 20, f"0123456789abcdef-{2**64}"],
    "Authorization": [f"Bearer {TOKEN}", f"bearer  {TOKEN}", "Bearer", "Basic AAAA"],
    "Origin": ["https://example.org", "null"],
}
headers = st.sampled_from(sorted(WANTS)).flatmap(
    lambda name: mostly(st.sampled_from(WANTS[name])).map(lambda value: f"{name}: {value}")
)


@given(mostly(st.just("GET"), st.sampled_from(["HEAD", "OPTIONS", "POST"]) | ODD), mostly(targets), st.lists(headers))
@settings(deadline=None, max_examples=300)
def test_any_request_is_answered_as_documented(method: str, target: str, lines: list[str]) -> None:
    borne("request", "\n".join([method, target, "Host: localhost", *lines]))


@pytest.mark.parametrize(
    ("target", "passes"), [(f"{route.path}?{one.name}=", one.name) for route in ROUTES for one in route.parameters]
)
@given(data=st.data())
@settings(deadline=None, max_examples=8)
def test_any_value_of_any_parameter_is_answered_as_documented(target: str, passes: str, data: st.DataObject) -> None:
    value = data.draw(mostly(st.sampled_from(VALUES.get(passes, NUMBERS))))
    borne("request", f"GET\n{target.replace('{uuid}', UUID)}{value}\nHost: localhost")


TEXTS = ["::1", "::1%1", "0.0.0.0", "tcp://[::1]:1", "tcp://a:1,ipc:///b", "file:a", "https://a", "node-1"]  # noqa: S104
SUITING = {"a number": NUMBERS, "a whole": NUMBERS, "true or ": ["true", "false"], "one of D": ["DEBUG", "ERROR"]}
"""Values by how what is expected begins."""


def setting(kind: type[ApiSettings | CollectorSettings], name: str) -> st.SearchStrategy[str]:
    """Return a setting as a variable or a flag, most with a value that suits it."""
    begin = expectation(kind, name)[:8]
    forms = st.sampled_from([f"{PREFIX}{name.upper()}", flag(name)])
    return st.tuples(forms, mostly(st.sampled_from(SUITING.get(begin, TEXTS)))).map("=".join)


every_setting = st.sampled_from([(kind, name) for kind in (CollectorSettings, ApiSettings) for name in names(kind)])


@given(st.lists(mostly(every_setting.flatmap(lambda one: setting(*one)), ODD | st.just("-h")), max_size=3))
@settings(deadline=None, max_examples=200)
def test_any_settings_are_taken_or_refused_in_one_line(texts: list[str]) -> None:
    borne("settings", "\0".join(texts))


WORDS = [
    "alice",
    "bob",
    "0123456789abcdef",
    "#",
    "\ufeff",
    "tcp://a:1",
    "ipc:///b",
    KEY.decode(),
    "\x1c",
    "\r",
    "=",
    ".",
]
lines = st.lists(st.lists(mostly(st.sampled_from(WORDS)), max_size=3).map(" ".join), max_size=4).map("\n".join)


@pytest.mark.parametrize("name", ["tokens", "feeds", "key"])
@given(text=lines)
@settings(deadline=None, max_examples=60)
def test_any_file_that_a_setting_names_is_read_or_refused_in_one_line(name: str, text: str) -> None:
    borne(name, text)


@given(st.integers(0, len(CERTIFICATE)), st.integers(0, 80), st.binary(max_size=3))
@settings(deadline=None, max_examples=60)
def test_any_certificate_is_taken_or_refused_in_one_line(start: int, length: int, put: bytes) -> None:
    borne("certificate", CERTIFICATE[:start] + put + CERTIFICATE[start + length :])
