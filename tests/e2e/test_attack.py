"""`zt attack` on the production stack: every attempt is refused, and a control that is off lets its own in."""

import contextlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from components.kube.names import OBJECTS, USE
from tests.e2e.attack_weakenings import (
    DEFAULT_ACCOUNT,
    ISTIO,
    KYVERNO,
    RBAC,
    SHOP,
    Weaken,
    allow,
    call,
    cluster_rights,
    collection,
    network_policy,
    patched,
    permissive,
    pod_of_api,
    rule,
    secret_copied,
    secret_in_environment,
    sloppy_exception,
    token_in_container,
    vault_policy,
    vault_role,
    without_deny_by_default,
    without_identities,
    without_istiods_webhook,
    without_rule,
    without_second_audit_device,
)
from tests.e2e.namespace_weakenings import together, without_policies
from tests.e2e.plane import PROJECT, Plane
from tests.support.waiting import eventually
from zt.attack.replay import ATTEMPTS
from zt.cli import app

pytestmark = pytest.mark.e2e

STACK = "production"
NOT_SENT = {
    *("packets", "packets-past-the-proxy", "packets-outside", "packets-host-network", "packets-names"),
    *("shell-env", "shell-vault-read", "shell-kubectl-get", "shell-kubectl-run"),
}
NOT_MEASURED = NOT_SENT | {"pod-latest-tag", "database-rows", "vault-owner"}


@dataclass(frozen=True)
class Weakening:
    """A control that is off while the attempts of some attacks run, and the attempts that get through."""

    name: str
    off: Weaken
    only: str
    succeed: frozenset[str]


def zt(plane: Plane, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `zt attack` on the plane, as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "zt", "attack", "--stack", STACK, "--embedded", *arguments],
        cwd=PROJECT,
        env={**os.environ, "ZERO_TRUST_EMBEDDED_DIR": str(plane.state), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


Found = tuple[int, dict[str, str], dict[str, str]]


def results(plane: Plane, only: str) -> Found:
    """The exit code, the result of each attempt and the answer it rests on; run in this process, which is quicker."""
    arguments = ["attack", "--stack", STACK, "--embedded", "--format", "json", "--only", only]
    environment = {"ZERO_TRUST_EMBEDDED_DIR": str(plane.state)}
    done = CliRunner(env=environment).invoke(app, arguments, catch_exceptions=False)
    assert done.stdout, done.stderr
    return read(done.exit_code, done.stdout)


def read(code: int, document: str) -> Found:
    rows = [row for attack in json.loads(document)["attacks"] for row in attack["attempts"]]
    return code, {row["name"]: row["result"] for row in rows}, {row["name"]: row["answer"] for row in rows}


EVERYTHING = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
OUT = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"namespaceSelector": {}}]}]}
METADATA = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]}
DATABASE = {"selector": {"matchLabels": {"app": "postgres"}}}
OF_NAMESPACE = {**DATABASE, "rules": [{"from": [{"source": {"namespaces": [SHOP]}}]}]}
OF_ANYBODY = {**DATABASE, "rules": [{}]}
OF_REDIS = {**DATABASE, "rules": [{"from": [{"source": {"principals": ["*/sa/redis"]}}]}]}


# A second control, the policy on service accounts, stands behind these rights.
USE_ACCOUNTS = ("", "serviceaccounts", USE)


def off(name: str, weaken: Weaken, only: str, *succeed: str) -> Weakening:
    return Weakening(name, weaken, only, frozenset(succeed))


