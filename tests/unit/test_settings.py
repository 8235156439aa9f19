"""What the operator may say, and what is answered to what may not be said; and the line that both processes log."""

import argparse
import contextlib
import io
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
import zmq

from common import endpoint, log, settings
from common.settings import ApiSettings, CollectorSettings, SettingsError, load, names
from common.version import VERSION
from common.wording import default, expectation, meaning

BOTH = (CollectorSettings, ApiSettings)
EVERY = [(kind, name) for kind in BOTH for name in names(kind)]


def collector(**environ: str) -> CollectorSettings:
    return load(CollectorSettings, [], named(environ))


def api(**environ: str) -> ApiSettings:
    return load(ApiSettings, [], named(environ))


def named(environ: Mapping[str, str]) -> dict[str, str]:
    return {f"GPU_METRICS_{name}": value for name, value in environ.items()}


def refusal(kind: Any, *argv: str, **environ: str) -> str:
    with pytest.raises(SettingsError) as refused:
        load(kind, argv, named(environ))
    line = str(refused.value)
    assert "\n" not in line
    return line


@contextlib.contextmanager
def unconfigured_log() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    try:
        yield root
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def test_without_any_setting_the_defaults_are_those_of_the_contract() -> None:
    assert msgspec.to_builtins(collector(HOST="node-1")) == {
        "log_level": "INFO",
        "host": "node-1",
        "interval_seconds": 30.0,
        "feed_bind": "tcp://127.0.0.1:8481",
        "feed_secret_key": "",
        "feed_authorized_keys": "",
        "nvml_library": "",
        "stall_after_seconds": 10.0,
        "stall_exit_seconds": 300.0,
        "processes": False,
        "pcie_throughput": False,
    }
    assert msgspec.to_builtins(api()) == {
        "log_level": "INFO",
        "api_address": "127.0.0.1",
        "api_port": 8480,
        "feed_connect": "tcp://127.0.0.1:8481",
        "feed_client_key": "",
        "feed_server_key": "",
        "history_seconds": 3600.0,
        "history_megabytes": 256,
        "stale_after_seconds": 0.0,
        "api_token_file": "",
        "api_tls_cert": "",
        "api_tls_key": "",
        "api_allow_anonymous": False,
        "api_cors_origin": "",
        "access_log": False,
    }


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("api_port", "1", 1),
        ("api_port", "65535", 65535),
        ("api_allow_anonymous", "true", True),
        ("api_allow_anonymous", "false", False),
        ("api_address", "::1", "::1"),
        ("stale_after_seconds", "2.5", 2.5),
        ("stale_after_seconds", "86400", 86400.0),
        ("feed_connect", "ipc:///run/gpu feed", "ipc:///run/gpu feed"),
        ("feed_connect", "ipc:///" + "x" * 106, "ipc:///" + "x" * 106),
        ("feed_connect", "tcp://[::1]:8481", "tcp://[::1]:8481"),
        ("feed_connect", "tcp://node-1.example.org:1", "tcp://node-1.example.org:1"),
        ("feed_connect", "tcp://node_1.3.:1", "tcp://node_1.3.:1"),
        ("feed_connect", "tcp://[fe80::1.2.3.4]:1", "tcp://[fe80::1.2.3.4]:1"),
        ("history_seconds", "0", 0.0),
        ("history_megabytes", "65536", 65536),
        ("api_token_file", "etc/the tokens", "etc/the tokens"),
        ("access_log", "true", True),
        ("log_level", "DEBUG", "DEBUG"),
    ],
)
def test_a_setting_is_a_variable_or_a_flag(name: str, text: str, value: object) -> None:
    flag = "--" + name.replace("_", "-")
    assert getattr(load(ApiSettings, [], named({name.upper(): text})), name) == value
    assert getattr(load(ApiSettings, [flag, text], {}), name) == value
    assert getattr(load(ApiSettings, [f"{flag}={text}"], {}), name) == value


def test_flags_that_are_no_settings_may_stand_among_them() -> None:
    others = argparse.ArgumentParser(add_help=False)
    others.add_argument("--check", action="store_true")
    assert load(ApiSettings, ["--check", "--api-port=1"], {}, [others]) == ApiSettings(api_port=1)
    assert settings.given(ApiSettings, ["--check"], {}, [others]) == {}


