"""`zt preflight` on the production stack: nothing is missing there, and each thing that is taken away is told."""

import base64
import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from components.vault.deployer import deployer_rules
from components.vault.policy import hcl
from tests.e2e.plane import PROJECT, Plane
from tests.e2e.preflight_missing import (
    NAME,
    NAMES,
    Missing,
    certificate,
    foreign_definition,
    foreign_operator,
    foreign_webhook,
    level,
    role,
    secret,
    storage_class,
)
from zt.cli import app
from zt.preflight.chart_objects import CHART_KINDS

pytestmark = pytest.mark.e2e

STACK = "production"
SHOP = "shop"
# What is so wherever the embedded stack runs: example.org is nobody's, no network plugin and no DNS runs, and the port
# of the API server is whatever is free.
UNMET = {
    "network-policy",
    "cluster-dns",
    "api-addresses",
    "acme-directory",
    "acme-email",
    "dns",
    "images",
    "load-balancer",
}

Lines = list[dict[str, Any]]
Keys = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """How the command ended, and its lines that are not ok, as texts by the name of their check."""

    code: int
    lines: Lines
    errors: str = ""

    def of(self, check: str, *results: str) -> str:
        """The text of a check's lines with these results, by default those that object."""
        wanted = results or ("fails", "warns")
        lines = [line for line in self.lines if line["check"] == check and line["result"] in wanted]
        return "\n".join(f"{line['about']}: {line['found']} {line['details']} -> {line['fix']}" for line in lines)

    @property
    def failing(self) -> set[str]:
        return {line["check"] for line in self.lines if line["result"] == "fails"}


@pytest.fixture(scope="module")
def production(plane: Plane) -> Plane:
    plane.stand(STACK)
    return plane


def preflight(plane: Plane, *arguments: str, **environment: str) -> Found:
    """Run `zt preflight`, in this process, so that dozens of runs import the program once."""
    typed = ["preflight", "--stack", STACK, "--format", "json", *arguments]
    done = CliRunner().invoke(app, typed, env={"ZERO_TRUST_EMBEDDED_DIR": str(plane.state), **environment})
    return Found(done.exit_code, json.loads(done.stdout)["lines"] if done.stdout else [], done.stderr)


def external(plane: Plane) -> Keys:
    """The stack of the plane without its overlay: the same Vault, by a token of the environment."""
    here = plane.overlay["vault"]
    return {
        "vault": {
            "mode": "external",
            "address": here["address"],
            "caCertFile": here["caCertFile"],
            "cidrs": ["127.0.0.1/32"],
            "injector": False,
        },
        "charts": {"directory": plane.overlay["charts"]},
    }


def helm(plane: Plane, **vault: Any) -> Keys:
    """A stack that would install OpenBao in this cluster."""
    seal = {"static": {"currentKeyId": "first", "keySecret": f"{NAME}-seal"}}
    own = {"mode": "helm", "distribution": "openbao", "address": "https://127.0.0.1:1", "seal": seal}
    return {**external(plane), "vault": {**own, "tlsSecret": f"{NAME}-tls", **vault}}


def project(directory: Path, **changes: Any) -> Path:
    """A project with this checkout's services and a production stack with these changes."""
    for file in PROJECT.glob("Pulumi*.yaml"):
        shutil.copy2(file, directory / file.name)
    shutil.copytree(PROJECT / "services", directory / "services")
    stack = directory / f"Pulumi.{STACK}.yaml"
    values = yaml.safe_load(stack.read_text())
    values["config"] |= {f"zero-trust:{key}": value for key, value in changes.items()}
    stack.write_text(yaml.safe_dump(values))
    return directory


def asked(plane: Plane, directory: Path, *arguments: str, **environment: str) -> Found:
    """The preflight of a project's own stack file, on the plane as a cluster like any other."""
    own = ("--project", str(directory), "--kubeconfig", str(plane.state / "kubeconfig"))
    return preflight(plane, *own, *arguments, HOME=str(directory), **environment)


