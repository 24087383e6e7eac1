"""The ambient data plane, as far as the control plane decides it: what the real istiod would tell each node's proxy.

ztunnel itself does not run here, so that nothing is said of what it does with that.
"""

import json
import urllib.request
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from components.service.manifests.authorization import authorization_policy
from components.service.manifests.network_policy import mesh_objects
from tests.e2e.plane import Plane, copy_program
from tests.support.waiting import eventually
from tests.unit.service.test_ambient import everything
from zt.cli import app

pytestmark = pytest.mark.e2e

STACK = "production"
SHOP, ROOT = "shop", "istio-system"
STRICT = f"{ROOT}/istio_converted_static_strict"
POLICIES = "security.istio.io", "v1"
CALLERS = {
    "api": ("istio-ingress", "public-istio", 8080),
    "postgres": (SHOP, "api", 5432),
    "redis": (SHOP, "api", 6379),
}
# What the CNI agent writes of a pod that it has taken into the mesh; simulated nodes run none.
TAKEN_IN = {"ambient.istio.io/redirection": "enabled"}


@pytest.fixture(scope="module")
def ambient(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    path = own.checkout / f"Pulumi.{STACK}.yaml"
    file = yaml.safe_load(path.read_text())
    file["config"]["zero-trust:mesh"] |= {"dataPlane": "ambient"}
    path.write_text(yaml.safe_dump(file))
    own.run("up", "--stack", STACK)
    eventually(lambda: not going(own), "the end of the pods that had a proxy of their own")
    return own


def going(plane: Plane) -> list[str]:
    """The pods of the services that are being deleted."""
    pods = plane.core.list_namespaced_pod(SHOP).items
    return [pod.metadata.name for pod in pods if pod.metadata.deletion_timestamp]


def told(plane: Plane) -> dict[str, list[dict[str, Any]]]:
    """The workloads and policies that istiod has for the nodes, in the messages of its API for them."""
    port = json.loads((plane.state / "ports.json").read_text())["istiod.http"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/debug/ambientz", timeout=600) as answer:
        return json.load(answer)


def workloads(plane: Plane) -> dict[str, dict[str, Any]]:
    """One pod of each service, as istiod describes it."""
    return {one["serviceAccount"]: one for one in told(plane)["workloads"] if one.get("namespace") == SHOP}


def accepted(plane: Plane, namespace: str, name: str) -> tuple[str, str]:
    """What istiod says of a policy for the nodes; empty before it has looked."""
    policy = plane.objects.get_namespaced_custom_object(*POLICIES, namespace, "authorizationpolicies", name)
    found = {one["type"]: one for one in policy.get("status", {}).get("conditions", [])}
    said = found.get("ZtunnelAccepted", {})
    return said.get("status", ""), said.get("reason", "")


def test_every_node_runs_the_proxy_and_no_pod_does(ambient: Plane) -> None:
    for name in ("ztunnel", "istio-cni-node"):
        status = ambient.apps.read_namespaced_daemon_set(name, ROOT).status
        assert status.number_ready == status.desired_number_scheduled == len(ambient.core.list_node().items)
    labels = ambient.core.read_namespace(SHOP).metadata.labels
    assert labels["istio.io/dataplane-mode"] == "ambient"
    assert not {"istio-injection", "istio.io/rev"} & set(labels)
    pods = ambient.core.list_namespaced_pod(SHOP).items
    assert {pod.spec.service_account_name for pod in pods} == set(CALLERS)
    for pod in pods:
        names = [container.name for container in (*(pod.spec.init_containers or []), *pod.spec.containers)]
        assert names == [pod.spec.service_account_name]


def test_no_policy_asks_more_than_a_node_can_judge(ambient: Plane) -> None:
    found = ambient.objects.list_cluster_custom_object(*POLICIES, "authorizationpolicies")["items"]
    names = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in found}
    assert names == {
        (ROOT, "deny-by-default"),
        ("istio-ingress", "public-gateway"),
        *((SHOP, name) for name in CALLERS),
    }

    def all_accepted() -> bool:
        return {accepted(ambient, *name) for name in names} == {("True", "Accepted")}

    eventually(all_accepted, "istiod's word on each policy")


def test_one_that_does_is_told_apart(ambient: Plane) -> None:
    rule = {"to": [{"operation": {"methods": ["GET"]}}]}
    body = {
        "apiVersion": "/".join(POLICIES),
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "by-method"},
        "spec": {"selector": {"matchLabels": {"app": "api"}}, "rules": [rule]},
    }
    ambient.objects.create_namespaced_custom_object(*POLICIES, SHOP, "authorizationpolicies", body)
    try:
        found = eventually(lambda: accepted(ambient, SHOP, "by-method")[1], "istiod's word on the methods")
        assert found == "UnsupportedValue"
    finally:
        ambient.objects.delete_namespaced_custom_object(*POLICIES, SHOP, "authorizationpolicies", "by-method")


