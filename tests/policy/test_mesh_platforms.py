"""What Istio's charts make of each platform: where the agent looks for network plugins, and what lets it start."""

import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from components.config.mesh import Platform
from components.kube.charts import PUBLISHED
from components.mesh.security import MeshSecurityArgs, cni_values, ztunnel_values
from embedded.toolchain import ensure
from embedded.toolchain.charts import stage_charts
from zt.check.charts import documents

pytestmark = pytest.mark.policy

# Where each keeps the programs and the settings of network plugins, by the documents of its provider.
K3S = "/var/lib/rancher/k3s/agent/etc/cni/net.d"
PLACES = {
    None: ("/opt/cni/bin", "/etc/cni/net.d"),
    "gke": ("/home/kubernetes/bin", "/etc/cni/net.d"),
    "k3d": ("/bin", K3S),
    "k3s": ("/var/lib/rancher/k3s/data/cni", K3S),
    "microk8s": ("/var/snap/microk8s/current/opt/cni/bin", "/var/snap/microk8s/current/args/cni-network"),
    "minikube": ("/opt/cni/bin", "/etc/cni/net.d"),
}


def rendered(folder: Path, chart: str, platform: Platform | None) -> list[dict[str, Any]]:
    args = MeshSecurityArgs(PUBLISHED, "STRICT", "enforce", ambient=True, platform=platform)
    values = cni_values(args) if chart == "cni" else ztunnel_values(args)
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    # It is by this version that the chart knows the directory on GKE.
    version = ["--kube-version", "v1.34.1-gke.1829001"] if platform == "gke" else []
    command = [str(ensure(["helm"]) / "helm"), "template", "x", str(stage_charts() / chart), "--values", str(file)]
    options = ["--namespace", "istio-system", *version]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True, timeout=600)
    return list(documents(done.stdout))


def test_every_platform_of_the_chart_can_be_said_but_the_one_that_preflight_refuses() -> None:
    profiles = {file.stem.removeprefix("profile-platform-") for file in stage_charts().glob("cni/files/*-platform-*")}
    assert profiles == {*get_args(Platform), "openshift"}


@pytest.mark.parametrize("platform", PLACES)
def test_the_agent_writes_where_the_nodes_look(tmp_path: Path, platform: Platform | None) -> None:
    [agent] = [made for made in rendered(tmp_path, "cni", platform) if made["kind"] == "DaemonSet"]
    volumes = {each["name"]: each["hostPath"]["path"] for each in agent["spec"]["template"]["spec"]["volumes"]}
    assert (volumes["cni-bin-dir"], volumes["cni-net-dir"]) == PLACES[platform]


@pytest.mark.parametrize("chart", ["cni", "ztunnel"])
@pytest.mark.parametrize("platform", [None, "gke"])
def test_gke_starts_critical_pods_under_a_quota_alone(tmp_path: Path, chart: str, platform: Platform | None) -> None:
    """https://istio.io/latest/docs/ambient/install/platform-prerequisites/#namespace-restrictions."""
    made = rendered(tmp_path, chart, platform)
    [agent] = [each for each in made if each["kind"] == "DaemonSet"]
    assert agent["spec"]["template"]["spec"]["priorityClassName"] == "system-node-critical"
    quotas = [each["spec"]["scopeSelector"]["matchExpressions"] for each in made if each["kind"] == "ResourceQuota"]
    due = [{"operator": "In", "scopeName": "PriorityClass", "values": ["system-node-critical"]}]
    assert quotas == ([due] if platform == "gke" else [])
