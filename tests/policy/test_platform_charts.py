"""The pods of the platform's own charts keep to the rules that they are exempt from, but for what each has to have."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from components.config.action import Action
from components.kyverno.library import REGISTRY_RULE, load_library, manifest
from tests.policy.kyverno_cli import matches, verdicts
from tests.policy.test_chart_images import rendered
from tests.support.vault_chart import FACTS

pytestmark = pytest.mark.policy

WORKLOADS = ("Deployment", "DaemonSet", "StatefulSet", "Job")
REPLICAS = {"production": 3, "staging": 1}
# Each asks the API server, or its leader's lease there.
TOKEN = frozenset({"disallow-token-automount"})
# It works in the network namespaces of a node's pods.
ON_THE_NODE = frozenset(
    {
        *("disallow-host-path", "disallow-privilege-escalation", "drop-all-capabilities", "require-run-as-non-root"),
        *("require-read-only-root-filesystem", "require-seccomp-profile", "restrict-apparmor-profiles"),
    }
)
# A limit of CPU would slow down what every request waits for. The memory of istiod grows with the mesh.
AMOUNTS = frozenset({"require-requests-and-limits"})
# The chart has no value for one of the two: what elects a leader ends by itself when it loses its lease.
PROBES = frozenset({"require-probes"})
# A certificate of the chart's own, whose keys it lists nowhere.
CERTIFICATE = frozenset({"disallow-secrets-in-environment"})
DUE: Mapping[str, frozenset[str]] = {
    "kyverno": TOKEN | AMOUNTS | PROBES,
    "cert-manager": TOKEN | AMOUNTS | PROBES,
    "external-secrets": TOKEN | AMOUNTS | PROBES | CERTIFICATE,
    "istiod": TOKEN | AMOUNTS | PROBES | CERTIFICATE,
    "cni": TOKEN | AMOUNTS | PROBES | ON_THE_NODE,
}
# Beside what the chart has to have: only these, and not their neighbours of the same chart.
WITHOUT_PROBES = frozenset(
    {
        *("kyverno-background-controller", "kyverno-reports-controller", "x-cert-manager", "x-cert-manager-cainjector"),
        *("x-external-secrets", "x-external-secrets-webhook", "x-external-secrets-cert-controller"),
        *("istiod", "istio-cni-node"),
    }
)
REGISTRIES = ["docker.io", "quay.io", "ghcr.io", "reg.kyverno.io", "oci.external-secrets.io"]
RULES = [
    manifest(rule, Action.AUDIT, (), {"registries": REGISTRIES} if rule.name == REGISTRY_RULE else None)
    for tier in ("critical", "important")
    for rule in load_library().tier(tier)
]


def violated(folder: Path, made: list[dict[str, Any]]) -> dict[str, set[str]]:
    """The rules that each of the workloads violates, by name."""
    judged = [one for one in made if any(matches(rule, one) for rule in RULES)]
    found = verdicts(folder / "judged", RULES, judged)
    return {
        name: {rule for rule, result in results.items() if result not in ("pass", "skip")}
        for (kind, name), results in found.items()
        if kind in WORKLOADS
    }


@pytest.mark.parametrize("stack", REPLICAS)
@pytest.mark.parametrize("chart", DUE)
def test_a_chart_keeps_to_the_rules(tmp_path: Path, chart: str, stack: str) -> None:
    (tmp_path / "judged").mkdir()
    made = [one for one in rendered(tmp_path, chart, None, REPLICAS[stack]) if one["kind"] in WORKLOADS]
    found = violated(tmp_path, made)
    assert found.keys() == {one["metadata"]["name"] for one in made}
    assert {name: rules - DUE[chart] for name, rules in found.items()} == {name: set() for name in found}
    # What no workload needs any more is no exemption.
    assert DUE[chart] == frozenset().union(*found.values())
    assert {name for name, rules in found.items() if rules & PROBES} == found.keys() & WITHOUT_PROBES


def test_the_official_chart_of_vault_does_too(tmp_path: Path) -> None:
    (tmp_path / "judged").mkdir()
    facts = json.loads(FACTS.read_text())
    made = [one for one in facts.values() if one["kind"] in WORKLOADS]
    # A server that is sealed lives, and a probe would end it.
    assert violated(tmp_path, made) == {
        "vault": {*TOKEN, *PROBES, *CERTIFICATE},
        "vault-agent-injector": {*TOKEN},
    }


@pytest.mark.parametrize("chart", ["kyverno", "cert-manager", "external-secrets"])
def test_each_container_of_a_controller_asks_for_its_share_and_has_a_bound(tmp_path: Path, chart: str) -> None:
    for made in rendered(tmp_path, chart, None):
        pod = made.get("spec", {}).get("template", {}).get("spec", {}) if made["kind"] in WORKLOADS else {}
        for container in (*pod.get("containers", ()), *pod.get("initContainers", ())):
            resources = container.get("resources") or {}
            assert {"cpu", "memory"} <= resources.get("requests", {}).keys(), container["name"]
            assert "memory" in resources.get("limits", {}), container["name"]