def test_a_flag_wins_over_its_variable() -> None:
    assert load(ApiSettings, ["--api-port=1"], named({"API_PORT": "2"})).api_port == 1


def test_an_empty_variable_is_none() -> None:
    assert api(API_PORT="", LOG_LEVEL="").api_port == 8480


def test_one_environment_serves_both_processes() -> None:
    both = {"INTERVAL_SECONDS": "5", "API_PORT": "1234"}
    assert collector(**both, HOST="node-1").interval_seconds == 5.0
    assert api(**both).api_port == 1234


def test_endpoints_are_taken_apart_and_each_is_there_once() -> None:
    settings = api(FEED_CONNECT="tcp://b:1, tcp://a:1,tcp://b:1 ,ipc:///c")
    assert settings.feed_endpoints == ("tcp://b:1", "tcp://a:1", "ipc:///c")


def test_other_programs_variables_are_left_alone() -> None:
    assert load(ApiSettings, [], {"GPU_COUNT": "x", "PATH": "/bin", "XGPU_METRICS_A": "b"}) == ApiSettings()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("API_PROT", "GPU_METRICS_API_PROT: no such setting; did you mean GPU_METRICS_API_PORT?"),
        ("PORT", "GPU_METRICS_PORT: no such setting; did you mean GPU_METRICS_API_PORT?"),
        ("api_port", "GPU_METRICS_api_port: no such setting; --help lists them"),
        ("", "GPU_METRICS_: no such setting; --help lists them"),
    ],
)
@pytest.mark.parametrize("kind", BOTH)
def test_a_name_that_neither_process_knows_is_refused(kind: Any, name: str, said: str) -> None:
    assert refusal(kind, **{name: "1"}) == said


@pytest.mark.parametrize("flag", ["--nope", "--api-po=1", "--api-port", "8480", "--interval-seconds=1"])
def test_a_flag_that_is_none_is_refused(flag: str) -> None:
    assert flag.partition("=")[0] in refusal(ApiSettings, flag)


@pytest.mark.parametrize("flag", ["--nope\n--host", "--nope\r", "--nope\u2028"])
def test_what_is_said_of_a_flag_or_name_is_one_line_whatever_is_in_it(flag: str) -> None:
    for line in (refusal(ApiSettings, flag), refusal(ApiSettings, **{flag: "1"})):
        assert ascii(flag)[1:-1] in line
        assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "name", "bad", "expected"),
    [
        *((CollectorSettings, "interval_seconds", bad, "from 0.05 to 3600") for bad in ("0", "3601", "-1", "x", "nan")),
        *((ApiSettings, "api_port", bad, "a whole number from 1 to 65535") for bad in ("0", "65536", "1.5", "0x50")),
        *((ApiSettings, "stale_after_seconds", bad, "from 0 to 86400") for bad in ("inf", "-1", "1,5", "1_0", " 1")),
        *((ApiSettings, "api_allow_anonymous", bad, "true or false") for bad in ("yes", "2", "tru")),
        *((ApiSettings, "history_seconds", bad, "from 0 to 604800") for bad in ("-1", "604801", "nan")),
        *((ApiSettings, "history_megabytes", bad, "from 1 to 65536") for bad in ("0", "65537", "0.5")),
        *((ApiSettings, "log_level", bad, "one of DEBUG, ") for bad in ("info", "TRACE")),
        *(
            (CollectorSettings, "host", bad, "a host name of letters, digits, '.', '_' and '-'")
            for bad in ("a b", "node-1\n", "n\0", "a" * 254)
        ),
        *((ApiSettings, "api_address", bad, "an IP address") for bad in ("localhost", "127.1", "[::1]", "*")),
        (ApiSettings, "api_address", "::1%a\nforged", "an IP address"),
        *((ApiSettings, name, "\udcff", "a") for name in ("api_port", "stale_after_seconds", "access_log")),
    ],
)
def test_a_bad_value_is_refused_by_name_with_what_would_be_right(kind: Any, name: str, bad: str, expected: str) -> None:
    line = refusal(kind, **{name.upper(): bad})
    assert line.startswith(f"GPU_METRICS_{name.upper()} (--{name.replace('_', '-')}): {bad!r} is not ")
    assert expected in line


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "8481",
        "127.0.0.1:8481",
        "udp://127.0.0.1:8481",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:8481/feed",
        "tcp://::1:8481",
        "tcp://:8481",
        "tcp://-:8481",
        "tcp://.:8481",
        "tcp://a b:8481",
        "tcp://n\N{LATIN SMALL LETTER O WITH DIAERESIS}de:8481",
        "tcp://[:::]:8481",
        "tcp://[1.2.3]:8481",
        "tcp://[127.0.0.1]:8481",
        "tcp://1.2.3:8481",
        "tcp://256.0.0.1:8481",
        "tcp://a..b:8481",
        "tcp://a.-b:8481",
        "tcp://*.b:8481",
        "ipc://*",
        "ipc://",
        "ipc://@abstract",
        "ipc:///run/\0",
        "ipc:///run/\nfeed",
        "ipc:///run/\udcff",
        "ipc:///" + "x" * 107,
        "inproc://feed",
    ],
)
def test_what_no_feed_can_be_at_is_refused(endpoint: str) -> None:
    said = f"{endpoint!r} is not an endpoint of the form tcp://ADDRESS:PORT or ipc:///PATH"
    line = refusal(CollectorSettings, f"--feed-bind={endpoint}", HOST="node-1")
    assert line == f"GPU_METRICS_FEED_BIND (--feed-bind): {said}"
    line = refusal(ApiSettings, f"--feed-connect=tcp://127.0.0.1:8481,{endpoint}")
    assert line == f"GPU_METRICS_FEED_CONNECT (--feed-connect): {said}"


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:1", "tcp://127.8.8.8:1", "tcp://[::1]:1", "tcp://localhost:1"])
def test_the_feed_binds_to_loopback(endpoint: str) -> None:
    assert collector(FEED_BIND=endpoint, HOST="node-1").feed_bind == endpoint


