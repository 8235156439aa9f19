"""What of Windows can be tried elsewhere: both processes without what only Unix has, and the services' files."""

import configparser
import contextlib
import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from msgspec import Struct

from common import settings, wording
from common.recording import Recorded, Recorder
from common.settings import PREFIX, ApiSettings, CollectorSettings
from tests.builders import make_gpu, make_snapshot
from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS, ROOT, Process, eventually, get
from tests.standin import StandIn

FILES: dict[str, type[Struct]] = {"collector": CollectorSettings, "api": ApiSettings}

WITHOUT_UNIX = """
import asyncio, os, runpy, signal, sys
import msgspec, prometheus_client, pynvml, ssl, tornado.httpserver, zmq.asyncio

for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
del os.fchmod, os.getuid, os.O_NONBLOCK, os.kill, os.fork
del signal.SIGHUP, signal.SIGKILL, signal.SIGUSR1, asyncio.get_child_watcher
def missing(*_):
    raise NotImplementedError
asyncio.SelectorEventLoop.add_signal_handler = asyncio.SelectorEventLoop.remove_signal_handler = missing
sys.platform = "win32"
module, *sys.argv[1:] = sys.argv[1:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
"""Our code as Windows has it, in libraries that know where they are."""


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", WITHOUT_UNIX, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)


def test_both_processes_run_without_what_only_unix_has_and_end_at_ctrl_c(standin: StandIn, tmp_path: Path) -> None:
    port, feed = free_port(), f"tcp://127.0.0.1:{free_port()}"
    environment = {**standin.environment(), "GPU_METRICS_HOST": "windows", "GPU_METRICS_FEED_BIND": feed}
    environment |= {"GPU_METRICS_API_PORT": str(port), "GPU_METRICS_FEED_CONNECT": feed}
    with (tmp_path / "log").open("w+") as log, contextlib.ExitStack() as stack:
        started = [
            subprocess.Popen([sys.executable, "-c", WITHOUT_UNIX, module], cwd=ROOT, env=environment, stderr=log)
            for module in FILES
        ]
        for process in started:
            stack.enter_context(process)
            stack.callback(process.kill)
        told = eventually(lambda: get(port), lambda reply: reply.status == 200).body
        assert (told["status"], told["host"], len(told["gpus"])) == ("ok", "windows", 2)
        for process in started:
            process.send_signal(signal.SIGINT)
        assert [process.wait(PATIENCE_SECONDS) for process in started] == [0, 0]
        log.seek(0)
        assert "Traceback" not in log.read()


def test_a_key_can_be_made_without_what_only_unix_has(tmp_path: Path) -> None:
    made = run("collector.keys", "node-1", "--directory", str(tmp_path))
    assert (made.returncode, made.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["node-1.public", "node-1.secret"]


def test_the_tap_writes_json_whatever_the_terminal_s_encoding_is(tmp_path: Path) -> None:
    feed = f"tcp://127.0.0.1:{free_port()}"
    path = tmp_path / "recorded"
    recorder = Recorder(str(path))
    recorder.write(Recorded(0.0, make_snapshot(gpus=[make_gpu(name="\N{GREEK CAPITAL LETTER OMEGA}")])))
    recorder.close()
    replaying = Process("collector.replay", {}, tmp_path / "replay.log", str(path), "--feed-bind", feed)
    replaying.start()
    command = [sys.executable, "-m", "api.tap", "--feed-connect", feed, "--count", "1"]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    try:
        told = subprocess.check_output(command, cwd=ROOT, env=environment, timeout=PATIENCE_SECONDS)
        assert json.loads(told)["gpus"][0]["name"] == "\N{GREEK CAPITAL LETTER OMEGA}"
    finally:
        replaying.kill()


@pytest.mark.parametrize("module", ["api.tap", "collector.replay"])
def test_the_other_programs_begin_without_what_only_unix_has(module: str) -> None:
    assert run(module, "--help").returncode == 0


def service(name: str) -> ET.Element:
    return ET.fromstring((ROOT / f"deploy/windows/gpu-metrics-{name}.xml").read_text())  # noqa: S314 -- our own file


def program(name: str) -> configparser.SectionProxy:
    """Return how supervisord runs the same."""
    configuration = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    configuration.read([ROOT / "supervisord.conf", ROOT / "deploy/supervisord/programs.conf"])
    return configuration[f"program:{name}"]


@pytest.mark.parametrize("name", FILES)
def test_a_service_runs_a_program_that_there_is_as_supervisord_does(name: str) -> None:
    told, other = service(name), program(name)
    assert told.findtext("id") == f"gpu-metrics-{name}"
    assert told.findtext("arguments") == f"-m {name}"
    assert f" -m {name}" in other["command"]
    command = [sys.executable, *str(told.findtext("arguments")).split(), "--version"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
    assert told.findtext("stoptimeout") == f"{other['stopwaitsecs']} sec"
    assert told.findtext("log/keepFiles") == other["stdout_logfile_backups"]
    assert f"{int(told.findtext('log/sizeThreshold', '0')) // 1024}MB" == other["stdout_logfile_maxbytes"]


@pytest.mark.parametrize("name", FILES)
def test_a_service_is_restarted_without_end_and_has_no_rights(name: str) -> None:
    told = service(name)
    assert [one.attrib["action"] for one in told.findall("onfailure")][-1] == "restart"
    assert (told.findtext("serviceaccount/domain"), told.findtext("serviceaccount/user")) == (
        "NT AUTHORITY",
        "LocalService",
    )


@pytest.mark.parametrize("name", FILES)
def test_a_service_has_settings_of_its_process_at_their_defaults(name: str) -> None:
    kind = FILES[name]
    given = {one.attrib["name"]: one.attrib["value"] for one in service(name).findall("env")}
    defaults = {PREFIX + one.upper(): wording.default(kind, one) for one in settings.names(kind)}
    assert given
    assert given.items() <= defaults.items()
