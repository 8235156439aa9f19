"""`python -m collector --check`, on the stand-in for the NVIDIA library and real sockets."""

import re
import socket
from pathlib import Path

import pytest
import zmq

from collector.nvml.codes import NO_PERMISSION
from tests.checked import Checked, check, documented
from tests.ports import free_port
from tests.processes import Service, Start, eventually
from tests.standin import StandIn


def settings(standin: StandIn, place: Path, **given: str) -> dict[str, str]:
    return Service(standin, place, **given).collector.settings


def checked(standin: StandIn, place: Path, *flags: str, **given: str) -> Checked:
    return check("collector", settings(standin, place, **given), "--json", *flags)


def locked(place: Path) -> dict[str, str]:
    """Return the settings of a feed with keys, made anew."""
    keys = place / "keys"
    keys.mkdir()
    (keys / "api-1.public").write_bytes(zmq.curve_keypair()[0])
    (place / "a.secret").touch(mode=0o600)
    (place / "a.secret").write_bytes(zmq.curve_keypair()[1])
    return {"feed_secret_key": str(place / "a.secret"), "feed_authorized_keys": str(keys)}


def test_where_all_is_well_each_thing_is_a_line_and_the_status_is_0(standin: StandIn, tmp_path: Path) -> None:
    given = settings(standin, tmp_path)
    told = check("collector", given)
    assert (told.status, told.err) == (0, "")
    lines = told.out.splitlines()
    assert all(line.startswith("ok ") for line in lines)
    report = check("collector", given, "--json").report
    whats = ["settings", "versions", "user", "keys", "feed", "binding", "library", "driver", "devices"]
    assert [finding.what for finding in report.findings] == [*whats, "GPU 0", "GPU 1", "sample"]
    assert len(lines) == len(report.findings)
    # Lines and JSON say the same, but for how long a sample took.
    assert [line for line in lines if "sample" not in line] == [
        finding.line for finding in report.findings if finding.what != "sample"
    ]


def test_every_line_is_explained_to_operators(standin: StandIn, tmp_path: Path) -> None:
    plain = checked(standin, tmp_path).report.findings
    with_keys = checked(standin, tmp_path, "--processes=true", **locked(tmp_path)).report.findings
    standin.gpus(0)
    without_gpus = checked(standin, tmp_path).report.findings
    whats = {re.sub(r"GPU \d", "GPU N", finding.what) for finding in (*plain, *with_keys, *without_gpus)}
    assert whats == documented("The collector looks at:")


def test_the_report_for_support_has_versions_and_settings_and_where_these_are_from(
    standin: StandIn, tmp_path: Path
) -> None:
    told = checked(standin, tmp_path, "--interval-seconds=0.5")
    report = told.report
    assert told.status == 0
    assert (report.process, report.state) == ("collector", "ok")
    assert {"gpu-fleet-manager", "Python", "pyzmq", "libzmq", "msgspec", "nvidia-ml-py3"} <= report.versions.keys()
    assert report.settings is not None
    assert report.settings["interval_seconds"] == 0.5
    where = told.finding("settings").found
    assert "--interval-seconds=0.5" in where
    assert "GPU_METRICS_HOST=node-1" in where
    assert "INTERVAL_SECONDS=0.1" not in where
    assert told.finding("library").found == str(standin.library)
    assert "driver 550.54.15" in told.finding("driver").found


def test_a_gpu_that_is_lost_is_wrong_and_one_that_refuses_a_reading_a_warning(standin: StandIn, tmp_path: Path) -> None:
    standin.lose(0)
    standin.fail("nvmlDeviceGetFanSpeed", NO_PERMISSION, gpu=1)
    told = checked(standin, tmp_path)
    assert told.status == 1
    assert (told.finding("GPU 0").state, told.finding("GPU 1").state) == ("wrong", "warning")
    assert "no_permission: fan_speed_percent" in told.finding("GPU 1").found


def test_a_driver_that_is_not_loaded_is_wrong_with_what_to_do(standin: StandIn, tmp_path: Path) -> None:
    standin.fail("nvmlInit_v2", 9)
    told = checked(standin, tmp_path)
    assert told.status == 1
    assert told.finding("driver").found.startswith("NVML_ERROR_DRIVER_NOT_LOADED: the NVIDIA kernel driver is not")
    assert told.finding("library").state == "ok"


def test_a_library_that_is_none_is_wrong(standin: StandIn, tmp_path: Path) -> None:
    told = checked(standin, tmp_path, "--nvml-library=/nowhere/libnvidia-ml.so.1")
    assert told.status == 1
    assert "/nowhere/libnvidia-ml.so.1" in told.finding("driver").found


def test_a_library_of_something_else_is_wrong(standin: StandIn, tmp_path: Path) -> None:
    told = checked(standin, tmp_path, "--nvml-library=libc.so.6")
    assert told.status == 1
    assert told.finding("library").found == "libc.so.6"
    assert "NVML_ERROR_FUNCTION_NOT_FOUND: the library that was loaded is not NVML" in told.finding("driver").found


def test_a_driver_that_crashes_the_check_leaves_the_lines_before_it_and_the_call(
    standin: StandIn, tmp_path: Path
) -> None:
    standin.crash("nvmlDeviceGetTemperature")
    told = check("collector", settings(standin, tmp_path))
    assert told.status < 0
    assert [line.split()[1] for line in told.out.splitlines()][-2:] == ["feed", "binding"]
    assert "in nvmlDeviceGetTemperature" in told.err