WEAKENINGS = (
    off("ingress-for-all", network_policy(EVERYTHING), "1", "connect-in"),
    off("egress-to-all-pods", network_policy(OUT), "1", "connect-out"),
    off(
        "egress-to-the-world",
        network_policy({"podSelector": {}, "policyTypes": ["Egress"], "egress": [METADATA]}),
        "1",
        "leave-the-cluster",
    ),
    off("allow-the-namespace", allow(OF_NAMESPACE), "1", "identity-undeclared", "identity-forged-label"),
    off("allow-anybody", allow(OF_ANYBODY), "1", "identity-undeclared", "identity-forged-label"),
    off("allow-one-more", allow(OF_REDIS), "1", "identity-undeclared"),
    off("no-deny-by-default", without_deny_by_default, "1", "identity-unlisted"),
    off("permissive", permissive, "1", "plaintext"),
    off("no-webhook-of-istiod", together(without_istiods_webhook, without_policies(OBJECTS)), "1", "over-wide-policy"),
    off("secret-in-environment", pod_of_api(secret_in_environment), "2", "environment"),
    off("secret-copied", secret_copied, "2", "secrets-at-rest"),
    off("reads-secrets", cluster_rights(("", "secrets", "get list")), "2", "read-secrets"),
    off(
        "default-reads-secrets",
        cluster_rights(("", "secrets", "get list"), account=DEFAULT_ACCOUNT),
        "2",
        "read-secrets-as-default",
    ),
    off("token-in-container", pod_of_api(token_in_container), "3", "vault-token-in-container"),
    off("no-audience", vault_role(audience=""), "3", "vault-wrong-audience"),
    off(
        "role-of-postgres-for-all",
        vault_role("shop.postgres", bound_service_account_names=["*"]),
        "3",
        "vault-other-role",
    ),
    off(
        "policy-of-the-namespace",
        vault_policy(rule("secret/data/shop/*", "read")),
        "3",
        "vault-other-secrets",
    ),
    off("policy-lists", vault_policy(rule("secret/metadata/shop/*", "list")), "3", "vault-list"),
    off("policy-writes", vault_policy(rule("secret/data/shop/api/database", "read", "update")), "3", "vault-write"),
    off("policy-looks", vault_policy(rule("sys/policies/acl/*", "read")), "3", "vault-look-around"),
    off("policy-of-audit", vault_policy(rule("sys/audit/*", "delete", "sudo")), "3", "vault-take-over"),
    off("policy-of-tokens", vault_policy(rule("auth/token/create", "update")), "3", "vault-more-tokens"),
    off("no-max-ttl", vault_role(token_max_ttl=0), "3", "vault-outlive"),
    off(
        "view-everywhere",
        cluster_rights(role="view"),
        "4",
        *("other-namespaces", "own-namespace", "cluster", "exec"),
    ),
    off("reads-nodes", cluster_rights(("", "nodes", "get list")), "4", "cluster"),
    off("impersonates", cluster_rights(("", "users groups serviceaccounts", "impersonate")), "4", "impersonate"),
    off(
        "binds",
        cluster_rights(("rbac.authorization.k8s.io", "rolebindings clusterroles", "create bind")),
        "4",
        "escalate",
    ),
    off("mints", cluster_rights(("", "serviceaccounts/token", "create"), USE_ACCOUNTS), "4", "mint-token"),
    off("executes", cluster_rights(("", "pods/exec", "create get"), USE_ACCOUNTS), "4", "exec"),
    off(
        "changes-rules",
        cluster_rights(("policies.kyverno.io", "validatingpolicies", "delete patch get")),
        "4",
        "tamper-admission",
    ),
    off(
        "changes-networks",
        cluster_rights(("networking.k8s.io", "networkpolicies", "delete patch get")),
        "4",
        "tamper-network",
    ),
    off("grants", cluster_rights(("policies.kyverno.io", "policyexceptions", "create")), "4", "grant-exception"),
    off("debugs", cluster_rights(("", "pods/ephemeralcontainers", "patch"), USE_ACCOUNTS), "5", "debug-container"),
    off("creates-pods", cluster_rights(("", "pods", "create"), USE_ACCOUNTS), "5", "create-pod"),
    off("no-rule-for-privileged", without_rule("disallow-privileged"), "5", "pod-privileged"),
    off(
        "no-rule-for-images",
        without_rule("restrict-image-registries"),
        "5",
        *("pod-cryptominer", "pod-label-trick", "pod-debug-container"),
    ),
    off("an-exception-by-label", sloppy_exception, "5", "pod-label-trick", "pod-debug-container"),
    off("no-rule-for-host-paths", without_rule("disallow-host-path"), "5", "pod-host-path"),
    off("no-rule-for-host-namespaces", without_rule("disallow-host-namespaces"), "5", "pod-host-network"),
    off("no-rule-for-root", without_rule("require-run-as-non-root"), "5", "pod-root"),
    off("no-rule-for-capabilities", without_rule("drop-all-capabilities"), "5", "pod-capabilities"),
    off("no-policy-of-identities", without_identities, "5", "pod-other-identity"),
    off("no-rule-for-tokens", without_rule("disallow-token-automount"), "5", "pod-api-token"),
    off(
        "policy-of-databases",
        vault_policy(rule("secret/data/elsewhere/*", "read")),
        "6",
        "least-privilege",
    ),
    off("one-audit-device", without_second_audit_device, "6", "audit-trail"),
    off("batch-tokens", vault_role(token_type="batch"), "6", "revocation"),
)

NO_SWITCH = {
    "forge-certificate": "istiod signs for whom the token names; no setting of the platform changes that",
    "vault-without-token": "no setting of Vault answers a request without a token",
    "vault-forged-token": "the API server judges the signature; only another API server would say otherwise",
    **dict.fromkeys(NOT_SENT, "not measured: no container runs here; tests/node sends with each control off"),
    "database-rows": "not measured: the service has no database user on this stack",
    "vault-owner": "not measured: no job of the service owns anything in a database on this stack",
    "pod-latest-tag": "not measured on this stack: its rule is in audit; that it would block is tested below",
}


@pytest.fixture(scope="module")
def production(plane: Plane) -> Plane:
    plane.stand(STACK)
    return plane


