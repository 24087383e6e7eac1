"""`zt attack` as a namespace's member on the production stack: what is refused, and by which control alone."""

import contextlib
import json
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from components.kube.names import IDENTITIES, KYVERNO_NAMESPACE, USE
from tests.e2e.attack_weakenings import RBAC, SHOP, Weaken, call, cluster_rights, collection, without_rule
from tests.e2e.namespace_weakenings import MEMBER, aggregated, rights_in, together, without_policies
from tests.e2e.plane import Plane
from tests.support.waiting import eventually
from zt.attack.attacker import Attacker
from zt.attack.faults import FAULTS
from zt.attack.replay import attempts_of
from zt.attack.temporary_rights import NAME
from zt.cli import app

pytestmark = pytest.mark.e2e

STACK = "production"
ALL = {attempt.name for attempt in attempts_of(Attacker.NAMESPACE_ADMIN)}
NOT_MEASURED = {"claim-of-service", "copy-of-claim", "claim-to-come", "borrowed-exception"}
OBJECTS, INTEGRITY, HOSTS = "service-objects", "rule-integrity", "public-hosts"
IMAGES = "restrict-image-registries"

Found = tuple[int, dict[str, str], dict[str, str]]


@dataclass(frozen=True)
class Weakening:
    """Controls that are off while the attempts of an attack run, and the attempts that get through."""

    name: str
    off: Weaken
    only: str
    succeed: frozenset[str]


def off(name: str, weaken: Weaken, only: str, *succeed: str) -> Weakening:
    return Weakening(name, weaken, only, frozenset(succeed))


def attack(plane: Plane, *arguments: str, role: str = "admin") -> tuple[Found, str]:
    """The exit code, the result of each attempt, the answer that it rests on, and all that was printed."""
    command = ["attack", "--stack", STACK, "--embedded", "--as", f"namespace-{role}", "--format", "json", *arguments]
    done = CliRunner(env={"ZERO_TRUST_EMBEDDED_DIR": str(plane.state)}).invoke(app, command, catch_exceptions=False)
    assert done.stdout, done.stderr
    document = json.loads(done.stdout)
    assert document["as"] == f"namespace-{role}"
    rows = [row for one in document["attacks"] for row in one["attempts"]]
    found = {row["name"]: row["result"] for row in rows}
    return (done.exit_code, found, {row["name"]: row["answer"] for row in rows}), done.output


def through(found: Found) -> set[str]:
    return {name for name, result in found[1].items() if result == "succeeded"}


OF_KYVERNO = aggregated(
    ("kyverno.io policies.kyverno.io wgpolicyk8s.io reports.kyverno.io", "*", "create delete patch get")
)
OF_THE_MESH = aggregated(("security.istio.io networking.istio.io", "*", "create delete patch get"))
STATUSES = aggregated(
    (
        " apps policy gateway.networking.k8s.io",
        "pods/status deployments/status poddisruptionbudgets/status httproutes/status",
        "patch",
    )
)
BOUNDS = aggregated(("", "resourcequotas limitranges", "create"))
ENDPOINTS = aggregated((" discovery.k8s.io", "endpoints endpointslices", "create patch get"))
ROUTES = aggregated(("gateway.networking.k8s.io", "httproutes", "create"))
BY_OBJECTS = (
    *("labelled-pod", "labelled-template", "relabelled-pod", "change-service", "service-for-pods"),
    *("budget-for-service", "authorities", "change-objects", "delete-objects", "disown-objects", "scale-service"),
)
BY_IDENTITIES = (
    *("pod-as-service", "controller-as-service", "shell", "past-the-mesh", "token-of-service", "token-secret"),
)
BY_BOTH = ("change-workload", "change-image")
BY_HOSTS = ("ingress-host", "ingress-any-host", "ingress-certificate")

