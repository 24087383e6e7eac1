"""Charts of the platform and of others with what the mutating rules fill in: as valid as before, and as able to work.

The platform's own namespaces are exempt from the rules. Its charts stand here for what people install in other
namespaces: agents on nodes, controllers with webhooks, jobs of hooks.
"""

import json
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.utils.quantity import parse_quantity

from components.config.action import Action
from components.kube.names import PLATFORM_NAMESPACES
from components.kyverno.library import load_library, manifest
from embedded.toolchain import ensure
from embedded.toolchain.gomodule import module_dir
from tests.policy.kyverno_cli import generated, mutated
from tests.policy.mutation_cases import asks_for_root, lost, template
from tests.policy.test_chart_images import rendered
from tests.support.packages import CHART
from tests.support.vault_chart import FACTS
from zt.attack.network import selects
from zt.check.charts import documents

pytestmark = pytest.mark.policy

Manifest = dict[str, Any]
RULES = [rule.document for rule in load_library().tier("mutate")]
OWN = ("kyverno", "cert-manager", "external-secrets", "istiod", "cni", "ztunnel")
PUBLISHED = {"gateway": ("istio.io/istio", "manifests/charts/gateway")}
WORKLOADS = ("Deployment", "DaemonSet", "StatefulSet", "Job", "CronJob", "Pod")
CONTAINERS = ("containers", "initContainers")
# By chart: what is in it that defaults must leave as it is.
ROOT = {"cni": {"istio-cni-node"}, "ztunnel": {"ztunnel"}}


def published(folder: Path, chart: str) -> list[Manifest]:
    """The objects of a chart of others with its own values."""
    place = CHART if chart == "guestbook" else module_dir(PUBLISHED[chart][0]) / PUBLISHED[chart][1]
    return list(documents(_template(folder, place)))


def _template(folder: Path, place: Path) -> str:
    command = [str(ensure(["helm"]) / "helm"), "template", "x", str(place), "--namespace", "x"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=600).stdout


def objects_of(folder: Path, chart: str) -> list[Manifest]:
    if chart == "vault":
        return list(json.loads(FACTS.read_text()).values())
    made = rendered(folder, chart, None) if chart in OWN else published(folder, chart)
    return [one for one in made if one]


