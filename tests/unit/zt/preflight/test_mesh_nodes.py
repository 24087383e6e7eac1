"""What the mesh needs of the nodes and of the network plugin, and what of it each kind of cluster lacks."""

from typing import Any

import pytest

from tests.unit.zt.preflight.stack import CREATED, FakeCluster, lines, metadata, node, one, session
from tests.unit.zt.preflight.test_cluster_checks import DAEMON_SETS, daemon
from tests.unit.zt.preflight.test_clusters import MESH, labelled
from zt.preflight.checks import mesh_nodes, network_plugin
from zt.preflight.line import Line

NODES, VERSION = "/api/v1/nodes", "/version"
CILIUM = "/api/v1/namespaces/kube-system/configmaps/cilium-config"
FELIX = "/apis/crd.projectcalico.org/v1/felixconfigurations"
GKE, K3S, RKE2 = "v1.34.1-gke.1829001", "v1.34.1+k3s1", "v1.34.1+rke2r1"


def mesh(**changes: Any) -> Any:
    return {"mesh": {"replicas": 2, **changes}}


@pytest.mark.parametrize(
    ("groups", "result"), [([{"name": "apps"}], "ok"), ([{"name": "apps"}, {"name": "security.openshift.io"}], "fails")]
)
def test_openshift_gives_proxies_another_user(groups: Any, result: str) -> None:
    of = session(cluster=FakeCluster({"/apis": {"groups": groups}}))
    assert one(mesh_nodes.THEME, "mesh-user", of).result == result
    assert not lines(mesh_nodes.THEME, session("local"), "mesh-user")


PLAIN, IN_K3D, IN_MICROK8S = [node("a")], [node("k3d-test-server-0")], [labelled("a", microk8s_io__cluster="true")]


@pytest.mark.parametrize(
    ("version", "nodes", "daemons", "platform", "result"),
    [
        ("v1.34.1", PLAIN, [], None, "ok"),
        (RKE2, PLAIN, [daemon("rke2-canal")], None, "ok"),
        (GKE, PLAIN, [], None, "fails"),
        (GKE, PLAIN, [], "gke", "ok"),
        (GKE, PLAIN, [], "k3s", "fails"),
        (K3S, PLAIN, [], None, "fails"),
        (K3S, PLAIN, [], "k3s", "ok"),
        (K3S, IN_K3D, [], "k3s", "fails"),
        (K3S, IN_K3D, [], "k3d", "ok"),
        (K3S, PLAIN, [daemon("calico-node")], None, "ok"),
        (K3S, PLAIN, [daemon("cilium")], "k3s", "fails"),
        ("v1.34.1", IN_MICROK8S, [], None, "fails"),
        ("v1.34.1", IN_MICROK8S, [], "microk8s", "ok"),
        ("v1.34.1", PLAIN, [], "gke", "warns"),
        ("v1.34.1", PLAIN, [], "minikube", "ok"),
    ],
)
def test_the_platform_that_istios_charts_have_to_know(
    version: str, nodes: Any, daemons: Any, platform: str | None, result: str
) -> None:
    cluster = FakeCluster({VERSION: {"gitVersion": version}, NODES: nodes, DAEMON_SETS: daemons})
    changes = mesh(platform=platform) if platform else {}
    line = one(mesh_nodes.THEME, "mesh-platform", session(cluster=cluster, created=MESH, **changes))
    assert line.result == result, line
    if result != "ok":
        assert "mesh.platform" in line.fix
        assert "Pulumi.production.yaml" in line.fix


def test_where_the_program_installs_no_agent_the_platform_is_that_of_others() -> None:
    of = session(cluster=FakeCluster({VERSION: {"gitVersion": GKE}}), created=CREATED)
    assert not lines(mesh_nodes.THEME, of, "mesh-platform")


def with_cilium(**settings: str) -> FakeCluster:
    data = {key.replace("_", "-"): value for key, value in settings.items()}
    return FakeCluster({DAEMON_SETS: [daemon("cilium")], CILIUM: {"data": data}})


def plugin(cluster: FakeCluster, **changes: Any) -> list[Line]:
    return lines(mesh_nodes.THEME, session(cluster=cluster, **changes), "mesh-plugin")


