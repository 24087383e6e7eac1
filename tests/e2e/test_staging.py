"""The staging stack: an up that is killed completes, what production blocks is reported, destroy leaves nothing."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from components.kyverno.library import Rule, load_library
from tests.e2e import pods
from tests.e2e.admission import Admission, RefusedError
from tests.e2e.plane import Plane
from tests.e2e.policy_reports import scanned
from tests.policy import cases, mutation_cases
from tests.policy.cases import Manifest
from tests.policy.mutation_cases import MutationCase, lost
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

STACK = "staging"
SHOP = "shop"
NEWCOMER = "newcomer"
FIRST_AUDIT = b'"path":"audit-1"'
CRON_JOB_NAME = 52  # characters
LIBRARY = load_library()
GENERATED = [cases.read(rule)["generates"][0]["expect"] for rule in LIBRARY.tier("generate")]
NAMESPACES_OF_A_BARE_CLUSTER = {"default", "kube-system", "kube-public", "kube-node-lease"}


def kill_half_way(plane: Plane) -> None:
    """Start `pulumi up` and kill the whole process group while Helm installs, and Vault is told of its first audit
    device, which it makes once only."""
    started = plane.start("up", "--stack", STACK)
    try:
        eventually(lambda: FIRST_AUDIT in journal(plane), "the creation of the audit device begins", interval=0.01)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def journal(plane: Plane) -> bytes:
    """What the update under way has done so far."""
    return b"".join(file.read_bytes() for file in plane.state.rglob(f"{STACK}.journal"))


def kill_state_service(plane: Plane) -> None:
    """Kill what keeps the stacks: the supervisor starts it again, and it goes on with what it finds."""
    status = json.loads((plane.state / "status.json").read_text())
    [service] = [process for process in status["processes"] if process["name"] == "state-service"]
    os.kill(service["pid"], signal.SIGKILL)


@pytest.fixture(scope="module")
def staging(plane: Plane) -> Plane:
    with plane.first_up():
        kill_half_way(plane)
        assert b"helm.sh/v3:Release" in journal(plane)
        kill_state_service(plane)
    plane.run("up", "--stack", STACK)
    return plane


def failing_rules(plane: Plane, pod: str) -> set[str]:
    """The rules that the policy reports say this pod fails."""
    reports: Any = plane.objects.list_namespaced_custom_object("wgpolicyk8s.io", "v1alpha2", SHOP, "policyreports")
    return {
        result["policy"]
        for report in reports["items"]
        if report.get("scope", {}).get("name") == pod
        for result in report.get("results", [])
        if result["result"] == "fail"
    }


def test_the_interrupted_up_was_completed(staging: Plane) -> None:
    preview = staging.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes", "--diff")
    assert "unchanged" in preview.stdout


class TestWhatTheStateLost:
    """An update that is killed while it creates an object may leave one that no state knows."""

    def test_the_next_up_takes_it_and_what_others_changed(self, staging: Plane) -> None:
        whole = staging.checkpoint(STACK)
        lost = one_of_each_kind(whole["deployment"]["resources"])
        assert {"ValidatingAdmissionPolicyBinding", "Service", "HTTPRoute"} <= {*lost}
        changed = next(each for each in whole["deployment"]["resources"] if closes_both_directions(each))
        change_as_somebody_else(staging, changed)
        staging.forget(STACK, {resource["urn"] for resource in lost.values()})
        staging.run("pulumi", "up", "--refresh", "--yes", "--skip-preview", "--stack", STACK)
        staging.run("pulumi", "preview", "--refresh", "--stack", STACK, "--expect-no-changes")
        again = {resource["urn"]: resource for resource in staging.checkpoint(STACK)["deployment"]["resources"]}
        for kind, resource in lost.items():
            assert stacks_of(again[resource["urn"]]["outputs"]) == {f"pulumi-kubernetes/zero-trust/{STACK}"}, kind
        metadata = changed["inputs"]["metadata"]
        kept = staging.networking.read_namespaced_network_policy(metadata["name"], metadata["namespace"])
        assert kept.spec.policy_types == changed["inputs"]["spec"]["policyTypes"]

    def test_what_vault_makes_once_is_imported(self, staging: Plane) -> None:
        """By hand, where nobody resumes an update."""
        resources = staging.checkpoint(STACK)["deployment"]["resources"]
        audit = next(each for each in resources if each["type"] == "vault:index/audit:Audit")
        provider, name = audit["provider"].rpartition("::")[0], audit["urn"].rpartition("::")[2]
        staging.forget(STACK, {audit["urn"]})
        refused = staging.run("pulumi", "up", "--yes", "--skip-preview", "--stack", STACK, check=False).stdout
        assert "path already in use" in refused
        options = ("--yes", "--skip-preview", "--protect=false", "--generate-code=false")
        names = (f"--parent=vault={audit['parent']}", f"--provider=vault.provider={provider}")
        staging.run("pulumi", "import", audit["type"], name, audit["id"], "--stack", STACK, *options, *names)
        staging.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes")


def one_of_each_kind(resources: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """An object of each kind, by the kind, that no other resource of the state refers to."""
    referred = {
        urn
        for each in resources
        for urn in (*each.get("dependencies", ()), each.get("parent", ""), each.get("deletedWith", ""))
    }
    return {
        each["inputs"]["kind"]: each
        for each in resources
        if each["type"].startswith("kubernetes:") and each.get("inputs", {}).get("kind") and each["urn"] not in referred
    }


def closes_both_directions(resource: dict[str, Any]) -> bool:
    """Whether it is a NetworkPolicy in the shop that says how both directions are closed."""
    inputs = resource.get("inputs", {})
    said = inputs.get("kind") == "NetworkPolicy" and inputs["metadata"]["namespace"] == SHOP
    return bool(said and len(inputs["spec"]["policyTypes"]) > 1)


def change_as_somebody_else(plane: Plane, resource: dict[str, Any]) -> None:
    """Let a policy of a network close one direction alone, as another field manager."""
    metadata, spec = resource["inputs"]["metadata"], resource["inputs"]["spec"]
    body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": metadata["name"]},
        "spec": {"podSelector": spec["podSelector"], "policyTypes": ["Egress"]},
    }
    path = f"/apis/networking.k8s.io/v1/namespaces/{metadata['namespace']}/networkpolicies/{metadata['name']}"
    status, text = plane.apply(path, "somebody", body)
    assert status == HTTPStatus.OK, text


def stacks_of(made: dict[str, Any]) -> set[str]:
    """The field managers of Pulumi that an object has."""
    managers = {each["manager"] for each in made["metadata"]["managedFields"]}
    return {manager for manager in managers if manager.startswith("pulumi")}


def test_no_plugin_of_the_killed_up_is_left(staging: Plane) -> None:
    home = f"PULUMI_HOME={staging.state / 'pulumi'}".encode()
    eventually(
        lambda: not any(home in environment_of(process) for process in Path("/proc").glob("[0-9]*/environ")),
        "no process of Pulumi runs",
    )


def environment_of(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().split(b"\0")
    except OSError:
        return []


@pytest.fixture(scope="class")
def admitted(staging: Plane, reported: Plane) -> Iterator[Plane]:
    """The bad pods, all of them at once: one scan reports on them."""
    for rule, bad in pods.BAD.items():
        reported.core.create_namespaced_pod(SHOP, bad(f"bad-{rule}"))
    yield staging
    for rule in pods.BAD:
        staging.core.delete_namespaced_pod(f"bad-{rule}", SHOP)


class TestReports:
    @pytest.mark.parametrize("rule", pods.BAD)
    def test_what_production_refuses_is_admitted_and_reported(self, admitted: Plane, rule: str) -> None:
        name = f"bad-{rule}"
        scanned(admitted, lambda: rule in failing_rules(admitted, name), f"{rule} in a policy report on {name}")
        assert failing_rules(admitted, name) & set(pods.BAD) == {rule}


@pytest.fixture(scope="module")
def newcomer(staging: Plane) -> Admission:
    """Admission, and a namespace that nobody prepared."""
    staging.core.create_namespace({"metadata": {"name": NEWCOMER}})
    return Admission(staging, LIBRARY.rules)


def found(admission: Admission, manifest: Manifest) -> Manifest | None:
    with contextlib.suppress(RefusedError):
        return admission.request("GET", manifest, NEWCOMER)
    return None


@pytest.mark.parametrize("expected", GENERATED, ids=lambda made: f"{made['kind']}-{made['metadata']['name']}")
def test_a_new_namespace_gets_it_and_again_when_somebody_deletes_it(newcomer: Admission, expected: Manifest) -> None:
    what = f"{expected['kind']} {expected['metadata']['name']} in {NEWCOMER}"
    first = eventually(lambda: found(newcomer, expected), what) or {}
    newcomer.request("DELETE", expected, NEWCOMER)

    def again() -> bool:
        made = found(newcomer, expected)
        return made is not None and made["metadata"]["uid"] != first["metadata"]["uid"]

    eventually(again, f"{what}, made again")


class TestDefaults:
    """What the CLI says that a rule fills in (`tests/policy/test_mutations.py`) is what admission fills in."""

    @pytest.mark.parametrize("rule", LIBRARY.tier("mutate"), ids=lambda rule: rule.name)
    def test_admission_fills_in_what_the_cases_say(self, newcomer: Admission, rule: Rule) -> None:
        newcomer.furnish(NEWCOMER)
        judged = [(case, answer) for case in fillable(rule) if (answer := filled(newcomer, case)) is not None]
        assert {case.before["kind"] for case, _ in judged} >= {"Deployment", "CronJob", "StatefulSet", "Job"}
        wrong = {case.id: differences for case, answer in judged if (differences := list(lost(case.after, answer)))}
        assert not wrong


def fillable(rule: Rule) -> list[MutationCase]:
    """Without what the LimitRange fills in first, ephemeral containers, and numbers, which are stored as text."""
    return [
        case
        for case in mutation_cases.expand(rule)
        if "ephemeralContainers" not in mutation_cases.template(case.before).get("spec", {})
        and not (rule.name == "default-resources" and case.before["kind"] == "Pod")
        and "request-as-a-number" not in case.id
    ]


def filled(admission: Admission, case: MutationCase) -> Manifest | None:
    """The object as admission stores it; `None` when the API server finds it invalid, which is no rule's doing.

    A case whose name a StatefulSet (no dots) or a CronJob (52 characters) may not have goes by another one.
    """
    own = case.before["metadata"]["name"]
    name = "stored" if case.before["kind"] == "StatefulSet" or len(own) > CRON_JOB_NAME else own
    names = {"metadata": {"name": name, "namespace": NEWCOMER}}
    try:
        answer = admission.request("POST", cases.merge(case.before, names), NEWCOMER, dry_run=True)
    except RefusedError as refused:
        if refused.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return None
        raise
    stored = json.loads(json.dumps(answer).replace(f'"{NEWCOMER}"', f'"{cases.NAMESPACE}"'))
    return cases.merge(stored, {"metadata": {"name": own, "namespace": case.after["metadata"]["namespace"]}})


def test_authorization_is_a_dry_run(staging: Plane) -> None:
    found = staging.objects.list_namespaced_custom_object("security.istio.io", "v1", SHOP, "authorizationpolicies")
    assert found["items"]
    assert {item["metadata"]["annotations"]["istio.io/dry-run"] for item in found["items"]} == {"true"}


def test_no_rule_denies_inside_the_api_server(staging: Plane) -> None:
    """Staging only reports. The Gateway API's own guard of its definitions is no rule of the library."""
    bindings = staging.admission.list_validating_admission_policy_binding().items
    denying = {item.spec.policy_name for item in bindings if "Deny" in item.spec.validation_actions}
    assert denying <= {"safe-upgrades.gateway.networking.k8s.io"}