def test_the_running_stack_lacks_nothing_of_its_own(production: Plane) -> None:
    found = preflight(production, "--embedded")
    objecting = {line["check"] for line in found.lines if line["result"] != "ok"}
    assert objecting <= UNMET, found.lines
    assert "acme-email" in found.failing
    assert found.code == 1
    assert "paths of the deployer's policy" in found.of("vault", "ok")
    assert "may do everything" in found.of("kubernetes-rights", "ok")


def test_an_identity_without_rights_is_told_which(production: Plane) -> None:
    found = preflight(production, "--embedded", "--as", "nobody", "--as-group", "system:authenticated")
    said = found.of("kubernetes-rights")
    for right in ("escalate", "bind", "customresourcedefinitions", "namespace shop", "--user=nobody"):
        assert right in said
    assert "nodes is forbidden" in found.of("nodes", "not checked")


def test_a_right_less_is_told(production: Plane) -> None:
    account = f"system:serviceaccount:default:{NAME}"
    with role(production, verbs=["*"], groups=["*"], resources=["*"], account=account):
        allowed = preflight(production, "--embedded", "--as", account)
        assert "may do everything" in allowed.of("kubernetes-rights", "ok")
    with role(production, verbs=["*"], groups=[""], resources=["*"], account=account):
        less = preflight(production, "--embedded", "--as", account)
        said = less.of("kubernetes-rights")
    assert "deployments.apps" in said
    assert "secrets" not in said
    assert f"--serviceaccount=default:{NAME}" in said


