"""A namespace as it grew over years, on a cluster with layers of others: reported, mended, and under rules that deny.

No workload has fewer ready pods than it had, from the first `pulumi up` to the last.
"""

import json
import threading
import time
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from typer.testing import CliRunner

from tests.e2e import pods
from tests.e2e.installed_by_others import apply, install, values_of_others
from tests.e2e.plane import Plane, copy_program
from tests.e2e.test_existing_layers import take_layers, unjudged_by
from tests.policy import cases
from tests.support import brownfield
from tests.support.waiting import eventually
from zt.adopt.living import ROLE, role
from zt.cli import app

pytestmark = pytest.mark.e2e

STACK = "production"
READER = "adopt-reader"
NAME = brownfield.NAME
TODAY = datetime.now(UTC).date()


class Watch:
    """Looks at the workloads all the time, and remembers whenever one has less than it should."""

    def __init__(self, plane: Plane) -> None:
        self.plane, self.down = plane, list[str]()
        self.looks = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.3):
            self.down += short(self.plane)
            self.looks += 1


def short(plane: Plane) -> list[str]:
    """The Deployments with fewer pods that are ready than they ask for."""
    return [
        f"{each.metadata.name}: {each.status.available_replicas} of {each.spec.replicas}"
        for each in plane.apps.list_namespaced_deployment(NAME).items
        if (each.status.available_replicas or 0) < each.spec.replicas
    ]


@pytest.fixture(scope="module")
def others(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    """The plane with layers of others and the namespace; the checkout takes the layers as they are."""
    checkout = take_layers(copy_program(tmp_path_factory.mktemp("checkout")))
    install(plane, values_of_others(unjudged_by(checkout)))
    apply(plane, brownfield.OBJECTS)
    own = Plane(plane.state, checkout)
    eventually(lambda: not short(own), "what is there runs")
    return own


@pytest.fixture(scope="module")
def kubeconfig(others: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of somebody who may read what the report needs, and nothing else."""
    group = ("rbac.authorization.k8s.io", "v1")
    others.core.create_namespaced_service_account("default", {"metadata": {"name": READER}})
    others.objects.create_cluster_custom_object(*group, "clusterroles", role())
    binding = {
        "metadata": {"name": ROLE},
        "roleRef": {"apiGroup": group[0], "kind": "ClusterRole", "name": ROLE},
        "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": READER}],
    }
    others.objects.create_cluster_custom_object(*group, "clusterrolebindings", binding)
    values = yaml.safe_load((others.state / "kubeconfig").read_text())
    values["users"][0]["user"] = {"token": others.token("default", READER)}
    path = tmp_path_factory.mktemp("reader") / "kubeconfig"
    path.write_text(yaml.safe_dump(values))
    yield path
    others.objects.delete_cluster_custom_object(*group, "clusterrolebindings", ROLE)
    others.objects.delete_cluster_custom_object(*group, "clusterroles", ROLE)
    others.core.delete_namespaced_service_account(READER, "default")


@pytest.fixture(scope="module")
def report(others: Plane, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The report on the namespace as JSON, and the directory with the drafts."""
    written = tmp_path_factory.mktemp("drafts")
    typed = ["adopt", "--stack", STACK, "--namespace", NAME, "--kubeconfig", str(kubeconfig), "--format", "json"]
    done = CliRunner().invoke(app, [*typed, "--project", str(others.checkout), "--write", str(written)])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout), written


class TestReport:
    def test_the_reader_may_get_and_list_alone(self, others: Plane, kubeconfig: Path) -> None:
        api = client.AuthorizationV1Api(others.client_as("default", READER))

        def may(verb: str, resource: str, sub: str = "") -> bool:
            asked = client.V1ResourceAttributes(verb=verb, resource=resource, subresource=sub, namespace=NAME)
            spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=asked)
            answer: Any = api.create_self_subject_access_review(client.V1SelfSubjectAccessReview(spec=spec))
            return answer.status.allowed

        assert kubeconfig.exists()
        assert may("list", "pods")
        for verb in ("create", "update", "patch", "delete", "watch"):
            assert not may(verb, "pods"), verb
        assert not may("get", "secrets")
        assert not may("list", "secrets")
        assert not may("create", "pods", "exec")

    def test_it_names_what_the_rules_would_refuse(self, report: tuple[dict[str, Any], Path]) -> None:
        (namespace,) = report[0]["namespaces"]
        found = {
            each["name"]: {violation["rule"] for violation in each["violations"]} for each in namespace["workloads"]
        }
        assert "require-run-as-non-root" in found["orders"]
        assert "disallow-latest-tag" in found["orders"]
        assert {"disallow-privileged", "disallow-host-path", "restrict-image-registries"} <= found["agent"]
        assert report[0]["unread"] == [each for each in report[0]["unread"] if each.startswith("no draft")]

    def test_its_drafts_load(self, report: tuple[dict[str, Any], Path]) -> None:
        names = {path.name for path in (report[1] / "services").iterdir()}
        assert names == {"web.yaml", "cache.yaml"}