def test_a_second_stack_is_refused_beside_this_one(staging: Plane) -> None:
    refused = staging.run("up", "--stack", "dev", check=False)
    assert refused.returncode == 1
    assert "the stack staging stands on this control plane" in refused.stdout


@pytest.fixture(scope="module")
def destroyed(staging: Plane) -> Plane:
    with contextlib.suppress(ApiException):
        staging.core.delete_namespace(NEWCOMER)
    staging.run("destroy", "--stack", STACK)
    return staging


class TestDestroy:
    """Runs last: the stack is gone afterwards."""

    def test_no_webhook_and_no_admission_policy_is_left(self, destroyed: Plane) -> None:
        admission = destroyed.admission
        left = [
            item.metadata.name
            for listing in (
                admission.list_validating_webhook_configuration,
                admission.list_mutating_webhook_configuration,
                admission.list_validating_admission_policy,
                admission.list_validating_admission_policy_binding,
            )
            for item in listing().items
        ]
        assert left == []

    def test_no_namespace_is_left(self, destroyed: Plane) -> None:
        def extra() -> set[str]:
            return {item.metadata.name for item in destroyed.core.list_namespace().items} - NAMESPACES_OF_A_BARE_CLUSTER

        eventually(lambda: not extra(), f"only the namespaces of a bare cluster, not {extra()}")

    def test_no_custom_resource_is_left(self, destroyed: Plane) -> None:
        definitions = destroyed.extensions.list_custom_resource_definition().items
        left: list[str] = []
        for item in definitions:
            served = next(version.name for version in item.spec.versions if version.served)
            with contextlib.suppress(ApiException):
                found = destroyed.objects.list_cluster_custom_object(item.spec.group, served, item.spec.names.plural)
                left += [f"{item.metadata.name}/{made['metadata']['name']}" for made in found["items"]]
        assert left == []

    def test_no_service_has_an_identity_in_vault(self, destroyed: Plane) -> None:
        with pytest.raises(Exception, match=r"permission denied|no handler|unsupported path"):
            destroyed.vault().auth.kubernetes.login(role="shop.api", jwt="x.y.z")

    def test_any_pod_is_admitted_again(self, destroyed: Plane) -> None:
        admitted = pods.privileged("after")
        admitted["spec"]["serviceAccountName"] = "default"
        destroyed.core.create_namespaced_pod("default", admitted)
        destroyed.core.delete_namespaced_pod("after", "default")

    def test_a_second_destroy_finds_nothing(self, destroyed: Plane) -> None:
        assert destroyed.run("destroy", "--stack", STACK).returncode == 0


def test_no_process_outlives_down(plane: Plane) -> None:
    """The last test of the plane: it is stopped, and nothing of it is left running."""
    assert str(plane.state) in running_commands()
    plane.run("down", timeout=600)
    assert str(plane.state) not in running_commands()


def running_commands() -> str:
    """Every command line, whole: `ps` cuts them at COLUMNS without `-ww`, even into a pipe."""
    return subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True).stdout
