"""The whole library at real admission: every case of every kind, the standard, exceptions, and a stopped Kyverno."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from kubernetes.client.exceptions import ApiException

from components.policy_library import VALIDATING_TIERS, Rule, load_library, manifest
from components.posture import Action
from components.service_spec import PLATFORM_NAMESPACES
from tests.e2e import pods
from tests.e2e.admission import Admission, Outcome
from tests.e2e.hard_service import HARD, HardService, make_disks
from tests.e2e.plane import Plane, copy_program
from tests.e2e.waiting import eventually
from tests.policy import cases
from tests.policy.cases import Case
from tests.policy.pod_specs import pod_specs

pytestmark = pytest.mark.e2e

STACK = "production"
SHOP = "shop"
OLDER = "older"
VALIDATING = [rule for rule in load_library().rules.values() if rule.tier in VALIDATING_TIERS]
# A namespace that the rules leave alone and that the stack does not make: here the API server's own admission judges.
STANDARD = "kube-node-lease"
# The API server takes a host process in the node's network alone, which another rule refuses.
NEVER_ALONE = {"disallow-host-process"}
# Kyverno has a clock, and drops an exception on its day.
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
            "rule": "restrict-image-registries",
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
    path.write_text(yaml.safe_dump(stack, sort_keys=False))


@pytest.fixture(scope="module")
def production(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    own.core.create_namespace({"metadata": {"name": OLDER}})
    own.apps.create_namespaced_deployment(OLDER, privileged_deployment())
    enforce_everything(own.checkout)
    (own.checkout / "services/hard.yaml").write_text(yaml.safe_dump(HARD))
    make_disks(own)
    own.run("up", "--stack", STACK)
    return own


def privileged_deployment() -> dict[str, Any]:
    spec = pods.privileged("older")["spec"]
    return cases.wrap("Deployment", "older", spec, cases.BASELINE["labels"]) | {"metadata": {"name": "older"}}


@pytest.fixture(scope="module")
def admission(production: Plane) -> Admission:
    """Admission with the tier that never denies denying too, so that its verdicts can be seen."""
    asked = Admission(production, (rule.name for rule in VALIDATING))
    for rule in VALIDATING:
        if rule.tier == "best-practice":
            production.objects.delete_cluster_custom_object(
                "policies.kyverno.io", "v1", "validatingpolicies", rule.name
            )
            asked.request("POST", in_the_webhook(manifest(rule, Action.DENY, PLATFORM_NAMESPACES)))
    for rule in VALIDATING:
        eventually(lambda name=rule.name: in_force(production, name), f"{rule.name} is in force")
    return asked


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
    production.core.patch_namespace(
        STANDARD, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    )
    production.core.create_namespaced_service_account(STANDARD, {"metadata": {"name": "api"}})
    yield STANDARD
    production.core.delete_namespaced_service_account("api", STANDARD)


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


class TestWhatStoodBefore:
    """A workload that is older than the rules: it may be looked after, and not be made anew as it was."""

    @pytest.fixture
    def older(self, admission: Admission) -> dict[str, Any]:
        return admission.request("GET", privileged_deployment(), OLDER)

    def test_a_change_beside_its_spec_is_admitted(self, admission: Admission, older: dict[str, Any]) -> None:
        older["metadata"]["annotations"] = {"example.org/note": "to be replaced"}
        assert admission.dry_run("PUT", older, OLDER) == Outcome()

    def test_a_change_of_its_spec_is_refused(self, admission: Admission, older: dict[str, Any]) -> None:
        older["spec"]["revisionHistoryLimit"] = 3
        assert admission.dry_run("PUT", older, OLDER).rules == {"disallow-privileged"}


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


class TestExceptions:
    def test_the_workload_runs(self, excepted: Plane) -> None:
        status = excepted.apps.read_namespaced_deployment("legacy", SHOP).status
        assert status.ready_replicas == status.replicas == 2

    @pytest.mark.usefixtures("excepted")
    def test_the_same_image_is_refused_anywhere_else(self, admission: Admission) -> None:
        pod = pods.pod("other")
        pod["spec"]["containers"][0]["image"] = LEGACY["image"]
        for labels in ({"app": "legacy"}, {"app": "other"}):
            pod["metadata"]["labels"] |= labels
            assert admission.dry_run("POST", pod, SHOP).rules == {"restrict-image-registries"}

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

    def test_an_exception_that_is_removed_is_gone(self, excepted: Plane) -> None:
        (excepted.checkout / "services/legacy.yaml").unlink()
        excepted.run("up", "--stack", STACK)
        found = excepted.objects.list_namespaced_custom_object(
            "policies.kyverno.io", "v1", "kyverno", "policyexceptions"
        )
        assert not found["items"]


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