def test_all_that_a_file_may_ask_for_is_within_its_judgement(ambient: Plane) -> None:
    args = everything(name="full", jobs=[])
    policy = authorization_policy(args)
    (plaintext,) = mesh_objects(args)
    assert policy is not None
    policy |= {"apiVersion": "/".join(POLICIES), "kind": "AuthorizationPolicy"}
    made = (("authorizationpolicies", policy), ("peerauthentications", plaintext))
    for plural, body in made:
        ambient.objects.create_namespaced_custom_object(*POLICIES, SHOP, plural, body)
    try:
        found = eventually(lambda: accepted(ambient, SHOP, "full")[1], "istiod's word on the whole of it")
        assert found == "Accepted"
        policies = {one["name"]: one for one in told(ambient)["policies"]}
        (group,) = policies["converted_peer_authentication_full"]["groups"]
        # Whoever has no certificate is denied, unless at the port that takes plaintext.
        matches = [match for rule in group["rules"] for match in rule["matches"]]
        assert {"notDestinationPorts": [8080]} in matches
        assert {"notPrincipals": [{"presence": {}}]} in matches
    finally:
        for plural, _ in made:
            ambient.objects.delete_namespaced_custom_object(*POLICIES, SHOP, plural, "full")


def test_an_edge_is_told_by_identity_and_port(ambient: Plane) -> None:
    policies = {f"{one['namespace']}/{one['name']}": one for one in told(ambient)["policies"]}
    for name, (namespace, account, port) in CALLERS.items():
        (group,) = policies[f"{SHOP}/{name}"]["groups"]
        matches = [match for rule in group["rules"] for match in rule["matches"]]
        principal = f"cluster.local/ns/{namespace}/sa/{account}"
        assert sorted(map(json.dumps, matches)) == sorted(
            map(json.dumps, ({"destinationPorts": [port]}, {"principals": [{"exact": principal}]}))
        )
        assert not policies[f"{SHOP}/{name}"].get("dryRun")
    everybody = policies[f"{ROOT}/deny-by-default"]
    # What is left out is the first of its kind: an ALLOW, for all workloads, that matches nothing. So what no other one
    # allows is denied.
    assert everybody == {"name": "deny-by-default", "namespace": ROOT}
    assert policies[STRICT]["action"] == "DENY"


def test_a_pod_is_told_with_its_identity_and_what_judges_it(ambient: Plane) -> None:
    for pod in ambient.core.list_namespaced_pod(SHOP).items:
        ambient.core.patch_namespaced_pod(pod.metadata.name, SHOP, {"metadata": {"annotations": TAKEN_IN}})

    def all_tunnelled() -> bool:
        return {one.get("tunnelProtocol") for one in workloads(ambient).values()} == {"HBONE"}

    eventually(all_tunnelled, "istiod's word on the pods that are taken in")
    for name, workload in workloads(ambient).items():
        assert workload["authorizationPolicies"] == [f"{SHOP}/{name}", STRICT]
        assert not {"waypoint", "networkGateway"} & set(workload)


def test_the_live_rules_keep_out_whom_no_file_names(ambient: Plane) -> None:
    arguments = ["attack", "--stack", STACK, "--embedded", "--project", str(ambient.checkout), "--format", "json"]
    done = CliRunner(env={"ZERO_TRUST_EMBEDDED_DIR": str(ambient.state)}).invoke(app, [*arguments, "--only", "1"])
    rows = {row["name"]: row for attack in json.loads(done.stdout)["attacks"] for row in attack["attempts"]}
    assert {row["result"] for name, row in rows.items() if not name.startswith("packets")} == {"blocked"}, rows
    assert done.exit_code == 0


def test_a_second_up_changes_nothing(ambient: Plane) -> None:
    ambient.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes")