@pytest.fixture(scope="module", params=[*OWN, *PUBLISHED, "guestbook", "vault"])
def chart(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def before(chart: str, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """Its objects, as in a namespace that the rules look at."""
    made = objects_of(tmp_path_factory.mktemp("charts"), chart)
    for one in made:
        one["metadata"].setdefault("namespace", "tools")
    return made


@pytest.fixture(scope="module")
def after(before: list[Manifest], tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Manifest]:
    workloads = [one for one in before if one["kind"] in WORKLOADS]
    return {_key(one): one for one in mutated(tmp_path_factory.mktemp("mutated"), RULES, workloads)}


def _key(one: Manifest) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


def _containers(one: Manifest) -> Iterator[tuple[Manifest, Manifest]]:
    """Each container with its pod."""
    pod = template(one)["spec"]
    for group in CONTAINERS:
        yield from ((pod, container) for container in pod.get(group) or ())


def test_nothing_is_lost_and_a_second_time_changes_nothing(
    before: list[Manifest], after: dict[tuple[str, str], Manifest], tmp_path: Path
) -> None:
    workloads = [one for one in before if one["kind"] in WORKLOADS]
    assert workloads
    assert {_key(one): list(lost(one, after[_key(one)])) for one in workloads} == {_key(one): [] for one in workloads}
    assert {_key(one): one for one in mutated(tmp_path, RULES, after.values())} == after


def test_what_the_api_server_asks_of_a_pod_still_holds(after: dict[tuple[str, str], Manifest]) -> None:
    """https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/core/validation/validation.go"""
    for key, one in after.items():
        for pod, container in _containers(one):
            context = container.get("securityContext") or {}
            added = (context.get("capabilities") or {}).get("add") or ()
            powerful = context.get("privileged") or "CAP_SYS_ADMIN" in added
            assert not (powerful and context.get("allowPrivilegeEscalation") is False), key
            resources = container.get("resources") or {}
            for name, asked in (resources.get("requests") or {}).items():
                bound = (resources.get("limits") or {}).get(name, asked)
                assert parse_quantity(asked) <= parse_quantity(bound), (key, container["name"], name)
            whole = {**(pod.get("securityContext") or {}), **context}
            assert not (whole.get("runAsNonRoot") and whole.get("runAsUser") == 0), key


def test_what_asks_for_root_keeps_what_root_can_do(
    chart: str, before: list[Manifest], after: dict[tuple[str, str], Manifest]
) -> None:
    asking = set[str]()
    for one in before:
        if one["kind"] not in WORKLOADS:
            continue
        for (pod, old), (_, new) in zip(_containers(one), _containers(after[_key(one)]), strict=True):
            if asks_for_root(pod, old):
                asking.add(one["metadata"]["name"])
                assert new.get("securityContext") == old.get("securityContext"), (_key(one), old["name"])
                whole = template(after[_key(one)])["spec"].get("securityContext") or {}
                assert whole.get("runAsUser", 0) == (pod.get("securityContext") or {}).get("runAsUser", 0)
    assert asking == ROOT.get(chart, set())


def selectors(objects: Iterable[Manifest]) -> Iterator[tuple[tuple[str, str], Manifest]]:
    """What selects pods: Services, policies of the network and of disruptions, and the controllers themselves."""
    for one in objects:
        spec = one.get("spec") or {}
        if one["kind"] == "Service" and spec.get("selector"):
            yield _key(one), {"matchLabels": spec["selector"]}
        elif one["kind"] == "NetworkPolicy":
            yield _key(one), spec["podSelector"]
        elif one["kind"] in ("PodDisruptionBudget", "Deployment", "DaemonSet", "StatefulSet"):
            yield _key(one), spec["selector"]


def test_each_selector_finds_the_pods_that_it_found(
    before: list[Manifest], after: dict[tuple[str, str], Manifest]
) -> None:
    def found(objects: Iterable[Manifest], selector: Manifest) -> set[tuple[str, str]]:
        return {
            _key(one)
            for one in objects
            if selects(selector, ((template(one).get("metadata") or {}).get("labels") or {}))
        }

    workloads = [one for one in before if one["kind"] in WORKLOADS]
    assert {key: found(workloads, each) for key, each in selectors(before)} == {
        key: found(after.values(), each) for key, each in selectors(before)
    }


@pytest.mark.parametrize("namespace", [*PLATFORM_NAMESPACES, "kube-system"])
def test_no_rule_makes_anything_in_a_namespace_of_the_platform(tmp_path: Path, namespace: str) -> None:
    rules = [
        manifest(each, Action.AUDIT, [*PLATFORM_NAMESPACES, "kube-system"]) for each in load_library().tier("generate")
    ]
    trigger = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    other = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tools"}}
    made = generated(tmp_path, rules, [trigger, other])
    assert {one["metadata"]["namespace"] for one in made} == {"tools"}


def test_a_job_that_must_be_root_to_change_owners_still_can(tmp_path: Path) -> None:
    """What many charts have before their program: `volumePermissions`, as root, with `chown` and nothing said of it."""
    container = {"name": "volume-permissions", "image": "r.example.org/shell:1", "securityContext": {"runAsUser": 0}}
    main = {"name": "app", "image": "r.example.org/app:1", "securityContext": {"runAsUser": 1001}}
    spec = {"initContainers": [container], "containers": [main], "securityContext": {"fsGroup": 1001}}
    pod = yaml.safe_load(yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db"}, "spec": spec}))
    pod["metadata"]["namespace"] = "tools"
    made = {_key(one): one for one in mutated(tmp_path, RULES, [pod])}["Pod", "db"]
    assert made["spec"]["initContainers"][0]["securityContext"] == {"runAsUser": 0}
    assert made["spec"]["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
