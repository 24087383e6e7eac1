"""Which rules a posture switches on, what the Kyverno release is told, and in which order all is created."""

from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.config.action import Action
from components.config.posture import TABLE
from components.kube.charts import ISTIOD, PUBLISHED, ChartSources
from components.kyverno.image_signatures import KeylessAttestor
from components.kyverno.library import Library, load_library
from components.kyverno.policy_set import (
    IN_FORCE,
    KyvernoPolicySet,
    KyvernoPolicySetArgs,
    action_of,
    kyverno_values,
    policies,
)
from components.schema.problem import FieldError
from tests.support.monitor import record

pytestmark = pytest.mark.unit

PLATFORM = ("kyverno", "istio-system", "kube-system")
LIBRARY = load_library()
SIGNER = KeylessAttestor("ci", "https://issuer.example.org", "repo:shop/api")
# Signatures are an option: without somebody who signs, there is nothing to ask for.
ON = set(LIBRARY.rules) - {"verify-image-signatures"}


def args(**changes: Any) -> KyvernoPolicySetArgs:
    production = KyvernoPolicySetArgs(
        charts=PUBLISHED,
        critical=Action.DENY,
        important=Action.DENY,
        best_practice=Action.AUDIT,
        mutate=True,
        generate=True,
        approved_registries=("registry.example.org",),
        platform_images=("docker.io/istio/proxyv2",),
        platform_namespaces=PLATFORM,
    )
    return replace(production, **changes)


def of_environment(environment: str) -> KyvernoPolicySetArgs:
    posture = TABLE[environment]
    return args(
        critical=posture.critical,
        important=posture.important,
        best_practice=posture.best_practice,
        mutate=posture.mutate,
        generate=posture.generate,
    )


OFF = args(critical=Action.OFF, important=Action.OFF, best_practice=Action.OFF, mutate=False, generate=False)


def names(made: tuple[dict[str, object], ...]) -> set[str]:
    return {policy["metadata"]["name"] for policy in made}  # type: ignore[index]  # a manifest is plain data


class TestActions:
    @pytest.mark.parametrize("action", [Action.AUDIT, Action.WARN, Action.DENY])
    def test_every_critical_rule_takes_the_action_of_its_tier(self, action: Action) -> None:
        assert {action_of(rule, args(critical=action)) for rule in LIBRARY.tier("critical")} == {action}

    def test_production_has_every_control_that_staging_and_dev_have(self) -> None:
        production = names(policies(of_environment("production")))
        assert production >= names(policies(of_environment("staging")))
        assert production >= names(policies(of_environment("dev")))
        assert production == ON

    @given(st.sampled_from(Action), st.sampled_from(Action))
    def test_a_stronger_posture_never_has_a_weaker_rule(self, one: Action, other: Action) -> None:
        weaker, stronger = sorted((one, other), key=list(Action).index)
        order = list(Action).index
        for rule in LIBRARY.rules.values():
            assert order(action_of(rule, args(critical=weaker, important=weaker))) <= order(
                action_of(rule, args(critical=stronger, important=stronger))
            )

    @given(st.sampled_from(Action), st.sampled_from(Action))
    def test_the_ceiling_holds_for_the_phase_of_an_important_rule(self, ceiling: Action, phase: Action) -> None:
        rule = replace(LIBRARY.rule("disallow-privileged"), tier="important")
        # Bypasses the check against the library, which has no important rule of this name.
        told = args(important=ceiling)
        object.__setattr__(told, "phases", {rule.name: phase})
        assert action_of(rule, told) is min(ceiling, phase, key=list(Action).index)
        assert action_of(rule, args(important=ceiling)) is min(ceiling, Action.AUDIT, key=list(Action).index)

    def test_only_deny_is_native(self) -> None:
        for action in (Action.AUDIT, Action.WARN, Action.DENY):
            for policy in policies(args(critical=action)):
                spec: Any = policy["spec"]
                if policy["kind"] == "ValidatingPolicy":
                    assert spec["autogen"]["validatingAdmissionPolicy"]["enabled"] is (
                        spec["validationActions"] == ["Deny"]
                    )

    def test_nothing_is_on_when_everything_is_off(self) -> None:
        assert policies(OFF) == ()
        assert policies(of_environment("local")) == ()