WEAKENINGS = (
    # 7: the rules
    off(
        "rights-of-kyverno",
        together(without_policies(INTEGRITY), OF_KYVERNO),
        "7",
        *("exception-own", "namespaced-policies", "policy-reports", "update-requests"),
    ),
    off(
        "exceptions-of-the-platform",
        rights_in(KYVERNO_NAMESPACE, ("policies.kyverno.io kyverno.io", "policyexceptions", "create")),
        "7",
        "exception-platform",
    ),
    off("rights-of-the-mesh", OF_THE_MESH, "7", "platform-kinds"),
    off(
        "changes-rules",
        cluster_rights(("policies.kyverno.io", "validatingpolicies", "delete patch get"), account=MEMBER),
        "7",
        "admission",
    ),
    off("no-policy-of-objects-in-the-network", without_policies(OBJECTS), "7", "network-policies", "open-network"),
    # 8: identities
    off("no-policy-of-identities", without_policies(IDENTITIES), "8", *BY_IDENTITIES),
    off(
        "no-policy-of-identities-and-objects",
        without_policies(IDENTITIES, OBJECTS),
        "8",
        *(*BY_IDENTITIES, *BY_BOTH),
    ),
    off(
        "debug-containers",
        together(without_policies(IDENTITIES, OBJECTS), aggregated(("", "pods/ephemeralcontainers", "patch"))),
        "8",
        *(*BY_IDENTITIES, *BY_BOTH, "debug-service"),
    ),
    off(
        "an-account-with-rights",
        cluster_rights(("", "serviceaccounts/token", "create"), ("", "serviceaccounts", USE)),
        "8",
        "impersonate-service",
    ),
    # 9: what belongs to a service
    off("no-policy-of-objects", without_policies(OBJECTS), "9", *BY_OBJECTS),
    off(
        "endpoints-and-no-policy-of-objects",
        together(without_policies(OBJECTS), ENDPOINTS),
        "9",
        *(*BY_OBJECTS, "endpoints-of-service"),
    ),
    off(
        "statuses-and-no-policy-of-objects",
        together(without_policies(OBJECTS), STATUSES),
        "9",
        *(*BY_OBJECTS, "status-of-service"),
    ),
    off(
        "bounds-and-no-policy-of-objects",
        together(without_policies(OBJECTS), BOUNDS),
        "9",
        *(*BY_OBJECTS, "bound-namespace"),
    ),
    off(
        "routes-and-no-policy-of-objects",
        together(without_policies(OBJECTS), ROUTES),
        "9",
        *(*BY_OBJECTS, "route-at-service"),
    ),
    off(
        "the-mesh-and-no-policy-of-objects",
        together(without_policies(OBJECTS), OF_THE_MESH),
        "9",
        *(*BY_OBJECTS, "mesh-objects"),
    ),
    off(
        "no-rule-for-addresses",
        without_rule("disallow-external-ips", "restrict-service-types"),
        "9",
        "external-address",
    ),
    # 10: rights
    off(
        "escalates",
        aggregated(("rbac.authorization.k8s.io", "roles", "escalate")),
        "10",
        *("grant-use", "grant-more"),
    ),
    off(
        "escalates-in-the-cluster",
        cluster_rights(("rbac.authorization.k8s.io", "clusterroles", "create escalate"), account=MEMBER),
        "10",
        "grant-cluster",
    ),
    off("labels-namespaces", aggregated(("", "namespaces", "patch get")), "10", "label-namespace"),
    off("edits-everywhere", cluster_rights(role="edit", account=MEMBER), "10", "write-elsewhere"),
    # 11: hosts
    off("no-policy-of-hosts", without_policies(HOSTS), "11", *BY_HOSTS),
    off(
        "no-policy-of-objects-for-hosts",
        without_policies(OBJECTS),
        "11",
        *("ingress-of-service", "ingress-to-service"),
    ),
    off(
        "certificates-and-no-policy-of-hosts",
        together(without_policies(HOSTS), aggregated(("cert-manager.io", "certificates", "create"))),
        "11",
        *(*BY_HOSTS, "certificate"),
    ),
    off(
        "routes-and-no-policy-of-hosts",
        together(without_policies(HOSTS), ROUTES),
        "11",
        *(*BY_HOSTS, "route-host", "route-listener"),
    ),
    # 12: the platform
    off("reads-everywhere", cluster_rights(role="edit", account=MEMBER), "12", "platform-secrets", "secrets-elsewhere"),
    off("no-rule-for-the-proxys-user", without_rule("disallow-proxy-user"), "12", "proxy-user"),
    off("no-rule-for-images", without_rule(IMAGES), "12", "image-volume"),
    # The names of the mesh's containers are held by another rule than their images.
    off(
        "no-rule-for-images-and-the-proxys-user",
        without_rule(IMAGES, "disallow-proxy-user"),
        "12",
        *("image-volume", "platform-image", "proxy-user"),
    ),
    # 13: pods
    off("no-critical-rule", without_rule(*FAULTS), "13", *(f"rule-{rule}" for rule in FAULTS)),
)
NO_SWITCH = {
    **dict.fromkeys(
        ("claim-of-service", "copy-of-claim", "claim-to-come"), "not measured: no service of this stack has a volume"
    ),
    "borrowed-exception": "not measured: no service of this stack has an exception from a critical rule",
}


