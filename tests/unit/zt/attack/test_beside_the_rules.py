"""`zt attack` where other rules hold than those of the stack, or none: node networks, root namespaces, plugins."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.stacks import ROOT
from tests.unit.zt.attack.stack import NODE, Stack, network_policy
from tests.unit.zt.attack.test_attack import IDENTITIES, Run, results, run

__all__ = ["run"]


def in_the_nodes_network(one: dict[str, Any]) -> None:
    one["spec"]["hostNetwork"] = True
    one["spec"]["initContainers"] = []
    one["status"]["podIP"] = one["status"]["hostIP"] = "192.0.2.7"


class TestTheNodesNetwork:
    def test_neither_network_nor_mesh_closes_a_service_there(self, run: Run, stack: Stack) -> None:
        in_the_nodes_network(stack.pods[1])
        done = run("--format", "json", "--only", "1")
        succeeded = {name for name, result in results(done).items() if result == "succeeded"}
        assert succeeded == {"connect-in", "identity-undeclared", "identity-forged-label", "plaintext"}

    @pytest.mark.parametrize(("node", "result"), [(NODE, "blocked"), ("192.0.2.7", "succeeded")])
    def test_a_pod_of_the_platform_there_is_its_node(self, run: Run, stack: Stack, node: str, result: str) -> None:
        """The own node, which no policy closes, is tried with packets alone."""
        in_the_nodes_network(stack.pods[3])
        stack.pods[3]["status"]["podIP"] = node
        out = {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}
        stack.network.append(network_policy("out", {"podSelector": {}, "policyTypes": ["Egress"], "egress": [out]}))
        assert results(run("--format", "json", "--only", "connect-out"))["connect-out"] == result

    def test_without_a_proxy_no_rule_of_the_mesh_holds(self, run: Run, stack: Stack) -> None:
        stack.pods[1]["spec"]["initContainers"] = []
        found = results(run("--format", "json", "--only", "1"))
        succeeded = {name for name, result in found.items() if result == "succeeded"}
        assert succeeded == {"identity-undeclared", "identity-forged-label", "plaintext"}


class TestTheRootNamespace:
    @pytest.mark.parametrize(("place", "result"), [("istio-config", "blocked"), ("istio-system", "succeeded")])
    def test_rules_for_the_whole_mesh_are_those_there(
        self, run: Run, stack: Stack, project: Path, place: str, result: str
    ) -> None:
        """An Istio of others may have another root namespace than that of istiod."""
        file = yaml.safe_load((ROOT / "Pulumi.production.yaml").read_text())
        file["config"]["zero-trust:mesh"] = {"mode": "existing", "rootNamespace": "istio-config"}
        (project / "Pulumi.production.yaml").unlink()
        (project / "Pulumi.production.yaml").write_text(yaml.safe_dump(file))
        stack.authorization[0]["metadata"]["namespace"] = place
        assert results(run("--format", "json", "--only", "identity-unlisted"))["identity-unlisted"] == result


POLICIES = "/apis/policy.networking.k8s.io/v1alpha1"
POLICY_KINDS = (
    {"name": "adminnetworkpolicies", "kind": "AdminNetworkPolicy"},
    {"name": "adminnetworkpolicies/status", "kind": "AdminNetworkPolicy"},
    {"name": "stagednetworkpolicies", "kind": "StagedNetworkPolicy"},
    {"name": "others", "kind": "Other"},
)


class TestPoliciesOfOthers:
    """An AdminNetworkPolicy allows what no NetworkPolicy does: what it may allow is not said to be blocked."""

    @pytest.fixture(autouse=True)
    def served(self, stack: Stack) -> None:
        group = {"name": "policy.networking.k8s.io", "versions": [{"groupVersion": POLICIES.removeprefix("/apis/")}]}
        own = {"name": "networking.k8s.io", "versions": [{"groupVersion": "networking.k8s.io/v1"}]}
        network = {"name": "networkpolicies", "kind": "NetworkPolicy"}
        stack.served["/apis"] = {"groups": [group, own]}
        stack.served[POLICIES] = {"resources": list(POLICY_KINDS)}
        stack.served["/apis/networking.k8s.io/v1"] = {"resources": [network]}
        staged = {"items": [{"metadata": {"name": "later"}}]}
        stack.served |= {f"{POLICIES}/stagednetworkpolicies": staged, f"{POLICIES}/others": staged}

    def add(self, stack: Stack) -> None:
        items = [{"metadata": {"name": name}} for name in ("open", "knp.default.shop")]
        stack.served[f"{POLICIES}/adminnetworkpolicies"] = {"items": items}

    def test_a_kind_without_an_object_changes_nothing(self, run: Run) -> None:
        assert results(run("--format", "json", "--only", "connect-in"))["connect-in"] == "blocked"

    def test_what_is_blocked_is_not_judged(self, run: Run, stack: Stack) -> None:
        self.add(stack)
        done = run("--format", "json", "--only", "1")
        found = results(done)
        assert {found[name] for name in ("connect-in", "connect-out", "leave-the-cluster")} == {"not measured"}
        assert "AdminNetworkPolicy open, not evaluated here, may" in done.stdout
        assert {found[name] for name in (*IDENTITIES, "plaintext")} == {"blocked"}

    @pytest.mark.parametrize(("namespace", "result"), [("shop", "not measured"), ("calico-system", "blocked")])
    def test_one_in_a_namespace_is_for_its_pods(self, run: Run, stack: Stack, namespace: str, result: str) -> None:
        items = [{"metadata": {"name": "own", "namespace": namespace}}]
        stack.served[f"{POLICIES}/adminnetworkpolicies"] = {"items": items}
        assert results(run("--format", "json", "--only", "connect-in"))["connect-in"] == result

    def test_what_the_platform_itself_lets_through_is_found(self, run: Run, stack: Stack) -> None:
        self.add(stack)
        stack.network.clear()
        assert results(run("--format", "json", "--only", "connect-in"))["connect-in"] == "succeeded"