def excepted(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The exceptions of what can't be mended: the agent on each node, from each rule that it does not keep."""
    (namespace,) = report["namespaces"]
    agent = next(each for each in namespace["workloads"] if each["name"] == "agent")
    rules = sorted({each["rule"] for each in agent["violations"] if each["tier"] == "critical"})
    timed = {
        "reason": "an agent that needs its node, until its vendor has a narrower one",
        "owner": "platform",
        "granted": TODAY.isoformat(),
        "expires": (TODAY + timedelta(60)).isoformat(),
    }
    return [{"rule": rule, "namespace": NAME, "serviceAccount": "agent", **timed} for rule in rules]


def change(checkout: Path, **keys: Any) -> None:
    """Change keys of the stack file; `None` takes one out."""
    path = checkout / f"Pulumi.{STACK}.yaml"
    file = yaml.safe_load(path.read_text())
    for key, value in keys.items():
        file["config"].pop(f"zero-trust:{key}", None)
        if value is not None:
            file["config"][f"zero-trust:{key}"] = value
    path.write_text(yaml.safe_dump(file))


def mended(manifest: dict[str, Any]) -> dict[str, Any]:
    """A workload whose pods keep every rule, under the same selector."""
    whole = deepcopy(manifest)
    app_label = whole["metadata"]["name"]
    template = whole["spec"]["template"]
    labels = {**cases.BASELINE["labels"], "app": app_label, "sidecar.istio.io/inject": "false"}
    template["metadata"]["labels"] = labels
    template["spec"] = {**cases.pod_spec({}), "serviceAccountName": app_label}
    return whole


@pytest.fixture(scope="module")
def watched(others: Plane, report: tuple[dict[str, Any], Path]) -> Iterator[Watch]:
    """The rollout: the first day's keys, then the mended workloads, then the rules that deny."""
    with Watch(others) as watch:
        first_day = yaml.safe_load((report[1] / "stack.yaml").read_text())["config"]["zero-trust:posture"]
        change(others.checkout, posture=first_day, asOf=TODAY.isoformat())
        others.run("up", "--stack", STACK)
        for name in ("web", "cache"):
            apply(
                others, [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAME}}]
            )
        apply(others, [mended(each) for each in (brownfield.WEB, brownfield.ORDERS, brownfield.CACHE)])
        eventually(lambda: rolled_out(others), "the mended pods run")
        exceptions = {"mode": "existing", "exceptions": excepted(report[0])}
        change(others.checkout, posture=None, kyverno=exceptions)
        others.run("up", "--stack", STACK)
        yield watch


def rolled_out(plane: Plane) -> bool:
    there = plane.apps.list_namespaced_deployment(NAME).items
    return all(
        each.status.observed_generation == each.metadata.generation
        and (each.status.updated_replicas or 0) == each.spec.replicas == (each.status.available_replicas or 0)
        for each in there
    )


class TestRollout:
    def test_nothing_was_down(self, watched: Watch) -> None:
        assert watched.looks > 50
        assert not watched.down

    def test_the_rules_deny_what_was_there(self, watched: Watch) -> None:
        # The mutations fill in what is absent; what is wrong in so many words is refused by the API server itself.
        for bad in (brownfield.WEB, brownfield.ORDERS):
            again = deepcopy(bad)
            again["metadata"]["name"] = f"{bad['metadata']['name']}-again"
            with pytest.raises(ApiException, match=r"ValidatingAdmissionPolicy .vpol-[a-z-]+. with binding .* denied"):
                watched.plane.apps.create_namespaced_deployment(NAME, again)
        with pytest.raises(ApiException, match="disallow-privileged"):
            watched.plane.core.create_namespaced_pod(NAME, {**pods.privileged("bad"), "spec": _as("web")})

    def test_what_is_mended_and_what_is_excepted_rolls_out_again(self, watched: Watch) -> None:
        restart = {"spec": {"template": {"metadata": {"annotations": {"restarted": str(time.time())}}}}}
        for name in ("web", "orders"):
            watched.plane.apps.patch_namespaced_deployment(name, NAME, restart)
        watched.plane.apps.patch_namespaced_daemon_set("agent", NAME, restart)
        eventually(lambda: rolled_out(watched.plane), "the restarted pods run")
        assert not watched.down

    def test_the_namespace_is_closed(self, watched: Watch) -> None:
        listed = watched.plane.networking.list_namespaced_network_policy(NAME).items
        assert {"default-deny", "cache"} <= {each.metadata.name for each in listed}

    def test_nothing_of_it_became_the_stacks(self, watched: Watch) -> None:
        (namespace,) = [each for each in watched.plane.core.list_namespace().items if each.metadata.name == NAME]
        managers = {each.manager for each in namespace.metadata.managed_fields or []}
        assert not {name for name in managers if name.startswith("pulumi")}


def _as(account: str) -> dict[str, Any]:
    return {**pods.privileged("bad")["spec"], "serviceAccountName": account}