@pytest.fixture(scope="module")
def production(plane: Plane) -> Plane:
    plane.stand(STACK)
    return plane


class TestProduction:
    @pytest.mark.parametrize("role", ["admin", "edit"])
    def test_every_attempt_is_refused(self, production: Plane, role: str) -> None:
        (code, found, answers), _ = attack(production, role=role)
        assert (code, "succeeded" in found.values()) == (0, False), answers
        assert {name for name, result in found.items() if result == "not measured"} == NOT_MEASURED
        assert set(found) == ALL

    def test_what_a_killed_run_left_is_replaced_and_nothing_stays(self, production: Plane) -> None:
        path = collection(RBAC, "rolebindings", SHOP)
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        head = {"apiVersion": RBAC, "kind": "RoleBinding", "metadata": {"name": NAME}}
        call(production, "POST", path, {**head, "roleRef": reference, "subjects": [MEMBER]})
        eventually(
            lambda: not through(attack(production, "--only", "grant-more")[0]), "the rights are the role's alone"
        )
        assert NAME not in [item["metadata"]["name"] for item in call(production, "GET", path)["items"]]

    def test_a_secret_that_is_read_is_not_shown(self, production: Plane) -> None:
        secret = call(production, "GET", f"{collection('v1', 'secrets', 'istio-system')}/istio-ca-secret")
        with cluster_rights(role="edit", account=MEMBER)(production):
            eventually(
                lambda: "platform-secrets" in through(attack(production, "--only", "platform-secrets")[0]), "it is read"
            )
            _, printed = attack(production, "--only", "12")
        values = [value for value in secret["data"].values() if len(value) > 8]
        assert values
        assert not [value for value in values if value in printed]


class TestWithoutOneControl:
    @pytest.mark.parametrize("weakening", WEAKENINGS, ids=lambda weakening: weakening.name)
    def test_its_attempts_get_through_and_no_other(self, production: Plane, weakening: Weakening) -> None:
        with weakening.off(production):
            found = once_in_effect(production, weakening)
        assert (found[0], through(found)) == (1, weakening.succeed), found[2]

    def test_afterwards_every_attempt_is_refused_again(self, production: Plane) -> None:
        eventually(lambda: not through(attack(production)[0]), "every control is back")

    def test_every_attempt_has_a_control_that_can_be_switched_off(self) -> None:
        tested = {name for weakening in WEAKENINGS for name in weakening.succeed}
        assert tested.isdisjoint(NO_SWITCH)
        assert tested | set(NO_SWITCH) == ALL


def once_in_effect(plane: Plane, weakening: Weakening) -> Found:
    """The results once the API server knows of this change and of the end of the one before; the last ones anyhow."""
    last, _ = attack(plane, "--only", weakening.only)

    def effective() -> bool:
        nonlocal last
        if through(last) == weakening.succeed:
            return True
        last, _ = attack(plane, "--only", weakening.only)
        return False

    with contextlib.suppress(AssertionError):
        eventually(effective, f"{weakening.name} takes effect")
    return last
