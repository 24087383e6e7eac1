"""The whole library at real admission: every case of every kind, the standard, exceptions, and a stopped Kyverno."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from kubernetes.client.exceptions import ApiException

from components.config.action import Action
from components.kube.names import OBJECTS, PLATFORM_NAMESPACES
from components.kyverno.library import VALIDATING_TIERS, Rule, load_library, manifest
from tests.e2e import pods
from tests.e2e.admission import Admission, Outcome
from tests.e2e.attack_weakenings import KYVERNO, call, collection, removed
from tests.e2e.hard_service import HARD, HardService
from tests.e2e.older_objects import OlderObjects, delete_older, make_older
from tests.e2e.plane import Plane, copy_program
from tests.policy import cases
from tests.policy.cases import Case
from tests.policy.pod_specs import pod_specs
from tests.support.consents import agree
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

STACK = "production"
SHOP = "shop"
IMAGES = "restrict-image-registries"
VALIDATING = [rule for rule in load_library().rules.values() if rule.tier in VALIDATING_TIERS]
NEVER_DENYING = [rule for rule in VALIDATING if rule.tier == "best-practice"]
# A namespace that the rules leave alone and that the stack does not make: here the API server's own admission judges.
STANDARD = "kube-node-lease"
# The API server takes a host process in the node's network alone, which another rule refuses.
NEVER_ALONE = {"disallow-host-process"}
# The cluster has a clock, and ends an exception on its day.
TODAY = datetime.now(UTC).date()
EXPIRES = TODAY + timedelta(90)
LEGACY = {
    "namespace": SHOP,
    "team": "commerce",
    "costCenter": "retail",
    "image": "docker.io/vendor/legacy:4.2",
    "port": 8080,
    "exceptions": [
        {
            "rule": IMAGES,
            "reason": "the vendor publishes nowhere else",
            "owner": "commerce",
            "granted": TODAY.isoformat(),
            "expires": EXPIRES.isoformat(),
        }
    ],
}


def enforce_everything(checkout: Path) -> None:
    """Production with each important rule in its last phase, and nothing that fills a missing field in."""
    path = checkout / f"Pulumi.{STACK}.yaml"
    stack = yaml.safe_load(path.read_text())
    stack["config"] |= {
        "zero-trust:phases": {rule.name: "enforce" for rule in VALIDATING if rule.tier == "important"},
        "zero-trust:posture": {
            "mutate": {"value": False, "reason": "a filled field would hide what a rule refuses"},
            "generate": {"value": False, "reason": "a LimitRange would fill in resources"},
        },
        "zero-trust:asOf": TODAY.isoformat(),
    }
    stack["config"]["zero-trust:platformImages"].append("quay.io/jetstack/cert-manager-acmesolver")
    path.write_text(yaml.safe_dump(stack, sort_keys=False))


@pytest.fixture(scope="module")
def production(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    make_older(own)
    enforce_everything(own.checkout)
    (own.checkout / "services/hard.yaml").write_text(yaml.safe_dump(HARD))
    agree(own.checkout / "services")
    own.run("up", "--stack", STACK)
    yield own
    delete_older(own)


@pytest.fixture(scope="module")
def admission(production: Plane) -> Iterator[Admission]:
    """Admission with the tier that never denies denying too, so that its verdicts can be seen."""
    asked = Admission(production, (rule.name for rule in VALIDATING))
    denying = [in_the_webhook(manifest(rule, Action.DENY, PLATFORM_NAMESPACES)) for rule in NEVER_DENYING]
    with removed(production, collection(KYVERNO, "validatingpolicies"), [rule.name for rule in NEVER_DENYING]):
        for policy in denying:
            asked.request("POST", policy)
        for rule in VALIDATING:
            eventually(lambda name=rule.name: in_force(production, name), f"{rule.name} is in force")
        yield asked
        for policy in denying:
            asked.request("DELETE", policy)
    asked.clear()


def in_the_webhook(policy: dict[str, Any]) -> dict[str, Any]:
    """A rule that looks at other objects cannot be a native policy, and the API server cannot ask its question."""
    policy["spec"]["autogen"]["validatingAdmissionPolicy"]["enabled"] = False
    policy["spec"]["matchConditions"] = [
        condition for condition in policy["spec"]["matchConditions"] if condition["name"] != "violated"
    ]
    return policy


def in_force(plane: Plane, rule: str) -> bool:
    found = plane.objects.get_cluster_custom_object("policies.kyverno.io", "v1", "validatingpolicies", rule)
    status = found.get("status", {})
    return bool(status.get("generated") or status.get("conditionStatus", {}).get("ready"))


@pytest.fixture(scope="module")
def outcomes(admission: Admission) -> dict[str, Outcome]:
    every = [case for rule in VALIDATING for case in cases.expand(rule)]
    return admission.judge(every)


@pytest.fixture(scope="module")
def standard(production: Plane) -> Iterator[str]:
    def enforce(level: str | None) -> None:
        labels = {"pod-security.kubernetes.io/enforce": level}
        production.core.patch_namespace(STANDARD, {"metadata": {"labels": labels}})

    enforce("restricted")
    production.core.create_namespaced_service_account(STANDARD, {"metadata": {"name": "api"}})
    yield STANDARD
    production.core.delete_namespaced_service_account("api", STANDARD)
    enforce(None)


@pytest.fixture(scope="module")
def excepted(production: Plane) -> Plane:
    """The exception and the service that needs it come in one change, on a living stack."""
    (production.checkout / "services/legacy.yaml").write_text(yaml.safe_dump(LEGACY))
    production.run("pulumi", "preview", "--stack", STACK)
    production.run("up", "--stack", STACK)
    return production


@pytest.fixture(scope="module")
def stopped(production: Plane, outcomes: dict[str, Outcome]) -> Iterator[Plane]:
    assert outcomes
    scale(production, 0)
    eventually(lambda: "kyverno-admission-controller" not in running(production), "the controller has ended")
    yield production
    scale(production, 3)
    eventually(lambda: "kyverno-admission-controller" in running(production), "the controller is back")


@pytest.mark.parametrize("rule", VALIDATING, ids=lambda rule: rule.name)
class TestCases:
    """What the CLI says of a case (`tests/policy/test_rules.py`) is what admission says of it, as every kind."""

    def test_every_case_has_the_verdict_it_names(self, rule: Rule, outcomes: dict[str, Outcome]) -> None:
        wrong = {case.id: outcomes[case.id] for case in cases.expand(rule) if not as_named(case, outcomes[case.id])}
        assert not wrong

    def test_admission_names_the_rule(self, rule: Rule, outcomes: dict[str, Outcome]) -> None:
        """The API server stops at the first refusal, so only a case of this rule alone shows its own."""
        alone = [case for case in cases.expand(rule) if case.refused_by == {rule.name} and not case.invalid]
        judged = [outcomes[case.id] for case in alone if namespace_of(case) not in PLATFORM_NAMESPACES]
        assert judged or rule.name in NEVER_ALONE
        assert {outcome.rules for outcome in judged} <= {frozenset({rule.name})}


def namespace_of(case: Case) -> str:
    return case.manifest["metadata"]["namespace"]


def as_named(case: Case, outcome: Outcome) -> bool:
    if namespace_of(case) in PLATFORM_NAMESPACES:
        return outcome == Outcome()
    if case.invalid:
        return outcome.invalid
    if case.refused_by:
        return bool(outcome.rules) and outcome.rules <= case.refused_by
    return outcome == Outcome()


class TestWhatStoodBefore(OlderObjects):
    """What is older than the rules may be looked after and mended, and not be made anew as it was."""


class TestStandard:
    """No pod that the restricted Pod Security Standard refuses gets past the critical tier."""

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(spec=pod_specs())
    def test_what_the_standard_refuses_is_refused(
        self, admission: Admission, outcomes: dict[str, Outcome], standard: str, spec: dict[str, Any]
    ) -> None:
        assert outcomes
        pod = cases.wrap("Pod", "generated", spec, cases.BASELINE["labels"])
        if "violates PodSecurity" in admission.dry_run("POST", pod, standard).message:
            assert admission.dry_run("POST", pod, "cases-0").rules


# Who writes the native policies.
LEADER = "/apis/coordination.k8s.io/v1/namespaces/kyverno/leases/kyverno"


class TestExceptions:
    def test_the_workload_runs(self, excepted: Plane) -> None:
        status = excepted.apps.read_namespaced_deployment("legacy", SHOP).status
        assert status.ready_replicas == status.replicas == 2

    @pytest.mark.usefixtures("excepted")
    def test_the_same_image_is_refused_anywhere_else(self, admission: Admission) -> None:
        """The service's own label is no other's either: two policies refuse that, and either may answer."""
        pod = pods.pod("other")
        pod["spec"]["containers"][0]["image"] = LEGACY["image"]
        pod["metadata"]["labels"] |= {"app": "other"}
        assert admission.dry_run("POST", pod, SHOP).rules == {IMAGES}
        pod["metadata"]["labels"] |= {"app": "legacy"}
        namesake = admission.dry_run("POST", pod, SHOP)
        assert namesake.rules == {IMAGES} or OBJECTS in namesake.message

    def test_the_workload_keeps_to_every_other_rule(self, excepted: Plane, admission: Admission) -> None:
        body: Any = excepted.api.sanitize_for_serialization(excepted.apps.read_namespaced_deployment("legacy", SHOP))
        body["spec"]["template"]["spec"]["hostNetwork"] = True
        changed = {**body, "apiVersion": "apps/v1", "kind": "Deployment"}
        assert admission.dry_run("PUT", changed, SHOP).rules == {"disallow-host-namespaces"}

    def test_an_expired_exception_fails_the_preview(self, excepted: Plane) -> None:
        stack = excepted.checkout / f"Pulumi.{STACK}.yaml"
        kept = stack.read_text()
        stack.write_text(kept.replace(TODAY.isoformat(), EXPIRES.isoformat()))
        try:
            preview = excepted.run("preview", "--stack", STACK, check=False)
        finally:
            stack.write_text(kept)
        assert preview.returncode != 0
        assert "services/legacy.yaml:" in preview.stdout
        assert f"expired as of {EXPIRES}" in preview.stdout

    @pytest.mark.usefixtures("excepted")
    @pytest.mark.parametrize("kind", cases.KINDS)
    def test_a_namesake_with_another_account_is_refused(self, admission: Admission, kind: str) -> None:
        assert admission.dry_run("POST", vendors(kind, "legacy", "redis"), SHOP).rules == {IMAGES}

    @pytest.mark.usefixtures("excepted")
    @pytest.mark.parametrize(
        ("kind", "owner"), [("ReplicaSet", "legacy-"), ("StatefulSet", "legacy"), ("Job", "legacy")]
    )
    def test_a_forged_owner_is_refused(self, admission: Admission, kind: str, owner: str) -> None:
        pod = vendors("Pod", "forged", "redis")
        reference = {"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": "forged", "controller": True}
        pod["metadata"]["ownerReferences"] = [reference]
        assert admission.dry_run("POST", pod, SHOP).rules == {IMAGES}

    @pytest.mark.usefixtures("excepted")
    @pytest.mark.parametrize("kind", cases.KINDS)
    def test_whoever_may_use_the_account_may_use_its_exception(self, admission: Admission, kind: str) -> None:
        assert IMAGES not in admission.dry_run("POST", vendors(kind, "again", "legacy"), SHOP).rules

    def test_on_its_day_it_is_gone_though_nobody_deploys(self, excepted: Plane, admission: Admission) -> None:
        """A day is too long for a test, so it ends in a minute: a service file's last day stands in `expiresAt` too."""
        path = f"{collection(KYVERNO, 'policyexceptions', 'kyverno')}/shop.legacy.{IMAGES}"
        leader = call(excepted, "GET", LEADER)["spec"]["holderIdentity"]
        end = datetime.now(UTC) + timedelta(seconds=60)
        call(excepted, "PATCH", path, {"spec": {"expiresAt": end.strftime("%Y-%m-%dT%H:%M:%SZ")}})
        pod = vendors("Pod", "late", "legacy")
        assert IMAGES not in admission.dry_run("POST", pod, SHOP).rules
        refused = {IMAGES}
        eventually(lambda: admission.dry_run("POST", pod, SHOP).rules == refused, "the rule holds again")
        assert datetime.now(UTC) > end
        assert call(excepted, "GET", path, fails=False)["code"] == HTTPStatus.NOT_FOUND
        assert call(excepted, "GET", LEADER)["spec"]["holderIdentity"] == leader

    def test_one_that_is_gone_is_granted_again_by_a_new_day(self, excepted: Plane, admission: Admission) -> None:
        [again] = LEGACY["exceptions"]
        service = {**LEGACY, "exceptions": [{**again, "expires": (EXPIRES - timedelta(1)).isoformat()}]}
        (excepted.checkout / "services/legacy.yaml").write_text(yaml.safe_dump(service))
        excepted.run("up", "--stack", STACK)
        assert IMAGES not in admission.dry_run("POST", vendors("Pod", "again", "legacy"), SHOP).rules

    def test_an_exception_that_is_removed_is_gone(self, excepted: Plane) -> None:
        (excepted.checkout / "services/legacy.yaml").unlink()
        excepted.run("up", "--stack", STACK)
        found = excepted.objects.list_namespaced_custom_object(
            "policies.kyverno.io", "v1", "kyverno", "policyexceptions"
        )
        assert not found["items"]