@pytest.mark.parametrize(
    "endpoint", ["tcp://0.0.0.0:1", "tcp://*:1", "tcp://[::]:1", "tcp://10.0.0.1:1", "tcp://eth0:1"]
)
def test_the_feed_binds_elsewhere_only_where_keys_say_who_may_subscribe(endpoint: str) -> None:
    line = refusal(CollectorSettings, FEED_BIND=endpoint, HOST="node-1")
    assert line.startswith(f"GPU_METRICS_FEED_BIND (--feed-bind): {endpoint!r} is not on loopback")
    assert "set GPU_METRICS_FEED_SECRET_KEY and GPU_METRICS_FEED_AUTHORIZED_KEYS" in line
    keys = {"FEED_SECRET_KEY": "a.secret", "FEED_AUTHORIZED_KEYS": "keys"}
    assert collector(FEED_BIND=endpoint, HOST="node-1", **keys).feed_bind == endpoint


@pytest.mark.parametrize(
    ("kind", "given", "missing", "purpose"),
    [
        (CollectorSettings, "FEED_SECRET_KEY", "FEED_AUTHORIZED_KEYS", " for an encrypted feed"),
        (CollectorSettings, "FEED_AUTHORIZED_KEYS", "FEED_SECRET_KEY", " for an encrypted feed"),
        (ApiSettings, "FEED_CLIENT_KEY", "FEED_SERVER_KEY", ""),
        (ApiSettings, "FEED_SERVER_KEY", "FEED_CLIENT_KEY", ""),
    ],
)
def test_the_keys_of_one_end_go_together(kind: Any, given: str, missing: str, purpose: str) -> None:
    line = refusal(kind, **{given: "some file", "HOST": "node-1"})
    flag = "--" + given.lower().replace("_", "-")
    said = f"'some file' is not enough{purpose}: set GPU_METRICS_{missing}, too"
    assert line == f"GPU_METRICS_{given} ({flag}): {said}"