@pytest.mark.parametrize(
    ("call", "gpu", "named"),
    [
        ("nvmlInit_v2", None, "nvmlInit has not returned for"),
        ("nvmlDeviceGetTemperature", 1, "nvmlDeviceGetTemperature for GPU 1 has not returned for"),
    ],
)
def test_a_call_that_hangs_is_named_and_hangs_no_check(
    standin: StandIn, tmp_path: Path, call: str, gpu: int | None, named: str
) -> None:
    standin.hang(call, gpu)
    told = checked(standin, tmp_path, stall_after_seconds="0.5")
    assert told.status == 1
    assert named in told.finding("driver").found
    assert told.finding("library").found == str(standin.library)
    assert told.finding("feed").state == "ok"


def test_the_endpoint_of_a_collector_that_runs_is_no_fault(start: Start) -> None:
    service = start()
    service.until_status("ok")
    told = check("collector", service.collector.settings, "--json")
    assert told.status == 0
    assert "in use by this collector, which runs: source ok" in told.finding("feed").found
    assert service.get().body["status"] == "ok"


def test_the_endpoint_of_a_collector_with_keys_is_known_by_its_key_and_its_log_does_not_complain(
    standin: StandIn, tmp_path: Path
) -> None:
    service = Service(standin, tmp_path, **locked(tmp_path))
    service.collector.start()
    try:
        eventually(lambda: service.collector.log, lambda log: "source ok" in log)
        told = check("collector", service.collector.settings, "--json")
        assert told.status == 0
        assert told.finding("feed").found.endswith("in use by this collector, which runs, with this key")
        assert "refused" not in service.collector.log
    finally:
        service.collector.kill()


def test_keys_are_told_by_mode_and_number_and_the_secret_is_not(standin: StandIn, tmp_path: Path) -> None:
    given = locked(tmp_path)
    secret = (tmp_path / "a.secret").read_bytes()
    told = checked(standin, tmp_path, **given)
    assert told.status == 0
    assert "mode 0600" in told.finding("secret key").found
    assert zmq.curve_public(secret).decode() in told.finding("secret key").found
    assert told.finding("who may hear").found.startswith("1 public key in ")
    assert secret.decode() not in told.out


def test_keys_that_cannot_be_loaded_are_each_told_and_nothing_is_bound(standin: StandIn, tmp_path: Path) -> None:
    given = locked(tmp_path)
    (tmp_path / "a.secret").chmod(0o644)
    (tmp_path / "keys" / "api-1.public").write_text("nonsense")
    told = checked(standin, tmp_path, **given)
    assert told.status == 1
    assert "with mode 0644: chmod 600" in told.finding("secret key").found
    assert "api-1.public" in told.finding("who may hear").found
    assert "was not tried" in told.finding("feed").found


def test_a_secret_key_in_place_of_its_file_is_shown_nowhere(standin: StandIn, tmp_path: Path) -> None:
    secret = zmq.curve_keypair()[1].decode()
    for given in ({"feed_secret_key": secret}, {"feed_secret_key": secret, "feed_authorized_keys": str(tmp_path)}):
        told = checked(standin, tmp_path, **given)
        assert told.status == 1
        assert secret not in told.out + told.err
        assert "GPU_METRICS_FEED_SECRET_KEY" in told.out


def test_a_feed_of_another_host_at_the_endpoint_is_wrong(start: Start) -> None:
    service = start()
    service.until_status("ok")
    told = check("collector", service.collector.settings, "--json", "--host=node-2")
    assert told.status == 1
    assert "a collector that calls itself node-1 publishes there" in told.finding("feed").found


def test_another_program_at_the_endpoint_is_wrong(standin: StandIn, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        told = checked(standin, tmp_path, f"--feed-bind=tcp://127.0.0.1:{other.getsockname()[1]}")
    assert told.status == 1
    assert "Address already in use" in told.finding("feed").found
    assert "sudo ss -ltnp" in told.finding("feed").todo


def test_an_address_that_is_not_this_machine_s_is_wrong(standin: StandIn, tmp_path: Path) -> None:
    told = checked(standin, tmp_path, f"--feed-bind=tcp://192.0.2.1:{free_port()}", **locked(tmp_path))
    assert told.status == 1
    assert "Cannot assign requested address" in told.finding("feed").found


def test_a_path_where_nobody_publishes_is_left_as_it_was(standin: StandIn, tmp_path: Path) -> None:
    told = checked(standin, tmp_path, f"--feed-bind=ipc://{tmp_path}/feed")
    assert told.finding("feed").state == "ok"
    assert not (tmp_path / "feed").exists()


def test_a_path_that_was_left_behind_is_not_made_the_checker_s(standin: StandIn, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / "feed"))
    told = checked(standin, tmp_path, f"--feed-bind=ipc://{tmp_path}/feed")
    assert told.finding("feed").state == "ok"
    # Were there one of root's now, the service's user could not even ask whether anybody is there.
    assert not (tmp_path / "feed").exists()


def test_with_processes_it_is_told_whether_those_of_others_are_seen(standin: StandIn, tmp_path: Path) -> None:
    assert checked(standin, tmp_path, "--processes=true").finding("processes").what == "processes"