@pytest.fixture(scope="module")
def whole(production: Plane) -> subprocess.CompletedProcess[str]:
    """One run of everything."""
    return zt(production, "--format", "json")


class TestProduction:
    def test_every_attempt_is_refused(self, whole: subprocess.CompletedProcess[str]) -> None:
        code, found, answers = read(whole.returncode, whole.stdout)
        assert (code, "succeeded" in found.values()) == (0, False), answers
        assert {name for name, result in found.items() if result == "not measured"} == NOT_MEASURED
        assert set(found) == {attempt.name for attempt in ATTEMPTS}

    def test_revocation_by_the_operator_cuts_access_within_a_second(self, production: Plane) -> None:
        code, found, answers = results(production, "revocation")
        assert (code, found) == (0, {"revocation": "blocked"})
        seconds = re.fullmatch(r"refused ([0-9.]+) s after the operator revoked the token", answers["revocation"])
        assert seconds
        assert float(seconds[1]) < 1

    def test_a_cluster_and_a_vault_by_their_addresses_are_attacked_the_same_way(self, production: Plane) -> None:
        where = production.overlay["vault"]
        place = ["--vault-addr", where["address"], "--vault-cacert", where["caCertFile"]]
        cluster = ["--kubeconfig", str(production.state / "kubeconfig"), "--format", "json"]
        only = [word for name in ("read-secrets", "vault-other-role", "forge-certificate") for word in ("--only", name)]
        done = CliRunner().invoke(app, ["attack", "--stack", STACK, *cluster, *place, *only], catch_exceptions=False)
        # Without --istiod-addr istiod is not within reach of who runs the command.
        found = {"read-secrets": "blocked", "vault-other-role": "blocked", "forge-certificate": "not measured"}
        assert read(done.exit_code, done.stdout)[:2] == (0, found)

    @pytest.mark.usefixtures("whole")
    def test_nothing_stays_behind(self, production: Plane) -> None:
        paths = (
            *(collection(RBAC, kind, SHOP) for kind in ("roles", "rolebindings")),
            *(collection("v1", "pods", SHOP), collection(ISTIO, "authorizationpolicies", SHOP)),
        )
        left = [item["metadata"]["name"] for path in paths for item in call(production, "GET", path)["items"]]
        assert "zt-attack" not in left

    def test_no_secret_is_shown(self, production: Plane, whole: subprocess.CompletedProcess[str]) -> None:
        vault = production.vault_as_service(SHOP, "api", "shop.api")
        secret = vault.secrets.kv.v2.read_secret_version("shop/api/database", raise_on_deleted_version=True)
        assert secret["data"]["data"]["password"] not in whole.stdout + whole.stderr
        assert not re.search(r"\b(s\.|hvs\.|eyJ)\w{12}", whole.stdout + whole.stderr)

    def test_a_rule_that_is_enforced_stops_the_tag_latest(self, production: Plane) -> None:
        path = f"{collection(KYVERNO, 'validatingpolicies')}/disallow-latest-tag"
        enforce = {"validationActions": ["Deny"], "autogen": {"validatingAdmissionPolicy": {"enabled": True}}}
        back = {"validationActions": ["Audit"], "autogen": {"validatingAdmissionPolicy": {"enabled": False}}}
        with patched(production, path, enforce, back):
            eventually(lambda: results(production, "pod-latest-tag")[1]["pod-latest-tag"] == "blocked", "it is refused")


class TestWithoutOneControl:
    @pytest.mark.parametrize("weakening", WEAKENINGS, ids=lambda weakening: weakening.name)
    def test_its_attack_gets_through_and_no_other(self, production: Plane, weakening: Weakening) -> None:
        with weakening.off(production):
            found = once_in_effect(production, weakening)
        assert (found[0], through(found)) == (1, weakening.succeed), found[2]

    def test_afterwards_every_attempt_is_refused_again(self, production: Plane) -> None:
        def every() -> set[str]:
            done = zt(production, "--format", "json")
            return set(read(done.returncode, done.stdout)[1].values())

        eventually(lambda: every() == {"blocked", "not measured"}, "every control is back")

    def test_every_attempt_has_a_control_that_can_be_switched_off(self) -> None:
        tested = {name for weakening in WEAKENINGS for name in weakening.succeed}
        assert tested.isdisjoint(NO_SWITCH)
        assert tested | set(NO_SWITCH) == {attempt.name for attempt in ATTEMPTS}


def once_in_effect(plane: Plane, weakening: Weakening) -> Found:
    """The results once the API server knows of this change and of the end of the one before; the last ones anyhow."""
    last = results(plane, weakening.only)

    def effective() -> bool:
        nonlocal last
        if through(last) == weakening.succeed:
            return True
        last = results(plane, weakening.only)
        return False

    with contextlib.suppress(AssertionError):
        eventually(effective, f"{weakening.name} takes effect")
    return last


def through(found: Found) -> set[str]:
    return {name for name, result in found[1].items() if result == "succeeded"}
