"""Published charts on the production stack, each with the first file of `zt package init`.

What a person has to decide is in that file already, with a reason and a last day that the draft asks for.
"""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.kube.names import PROXY_CONTAINER
from components.kyverno.library import load_library
from embedded.toolchain import ensure
from embedded.toolchain.gomodule import module_dir
from tests.e2e.admission import Admission
from tests.e2e.plane import Plane, copy_program
from tests.policy import cases
from tests.policy.mutation_cases import lost
from zt.package.command import InitOptions, draft, problems

pytestmark = pytest.mark.e2e

STACK, RULES, EDGE, TODAY = "production", "baseline", "edge", datetime.now(UTC).date()
PRIVILEGED = {"privileged": True}
# Of several policies that refuse, the API server names one: so of the important rules this one alone refuses, too.
PHASES = {"disallow-latest-tag": "enforce"}
# What finds a container that is not the mesh's own, as injection writes it; the last one, since a router has no
# read-only file system. Of those that refuse, the API server names one.
FINDING = {"disallow-proxy-user", "restrict-image-registries", "require-read-only-root-filesystem"}
CHARTS = {
    RULES: ("github.com/kyverno/kyverno", "charts/kyverno-policies"),
    EDGE: ("istio.io/istio", "manifests/charts/gateway"),
}
"""The folder of each chart in a Go module, by the name of its package."""


@pytest.fixture(scope="module")
def helm() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{ensure(['helm'], progress=False)}{os.pathsep}{os.environ['PATH']}")
        yield


def first_file(checkout: Path, name: str) -> None:
    """Bring a chart into the project, and write the first file of its package."""
    module, folder = CHARTS[name]
    shutil.copytree(module_dir(module) / folder, checkout / "packages" / name, copy_function=shutil.copyfile)
    options = InitOptions(name, name, name, "web", STACK, checkout, TODAY)
    text, _ = draft(options, lambda _: None)
    assert problems(options, text) == []
    (checkout / "packages" / f"{name}.yaml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def production(plane: Plane, helm: None, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    path = own.checkout / f"Pulumi.{STACK}.yaml"
    stack = yaml.safe_load(path.read_text())
    stack["config"]["zero-trust:asOf"] = TODAY.isoformat()
    stack["config"]["zero-trust:phases"] = PHASES
    # A gateway of the mesh may read Secrets, so that its file has it under kubernetesApi.
    stack["config"]["zero-trust:apiServerCidrs"] = ["10.0.0.1/32"]
    path.write_text(yaml.safe_dump(stack, sort_keys=False))
    for name in CHARTS:
        first_file(own.checkout, name)
    own.run("up", "--stack", STACK)
    return own


@pytest.fixture(scope="module")
def admission(production: Plane) -> Admission:
    return Admission(production, load_library().rules)


def file_of(production: Plane, name: str) -> dict[str, Any]:
    return yaml.safe_load((production.checkout / "packages" / f"{name}.yaml").read_text())


class TestKyvernosRules:
    def test_they_stand_beside_the_platforms_own(self, production: Plane, admission: Admission) -> None:
        """Some have the names of the platform's: none takes the place of one that denies."""
        names = {name for grant in file_of(production, RULES)["grants"] for name in grant["names"]}
        there = production.objects.list_cluster_custom_object("policies.kyverno.io", "v1", "validatingpolicies")
        assert names
        assert names <= {each["metadata"]["name"] for each in there["items"]}
        container = {"name": "c", "image": "docker.io/istio/proxyv2:1", "securityContext": PRIVILEGED}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "privileged", "namespace": RULES},
            "spec": {"containers": [container]},
        }
        answer = admission.dry_run("POST", pod, RULES)
        assert answer.rules & {rule.name for rule in load_library().rules.values() if rule.tier == "critical"}


class TestIstiosGateway:
    def test_no_rule_on_images_probes_or_the_proxy_has_an_exception(self, production: Plane) -> None:
        excepted = {exception["rule"] for exception in file_of(production, EDGE).get("exceptions", [])}
        # The chart has no value for the token of its pods.
        assert excepted == {"disallow-token-automount"}

    def test_its_pod_is_ready_with_what_the_mesh_filled_in(self, production: Plane) -> None:
        status = production.apps.read_namespaced_deployment(EDGE, EDGE).status
        assert status.ready_replicas == status.replicas > 0
        pod: Any = production.core.list_namespaced_pod(EDGE).items[0]
        written: Any = production.api.sanitize_for_serialization(pod)
        assert not written["spec"].get("initContainers")
        [real] = written["spec"]["containers"]
        facts = cases.BASELINE["gateway"]["pod"]
        lists = ("env", "volumeMounts")
        assert not set(lost({key: value for key, value in facts.items() if key not in lists}, real))
        names, known = ({entry["name"] for entry in each["env"]} for each in (real, facts))
        assert names <= known
        real_mounts, mounts = ({entry["mountPath"] for entry in each["volumeMounts"]} for each in (real, facts))
        tokens = {"/var/run/secrets/kubernetes.io/serviceaccount"}
        assert mounts == real_mounts - tokens

    def application(self, **annotations: str) -> dict[str, Any]:
        """An application's pod that istiod injects by a template of the pod's own choice."""
        labels = {"app": "api", "team": "web", "cost-center": "retail"}
        made = cases.wrap("Pod", "past", cases.pod_spec({}), labels, annotations)
        made["metadata"]["namespace"] = EDGE
        made["spec"]["serviceAccountName"] = EDGE
        return made

    def test_beside_an_application_it_is_refused(self, admission: Admission) -> None:
        """Nothing would redirect the application through a router."""
        pod = self.application(**{"inject.istio.io/templates": "gateway"})
        answer = admission.dry_run("POST", pod, EDGE)
        assert answer.rules & FINDING, answer.message
        assert not admission.dry_run("POST", self.application(), EDGE).rules

    @pytest.mark.parametrize(
        "container",
        [
            {"args": ["proxy", "router"]},
            {"securityContext": {"runAsUser": 1000}},
            {"env": [{"name": "DISABLE_ENVOY", "value": "true"}]},
        ],
    )
    def test_so_is_what_an_application_writes_over_its_proxy(
        self, admission: Admission, container: dict[str, Any]
    ) -> None:
        pod = self.application()
        pod["spec"]["initContainers"] = [{"name": PROXY_CONTAINER, "image": "auto", **container}]
        answer = admission.dry_run("POST", pod, EDGE)
        assert answer.rules & FINDING, answer.message


def test_a_second_run_changes_nothing(production: Plane) -> None:
    production.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes")