@pytest.mark.parametrize(("kind", "given"), [(CollectorSettings, "FEED_SECRET_KEY"), (ApiSettings, "FEED_CLIENT_KEY")])
def test_a_secret_key_in_place_of_its_file_is_never_quoted(kind: Any, given: str) -> None:
    secret = zmq.curve_keypair()[1].decode()
    line = refusal(kind, **{given: secret, "HOST": "node-1"})
    assert line.startswith(f"GPU_METRICS_{given} ")
    assert secret not in line


def test_it_is_told_what_was_given_and_by_which_variable_or_flag() -> None:
    told = settings.given(
        ApiSettings, ["--api-port=1"], named({"API_PORT": "2", "LOG_LEVEL": "INFO", "ACCESS_LOG": ""})
    )
    assert told == {"log_level": ("GPU_METRICS_LOG_LEVEL", "INFO"), "api_port": ("--api-port", "1")}


def test_a_file_that_lists_the_feeds_may_have_the_keys_of_all() -> None:
    settings = api(FEED_CONNECT="file:etc/the feeds", FEED_CLIENT_KEY="api.secret")
    assert (settings.feed_file, settings.feed_endpoints) == ("etc/the feeds", ())


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "[0:0::0]", "*"])  # noqa: S104 -- refused, too
def test_the_feed_is_connected_to_at_one_machines_address(address: str) -> None:
    line = refusal(ApiSettings, FEED_CONNECT=f"tcp://127.0.0.1:8481,tcp://{address}:8481")
    assert line.endswith(f"'tcp://{address}:8481' is not one machine's address")


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104 -- refused is what it must be
def test_the_api_goes_beyond_loopback_only_with_tokens_or_when_told_that_anybody_may_read(address: str) -> None:
    line = refusal(ApiSettings, API_ADDRESS=address)
    assert line == (
        f"GPU_METRICS_API_ADDRESS (--api-address): {address!r} is not on loopback: set GPU_METRICS_API_TOKEN_FILE to "
        "let in who has a token, or GPU_METRICS_API_ALLOW_ANONYMOUS=true to let whoever reaches it read"
    )
    assert api(API_ADDRESS=address, API_ALLOW_ANONYMOUS="true").api_address == address
    assert api(API_ADDRESS=address, API_TOKEN_FILE="tokens").api_address == address  # noqa: S106 -- a file, no token


@pytest.mark.parametrize(("given", "missing"), [("API_TLS_CERT", "API_TLS_KEY"), ("API_TLS_KEY", "API_TLS_CERT")])
def test_a_certificate_and_its_key_go_together(given: str, missing: str) -> None:
    line = refusal(ApiSettings, **{given: "some.pem"})
    assert line.startswith(f"GPU_METRICS_{given} ")
    assert line.endswith(f": 'some.pem' is not enough for HTTPS: set GPU_METRICS_{missing}, too")
    assert api(API_TLS_CERT="cert.pem", API_TLS_KEY="key.pem").api_tls_key == "key.pem"


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.org",
        "http://localhost:3000",
        "https://a-b.c_d.example.:65535",
        "http://192.0.2.1:443",
        "https://[2001:db8::1]:8443",
    ],
)
def test_an_origin_is_taken_as_browsers_send_it(origin: str) -> None:
    assert api(API_CORS_ORIGIN=origin).api_cors_origin == origin


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "example.org",
        "https://*.example.org",
        "https://example.org/",
        "https://example.org/path",
        "https://example.org?",
        "https://user@example.org",
        "https://Example.org",
        "HTTPS://example.org",
        "https://example.org:443",
        "http://example.org:80",
        "http://example.org:0",
        "http://example.org:080",
        "http://example.org:65536",
        "http://example.org:",
        "https://a.example,https://b.example",
        "https://a.example https://b.example",
        " https://example.org",
        "https://example.org\n",
        "https://example.org\r\nX-Injected: 1",
        "https://ex\0ample.org",
        "https://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example",
        "https://1.2.3",
        "https://256.0.0.1",
        "https://2001:db8::1",
        "https://[2001:db8:0::1]",
        "https://[:::]",
        "ftp://example.org",
        "file://",
        "https://",
    ],
)
def test_what_browsers_never_send_is_no_origin(origin: str) -> None:
    line = refusal(ApiSettings, API_CORS_ORIGIN=origin)
    assert line.startswith(f"GPU_METRICS_API_CORS_ORIGIN (--api-cors-origin): {origin!r} is not one origin")


