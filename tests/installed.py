"""The service on a machine of its own, installed by the commands of deploy/README.md."""

import re
import shutil
import signal
import textwrap
from pathlib import Path

from tests.bare_debian import Booted
from tests.ports import free_port
from tests.processes import ROOT, Reply, eventually, get
from tests.standin import StandIn

README = (ROOT / "deploy/README.md").read_text()

_LIST = r"""
for process in $(find /proc -maxdepth 1 -name '[0-9]*' -user gpu-metrics 2>/dev/null); do
    echo "${process#/proc/} $(tr '\0' ' ' 2>/dev/null < $process/cmdline)"
done
"""


def command(name: str) -> str:
    """Return the commands that stand behind a mark of the README."""
    (block,) = re.findall(rf"(?sm)^ *<!-- command: {name} -->\n *```sh\n(.*?)^ *```$", README)
    return textwrap.dedent(block)


class Machine:
    """A machine with the program and its settings, but no unit yet. Its API is on a port of loopback."""

    def __init__(self, booted: Booted, library: Path) -> None:
        self.root = booted.root
        self.run = booted.run
        self.port = free_port()
        self.feed_port = free_port()
        self._clone()
        self.give("prepare")
        self.give("program")
        shutil.copy(library, self.root / "usr/local/lib/standin.so")
        self.standin = StandIn(library, self.root / "srv/nvml.control")

    def give(self, name: str) -> str:
        """Give commands of the README, and return what they print."""
        return self.run(f"cd /root/clone\n{command(name)}")

    def start(self, way: str, **settings: str) -> None:
        """Start the service in one of the two ways, by the commands of the README. With the stand-in for the NVIDIA
        library, healed, unless the settings name another."""
        self.stop()
        self.run("rm -rf /var/log/gpu-metrics")
        self.standin.heal()
        feed = f"tcp://127.0.0.1:{self.feed_port}"
        given = {
            "API_PORT": str(self.port),
            "FEED_BIND": feed,
            "FEED_CONNECT": feed,
            "INTERVAL_SECONDS": "0.2",
            "NVML_LIBRARY": "/usr/local/lib/standin.so",
            **settings,
        }
        lines = ["NVML_STANDIN_CONTROL=/srv/nvml.control", *(f"GPU_METRICS_{name}={given[name]}" for name in given)]
        example = (ROOT / "deploy/env.example").read_text()
        (self.root / "etc/gpu-metrics/env").write_text("\n".join([example, *lines, ""]))
        self.give(way)

    def stop(self) -> None:
        """Stop the service, whichever way it runs."""
        self.run("systemctl stop 'gpu-metrics*'")

    def metrics(self) -> Reply:
        """Ask the API."""
        return get(self.port)

    def until_status(self, status: str) -> Reply:
        """Wait until the metrics have a status, and return that answer."""
        return eventually(self.metrics, lambda reply: reply.body is not None and reply.body.get("status") == status)

    def pids(self) -> dict[str, list[int]]:
        """Return the process ids of all that the user `gpu-metrics` runs, by what it is."""
        found: dict[str, list[int]] = {}
        for line in self.run(_LIST).splitlines():
            pid, _, words = line.partition(" ")
            found.setdefault((words.split() or ["?"])[-1], []).append(int(pid))
        return found

    def pid(self, program: str) -> int:
        """Return a program's process id, 0 while it does not run or is just being started."""
        pids = self.pids().get(program, [])
        return pids[0] if len(pids) == 1 else 0

    def kill(self, program: str, number: signal.Signals) -> int:
        """Send a program a signal, and return its process id."""
        pid = eventually(lambda: self.pid(program))
        self.run(f"kill -{number.value} {pid}")
        return pid

    def supervisorctl(self, words: str) -> str:
        """Ask the installed supervisord."""
        return self.run(f"/opt/gpu-metrics/bin/supervisorctl -c /etc/gpu-metrics/supervisord.conf {words}")

    def log(self, name: str) -> str:
        """Return what one of the files of logs says."""
        return (self.root / "var/log/gpu-metrics" / name).read_text()

    def exposure(self, unit: str) -> float:
        """Return what systemd thinks of what a unit may do: 0 to 10, the less the better."""
        told = self.run(f"systemd-analyze security --no-pager {unit}.service")
        return float(re.findall(r"Overall exposure level for \S+: ([\d.]+)", told)[0])

    def _clone(self) -> None:
        clone = self.root / "root/clone"
        for name in ("api", "collector", "common", "deploy"):
            shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("README.md", "pyproject.toml"):
            shutil.copy(ROOT / name, clone)
