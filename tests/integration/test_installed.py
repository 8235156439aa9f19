"""The service on a machine of its own: a bare Debian that boots, on which the steps of deploy/README.md were given."""

import shutil
import signal
import socket
from collections.abc import Iterator
from functools import partial
from operator import le
from pathlib import Path

import pytest

from tests.bare_debian import unpack
from tests.installed import README, Machine
from tests.processes import eventually, get

pytestmark = pytest.mark.timeout(900)

UNITS = {"supervisord": ["gpu-metrics"], "systemd": ["gpu-metrics-collector", "gpu-metrics-api"]}
"""The units of each way of running the service."""
EXPOSURES = {"gpu-metrics": 1.5, "gpu-metrics-collector": 1.5, "gpu-metrics-api": 1.3, "processes": 1.9}
"""What systemd thinks of what each may do; of the collector's, with the drop-in for processes too."""

PROGRAMS = ("collector", "api")


@pytest.fixture(scope="module")
def machine(debian_tarball: Path, standin_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Return a machine on which the first steps were given."""
    debian = unpack(debian_tarball, tmp_path_factory.mktemp("installed") / "debian")
    # A machine that boots has it, and the bare one does not.
    debian.run("apt-get update && apt-get install -y --no-install-recommends systemd-sysv")
    with debian.booted() as booted:
        yield Machine(booted, standin_library)
    shutil.rmtree(debian.root)


@pytest.mark.parametrize("way", UNITS)
def test_the_steps_of_the_readme_are_all_that_a_bare_debian_needs(machine: Machine, way: str) -> None:
    machine.start(way, NVML_LIBRARY="")
    assert "NVML_ERROR_LIBRARY_NOT_FOUND" in machine.until_status("placeholder").body["error"]["message"]
    assert machine.run("systemctl is-active " + " ".join(UNITS[way])).split() == ["active"] * len(UNITS[way])
    assert machine.run("systemctl is-enabled " + " ".join(UNITS[way])).split() == ["enabled"] * len(UNITS[way])
    assert (
        machine.run("find /opt/gpu-metrics /etc/gpu-metrics ! -type l '(' -user gpu-metrics -o -perm /0022 ')'") == ""
    )
    assert machine.run("stat -c '%a %U:%G' /etc/gpu-metrics/env").strip() == "640 root:gpu-metrics"
    machine.give(way)


def test_the_readme_s_check_finds_nothing_wrong_with_a_service_that_runs(machine: Machine) -> None:
    machine.start("supervisord")
    machine.until_status("ok")
    told = [line.split()[:2] for line in machine.give("check").splitlines()]
    assert {what for _, what in told} >= {"settings", "library", "driver", "GPU", "feed", "address"}
    assert "wrong" not in {state for state, _ in told}


@pytest.mark.parametrize("way", UNITS)
def test_systemd_finds_nothing_wrong_with_a_unit_and_little_that_it_may_do(machine: Machine, way: str) -> None:
    machine.start(way)
    assert machine.run("systemd-analyze verify " + " ".join(f"{unit}.service" for unit in UNITS[way])) == ""
    for unit in UNITS[way]:
        assert machine.exposure(unit) == EXPOSURES[unit] <= 2.0


def test_the_readme_tells_the_exposure_of_each_unit() -> None:
    told = " ".join(README.split())
    words = (
        "collector {gpu-metrics-collector}, with the drop-in for processes below {processes}, API {gpu-metrics-api}, "
        "supervisord {gpu-metrics}."
    )
    assert words.format_map(EXPOSURES) in told


@pytest.mark.parametrize("way", UNITS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_is_killed_is_started_again_and_the_other_goes_on(
    machine: Machine, way: str, program: str
) -> None:
    machine.start(way)
    machine.until_status("ok")
    (other,) = set(PROGRAMS) - {program}
    pid = machine.pid(other)
    killed = machine.kill(program, signal.SIGKILL)
    eventually(lambda: machine.pid(program), lambda pid: pid not in {0, killed})
    stamp = machine.until_status("ok").body["timestamp"]
    eventually(machine.metrics, lambda reply: reply.status == 200 and reply.body["timestamp"] > stamp)
    assert machine.pid(other) == pid
    assert sum(map(len, machine.pids().values())) == {"supervisord": 3, "systemd": 2}[way]


@pytest.mark.parametrize("way", UNITS)
def test_a_collector_that_cannot_start_is_tried_again_until_it_can(machine: Machine, way: str) -> None:
    machine.stop()
    with socket.create_server(("127.0.0.1", machine.feed_port)):
        machine.start(way)
        # systemd would give up after five starts within ten seconds if the units did not say otherwise.
        for number in range(1, 7):
            eventually(partial(_failures, machine, way), partial(le, number))
    machine.until_status("ok")


def _failures(machine: Machine, way: str) -> int:
    """Return how often the collector could not have its port."""
    if way == "systemd":
        told = machine.run("journalctl --unit gpu-metrics-collector --output cat")
    else:
        told = machine.run("cat /var/log/gpu-metrics/collector.log || true")
    return told.count(f"cannot publish on tcp://127.0.0.1:{machine.feed_port}")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_frozen_program_is_told_by_the_api_or_by_its_silence_and_a_restart_helps(
    machine: Machine, program: str
) -> None:
    machine.start("supervisord")
    machine.until_status("ok")
    frozen = machine.kill(program, signal.SIGSTOP)
    if program == "collector":
        assert machine.until_status("stale").status == 503
        assert get(machine.port, "/healthz").status == 200
    machine.supervisorctl(f"restart {program}")
    machine.until_status("ok")
    assert machine.pid(program) not in {0, frozen}


def test_a_collector_that_is_stuck_in_the_driver_ends_by_itself_and_is_started_again(machine: Machine) -> None:
    machine.start("supervisord", STALL_AFTER_SECONDS="0.3", STALL_EXIT_SECONDS="1")
    machine.until_status("ok")
    stuck = machine.pid("collector")
    machine.standin.hang("nvmlDeviceGetUtilizationRates")
    machine.until_status("stalled")
    eventually(lambda: machine.pid("collector"), lambda pid: pid not in {0, stuck})
    assert "ending, to be started anew: nvmlDeviceGetUtilizationRates has not returned" in machine.log("collector.log")
    machine.standin.heal()
    machine.until_status("ok")


def test_stopping_ends_the_api_then_the_collector_and_leaves_nothing_behind(machine: Machine) -> None:
    machine.start("supervisord")
    machine.until_status("ok")
    machine.stop()
    assert machine.pids() == {}
    told = machine.log("supervisord.log")
    # Neither had to be killed.
    assert 0 < told.index("stopped: api (exit status 0)") < told.index("stopped: collector (exit status 0)")
    assert machine.run("ls /run/gpu-metrics 2>/dev/null || true") == ""


def test_both_programs_go_with_a_supervisord_that_is_killed_and_come_again_with_the_next(machine: Machine) -> None:
    machine.start("supervisord")
    machine.until_status("ok")
    before = machine.pids()
    machine.run("systemctl kill --kill-whom=main --signal=KILL gpu-metrics")
    after = eventually(machine.pids, lambda pids: set(PROGRAMS) <= set(pids) and pids.keys() == before.keys())
    assert {pid for pids in before.values() for pid in pids}.isdisjoint(pid for pids in after.values() for pid in pids)
    machine.until_status("ok")


def test_the_logs_are_rotated_and_the_oldest_goes(machine: Machine) -> None:
    machine.start("supervisord", ACCESS_LOG="true")
    machine.run("sed -i s/maxbytes=10MB/maxbytes=1KB/ /etc/gpu-metrics/programs.conf")
    machine.run("systemctl restart gpu-metrics")
    machine.until_status("ok")
    logs = machine.root / "var/log/gpu-metrics"
    first = eventually(lambda: machine.metrics() and (logs / "api.log.3").exists() and machine.log("api.log.3"))
    eventually(lambda: machine.metrics() and machine.log("api.log.3") != first)
    assert sorted(path.name for path in logs.glob("api.log*")) == ["api.log", "api.log.1", "api.log.2", "api.log.3"]


def test_the_two_ways_exclude_each_other(machine: Machine) -> None:
    machine.start("supervisord")
    machine.until_status("ok")
    machine.give("systemd")
    eventually(lambda: set(machine.pids()) == set(PROGRAMS))
    machine.until_status("ok")
    machine.run("systemctl start gpu-metrics")
    eventually(lambda: set(machine.pids()) > set(PROGRAMS))
    assert machine.run("systemctl is-active gpu-metrics-api gpu-metrics-collector || true").split() == ["inactive"] * 2


def test_the_units_of_systemd_end_in_time_and_leave_nothing_behind(machine: Machine) -> None:
    machine.start("systemd")
    machine.until_status("ok")
    machine.stop()
    assert machine.pids() == {}
    for unit in UNITS["systemd"]:
        assert machine.run(f"systemctl show --property=Result,ExecMainStatus {unit}").split() == [
            "Result=success",
            "ExecMainStatus=0",
        ]


def test_processes_of_other_users_are_seen_with_the_drop_in_alone(machine: Machine) -> None:
    pid = int(machine.run("setpriv --reuid=nobody sleep 3600 >/dev/null 2>&1 & echo $!"))
    machine.standin.processes(0, (pid, 2**20))
    machine.start("systemd", PROCESSES="true")

    def seen() -> dict[str, object]:
        gpus = get(machine.port, "/api/v1/monitoring/gpus")
        return gpus.body["gpus"][0]["processes"][0] if gpus.status == 200 and gpus.body["gpus"] else {}

    hidden = eventually(seen)
    assert (hidden["pid"], hidden["user"], hidden["command"]) == (pid, None, None)
    machine.give("processes")
    eventually(seen, lambda process: (process.get("user"), process.get("command")) == ("nobody", "sleep 3600"))
    assert machine.exposure("gpu-metrics-collector") == EXPOSURES["processes"] <= 2.0
    machine.run(f"kill {pid}; rm /etc/systemd/system/gpu-metrics-collector.service.d/processes.conf")
