"""A chart of others on the production stack: brought up with every rule at Deny, closed, and called by a service."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from hvac.exceptions import Forbidden, InvalidRequest
from typer.testing import CliRunner

from components.kube.names import WORKLOAD_LABEL
from components.kyverno.library import load_library
from tests.e2e.admission import Admission
from tests.e2e.attack_weakenings import added, collection
from tests.e2e.plane import Plane, copy_program
from tests.support.packages import CHART, CHART_FILE, MENDED
from tests.support.waiting import eventually
from zt.cli import app

pytestmark = pytest.mark.e2e

STACK, NAMESPACE, HOST = "production", "guests", "guests.example.org"
TODAY = datetime.now(UTC).date()
TIMED = {
    "reason": "the chart can't do better yet",
    "owner": "web",
    "granted": TODAY.isoformat(),
    "expires": (TODAY + timedelta(30)).isoformat(),
}
IMPORTANT = {rule.name: "enforce" for rule in load_library().rules.values() if rule.tier == "important"}
PACKAGE: dict[str, Any] = {
    **CHART_FILE,
    "values": {**MENDED, "password": {"inEnvironment": True}, "rbac": {"clusterWide": True}, "crds": {"enabled": True}},
    "callers": ["shop/api"],
    "expose": [{"service": "guestbook-web", "port": 80, "host": HOST}],
    "secrets": {"session": {"workload": "guestbook-web", "generate": ["key"]}},
    "exceptions": [{"rule": "disallow-secrets-in-environment", "workload": "guestbook-web", **TIMED}],
    "grants": [
        {"kind": "ClusterRole", "names": ["guestbook-nodes"], **TIMED},
        {"kind": "ClusterRoleBinding", "names": ["guestbook-nodes"], **TIMED},
        {"kind": "CustomResourceDefinition", "names": ["pages.guestbook.example.org"], **TIMED},
    ],
}


@pytest.fixture(scope="module")
def production(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    shutil.copytree(CHART, own.checkout / "packages" / "guestbook")
    (own.checkout / "packages" / "guestbook.yaml").write_text(yaml.safe_dump(PACKAGE, sort_keys=False))
    service = own.checkout / "services" / "api.yaml"
    declared = yaml.safe_load(service.read_text())
    declared["calls"] = [*declared["calls"], f"{NAMESPACE}/guestbook"]
    service.write_text(yaml.safe_dump(declared, sort_keys=False))
    path = own.checkout / f"Pulumi.{STACK}.yaml"
    stack = yaml.safe_load(path.read_text())
    stack["config"]["zero-trust:phases"] = IMPORTANT
    stack["config"]["zero-trust:asOf"] = TODAY.isoformat()
    path.write_text(yaml.safe_dump(stack, sort_keys=False))
    own.run("up", "--stack", STACK)
    return own


def test_the_chart_runs_under_every_rule(production: Plane) -> None:
    for status in (
        production.apps.read_namespaced_deployment("guestbook-web", NAMESPACE).status,
        production.apps.read_namespaced_stateful_set("guestbook-store", NAMESPACE).status,
    ):
        assert status.ready_replicas == status.replicas > 0


def test_its_job_ended_before_its_pods_began(production: Plane) -> None:
    batch = production.objects.get_namespaced_custom_object("batch", "v1", NAMESPACE, "jobs", "guestbook-migrate")
    [pod, *_] = production.core.list_namespaced_pod(NAMESPACE, label_selector=f"{WORKLOAD_LABEL}=guestbook-web").items
    assert batch["status"]["succeeded"] == 1
    assert batch["status"]["completionTime"] <= pod.metadata.creation_timestamp.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_nothing_is_open_that_no_file_says(production: Plane) -> None:
    policies = {one.metadata.name: one for one in production.networking.list_namespaced_network_policy(NAMESPACE).items}
    closed = policies["guestbook.default-deny"].spec
    assert not closed.pod_selector.match_labels
    assert not closed.ingress
    assert not closed.egress
    service, gateway = policies["guestbook-web"].spec.ingress
    [peer] = gateway._from
    assert peer.namespace_selector.match_labels == {"kubernetes.io/metadata.name": "istio-ingress"}
    [peer] = service._from
    assert peer.namespace_selector.match_labels == {"kubernetes.io/metadata.name": "shop"}
    assert peer.pod_selector.match_labels == {"app": "api"}
    assert [port.port for port in service.ports] == [8080]


def test_its_host_is_served_with_a_certificate(production: Plane) -> None:
    def certificate() -> Any:
        found = production.objects.list_namespaced_custom_object(
            "cert-manager.io", "v1", "istio-ingress", "certificates"
        )
        named = [one for one in found["items"] if one["spec"]["dnsNames"] == [HOST]]
        return [one for one in named if any(c["status"] == "True" for c in one["status"].get("conditions", []))]

    eventually(certificate, "the certificate of the package's host")
    route = production.objects.get_namespaced_custom_object(
        "gateway.networking.k8s.io", "v1", NAMESPACE, "httproutes", "guestbook-web"
    )
    [backend] = route["spec"]["rules"][0]["backendRefs"]
    assert (backend["name"], backend["port"]) == ("guestbook-web", 80)


def test_its_account_reads_its_own_secret_and_no_other(production: Plane) -> None:
    vault = production.vault_as_service(NAMESPACE, "guestbook", "guests.guestbook-web")
    own = vault.secrets.kv.v2.read_secret_version(f"{NAMESPACE}/guestbook/session", raise_on_deleted_version=True)
    assert own["data"]["data"]["key"]
    with pytest.raises(Forbidden):
        vault.secrets.kv.v2.read_secret_version("shop/api/database", raise_on_deleted_version=True)
    with pytest.raises((Forbidden, InvalidRequest)):
        production.vault_as_service("shop", "api", "guests.guestbook-web")


class TestAttacks:
    NETWORK = ("connect-in", "connect-out", "identity-undeclared", "plaintext")

    def attack(self, production: Plane, *names: str) -> dict[str, tuple[str, str]]:
        """The result and the answer of these attempts, which know the package by its file and its pods."""
        words = ["attack", "--stack", STACK, "--embedded", "--project", str(production.checkout), "--format", "json"]
        words += [word for name in names for word in ("--only", name)]
        done = CliRunner(env={"ZERO_TRUST_EMBEDDED_DIR": str(production.state)}).invoke(app, words)
        assert done.stdout, done.stderr
        rows = [row for attack in json.loads(done.stdout)["attacks"] for row in attack["attempts"]]
        return {row["name"]: (row["result"], row["answer"]) for row in rows}

    def test_no_attempt_on_the_network_gets_through(self, production: Plane) -> None:
        found = self.attack(production, *self.NETWORK)
        assert {name: result for name, (result, _) in found.items()} == dict.fromkeys(self.NETWORK, "blocked"), found

    def test_a_network_policy_of_its_namespace_that_opens_a_port_is_found(self, production: Plane) -> None:
        body = {"podSelector": {"matchLabels": {WORKLOAD_LABEL: "guestbook-store"}}, "ingress": [{}]}
        with added(
            production,
            collection("networking.k8s.io/v1", "networkpolicies", NAMESPACE),
            {"metadata": {"name": "weakened"}, "spec": body},
        ):
            result, answer = self.attack(production, "connect-in")["connect-in"]
        assert (result, f"{NAMESPACE}/guestbook-store" in answer) == ("succeeded", True)

    def test_so_is_a_policy_that_takes_every_identity(self, production: Plane) -> None:
        body = {"selector": {"matchLabels": {WORKLOAD_LABEL: "guestbook-web"}}, "rules": [{}]}
        with added(
            production,
            collection("security.istio.io/v1", "authorizationpolicies", NAMESPACE),
            {
                "apiVersion": "security.istio.io/v1",
                "kind": "AuthorizationPolicy",
                "metadata": {"name": "weakened"},
                "spec": body,
            },
        ):
            result, answer = self.attack(production, "identity-undeclared")["identity-undeclared"]
        assert (result, f"{NAMESPACE}/guestbook-web" in answer) == ("succeeded", True)


def test_a_second_run_changes_nothing(production: Plane) -> None:
    production.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes")


class TestAdmission:
    @pytest.fixture(scope="class")
    def admission(self, production: Plane) -> Admission:
        return Admission(production, load_library().rules)

    def pod(self, production: Plane, name: str) -> dict[str, Any]:
        """A pod as the controller makes it."""
        found = production.core.list_namespaced_pod(NAMESPACE, label_selector=f"{WORKLOAD_LABEL}={name}").items[0]
        made: Any = production.api.sanitize_for_serialization(found)
        spec = {
            key: made["spec"][key] for key in ("serviceAccountName", "automountServiceAccountToken", "securityContext")
        }
        container = next(each for each in made["spec"]["containers"] if each["name"] in name)
        kept = ("name", "image", "securityContext", "resources", "env", "ports", "readinessProbe", "livenessProbe")
        spec["containers"] = [{key: container[key] for key in kept if key in container}]
        meta = {"name": f"{name}-other", "namespace": NAMESPACE, "labels": made["metadata"]["labels"]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}

    def test_the_exception_is_that_of_one_workload(self, production: Plane, admission: Admission) -> None:
        rule = "disallow-secrets-in-environment"
        web, store = self.pod(production, "guestbook-web"), self.pod(production, "guestbook-store")
        assert not admission.dry_run("POST", web, NAMESPACE).message
        assert not admission.dry_run("POST", store, NAMESPACE).message
        store["spec"]["containers"][0]["env"] = web["spec"]["containers"][0]["env"]
        assert rule in admission.dry_run("POST", store, NAMESPACE).rules

    def test_another_rule_holds_for_that_workload_too(self, production: Plane, admission: Admission) -> None:
        web = self.pod(production, "guestbook-web")
        web["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = False
        assert "require-read-only-root-filesystem" in admission.dry_run("POST", web, NAMESPACE).rules