def test_a_cluster_that_is_not_there(production: Plane, tmp_path: Path) -> None:
    values = yaml.safe_load((production.state / "kubeconfig").read_text())
    values["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(values))
    found = preflight(production, "--kubeconfig", str(tmp_path / "kubeconfig"))
    assert found.code == 3
    assert "cannot be reached" in found.errors


MISSING = (
    Missing("another's definition", foreign_definition, "operators", "crd preflighttests.reports.kyverno.io"),
    Missing("another's webhook", foreign_webhook, "operators", f"istio-validator-{NAME}"),
    Missing("another's operator", foreign_operator, "operators", "helm uninstall certs --namespace kube-public"),
    Missing("a loose level", level(SHOP, "privileged"), "pod-security", "admits any pod", "warns"),
)


@pytest.mark.parametrize("missing", MISSING, ids=lambda missing: missing.name)
def test_what_is_in_the_way(production: Plane, missing: Missing) -> None:
    with missing.there(production):
        assert missing.word in preflight(production, "--embedded").of(missing.check, missing.result)
    assert not preflight(production, "--embedded").of(missing.check)


def test_a_level_that_pods_of_the_stack_do_not_pass(production: Plane, tmp_path: Path) -> None:
    directory = project(tmp_path, **external(production))
    redis = directory / "services" / "redis.yaml"
    today = datetime.now(UTC).date()
    granted = {
        "rule": "require-run-as-non-root",
        "reason": "Its vendor's image has no other user.",
        "owner": "ann@example.org",
        "granted": str(today),
        "expires": str(today + timedelta(30)),
    }
    redis.write_text(yaml.safe_dump({**yaml.safe_load(redis.read_text()), "exceptions": [granted]}))
    with level(SHOP, "restricted")(production):
        said = asked(production, directory).of("pod-security", "fails")
    assert "shop.redis is excepted from require-run-as-non-root" in said
    assert "enforce=baseline" in said


def test_a_namespace_of_others(production: Plane, tmp_path: Path) -> None:
    directory = project(tmp_path, **external(production))
    for file in (directory / "services").glob("*.yaml"):
        file.write_text(file.read_text().replace(f"namespace: {SHOP}", f"namespace: {NAME}"))
    production.core.create_namespace({"metadata": {"name": NAME}})
    try:
        assert f"not this stack's: {NAME};" in asked(production, directory).of("namespaces", "fails")
    finally:
        production.core.delete_namespace(NAME)


class TestVault:
    @pytest.fixture
    def token(self, production: Plane) -> Iterator[Callable[[str], str]]:
        """Makes a token with a policy of this text, as an operator of Vault would."""
        deployer: Any = production.vault_as_deployer()

        def made(policy: str) -> str:
            deployer.write_data(f"sys/policies/acl/{NAME}", data={"policy": policy})
            account = {"bound_service_account_names": [NAME], "bound_service_account_namespaces": ["default"]}
            tokens = {"token_policies": [NAME], "token_no_default_policy": True, "token_ttl": 600}
            deployer.write_data(f"auth/kubernetes/role/{NAME}", data={**account, **tokens, "audience": "vault"})
            return str(production.vault_as_service("default", NAME, NAME).token)

        production.core.create_namespaced_service_account("default", {"metadata": {"name": NAME}})
        yield made
        production.core.delete_namespaced_service_account(NAME, "default")
        deployer.delete(f"auth/kubernetes/role/{NAME}")
        deployer.delete(f"sys/policies/acl/{NAME}")

    def test_the_deployers_policy_is_enough(
        self, production: Plane, token: Callable[[str], str], tmp_path: Path
    ) -> None:
        directory = project(tmp_path, **external(production))
        found = asked(production, directory, VAULT_TOKEN=token(hcl(deployer_rules())))
        assert not found.of("vault", "fails", "warns", "not checked")

    @pytest.mark.parametrize("path", ["sys/mounts/auth/kubernetes", "database/roles/+", "secret/data/+/+/+"])
    def test_a_path_less_is_named(
        self, production: Plane, token: Callable[[str], str], tmp_path: Path, path: str
    ) -> None:
        policy = hcl([rule for rule in deployer_rules() if rule[0] != path])
        found = asked(production, project(tmp_path, **external(production)), VAULT_TOKEN=token(policy))
        capabilities = ", ".join(dict(deployer_rules())[path])
        assert f"'{path}: {capabilities}'" in found.of("vault")
        assert found.of("vault").count("\n") == 0

    def test_a_token_that_vault_does_not_know(self, production: Plane, tmp_path: Path) -> None:
        found = asked(production, project(tmp_path, **external(production)), VAULT_TOKEN="hvs.unknown")
        assert "Vault refuses the token of VAULT_TOKEN" in found.of("vault")
        assert "hvs.unknown" not in json.dumps(found.lines)

    def test_no_token_at_all(self, production: Plane, tmp_path: Path) -> None:
        found = asked(production, project(tmp_path, **external(production)), VAULT_TOKEN="")
        assert "vault login" in found.of("vault", "not checked")

    def test_an_authority_that_is_not_named(self, production: Plane, tmp_path: Path) -> None:
        keys = external(production)
        del keys["vault"]["caCertFile"]
        found = asked(production, project(tmp_path, **keys), VAULT_TOKEN="")
        assert "is not trusted" in found.of("vault")
        assert "vault.caCertFile" in found.of("vault")


class TestVaultInTheCluster:
    """A stack that would install Vault here: the cluster has no storage, and nobody made the Secrets."""

    def test_everything_is_missing(self, production: Plane, tmp_path: Path) -> None:
        found = asked(production, project(tmp_path, **helm(production)))
        assert "there is none, for Vault's servers" in found.of("storage-class")
        assert f"create secret generic {NAME}-tls" in found.of("vault-certificate")
        assert f"create secret generic {NAME}-seal" in found.of("vault-seal")
        assert "no Vault is seen in the cluster yet" in found.of("vault", "not checked")
        assert "openbao/Chart.yaml" in found.of("charts-openbao")

    def test_nothing_is_missing(self, production: Plane, tmp_path: Path) -> None:
        storage = {"storage": {"storageClass": NAME}, "snapshots": {"storageClass": NAME}}
        directory = project(tmp_path, **helm(production, **storage))
        with ExitStack() as there:
            there.enter_context(storage_class(production))
            there.enter_context(secret(production, "tls", certificate(*NAMES)))
            there.enter_context(secret(production, "seal", {"first": os.urandom(32)}))
            found = asked(production, directory)
        for check in ("storage-class", "vault-certificate", "vault-seal", "vault-nodes"):
            assert not found.of(check), found.of(check)
            assert found.of(check, "ok")

    def test_a_class_that_is_not_there(self, production: Plane, tmp_path: Path) -> None:
        storage = {"storage": {"storageClass": "fast"}, "snapshots": {"storageClass": NAME}}
        with storage_class(production):
            said = asked(production, project(tmp_path, **helm(production, **storage))).of("storage-class")
        assert said.startswith("StorageClass fast: there is none of this name")
        assert f"one of {NAME}" in said

    def test_a_certificate_for_other_names(self, production: Plane, tmp_path: Path) -> None:
        other = certificate("vault.vault.svc", days=10) | {"tls.key": certificate("x")["tls.key"]}
        with secret(production, "tls", other), secret(production, "seal", {"first": b"short"}):
            found = asked(production, project(tmp_path, **helm(production)))
        said = found.of("vault-certificate", "fails")
        assert "tls.key is not the key of tls.crt" in said
        assert "tls.crt is not for vault-0.vault-internal, vault-1.vault-internal, vault-2.vault-internal" in said
        assert "tls.crt ends on" in found.of("vault-certificate", "warns")
        assert "first: not 32 bytes" in found.of("vault-seal")
        assert "PRIVATE KEY" not in json.dumps(found.lines)


def test_a_chart_repository_that_does_not_answer(production: Plane, tmp_path: Path) -> None:
    repositories = {"kyverno": "https://127.0.0.1:1/charts", "cert-manager": "oci://127.0.0.1:1/charts"}
    keys = {**external(production), "charts": {"repositories": repositories}}
    found = asked(production, project(tmp_path, **keys))
    assert "https://127.0.0.1:1/charts does not answer" in found.of("charts-kyverno")
    assert "oci://127.0.0.1:1/charts does not answer" in found.of("charts-cert-manager")
    assert "charts.repositories.kyverno in Pulumi.production.yaml" in found.of("charts-kyverno")


def test_a_chart_of_another_version_in_the_directory(production: Plane, tmp_path: Path) -> None:
    charts = tmp_path / "charts"
    charts.mkdir()
    for source in Path(production.overlay["charts"]).iterdir():
        if source.name != "cni":
            (charts / source.name).symlink_to(source)
    (charts / "cni").mkdir()
    (charts / "cni" / "Chart.yaml").write_text("name: cni\nversion: 1.0.0\n")
    (tmp_path / "project").mkdir()
    keys = {**external(production), "charts": {"directory": str(charts)}}
    found = asked(production, project(tmp_path / "project", **keys))
    assert "is of version 1.0.0" in found.of("charts-istio")
    assert not found.of("charts-kyverno")


def test_the_kinds_of_the_charts_are_those_that_helm_installed(production: Plane) -> None:
    """Which rights `pulumi up` needs follows from them."""
    releases = production.core.list_secret_for_all_namespaces(label_selector="owner=helm").items
    seen: set[str] = set()
    for each in releases:
        release = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(each.data["release"]))))
        name = release["chart"]["metadata"]["name"]
        manifests = [release["manifest"], *(hook["manifest"] for hook in release.get("hooks") or [])]
        documents = [made for text in manifests for made in yaml.load_all(text, yaml.CSafeLoader) if made]
        kinds = {(made["apiVersion"], made["kind"]) for made in documents if not _is_test(made)}
        assert kinds <= set(CHART_KINDS[name]), name
        seen.add(name)
    assert {"kyverno", "base", "cni", "istiod", "cert-manager"} <= seen


def _is_test(manifest: Any) -> bool:
    """Whether only `helm test` creates it."""
    return "test" in ((manifest["metadata"].get("annotations") or {}).get("helm.sh/hook") or "")