class TestParameters:
    def registry_rule(self, told: KyvernoPolicySetArgs) -> dict[str, str]:
        made: Any = next(p for p in policies(told) if p["metadata"]["name"] == "restrict-image-registries")  # type: ignore[index]  # as above
        return {v["name"]: v["expression"] for v in made["spec"]["variables"]}

    def test_registries_and_platform_images_reach_their_rule(self) -> None:
        variables = self.registry_rule(args(approved_registries=("a.example", "b.example/team")))
        assert variables["registries"] == '["a.example", "b.example/team"]'
        assert variables["meshImages"] == f'["docker.io/istio/proxyv2:{ISTIOD.version}"]'
        assert variables["agentImages"] == "[]"

    def test_a_parameter_of_another_rule_reaches_it(self) -> None:
        told = args(parameters={"drop-all-capabilities": {"allowedCapabilities": []}})
        made: Any = next(p for p in policies(told) if p["metadata"]["name"] == "drop-all-capabilities")  # type: ignore[index]  # as above
        assert made["spec"]["variables"][0]["expression"] == "[]"

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"parameters": {"no-such-rule": {}}}, r"^parameters\.no-such-rule: no such rule"),
            ({"parameters": {"drop-all-capabilities": {"allowed": []}}}, "allowedCapabilities"),
            ({"parameters": {"drop-all-capabilities": {"podSpec": []}}}, "allowedCapabilities"),
            ({"phases": {"disallow-privileged": Action.AUDIT}}, r"^phases\.disallow-privileged: no important rule"),
            ({"replicas": 0}, "replicas"),
            ({"image_attestors": (SIGNER, SIGNER)}, "image_attestors: a name is there twice.*found 'ci'"),
            ({"approved_registries": ("",)}, "approved_registries"),
            ({"approved_registries": ("/",)}, "approved_registries"),
            ({"approved_registries": ("*.example.org",)}, "approved_registries"),
        ],
    )
    def test_a_wrong_argument_is_refused_before_anything_is_made(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(FieldError, match=message):
            args(**changes)


class TestImages:
    def test_signatures_are_asked_for_with_the_action_of_the_critical_tier(self) -> None:
        signed = args(image_attestors=(KeylessAttestor("ci", "https://issuer.example.org", "repo:shop/api"),))
        made: Any = next(p for p in policies(signed) if names((p,)) == {"verify-image-signatures"})
        assert made["spec"]["validationActions"] == ["Deny"]
        assert made["spec"]["failurePolicy"] == "Fail"
        assert made["spec"]["matchImageReferences"] == [{"glob": "registry.example.org/*"}]
        audited = replace(signed, critical=Action.AUDIT)
        assert action_of(LIBRARY.rule("verify-image-signatures"), audited) is Action.AUDIT


class TestRelease:
    def test_the_chart_makes_native_policies_and_removes_its_webhooks(self) -> None:
        values = kyverno_values(3, PLATFORM)
        assert values["features"]["generateValidatingAdmissionPolicy"] == {"enabled": True}
        assert values["webhooksCleanup"] == {"enabled": True}

    def test_no_role_of_the_chart_becomes_a_part_of_a_built_in_one(self) -> None:
        assert kyverno_values(3, PLATFORM)["rbac"]["roles"]["aggregate"] == {"admin": False, "view": False}

    def test_the_cleanup_controller_looks_at_exceptions_and_at_no_label(self) -> None:
        values = kyverno_values(3, PLATFORM)
        assert "[*/*,kyverno,*]" in values["config"]["resourceFiltersExclude"]
        assert values["features"]["ttlController"] == {"reconciliationInterval": "24h"}
        assert values["cleanupController"]["enabled"]
        assert values["cleanupController"]["rbac"]["create"] is False

    def test_no_request_waits_for_the_report_on_it(self) -> None:
        features = kyverno_values(3, PLATFORM)["features"]
        assert features["admissionReports"] == {"enabled": False}
        assert features["backgroundScan"] == {"enabled": True}

    def test_exceptions_count_in_kyvernos_own_namespace_alone(self) -> None:
        assert kyverno_values(3, PLATFORM)["features"]["policyExceptions"] == {"enabled": True, "namespace": "kyverno"}

    def test_the_webhooks_leave_the_platforms_namespaces_alone(self) -> None:
        selector = kyverno_values(3, PLATFORM)["config"]["webhooks"]["namespaceSelector"]
        assert selector["matchExpressions"][0] == {
            "key": "kubernetes.io/metadata.name",
            "operator": "NotIn",
            "values": list(PLATFORM),
        }

    @pytest.mark.parametrize(("replicas", "followers", "budget"), [(1, 1, False), (2, 2, True), (3, 2, True)])
    def test_one_replica_has_no_disruption_budget(self, replicas: int, followers: int, budget: bool) -> None:
        values = kyverno_values(replicas, PLATFORM)
        assert values["admissionController"]["replicas"] == replicas
        assert values["admissionController"]["podDisruptionBudget"] == {"enabled": budget}
        for controller in ("backgroundController", "reportsController", "cleanupController"):
            assert values[controller]["replicas"] == followers
            assert values[controller]["podDisruptionBudget"] == {"enabled": budget}

    def test_the_background_controller_writes_what_the_rules_generate_and_nothing_else(self) -> None:
        rights = kyverno_values(3, PLATFORM)["backgroundController"]["rbac"]["coreClusterRole"]["extraResources"]
        generated = {
            f"{case['expect']['kind'].lower()}s".replace("policys", "policies")
            for rule in LIBRARY.tier("generate")
            for case in yaml.safe_load(rule.path.with_name("cases.yaml").read_text())["generates"]
        }
        assert {resource for right in rights for resource in right["resources"]} == generated

    def test_the_reports_controller_may_read_all_that_the_rules_match(self) -> None:
        rights = kyverno_values(3, PLATFORM)["reportsController"]["rbac"]["clusterRole"]["extraResources"]
        assert {resource for right in rights for resource in right["resources"]} == {
            "pods/ephemeralcontainers",
            "gateways",
        }
        assert {verb for right in rights for verb in right["verbs"]} == {"get", "list", "watch"}


class TestWaiting:
    @pytest.mark.parametrize("action", [Action.AUDIT, Action.WARN, Action.DENY])
    def test_every_rule_is_awaited(self, action: Action) -> None:
        recording = record(lambda: KyvernoPolicySet("policies", args(critical=action)))
        rules = {policy["metadata"]["name"] for policy in policies(args(critical=action))}
        made = [each.inputs["metadata"] for each in recording.resources if each.inputs.get("metadata")]
        named = [each for each in made if each["name"] in rules]
        assert len(named) == len(rules)
        assert all(IN_FORCE.items() <= each["annotations"].items() for each in named)

    def test_the_annotations_of_the_file_are_kept(self) -> None:
        recording = record(lambda: KyvernoPolicySet("policies", args()))
        made = next(r for r in recording.resources if r.name == "policies-disallow-privileged")
        annotations = made.inputs["metadata"]["annotations"]
        assert "pulumi.com/waitFor" in annotations
        assert annotations["policies.kyverno.io/severity"] == "critical"


class TestComponent:
    def test_policies_follow_the_release_and_the_release_its_namespace(self) -> None:
        recording = record(lambda: KyvernoPolicySet("policies", args()))
        component = recording.one("zero-trust:platform:KyvernoPolicySet")
        release = recording.one("kubernetes:helm.sh/v3:Release")
        namespace = recording.one("kubernetes:core/v1:Namespace")
        made = [r for r in recording.resources if r.type.startswith("kubernetes:policies.kyverno.io")]
        assert {r.inputs["metadata"]["name"] for r in made} == {*ON, "expired-exceptions"}
        assert all(release.urn in r.dependencies for r in made)
        assert namespace.urn in release.dependencies
        assert {r.parent for r in recording.resources if r.custom} == {component.urn}
        assert release.inputs["name"] == release.inputs["namespace"] == "kyverno"
        assert release.inputs["version"]

    def test_ready_holds_the_release_and_every_policy(self) -> None:
        ready: list[object] = []
        record(lambda: ready.extend(KyvernoPolicySet("policies", args()).ready))
        assert len(ready) == 1 + len(ON) + 2

    def test_the_release_follows_the_rights_of_the_cleanup_controller(self) -> None:
        recording = record(lambda: KyvernoPolicySet("policies", args()))
        release = recording.one("kubernetes:helm.sh/v3:Release")
        for kind in ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"):
            made = recording.one(kind)
            assert made.urn in release.dependencies
            assert made.inputs["metadata"]["name"] == "kyverno-cleanup-controller"
            assert ("namespace" in made.inputs["metadata"]) == (not kind.startswith("Cluster"))

    def test_a_local_chart_has_no_version_and_no_repository(self) -> None:
        recording = record(lambda: KyvernoPolicySet("policies", args(charts=ChartSources("/charts"))))
        release = recording.one("kubernetes:helm.sh/v3:Release").inputs
        assert release["chart"] == "/charts/kyverno"
        assert not {"version", "repositoryOpts"} & set(release)

    def test_nothing_is_created_when_everything_is_off(self) -> None:
        recording = record(lambda: KyvernoPolicySet("policies", OFF))
        assert [made for made in recording.resources if made.custom] == []


def test_the_library_can_be_given() -> None:
    assert policies(args(), Library({})) == ()
