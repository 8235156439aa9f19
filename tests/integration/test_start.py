"""How the two real processes refuse to start: one line for whoever must act on it, and an exit status."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from common.version import VERSION
from tests.checked import check
from tests.ports import free_port
from tests.processes import ROOT, Process, Service, Start, eventually, inherited
from tests.standin import StandIn

BAD_SETTINGS = pytest.mark.parametrize(
    ("module", "settings", "line"),
    [
        ("collector", {"interval_seconds": "0"}, "GPU_METRICS_INTERVAL_SECONDS (--interval-seconds): '0' is not"),
        ("collector", {"intervall": "1"}, "GPU_METRICS_INTERVALL: no such setting"),
        ("collector", {"feed_bind": "nonsense"}, "GPU_METRICS_FEED_BIND (--feed-bind): 'nonsense' is not"),
        (
            "collector",
            {"feed_secret_key": "/nowhere/a.secret", "feed_authorized_keys": "/nowhere"},
            "GPU_METRICS_FEED_SECRET_KEY (--feed-secret-key): '/nowhere/a.secret' is not a file that can be read",
        ),
        (
            "collector",
            {"feed_bind": "tcp://0.0.0.0:8481"},
            "GPU_METRICS_FEED_BIND (--feed-bind): 'tcp://0.0.0.0:8481' is",
        ),
        (
            "api",
            {"feed_connect": "file:/nowhere"},
            "GPU_METRICS_FEED_CONNECT (--feed-connect): '/nowhere' is not a file",
        ),
        ("api", {"api_port": "99999"}, "GPU_METRICS_API_PORT (--api-port): '99999' is not"),
        ("api", {"api_address": "0.0.0.0"}, "GPU_METRICS_API_ADDRESS (--api-address): '0.0.0.0' is not"),  # noqa: S104 -- it must be refused
    ],
)


@BAD_SETTINGS
def test_a_bad_setting_is_one_line_and_status_2(
    standin: StandIn, tmp_path: Path, module: str, settings: dict[str, str], line: str
) -> None:
    process = getattr(Service(standin, tmp_path, **settings), module)
    process.start()
    assert process.ended() == 2
    assert process.log.startswith(line)
    assert process.log.count("\n") == 1


@BAD_SETTINGS
def test_a_bad_setting_is_told_by_a_check_in_the_same_words_with_status_1(
    standin: StandIn, tmp_path: Path, module: str, settings: dict[str, str], line: str
) -> None:
    process = getattr(Service(standin, tmp_path, **settings), module)
    told = check(module, process.settings, "--json")
    assert (told.status, told.err) == (1, "")
    (wrong, *_) = (finding for finding in told.report.findings if finding.state == "wrong")
    assert wrong.found.startswith(line)
    process.start()
    process.ended()
    assert process.log == f"{wrong.found}\n"


@pytest.mark.parametrize("module", ["collector", "api"])
def test_help_tells_of_the_check(module: str) -> None:
    command = [sys.executable, "-m", module, "--help"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(r"--check +Look whether", told)
    assert re.search(r"--json +With --check", told)


@pytest.mark.parametrize("module", ["collector", "api"])
@pytest.mark.parametrize("flag", ["--json", "--check=1"])
def test_flags_that_ask_for_no_check_are_one_line_and_status_2(module: str, flag: str) -> None:
    command = [sys.executable, "-m", module, flag]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--check" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("module", ["collector.replay", "api.tap"])
def test_what_has_no_check_takes_no_such_flag(module: str) -> None:
    command = [sys.executable, "-m", module, "--check"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2


def test_who_reads_the_first_line_of_a_check_only_is_no_failure() -> None:
    command = '"$0" -m collector --check --feed-bind=nonsense | head -n 1'
    ended = subprocess.run(["sh", "-c", command, sys.executable], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("wrong    settings ")
    assert ended.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_a_check_that_is_interrupted_ends_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        flags = ("--check", f"--feed-connect=tcp://127.0.0.1:{mute.getsockname()[1]}", f"--api-port={free_port()}")
        process = Process("api", {}, tmp_path / "api.log", *flags)
        process.start()
        eventually(lambda: process.log, lambda log: "address" in log)
        process.signal(signal.SIGINT)
        assert process.ended() == 130
        assert "Traceback" not in process.log


def test_a_file_that_the_operator_named_and_that_cannot_be_loaded_is_one_line_and_status_2() -> None:
    code = (
        "import sys\n"
        "from common import named_file, process, settings\n"
        "async def main(given, stop):\n"
        "    named_file.read_secret('api_token_file', given.api_token_file)\n"
        "    return 0\n"
        "sys.exit(process.run(settings.ApiSettings, main))\n"
    )
    command = [sys.executable, "-c", code, "--api-token-file=/nowhere/tokens"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("GPU_METRICS_API_TOKEN_FILE (--api-token-file): '/nowhere/tokens' is not a file")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("module", ["collector", "api"])
def test_each_process_says_which_version_it_is(module: str) -> None:
    command = [sys.executable, "-m", module, "--version"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == f"{VERSION}\n"


@pytest.mark.parametrize("arguments", ["collector --check", "collector --check --json", "collector.keys a"])
def test_what_cannot_be_told_for_a_full_disk_is_one_line_and_status_1(
    standin: StandIn, tmp_path: Path, arguments: str
) -> None:
    with Path("/dev/full").open("wb") as full:
        told = subprocess.run(
            [sys.executable, "-m", *arguments.split()],
            cwd=tmp_path,
            env=inherited() | standin.environment() | {"PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (told.returncode, told.stderr) == (1, b"standard output: No space left on device\n")


def test_a_process_without_files_to_load_again_lives_on_when_it_is_told_to(start: Start) -> None:
    service = start()
    service.until_status("ok")
    for process in (service.collector, service.api):
        process.signal(signal.SIGHUP)
    heard = service.get().body["timestamp"]
    eventually(service.get, lambda reply: reply.status == 200 and reply.body["timestamp"] > heard)
    assert (service.collector.stop(), service.api.stop()) == (0, 0)


@pytest.mark.parametrize("module", ["collector", "api"])
def test_a_port_in_use_is_one_line_and_status_1(start: Start, standin: StandIn, tmp_path: Path, module: str) -> None:
    service = start()
    service.until_status("ok")
    (tmp_path / "second").mkdir()
    second = Service(standin, tmp_path / "second")
    process = getattr(second, module)
    process.settings |= {name: service.api.settings[name] for name in ("GPU_METRICS_FEED_BIND", "GPU_METRICS_API_PORT")}
    process.start()
    assert process.ended() == 1
    assert process.log.count("\n") == 1
    assert "in use" in process.log
    assert service.get().status == 200


def test_a_collector_of_an_encrypted_feed_ends_when_it_is_told_to(standin: StandIn, tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "collector.keys", "node-1", "--directory", str(tmp_path)], cwd=ROOT, check=False
    )
    assert made.returncode == 0
    service = Service(
        standin, tmp_path, feed_secret_key=f"{tmp_path}/node-1.secret", feed_authorized_keys=str(tmp_path)
    )
    service.collector.start()
    try:
        eventually(lambda: "source ok" in service.collector.log)
        assert "publishing on tcp://127.0.0.1" in service.collector.log
        assert service.collector.stop() == 0
    finally:
        service.collector.kill()