@pytest.mark.parametrize(("after", "leave", "is_right"), [("10", "10", False), ("10", "0.5", False), ("10", "0", True)])
def test_a_stuck_process_ends_later_than_it_says_that_it_is_stuck(after: str, leave: str, *, is_right: bool) -> None:
    given = {"STALL_AFTER_SECONDS": after, "STALL_EXIT_SECONDS": leave, "HOST": "node-1"}
    if is_right:
        assert collector(**given).stall_exit_seconds == float(leave)
    else:
        assert refusal(CollectorSettings, **given) == (
            f"GPU_METRICS_STALL_EXIT_SECONDS (--stall-exit-seconds): {float(leave)} is not 0, or more than "
            "GPU_METRICS_STALL_AFTER_SECONDS (10)"
        )


@pytest.mark.parametrize("kind", BOTH)
def test_help_tells_every_setting_its_range_and_its_default(kind: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load(kind, ["--help"], {})
    words = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for name in names(kind):
        assert f"--{name.replace('_', '-')} VALUE" in words
        assert f"({expectation(kind, name)}; default: {default(kind, name)})" in words


@pytest.mark.parametrize(("kind", "process"), [(CollectorSettings, "collector"), (ApiSettings, "api")])
def test_help_begins_with_the_command_and_tells_of_variables_and_of_the_version(
    kind: Any, process: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        load(kind, ["--help"], {})
    words = " ".join(capsys.readouterr().out.split())
    assert words.startswith(f"usage: python -m {process} [-h] [--version] ")
    assert " A flag with a VALUE may also be given as an environment variable, GPU_METRICS_<NAME>; the flag " in words
    assert " --version print the version of this program and end " in words


def test_the_version_is_told_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load(ApiSettings, ["--version"], {})
    assert (ended.value.code, capsys.readouterr().out) == (0, f"{VERSION}\n")


@pytest.mark.parametrize(
    ("kind", "name", "expected", "by_default"),
    [
        (CollectorSettings, "host", "text", "the machine's host name"),
        (CollectorSettings, "interval_seconds", "a number from 0.05 to 3600", "30"),
        (CollectorSettings, "feed_bind", "text", "tcp://127.0.0.1:8481"),
        (CollectorSettings, "feed_secret_key", "text", "empty"),
        (CollectorSettings, "processes", "true or false", "false"),
        (ApiSettings, "api_port", "a whole number from 1 to 65535", "8480"),
        (ApiSettings, "log_level", "one of DEBUG, ERROR, INFO, WARNING", "INFO"),
    ],
)
def test_a_setting_s_range_and_default_are_told_in_words(kind: Any, name: str, expected: str, by_default: str) -> None:
    assert (expectation(kind, name), default(kind, name)) == (expected, by_default)


@pytest.mark.parametrize(
    ("bound", "reached"),
    [
        ("tcp://*:8481", "tcp://127.0.0.1:8481"),
        ("tcp://0.0.0.0:8481", "tcp://127.0.0.1:8481"),
        ("tcp://[::]:8481", "tcp://[::1]:8481"),
        ("tcp://192.0.2.1:8481", "tcp://192.0.2.1:8481"),
        ("ipc:///run/feed", "ipc:///run/feed"),
    ],
)
def test_what_is_bound_to_all_addresses_is_reached_by_loopback(bound: str, reached: str) -> None:
    assert endpoint.nearby(bound) == reached


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_setting_says_what_it_means(kind: Any, name: str) -> None:
    assert meaning(kind, name).endswith(".")


def test_a_line_of_the_log_has_time_severity_and_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", written := io.StringIO())
    record = {"msg": "listening on %d", "args": (8480,), "created": 1741129370.1239, "msecs": 123.9}
    with unconfigured_log() as root:
        log.configure("INFO")
        root.handle(logging.makeLogRecord({"name": "api.app", "levelname": "INFO", "levelno": 20, **record}))
        logging.getLogger("api.app").debug("not said")
        assert root.level == logging.INFO
    assert written.getvalue() == "2025-03-04T23:02:50.123Z INFO api.app: listening on 8480\n"