def vendors(kind: str, name: str, account: str) -> dict[str, Any]:
    """A workload that runs the image of the exception as that account, and is right in every other way."""
    spec = cases.pod_spec({"container": {"image": LEGACY["image"]}}) | {"serviceAccountName": account}
    labels = {**cases.BASELINE["labels"], "sidecar.istio.io/inject": "false"}
    return cases.wrap(kind, name, spec, labels)


class TestAHardService(HardService):
    """Whatever a service file can say of its workload is admitted, with every rule denying."""


class TestWithoutKyverno:
    """The critical rules are native policies of the API server: they hold while Kyverno is down."""

    @pytest.mark.parametrize("rule", pods.BAD)
    def test_a_bad_pod_is_refused(self, stopped: Plane, rule: str) -> None:
        with pytest.raises(ApiException) as refused:
            stopped.core.create_namespaced_pod(SHOP, pods.BAD[rule](f"bad-{rule}"))
        assert "ValidatingAdmissionPolicy 'vpol-" in json.loads(str(refused.value.body))["message"]


def scale(plane: Plane, replicas: int) -> None:
    plane.apps.patch_namespaced_deployment_scale(
        "kyverno-admission-controller", "kyverno", {"spec": {"replicas": replicas}}
    )


def running(plane: Plane) -> set[str]:
    status = json.loads((plane.state / "status.json").read_text())
    return {process["name"] for process in status["processes"] if process["ready"]}
