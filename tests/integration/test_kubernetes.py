"""The Kubernetes manifest: it is valid, its parts agree, and both processes run as it says."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.settings import ApiSettings, CollectorSettings, load
from common.version import VERSION
from tests.image import instructions
from tests.installed import command
from tests.linters import lint
from tests.manifest import CONTAINERS, NODE, OBJECTS, POD, environment
from tests.ports import free_port
from tests.processes import PATIENCE_SECONDS, ROOT, Process, eventually, get, inherited
from tests.standin import StandIn

ENDPOINT: dict[str, Any] = OBJECTS["PodMonitor"]["spec"]["podMetricsEndpoints"][0]
TOKEN = "a-token-of-prometheus-0123456789"  # noqa: S105 -- of this test
DRIVER_NOT_LOADED = 9

MODULES = os.environ.get("GPU_TEST_NODE_MODULES", "")
POD_MONITOR = "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1"
VALIDATE = f"""
import {{ PodMonitor }} from "{POD_MONITOR}/PodMonitor";
import {{ readFileSync }} from "node:fs";
new PodMonitor(JSON.parse(readFileSync(0))).validate();
"""


def test_every_object_has_the_form_that_kubernetes_wants(tmp_path: Path) -> None:
    own = [one for kind, one in OBJECTS.items() if kind != "PodMonitor"]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump_all(own))
    ran = lint("kubernetes-validate", "--strict", tmp_path / "own.yaml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (ran.stdout + ran.stderr).count(" passed for resource ") == len(own)


def test_the_pod_monitor_has_the_form_that_the_operator_wants(tmp_path: Path) -> None:
    if not shutil.which("node") or not Path(MODULES, POD_MONITOR).is_dir():
        pytest.skip("needs node, and GPU_TEST_NODE_MODULES to name a node_modules with @kubernetes-models/...")
    (tmp_path / "node_modules").symlink_to(Path(MODULES).resolve())
    (tmp_path / "validate.mjs").write_text(VALIDATE)
    ran = subprocess.run(
        ["node", tmp_path / "validate.mjs"],
        input=json.dumps(OBJECTS["PodMonitor"]),
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert ran.returncode == 0, ran.stderr
    # The model takes fields that it does not know, which a cluster drops.
    for name, fields in (("PodMonitorSpec", OBJECTS["PodMonitor"]["spec"]), ("PodMetricsEndpoint", ENDPOINT)):
        known = re.findall(r'"(\w+)"\??:', Path(MODULES, POD_MONITOR, f"{name}.d.ts").read_text())
        assert fields.keys() <= set(known)


def test_the_readme_makes_the_alerts_an_object_of_the_operator_s(tmp_path: Path) -> None:
    (tmp_path / "kubectl").write_text("#!/bin/sh\ncat")
    (tmp_path / "kubectl").chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    given = subprocess.run(["sh", "-c", command("rules")], cwd=ROOT, env=path, capture_output=True, check=True)
    rules = yaml.safe_load(given.stdout)
    namespace = OBJECTS["Namespace"]["metadata"]["name"]
    assert (rules["kind"], rules["metadata"]["namespace"]) == ("PrometheusRule", namespace)
    assert rules["spec"] == yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())


def test_the_parts_agree() -> None:
    labels = POD["metadata"]["labels"]
    assert OBJECTS["DaemonSet"]["spec"]["selector"] == {"matchLabels": labels}
    assert OBJECTS["PodMonitor"]["spec"]["selector"] == {"matchLabels": labels}
    assert OBJECTS["NetworkPolicy"]["spec"]["podSelector"] == {"matchLabels": labels}
    assert OBJECTS["Service"]["spec"]["selector"] == labels
    assert POD["spec"]["serviceAccountName"] == OBJECTS["ServiceAccount"]["metadata"]["name"]
    namespace = OBJECTS["Namespace"]["metadata"]["name"]
    assert {one["metadata"].get("namespace", namespace) for one in OBJECTS.values()} == {namespace}


def test_the_port_is_the_default_under_one_name() -> None:
    (port,) = CONTAINERS["api"]["ports"]
    assert port == {"name": "http", "containerPort": ApiSettings().api_port}
    assert OBJECTS["Service"]["spec"]["ports"] == [
        {"name": "http", "port": ApiSettings().api_port, "targetPort": "http"}
    ]
    assert OBJECTS["NetworkPolicy"]["spec"]["ingress"][0]["ports"] == [{"port": "http"}]
    assert ENDPOINT["port"] == "http"
    assert {CONTAINERS["api"][probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} == {"http"}


def test_both_containers_run_the_image_of_this_version_as_its_user() -> None:
    assert {one["image"] for one in CONTAINERS.values()} == {f"gpu-metrics:{VERSION}"}
    user, group = dict(instructions(ROOT / "deploy/docker/Dockerfile"))["USER"].split(":")
    security = POD["spec"]["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (int(user), int(group), int(group))


def test_neither_container_may_do_more_than_it_must() -> None:
    # What the Pod Security Standard "restricted" asks for, and a read-only file system.
    assert OBJECTS["Namespace"]["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    assert POD["spec"]["securityContext"]["runAsNonRoot"] is True
    assert POD["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in CONTAINERS.values():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & POD["spec"].keys()
    assert (POD["spec"]["enableServiceLinks"], POD["spec"]["automountServiceAccountToken"]) == (False, False)
    (volume,) = POD["spec"]["volumes"]
    assert volume["secret"]["defaultMode"] == 0o400


def test_no_gpu_is_taken_from_the_scheduler_and_only_the_collector_sees_them() -> None:
    assert POD["spec"]["runtimeClassName"] == "nvidia"
    assert environment("collector")["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert environment("api")["NVIDIA_VISIBLE_DEVICES"] == "void"
    for container in CONTAINERS.values():
        assert container["resources"]["requests"].keys() | container["resources"]["limits"].keys() == {"cpu", "memory"}


def test_every_setting_is_one_and_they_go_together() -> None:
    collector = load(CollectorSettings, [], environment("collector"))
    assert (collector.host, collector.feed_bind) == (NODE, CollectorSettings().feed_bind)
    api = load(ApiSettings, [], environment("api"))
    assert (api.feed_connect, api.api_port) == (ApiSettings().feed_connect, ApiSettings().api_port)
    (mount,) = CONTAINERS["api"]["volumeMounts"]
    assert Path(api.api_token_file).parent == Path(mount["mountPath"])
    assert ENDPOINT["interval"] == f"{collector.interval_seconds:g}s"


class Pod:
    """Both containers' processes, as the kubelet starts and probes them, on ports of their own."""

    def __init__(self, standin: StandIn, directory: Path) -> None:
        self.port = free_port()
        feed = f"tcp://127.0.0.1:{free_port()}"
        tokens = directory / "tokens"
        tokens.write_text(f"prometheus {TOKEN}\n")
        # What `defaultMode: 0400` and `fsGroup` come to: root's, and readable by the group.
        tokens.chmod(0o440)
        changed = {
            "GPU_METRICS_API_PORT": str(self.port),
            "GPU_METRICS_FEED_BIND": feed,
            "GPU_METRICS_FEED_CONNECT": feed,
            "GPU_METRICS_API_TOKEN_FILE": str(tokens),
            "GPU_METRICS_INTERVAL_SECONDS": "0.2",
            "GPU_METRICS_STALL_AFTER_SECONDS": "0.2",
            **standin.environment(),
        }
        self.processes = {}
        for name, container in CONTAINERS.items():
            python, flag, module, *arguments = container["command"]
            assert (python, flag) == ("python", "-m")
            log = directory / f"{name}.log"
            self.processes[name] = Process(module, environment(name) | changed, log, *arguments)

    def probe(self, name: str, probe: str) -> bool:
        """Probe a container once; return whether it passed."""
        wanted = CONTAINERS[name][probe]
        if "httpGet" in wanted:
            return get(self.port, wanted["httpGet"]["path"]).status == 200
        python, *arguments = wanted["exec"]["command"]
        assert python == "python"
        try:
            ran = subprocess.run(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=inherited() | self.processes[name].settings,
                capture_output=True,
                check=False,
                timeout=wanted["timeoutSeconds"],
            )
        except subprocess.TimeoutExpired:
            return False
        return ran.returncode == 0

    def are_alive(self) -> dict[str, bool]:
        """Return whether each container passes its liveness probe."""
        return {name: self.probe(name, "livenessProbe") for name in CONTAINERS}

    def is_ready(self) -> bool:
        """Return whether the pod passes its readiness probe."""
        return self.probe("api", "readinessProbe")

    def scrape(self, token: str = TOKEN) -> int:
        """Return the status that Prometheus gets with a token."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            authorization = f"{ENDPOINT['authorization']['type']} {token}"
            connection.request("GET", ENDPOINT["path"], headers={"Authorization": authorization})
            return connection.getresponse().status
        finally:
            connection.close()


@pytest.fixture
def pod(standin: StandIn, tmp_path: Path) -> Iterator[Pod]:
    started = Pod(standin, tmp_path)
    for process in started.processes.values():
        process.start()
    yield started
    for process in started.processes.values():
        process.kill()


def test_a_healthy_node_is_alive_ready_and_scraped_with_the_token_only(pod: Pod) -> None:
    eventually(pod.is_ready)
    assert pod.are_alive() == {"collector": True, "api": True}
    assert (pod.scrape(), pod.scrape("another-token-0123456789")) == (200, 401)


@pytest.mark.parametrize("fault", ["away", "stuck"])
def test_a_driver_that_does_not_answer_makes_a_node_unready_and_restarts_nothing(
    pod: Pod, standin: StandIn, fault: str
) -> None:
    eventually(pod.is_ready)
    if fault == "stuck":
        standin.hang("nvmlDeviceGetTemperature")
    else:
        standin.fail("nvmlInit_v2", DRIVER_NOT_LOADED)
        standin.reload()
    eventually(lambda: not pod.is_ready())
    assert pod.are_alive() == {"collector": True, "api": True}


def test_of_a_collector_that_is_frozen_only_the_collector_is_restarted(pod: Pod) -> None:
    eventually(pod.is_ready)
    pod.processes["collector"].signal(signal.SIGSTOP)
    eventually(lambda: not pod.is_ready())
    assert pod.are_alive() == {"collector": False, "api": True}
    pod.processes["collector"].kill()
    pod.processes["collector"].start()
    eventually(pod.is_ready)


def test_of_an_api_that_is_gone_only_the_api_is_restarted(pod: Pod) -> None:
    eventually(pod.is_ready)
    pod.processes["api"].kill()
    assert pod.are_alive() == {"collector": True, "api": False}