@pytest.mark.parametrize(
    ("settings", "fix"),
    [
        ({"cni_exclusive": "true"}, "cni.exclusive=false"),
        ({"kube_proxy_replacement": "true"}, "socketLB.hostNamespaceOnly=true"),
        ({"kube_proxy_replacement": "strict", "bpf_lb_sock_hostns_only": "false"}, "socketLB.hostNamespaceOnly=true"),
        ({"bpf_lb_sock": "true"}, "socketLB.hostNamespaceOnly=true"),
    ],
)
def test_cilium_leaves_the_mesh_its_plugin_and_its_addresses(settings: Any, fix: str) -> None:
    [line] = plugin(with_cilium(**settings))
    assert (line.result, fix in line.fix) == ("fails", True)


@pytest.mark.parametrize(
    "settings", [{}, {"kube_proxy_replacement": "true", "bpf_lb_sock_hostns_only": "true", "cni_exclusive": "false"}]
)
def test_a_cilium_that_agrees_with_a_mesh(settings: Any) -> None:
    [line] = plugin(with_cilium(**settings))
    assert line.result == "ok"


def test_masquerading_in_bpf_drops_probes_in_the_ambient_mesh_alone() -> None:
    masquerading = with_cilium(enable_bpf_masquerade="true")
    assert [line.result.value for line in plugin(masquerading)] == ["ok"]
    ambient = mesh(dataPlane="ambient")
    [line] = plugin(masquerading, **ambient)
    assert (line.result, "bpf.masquerade=false" in line.fix) == ("fails", True)


@pytest.mark.parametrize(
    ("spec", "result"),
    [
        ({}, "ok"),
        ({"bpfEnabled": False, "bpfConnectTimeLoadBalancing": "TCP"}, "ok"),
        ({"bpfEnabled": True}, "fails"),
        ({"bpfEnabled": True, "bpfConnectTimeLoadBalancing": "Enabled"}, "fails"),
        ({"bpfEnabled": True, "bpfConnectTimeLoadBalancing": "Disabled"}, "ok"),
    ],
)
def test_calico_in_ebpf_leaves_a_call_the_address_of_its_service(spec: Any, result: str) -> None:
    [line] = plugin(FakeCluster({FELIX: [{**metadata("default"), "spec": spec}]}))
    assert line.result == result


SETTINGS = "/api/v1/namespaces/kube-system/configmaps/amazon-vpc-cni"
CLASSES = "/apis/eks.amazonaws.com/v1/nodeclasses"
AUTO = node("auto")
AUTO["metadata"]["labels"]["eks.amazonaws.com/compute-type"] = "auto"
ON: Any = {"data": {"enable-network-policy-controller": "true"}}


def node_class(**spec: Any) -> Any:
    return {**metadata("default"), "spec": spec}


def policies(at: dict[str, Any]) -> list[str]:
    found = lines(network_plugin.THEME, session(cluster=FakeCluster(at)), "network-policy")
    return [line.result.value for line in found]


@pytest.mark.parametrize(
    ("at", "result"),
    [
        ({}, "fails"),
        ({SETTINGS: {"data": {"enable-network-policy-controller": "false"}}}, "fails"),
        ({SETTINGS: ON, CLASSES: [node_class()]}, "warns"),
        ({SETTINGS: ON, CLASSES: [node_class(networkPolicy="DefaultAllow")]}, "warns"),
        ({SETTINGS: ON, CLASSES: [node_class(networkPolicy="DefaultDeny")]}, "ok"),
    ],
)
def test_auto_mode_of_eks_enforces_policies_once_it_is_asked_to(at: Any, result: str) -> None:
    assert policies({NODES: [AUTO], **at}) == [result]


def test_beside_nodes_of_auto_mode_those_of_ones_own_are_asked_too() -> None:
    found = policies({NODES: [AUTO, node("own")], DAEMON_SETS: [daemon("aws-node")], SETTINGS: ON})
    assert found == ["fails", "ok"]


def of_k3s(*arguments: str) -> Any:
    made = node("server")
    made["metadata"]["annotations"] = {"k3s.io/node-args": str(["server", *arguments])}
    return made


@pytest.mark.parametrize(
    ("version", "nodes", "result"),
    [
        (K3S, [of_k3s()], "ok"),
        (K3S, [of_k3s("--disable-network-policy")], "fails"),
        ("v1.34.1", [of_k3s()], "warns"),
    ],
)
def test_k3s_has_its_own_controller_of_policies(version: str, nodes: Any, result: str) -> None:
    assert policies({VERSION: {"gitVersion": version}, NODES: nodes}) == [result]


@pytest.mark.parametrize(("mode", "result"), [("never", "fails"), ("default", "ok")])
def test_a_cilium_that_enforces_nothing(mode: str, result: str) -> None:
    assert policies({DAEMON_SETS: [daemon("cilium")], CILIUM: {"data": {"enable-policy": mode}}}) == [result]
