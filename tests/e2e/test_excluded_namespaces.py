"""Namespaces that are not ours: what no rule looks at, and exceptions of what no service file makes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from components.kyverno.library import load_library
from tests.e2e import pods
from tests.e2e.admission import Admission
from tests.e2e.plane import Plane, copy_program
from tests.policy import cases
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

STACK = "production"
PLUGIN, TENANT, MONITORING = "calico-system", "tenant", "monitoring"
AGENT = "node-agent"
TODAY = datetime.now(UTC).date()
TIMED = {
    "reason": "an agent on each node needs the node",
    "owner": "platform",
    "granted": TODAY.isoformat(),
    "expires": (TODAY + timedelta(30)).isoformat(),
}
RULE = "restrict-image-registries"


def daemon_set(namespace: str, account: str = AGENT) -> dict[str, Any]:
    """A privileged agent on each node, as a network plugin has one."""
    spec = {**pods.privileged(AGENT)["spec"], "serviceAccountName": account}
    manifest = cases.wrap("DaemonSet", AGENT, spec, cases.BASELINE["labels"])
    return {**manifest, "metadata": {**manifest["metadata"], "name": AGENT, "namespace": namespace}}


@pytest.fixture(scope="module")
def production(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """Production with a namespace that no rule looks at, and one rule that does not hold for an agent elsewhere."""
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    path = own.checkout / f"Pulumi.{STACK}.yaml"
    stack = yaml.safe_load(path.read_text())
    stack["config"]["zero-trust:kyverno"] |= {
        "excludedNamespaces": {PLUGIN: TIMED},
        "exceptions": [{**TIMED, "rule": RULE, "namespace": MONITORING, "serviceAccount": AGENT}],
    }
    stack["config"]["zero-trust:asOf"] = TODAY.isoformat()
    path.write_text(yaml.safe_dump(stack, sort_keys=False))
    own.run("up", "--stack", STACK)
    for namespace in (PLUGIN, TENANT, MONITORING):
        own.core.create_namespace({"metadata": {"name": namespace}})
        for account in (AGENT, "other"):
            own.core.create_namespaced_service_account(namespace, {"metadata": {"name": account}})
    yield own
    for namespace in (PLUGIN, TENANT, MONITORING):
        own.core.delete_namespace(namespace)


@pytest.fixture(scope="module")
def admission(production: Plane) -> Admission:
    return Admission(production, load_library().rules)


class TestAnExcludedNamespace:
    def test_the_agent_s_pod_runs_there(self, production: Plane, admission: Admission) -> None:
        assert not admission.dry_run("POST", daemon_set(PLUGIN), PLUGIN).message
        admission.request("POST", daemon_set(PLUGIN), PLUGIN)
        found = eventually(lambda: production.core.list_namespaced_pod(PLUGIN).items, "the agent's pod")
        assert found[0].spec.containers[0].security_context.privileged

    def test_it_is_refused_elsewhere(self, admission: Admission) -> None:
        outcome = admission.dry_run("POST", daemon_set(TENANT), TENANT)
        assert outcome.rules, outcome.message

    def test_nothing_is_generated_there(self, production: Plane) -> None:
        eventually(lambda: production.networking.list_namespaced_network_policy(TENANT).items, "the default deny")
        assert not production.networking.list_namespaced_network_policy(PLUGIN).items
        assert not production.core.list_namespaced_resource_quota(PLUGIN).items

    def test_a_tenant_cannot_take_the_label_that_rules_go_by(self, production: Plane, admission: Admission) -> None:
        """The API server writes the label, whatever the owner of the namespace asks for."""
        labels = {"kubernetes.io/metadata.name": PLUGIN}
        production.core.patch_namespace(TENANT, {"metadata": {"labels": labels}})
        assert production.core.read_namespace(TENANT).metadata.labels["kubernetes.io/metadata.name"] == TENANT
        assert admission.dry_run("POST", daemon_set(TENANT), TENANT).rules


def vendor_pod(account: str, namespace: str) -> dict[str, Any]:
    """A pod that this one rule refuses: its image is of a registry that nobody approved."""
    spec = {**cases.pod_spec({"container": {"image": "docker.io/vendor/agent:1.0"}}), "serviceAccountName": account}
    manifest = cases.wrap("Pod", AGENT, spec, cases.BASELINE["labels"])
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}


class TestAnException:
    @pytest.fixture(scope="class", autouse=True)
    def in_force(self, admission: Admission) -> None:
        agent = vendor_pod(AGENT, MONITORING)
        eventually(lambda: not admission.dry_run("POST", agent, MONITORING).message, "the exception is in force")

    @pytest.mark.parametrize(
        ("namespace", "account"), [(MONITORING, "other"), (MONITORING, "workload"), (TENANT, AGENT)]
    )
    def test_it_is_that_account_s_alone(self, admission: Admission, namespace: str, account: str) -> None:
        assert admission.dry_run("POST", vendor_pod(account, namespace), namespace).rules == {RULE}

    def test_another_rule_holds_for_that_account_too(self, admission: Admission) -> None:
        assert admission.dry_run("POST", daemon_set(MONITORING), MONITORING).rules
