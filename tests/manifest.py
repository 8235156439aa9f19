"""The Kubernetes manifest, read as a cluster reads it."""

from typing import Any

import yaml

from tests.processes import ROOT

OBJECTS: dict[str, Any] = {
    one["kind"]: one for one in yaml.safe_load_all((ROOT / "deploy/kubernetes/gpu-metrics.yaml").read_text())
}
POD: dict[str, Any] = OBJECTS["DaemonSet"]["spec"]["template"]
CONTAINERS: dict[str, Any] = {one["name"]: one for one in POD["spec"]["containers"]}
NODE = "node-7.example"


def environment(name: str) -> dict[str, str]:
    """Return the environment of a container as the kubelet makes it, on a node named NODE."""
    container = CONTAINERS[name]
    given: dict[str, str] = {}
    for source in container["envFrom"]:
        assert source["configMapRef"]["name"] == OBJECTS["ConfigMap"]["metadata"]["name"]
        given |= OBJECTS["ConfigMap"]["data"]
    for variable in container["env"]:
        if "value" in variable:
            given[variable["name"]] = variable["value"]
        else:
            assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
            given[variable["name"]] = NODE
    return given
