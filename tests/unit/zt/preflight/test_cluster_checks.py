"""The checks of the API server, the nodes, the network plugin and the storage: each in each result."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from components.service.args.placement import PlacementArgs
from embedded.access import EmbeddedPlane
from tests.support.stacks import platform, service
from tests.unit.zt.preflight.stack import (
    ADMISSION,
    CREATED,
    DEFINITIONS,
    NOW,
    FakeCluster,
    lines,
    made_object,
    metadata,
    node,
    one,
    resources,
    results,
    session,
)
from zt.preflight.checks import api_server, network_plugin, nodes, placement, storage
from zt.preflight.created import Created
from zt.preflight.line import Line, Result
from zt.preflight.session import Session

DAEMON_SETS = "/apis/apps/v1/daemonsets"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"


@pytest.mark.parametrize(
    ("version", "result"),
    [
        ("v1.29.9", "fails"),
        ("v1.30.0", "ok"),
        ("v1.33.1-eks-1234", "ok"),
        ("v1.36.3", "ok"),
        ("v1.37.0", "warns"),
        ("v2.0.0", "warns"),
        ("", "not checked"),
    ],
)
def test_the_version_of_the_api_server(version: str, result: str) -> None:
    of = session(cluster=FakeCluster({"/version": {"gitVersion": version}}))
    assert one(api_server.THEME, "version", of).result == result


def test_the_newest_version_is_the_one_that_everything_is_tested_with() -> None:
    assert EmbeddedPlane.kubernetes_version().startswith(f"v{api_server.NEWEST[0]}.{api_server.NEWEST[1]}.")


def test_admission_policies_that_are_not_served() -> None:
    off = session(cluster=FakeCluster({ADMISSION: resources("ValidatingWebhookConfiguration")}))
    line = one(api_server.THEME, "admission-policies", off)
    assert line.result is Result.FAILS
    assert "ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding" in line.found
    assert one(api_server.THEME, "admission-policies", session()).result is Result.OK


def test_a_stack_without_rules_needs_no_admission_policies() -> None:
    assert not lines(api_server.THEME, session("local", created=Created()), "admission-policies")


@pytest.mark.parametrize(
    ("seconds", "result"),
    [(0, "ok"), (59, "ok"), (-60, "ok"), (61, "warns"), (-299, "warns"), (301, "fails"), (-4000, "fails")],
)
def test_the_clock(seconds: int, result: str) -> None:
    line = one(api_server.THEME, "clock", session(cluster=FakeCluster(date=NOW + timedelta(seconds=seconds))))
    assert line.result == result
    assert seconds == 0 or ("ahead of" if seconds > 0 else "behind") in line.found


def test_an_answer_without_a_date() -> None:
    assert api_server.clock_line("clock", "", NOW).result is Result.NOT_CHECKED


@pytest.mark.parametrize(
    ("present", "result"),
    [
        ([node("a", arch="arm64")], "ok"),
        # An autoscaler may bring them.
        ([], "warns"),
        ([node("w", system="windows")], "fails"),
        ([node("s", arch="s390x"), node("a")], "warns"),
    ],
)
def test_the_nodes(present: list[Any], result: str) -> None:
    line = one(nodes.THEME, "nodes", session(cluster=FakeCluster({"/api/v1/nodes": present})))
    assert line.result == result


@pytest.mark.parametrize(
    ("present", "result"),
    [
        ([node("a"), node("b"), node("c")], "ok"),
        ([node("a"), node("b")], "fails"),
        ([node("a"), node("b"), node("c", unschedulable=True)], "fails"),
        ([node("a"), node("b"), node("c", taints=[{"key": "x", "effect": "NoSchedule"}])], "fails"),
        ([node("a"), node("b"), node("c", taints=[{"key": "x", "effect": "PreferNoSchedule"}])], "ok"),
        ([node("a", "z"), node("b", "z"), node("c", "z")], "warns"),
    ],
)
def test_the_nodes_for_the_replicas_of_vault(present: list[Any], result: str) -> None:
    line = one(nodes.THEME, "vault-nodes", session(cluster=FakeCluster({"/api/v1/nodes": present})))
    assert line.result == result


def beside(made: Any, name: str) -> Any:
    made["spec"]["template"]["spec"]["containers"].append({"name": name})
    return made


def daemon(name: str, **container: Any) -> Any:
    template = {"spec": {"containers": [{"name": name, **container}]}}
    return {**metadata(name, "kube-system"), "spec": {"template": template}}


@pytest.mark.parametrize(
    ("daemons", "definitions", "result", "word"),
    [
        ([daemon("calico-node")], [], "ok", "Calico"),
        ([daemon("cilium")], [], "ok", "Cilium"),
        ([daemon("antrea-agent")], [], "ok", "Antrea"),
        ([daemon("kube-router")], [], "ok", "kube-router"),
        ([daemon("anetd")], [], "ok", "Dataplane V2"),
        ([daemon("azure-npm")], [], "ok", "Azure"),
        ([], [metadata("ciliumnetworkpolicies.cilium.io")], "ok", "Cilium"),
        ([daemon("kindnet"), daemon("calico-node")], [], "ok", "Calico"),
        ([daemon("kindnet", image="kindest/kindnetd:v20230809-80a64d96")], [], "fails", "kindnet"),
        ([daemon("kindnet")], [], "fails", "kindnet"),
        ([daemon("kindnet", image="kindest/kindnetd:v20250512-df8de77b")], [], "warns", "0.24"),
        ([daemon("kube-flannel-ds")], [], "fails", "flannel"),
        ([daemon("kube-flannel")], [], "fails", "flannel"),
        ([beside(daemon("kube-flannel"), "kube-network-policies")], [], "ok", "beside flannel"),
        ([daemon("kube-network-policies")], [], "ok", "kube-network-policies"),
        ([daemon("rke2-canal")], [], "ok", "RKE2"),
        ([daemon("aws-node")], [], "fails", "without its network policy agent"),
        ([daemon("aws-eks-nodeagent", args=["--enable-network-policy=false"])], [], "fails", "without"),
        ([daemon("aws-eks-nodeagent", args=["--enable-network-policy=true"])], [], "warns", "standard mode"),
        (
            [
                daemon(
                    "aws-eks-nodeagent",
                    args=["--enable-network-policy=true"],
                    env=[{"name": "NETWORK_POLICY_ENFORCING_MODE", "value": "strict"}],
                )
            ],
            [],
            "ok",
            "first packet",
        ),
        ([], [], "warns", "none that is known"),
    ],
)
def test_the_network_plugin(daemons: list[Any], definitions: list[Any], result: str, word: str) -> None:
    for each in daemons:
        if each["metadata"]["name"] == "aws-eks-nodeagent":
            each["metadata"]["name"] = "aws-node"
    line = one(
        network_plugin.THEME,
        "network-policy",
        session(cluster=FakeCluster({DAEMON_SETS: daemons, DEFINITIONS: definitions})),
    )
    assert (line.result.value, word in line.found) == (result, True), line


def test_a_stack_without_network_policies_needs_no_plugin_for_them() -> None:
    assert not lines(network_plugin.THEME, session("dev"), "network-policy")


@pytest.mark.parametrize(("there", "result"), [([], "ok"), ([metadata("platform")], "warns")])
def test_policies_beside_network_policies(there: list[Any], result: str) -> None:
    kinds = "/apis/policy.networking.k8s.io/v1alpha1"
    group = {"name": "policy.networking.k8s.io", "versions": [{"groupVersion": kinds.removeprefix("/apis/")}]}
    served = {"resources": [{"name": "baselineadminnetworkpolicies", "kind": "BaselineAdminNetworkPolicy"}]}
    found = {"/apis": {"groups": [group]}, kinds: served, f"{kinds}/baselineadminnetworkpolicies": there}
    line = one(network_plugin.THEME, "other-network-policies", session(cluster=FakeCluster(found)))
    assert (line.result.value, "BaselineAdminNetworkPolicy platform" in line.found) == (result, bool(there))


def storage_class(name: str, default: str = "") -> Any:
    annotations = {"storageclass.kubernetes.io/is-default-class": default} if default else {}
    return metadata(name, annotations=annotations)


CLAIM = made_object("v1", "PersistentVolumeClaim", "vault-snapshots", "vault", spec={"storageClassName": "slow"})
STATEFUL = made_object(
    "apps/v1", "StatefulSet", "db", "shop", spec={"volumeClaimTemplates": [{"spec": {"storageClassName": "fast"}}]}
)


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (
            [],
            {"default StorageClass": "fails", "StorageClass slow": "fails", "StorageClass fast": "fails"},
        ),
        (
            [storage_class("fast"), storage_class("slow")],
            {"default StorageClass": "fails", "StorageClass slow": "ok", "StorageClass fast": "ok"},
        ),
        (
            [storage_class("fast", "true"), storage_class("other", "false")],
            {"default StorageClass": "ok", "StorageClass slow": "fails", "StorageClass fast": "ok"},
        ),
    ],
)
def test_the_storage_classes(present: list[Any], expected: dict[str, str]) -> None:
    of = session(cluster=FakeCluster({CLASSES: present}), created=Created((*CREATED.objects, CLAIM, STATEFUL)))
    found = lines(storage.THEME, of)
    assert results(found) == expected
    assert any("Vault's servers" in line.found for line in found)
    assert any("shop/db" in line.found for line in found)


def test_a_stack_without_volumes_needs_no_class() -> None:
    assert not lines(storage.THEME, session("local"))


PRIORITY, RUNTIME = "/apis/scheduling.k8s.io/v1/priorityclasses/high", "/apis/node.k8s.io/v1/runtimeclasses/nvidia"
PLACE = PlacementArgs("gpu", {"pool": "gpu"}, (), "high", "nvidia", {"nvidia.com/gpu": 2})


def placed(cluster: FakeCluster) -> Session:
    of = session(cluster=cluster)
    args = service(placement="gpu", platform=platform(placements={"gpu": PLACE}))
    return replace(of, planned=replace(of.planned, services=[args]))


def test_what_a_class_of_nodes_names() -> None:
    found = lines(placement.THEME, placed(FakeCluster()))
    expected = {"PriorityClass high": "fails", "RuntimeClass nvidia": "fails", "nodes of the class gpu": "warns"}
    assert results(found) == expected
    there = metadata("n", labels={"pool": "gpu"}) | {"status": {"allocatable": {"nvidia.com/gpu": "2"}}}
    cluster = FakeCluster({PRIORITY: {}, RUNTIME: {}, "/api/v1/nodes": [there]})
    assert {*results(lines(placement.THEME, placed(cluster))).values()} == {"ok"}
    too_few = there | {"status": {"allocatable": {"nvidia.com/gpu": "1"}}}
    found = lines(placement.THEME, placed(FakeCluster({"/api/v1/nodes": [too_few]})))
    assert results(found)["nodes of the class gpu"] == "warns"


@pytest.mark.parametrize(
    ("secret", "result"),
    [(None, "warns"), ({"type": "Opaque"}, "warns"), ({"type": "kubernetes.io/dockerconfigjson"}, "ok")],
)
def test_what_images_are_pulled_with(secret: dict[str, Any] | None, result: str) -> None:
    of = session(cluster=FakeCluster({"/api/v1/namespaces/shop/secrets/pull": secret} if secret else {}))
    args = service(platform=platform(pull_secrets={"registry.example.org": "pull"}))
    line = one(placement.THEME, "pull-secrets", replace(of, planned=replace(of.planned, services=[args])))
    assert line.result.value == result


def test_a_stack_without_classes_and_credentials_is_not_asked_for_them() -> None:
    assert not lines(placement.THEME, session())


ENDPOINTS = "/api/v1/namespaces/default/endpoints/kubernetes"


def addresses(*ips: str, port: int = 6443, **changes: Any) -> Line:
    subset = {"addresses": [{"ip": ip} for ip in ips], "ports": [{"port": port}]}
    of = session(cluster=FakeCluster({ENDPOINTS: {"subsets": [subset]}}), **changes)
    return one(api_server.THEME, "api-addresses", of)


@pytest.mark.parametrize(
    ("line", "result", "word"),
    [
        (addresses("10.0.0.2", apiServerCidrs=["10.0.0.0/28"]), "ok", "10.0.0.2"),
        (addresses("10.0.0.2", "10.0.1.2", apiServerCidrs=["10.0.0.0/28"]), "fails", "10.0.1.2: in none"),
        (addresses("10.0.0.2"), "warns", "apiServerCidrs: [10.0.0.2/32]"),
        (addresses("10.0.0.2", port=8443), "fails", "apiServerPorts: [443, 6443, 8443]"),
        (addresses("10.0.0.2", port=8443, apiServerPorts=[8443], apiServerCidrs=["10.0.0.2/32"]), "ok", "10.0.0.2"),
        (addresses("fd00::2", apiServerCidrs=["10.0.0.0/8", "fd00::/64"]), "ok", "fd00::2"),
    ],
)
def test_the_addresses_of_the_api_server(line: Line, result: str, word: str) -> None:
    assert (line.result.value, word in f"{line.found} {line.fix}") == (result, True), line


def test_an_api_server_without_endpoints_is_not_checked() -> None:
    assert one(api_server.THEME, "api-addresses", session()).result == "not checked"
