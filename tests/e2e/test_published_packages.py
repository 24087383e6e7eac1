"""Charts that others published, on the production stack: each with the first file that `zt package init` writes for it.

What a person has to decide is in that file already, with a reason and a last day that the draft asks for.
"""

import os
import shutil
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from components.kyverno.library import load_library
from embedded.toolchain import ensure
from embedded.toolchain.gomodule import module_dir
from tests.e2e.admission import Admission
from tests.e2e.plane import Plane, copy_program
from tests.support.waiting import eventually
from zt.package.command import InitOptions, draft, problems

pytestmark = pytest.mark.e2e

STACK, TEAM = "production", "web"
PRIVILEGED = {"privileged": True}
CHARTS = {
    "edge": ("istio.io/istio", "manifests/charts/gateway"),
    "baseline": ("github.com/kyverno/kyverno", "charts/kyverno-policies"),
}


@pytest.fixture(scope="module")
def helm() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{ensure(['helm'], progress=False)}{os.pathsep}{os.environ['PATH']}")
        yield


@pytest.fixture(scope="module")
def production(plane: Plane, helm: None, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    for name, (module, chart) in CHARTS.items():
        shutil.copytree(module_dir(module) / chart, own.checkout / "packages" / name, copy_function=shutil.copyfile)
        options = InitOptions(name, name, name, TEAM, STACK, own.checkout, datetime.now(UTC).date())
        text, _ = draft(options, lambda _: None)
        assert problems(options, text) == []
        (own.checkout / "packages" / f"{name}.yaml").write_text(text, encoding="utf-8")
    own.run("up", "--stack", STACK)
    return own


def test_a_gateway_of_istios_own_chart_is_admitted_and_injected(production: Plane) -> None:
    def pods() -> list[Any]:
        found = production.core.list_namespaced_pod("edge").items
        return [pod for pod in found if all(each.ready for each in pod.status.container_statuses or [])]

    [pod, *_] = eventually(pods, "the gateway's pods")
    assert [each.name for each in pod.spec.containers] == ["istio-proxy"]
    assert pod.spec.containers[0].image.rpartition(":")[0].endswith("/proxyv2")


def test_what_it_serves_is_open_to_nobody_yet(production: Plane) -> None:
    [service] = production.core.list_namespaced_service("edge").items
    assert service.spec.type == "ClusterIP"
    for policy in production.networking.list_namespaced_network_policy("edge").items:
        callers = [peer for rule in policy.spec.ingress or [] for peer in rule._from or []]
        assert not [peer for peer in callers if not peer.namespace_selector], policy.metadata.name


def test_rules_of_others_stand_beside_the_platforms_own(production: Plane) -> None:
    """The same names, which Kyverno's own chart has for some: none takes the place of one that denies."""
    granted = yaml.safe_load((production.checkout / "packages" / "baseline.yaml").read_text())["grants"]
    names = {name for grant in granted for name in grant["names"]}
    there = production.objects.list_cluster_custom_object("policies.kyverno.io", "v1", "validatingpolicies")["items"]
    assert names
    assert names <= {each["metadata"]["name"] for each in there}
    privileged = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "privileged", "namespace": "edge"},
        "spec": {"containers": [{"name": "c", "image": "docker.io/istio/proxyv2:1", "securityContext": PRIVILEGED}]},
    }
    answer = Admission(production, load_library().rules).dry_run("POST", privileged, "edge")
    assert answer.rules & {rule.name for rule in load_library().rules.values() if rule.tier == "critical"}


def test_a_second_run_changes_nothing(production: Plane) -> None:
    production.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes")
