"""What the operating system tells of a process, and that nothing is invented of one that is gone or hidden."""

import getpass
import os
import sys
from pathlib import Path

import pytest

from collector import processes
from collector.nvml.source import Nvml
from collector.processes import described
from common.gpu import Process
from tests.fakes import FakeNvml

CONTAINER = "0123456789abcdef" * 4
NO_PID = 2**22 + 1
"""More than Linux gives to any process."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc here")


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory that stands where `/proc` is, with nothing in it but process 7."""
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    (tmp_path / "7").mkdir()
    return tmp_path / "7"


def seven() -> Process:
    return described(Process(pid=7, kind="compute"))


def test_this_process_is_described(fake: FakeNvml) -> None:
    fake.processes(0, (os.getpid(), 2**30))
    (own,) = Nvml(processes=True).sample()[0].processes or []
    assert own.name == Path("/proc/self/comm").read_text().strip()
    assert own.user == getpass.getuser()
    assert own.command is not None
    assert own.command.startswith(sys.orig_argv[0])
    assert (own.pid, own.memory_used_bytes) == (os.getpid(), 2**30)


@pytest.mark.parametrize("pid", [NO_PID, 2**32 - 2])
def test_of_a_process_that_is_gone_nothing_is_told(pid: int) -> None:
    gone = Process(pid=pid, kind="graphics", memory_used_bytes=3)
    assert described(gone) == gone


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/system.slice/docker-{CONTAINER}.scope\n",
        f"12:pids:/docker/{CONTAINER}\n11:cpu:/docker/{CONTAINER}\n",
        f"0::/kubepods.slice/kubepods-pod1b2c.slice/cri-containerd-{CONTAINER}.scope\n",
        f"0::/kubepods/besteffort/pod0a1b2c3d-0000-4000-8000-0123456789ab/{CONTAINER}\n",
        f"0::/machine.slice/libpod-{CONTAINER}.scope/container\n",
        f"0::/kubepods.slice/crio-{CONTAINER}\n",
    ],
)
def test_a_container_is_known_by_its_cgroup(proc: Path, cgroup: str) -> None:
    (proc / "cgroup").write_text(cgroup)
    assert seven().container_id == CONTAINER


@pytest.mark.parametrize(
    "cgroup",
    ["", "0::/\n", "0::/user.slice/user-1000.slice/session-2.scope\n", f"0::/{CONTAINER}0\n", f"0::/{CONTAINER[1:]}\n"],
)
def test_a_process_in_no_container_has_none(proc: Path, cgroup: str) -> None:
    (proc / "cgroup").write_text(cgroup)
    assert seven().container_id is None


@pytest.mark.parametrize(
    ("written", "command"),
    [
        (b"python\0-m\0train\0", "python -m train"),
        (b"", None),
        (b"\0", None),
        (b"\xff\xfe\0x\0", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} x"),
        (b"a" * 100_000, "a" * 1024),
    ],
)
def test_a_command_line_is_text_and_not_without_end(proc: Path, written: bytes, command: str | None) -> None:
    (proc / "cmdline").write_bytes(written)
    assert seven().command == command


@pytest.mark.parametrize("file", ["comm", "cmdline", "cgroup"])
def test_what_cannot_be_read_is_none_and_the_rest_is_told(proc: Path, file: str) -> None:
    texts = {"comm": "python\n", "cmdline": "python\0-m\0train\0", "cgroup": f"0::/{CONTAINER}\n"}
    for name, text in texts.items():
        (proc / name).write_text(text)
    (proc / file).unlink()
    (proc / file).mkdir()
    told = seven()
    fields = {"comm": told.name, "cmdline": told.command, "cgroup": told.container_id}
    assert fields == {"comm": "python", "cmdline": "python -m train", "cgroup": CONTAINER} | {file: None}


def test_a_user_without_a_name_is_none(proc: Path) -> None:
    if os.getuid():
        pytest.skip("only root can give a directory away")
    os.chown(proc, 4_000_000, -1)
    assert seven().user is None


def test_other_users_processes_are_seen_where_proc_shows_the_first_and_numbers_are_the_host_s(proc: Path) -> None:
    assert "hides the processes of other users" in processes.blindness()
    (proc.parent / "1").mkdir()
    (proc.parent / "1" / "comm").write_text("systemd\n")
    assert processes.blindness() == ""
    (proc.parent / "self" / "ns").mkdir(parents=True)
    (proc.parent / "self" / "ns" / "pid").symlink_to("pid:[4026531836]")
    assert processes.blindness() == ""
    (proc.parent / "self" / "ns" / "pid").unlink()
    (proc.parent / "self" / "ns" / "pid").symlink_to("pid:[4026532177]")
    assert "this container numbers processes anew" in processes.blindness()
