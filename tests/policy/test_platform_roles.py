"""What the platform's charts grant: nothing to the built-in roles, and to the cleanup controller what it needs."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.external_secrets.operator import external_secrets_values
from components.ingress.cert_manager import cert_manager_values
from components.kube.names import CLEANUP_ACCOUNT
from components.kyverno.expired_exceptions import cluster_rules, namespace_rules
from components.kyverno.policy_set import kyverno_values
from components.kyverno.rule_integrity import EXCEPTIONS, POLICIES, REPORTS
from embedded.toolchain import ensure
from embedded.toolchain.charts import stage_charts
from embedded.toolchain.table import KUBERNETES_VERSION
from zt.check.charts import documents

pytestmark = pytest.mark.policy

Manifest = dict[str, Any]
VALUES: dict[str, Manifest] = {
    "kyverno": kyverno_values(3, ["kube-system"]),
    "cert-manager": cert_manager_values(3, gateway_api=True),
    "external-secrets": external_secrets_values(2),
    # Theirs say nothing about roles.
    **{name: {} for name in ("base", "cni", "istiod", "ztunnel")},
}
AGGREGATION = "rbac.authorization.k8s.io/aggregate-to-"
Right = tuple[str, str, str]
# A definition is hundreds of kilobytes, and all that counts is at its beginning.
_NAMESPACED = re.compile(
    r"^  group: (\S+)\n  names:\n(?:    .*\n)*?    plural: (\S+)\n(?:    .*\n)*?  scope: Namespaced$", re.MULTILINE
)


def rendered(folder: Path, chart: str, values: Manifest) -> str:
    file = folder / f"{chart}.yaml"
    file.write_text(yaml.safe_dump(values))
    command = [str(ensure(["helm"]) / "helm"), "template", chart, str(stage_charts() / chart)]
    options = ["--namespace", chart, "--values", str(file), "--include-crds", "--kube-version", KUBERNETES_VERSION]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=True, timeout=600).stdout


def objects(folder: Path, chart: str, values: Manifest) -> list[Manifest]:
    return list(documents(rendered(folder, chart, values)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("charts")


def aggregated(made: list[Manifest]) -> set[str]:
    return {
        document["metadata"]["name"]
        for document in made
        for label in document["metadata"].get("labels") or {}
        if label.startswith(AGGREGATION)
    }


@pytest.mark.parametrize("chart", VALUES)
def test_no_right_of_a_chart_becomes_a_part_of_a_built_in_role(folder: Path, chart: str) -> None:
    made = objects(folder, chart, VALUES[chart])
    assert len(made) > 1
    assert not aggregated(made)


def test_the_gateway_api_brings_no_role_that_does() -> None:
    assert AGGREGATION not in (stage_charts() / "gateway-api.yaml").read_text()


@pytest.mark.parametrize("chart", ["kyverno", "cert-manager"])
def test_left_to_itself_the_chart_would(folder: Path, chart: str) -> None:
    assert aggregated(objects(folder, chart, {}))


def test_somebody_has_judged_who_may_write_each_namespaced_kind_of_kyverno(folder: Path) -> None:
    values = {**VALUES["kyverno"], "openreports": {"enabled": True, "installCrds": True}}
    found = set(_NAMESPACED.findall(rendered(folder, "kyverno", values)))
    judged: tuple[Mapping[str, tuple[str, ...]], ...] = (EXCEPTIONS, POLICIES, REPORTS)
    assert found == {(group, name) for kinds in judged for group, names in kinds.items() for name in names}


def rights(rules: list[Manifest]) -> Iterator[Right]:
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield group, resource, verb


def test_the_cleanup_controller_has_of_the_charts_rights_the_few_that_it_needs(folder: Path) -> None:
    values = {**VALUES["kyverno"], "cleanupController": {"enabled": True}}
    every = [
        document
        for document in objects(folder, "kyverno", values)
        if document["kind"] in ("Role", "ClusterRole") and "cleanup-controller" in document["metadata"]["name"]
    ]
    in_cluster = {right for role in every if role["kind"] == "ClusterRole" for right in rights(role.get("rules") or [])}
    in_namespace = {right for role in every if role["kind"] == "Role" for right in rights(role["rules"])}
    own, exceptions = set(rights(cluster_rules())), ("policies.kyverno.io", "policyexceptions", "delete")
    assert own <= in_cluster
    assert {right for right in own if right[2] not in ("get", "list", "watch")} == {
        ("policies.kyverno.io", "namespaceddeletingpolicies/status", "update")
    }
    events = {right for right in in_cluster if right[1] == "events"}
    assert set(rights(namespace_rules())) - in_namespace - events == {exceptions}


def test_its_pods_run_with_that_account_and_the_chart_gives_it_nothing(folder: Path) -> None:
    made = objects(folder, "kyverno", VALUES["kyverno"])
    [deployment] = [one for one in made if one["kind"] == "Deployment" and one["metadata"]["name"] == CLEANUP_ACCOUNT]
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == CLEANUP_ACCOUNT
    assert not [one for one in made if "ole" in one["kind"] and "cleanup" in one["metadata"]["name"]]
