"""The JSON of a preview as objects, policies, exceptions and releases, and which object meets which rule."""

import json
from datetime import date
from typing import Any

import pytest

from components.schema.problem import ConfigError
from tests.unit.zt.check.planned import Digest, add, add_exception, add_release, digest, inputs, policy
from zt.check.kyverno_context import definitions, looked_up
from zt.check.kyverno_jobs import jobs, meets
from zt.check.plan import Plan, PlannedObject, namespaces, parse_plan


def parse(plan: Digest) -> Plan:
    return parse_plan(json.dumps(plan), "plan.json")


def planned(kind: str, version: str = "v1", namespace: str = "shop", name: str = "api") -> PlannedObject:
    manifest: dict[str, Any] = {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
    if namespace:
        manifest["metadata"]["namespace"] = namespace
    return PlannedObject(manifest, "urn", "platform")


def rule(resources: list[str], groups: list[str], kind: str = "ValidatingPolicy", **spec: Any) -> dict[str, Any]:
    rules = [{"apiGroups": groups, "apiVersions": ["v1"], "operations": ["CREATE"], "resources": resources}]
    selector = {"namespaceSelector": spec.pop("selector")} if "selector" in spec else {}
    constraints = {"resourceRules": rules, **selector}
    return {"kind": kind, "metadata": {"name": "rule"}, "spec": {"matchConstraints": constraints, **spec}}


class TestParsing:
    def test_what_the_plan_holds(self) -> None:
        plan = parse(digest())
        assert plan.stack == "production"
        assert sorted(found.identity[1] for found in plan.objects) == [
            "Deployment",
            "Namespace",
            "PodDisruptionBudget",
            "Service",
        ]
        assert [release.name for release in plan.releases] == ["cert-manager"]
        assert len(plan.policies) == 3

    def test_the_order_of_what_runs_side_by_side_changes_nothing(self) -> None:
        other_way = digest()
        other_way["steps"].reverse()
        assert parse(other_way) == parse(digest())

    def test_an_object_belongs_to_the_service_above_it(self) -> None:
        services = {found.identity[1]: found.service for found in parse(digest()).objects}
        assert services == {
            "Namespace": "platform",
            "Deployment": "shop.api",
            "PodDisruptionBudget": "shop.api",
            "Service": "shop.api",
        }

    def test_the_parent_chain_is_followed_to_its_top(self) -> None:
        plan = digest()
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "deep", "namespace": "shop"}}
        add(
            plan,
            "kubernetes:core/v1:ConfigMap",
            "deep",
            config,
            "zero-trust:platform:SecureService$kubernetes:apps/v1:Deployment::shop.api",
        )
        assert next(found.service for found in parse(plan).objects if found.identity[3] == "deep") == "shop.api"

    def test_a_policy_has_no_namespace_whatever_pulumi_writes(self) -> None:
        plan = digest()
        policy(plan, "require-replicas")["metadata"]["namespace"] = "default"
        assert all("namespace" not in found["metadata"] for found in parse(plan).policies)  # pyright: ignore[reportOperatorIssue]

    def test_what_is_deleted_or_only_read_is_left_out(self) -> None:
        plan = digest()
        for step in plan["steps"]:
            if step["newState"]["type"].endswith(":Service"):
                step["op"] = "read"
            elif step["newState"]["type"].endswith(":Deployment"):
                step.update(op="delete", oldState=step.pop("newState"))
                break
        kinds = {found.identity[1] for found in parse(plan).objects}
        assert not kinds & {"Service", "Deployment"}

    def test_a_namespace_has_the_label_of_the_api_server(self) -> None:
        plan = parse(digest())
        assert namespaces(plan.objects) == {
            "shop": {"istio-injection": "enabled", "kubernetes.io/metadata.name": "shop"}
        }

    def test_a_secret_map_that_the_plan_hides_is_left_out(self) -> None:
        plan = digest()
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s", "namespace": "shop"},
            "stringData": "[secret]",
        }
        add(plan, "kubernetes:core/v1:Secret", "s", secret)
        found = next(found for found in parse(plan).objects if found.identity[1] == "Secret")
        assert "stringData" not in found.manifest

    def test_keys_of_pulumi_are_stripped(self) -> None:
        plan = digest()
        inputs(plan, "Deployment", "shop.api")["__initialApiVersion"] = "apps/v1"
        assert not [key for found in parse(plan).objects for key in found.manifest if key.startswith("__")]

    def test_an_exception_with_its_day(self) -> None:
        plan = digest()
        add_exception(plan, "restrict-image-registries", "2026-06-01")
        [found] = parse(plan).exceptions
        assert (found.service, found.rule, found.expires) == (
            "shop.api",
            "restrict-image-registries",
            date(2026, 6, 1),
        )
        assert found.expired(date(2026, 6, 1))
        assert not found.expired(date(2026, 5, 31))
        # The engine would judge it by its own clock.
        assert "expiresAt" not in found.manifest["spec"]  # pyright: ignore[reportOperatorIssue]

    def test_a_policy_that_asks_registries_is_named(self) -> None:
        plan = digest()
        made = {"apiVersion": "policies.kyverno.io/v1", "kind": "ImageValidatingPolicy", "metadata": {"name": "signed"}}
        add(plan, "kubernetes:policies.kyverno.io/v1:ImageValidatingPolicy", "signed", made)
        assert parse(plan).warnings == (
            "ImageValidatingPolicy signed is not applied here: it asks the registry of each image",
        )

    def test_a_release_with_values_from_files_is_beyond_the_plan(self) -> None:
        plan = digest()
        inputs(plan, "Release", "ingress-cert-manager")["valueYamlFiles"] = ["x"]
        assert parse(plan).releases[0].beyond


class TestBadPlans:
    @pytest.mark.parametrize(
        ("document", "message"),
        [
            ("{", "plan.json:1: JSON: Expecting property name enclosed in double quotes at column 2"),
            ("[]", "plan.json: JSON: an object with `steps` is expected"),
            ('{"resources": []}', "found keys resources"),
            ('{"steps": []}', "plan.json: steps: a list of steps is expected"),
            ('{"steps": [{"op": "create"}]}', "plan.json: steps[0]: a step with `op` and `urn` is expected"),
            (
                '{"steps": [{"op": "create", "urn": "u", "newState": {"urn": "u"}}]}',
                "plan.json: steps[0].newState: `urn` and `type` are expected",
            ),
        ],
    )
    def test_it_names_what_is_wrong(self, document: str, message: str) -> None:
        with pytest.raises(ConfigError) as caught:
            parse_plan(document, "plan.json")
        assert message in str(caught.value)

    def test_a_plan_without_its_unchanged_resources_is_refused(self) -> None:
        plan = digest()
        plan["changeSummary"] = {"same": 80}
        with pytest.raises(ConfigError, match="only 0 of 80 unchanged resources") as caught:
            parse(plan)
        assert "--show-sames" in str(caught.value)

    def test_a_day_that_is_none(self) -> None:
        plan = digest()
        add_exception(plan, "restrict-image-registries", "soon")
        with pytest.raises(ConfigError, match=r"zero-trust\.dev/expires: not a date such as 2030-12-31, found 'soon'"):
            parse(plan)


class TestMeeting:
    @pytest.mark.parametrize(
        ("resources", "groups", "kind", "version", "met"),
        [
            (["deployments"], ["apps"], "Deployment", "apps/v1", True),
            (["deployments"], ["extensions"], "Deployment", "apps/v1", False),
            (["networkpolicies"], ["*"], "NetworkPolicy", "networking.k8s.io/v1", True),
            (["ingresses"], ["networking.k8s.io"], "Ingress", "networking.k8s.io/v1", True),
            (["gateways"], ["gateway.networking.k8s.io"], "Gateway", "gateway.networking.k8s.io/v1", True),
            (["pods/exec"], [""], "Service", "v1", False),
            (["*"], ["*"], "Anything", "example.org/v1", True),
            (["services"], [""], "Deployment", "apps/v1", False),
        ],
    )
    def test_resources(self, resources: list[str], groups: list[str], kind: str, version: str, met: bool) -> None:
        assert meets(rule(resources, groups), planned(kind, version), {}) is met

    def test_a_rule_on_pods_meets_controllers_unless_it_says_otherwise(self) -> None:
        deployment = planned("Deployment", "apps/v1")
        assert meets(rule(["pods"], [""]), deployment, {})
        assert not meets(rule(["pods"], [""], autogen={"podControllers": {"controllers": []}}), deployment, {})

    @pytest.mark.parametrize(
        ("selector", "met"),
        [
            (
                {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["shop"]}]},
                0,
            ),
            ({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["x"]}]}, 1),
            ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}]}, 1),
            ({"matchExpressions": [{"key": "team", "operator": "Exists"}]}, 1),
            ({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}, 0),
            ({"matchLabels": {"team": "b"}}, 0),
        ],
    )
    def test_namespaces(self, selector: dict[str, Any], met: int) -> None:
        labels = {"shop": {"kubernetes.io/metadata.name": "shop", "team": "a"}}
        policy = rule(["deployments"], ["apps"], selector=selector)
        assert meets(policy, planned("Deployment", "apps/v1"), labels) is bool(met)
        # A selector of namespaces exempts no object without one.
        assert meets(policy, planned("Deployment", "apps/v1", namespace=""), labels)

    def test_objects_that_meet_the_same_rules_share_a_process(self) -> None:
        policies = [rule(["deployments"], ["apps"]), rule(["services"], [""])]
        objects = [planned("Deployment", "apps/v1", name=f"d{n}") for n in range(3)] + [planned("Service")]
        found = jobs(policies, [*objects, planned("ConfigMap")], {})
        assert [(len(job.policies), len(job.objects)) for job in found] == [(1, 3), (1, 1)]

    def test_a_long_job_is_split(self) -> None:
        policies = [rule(["deployments"], ["apps"])] * 100
        found = jobs(policies, [planned("Deployment", "apps/v1", name=str(n)) for n in range(5)], {})
        assert [len(job.objects) for job in found] == [2, 2, 1]

    def test_a_mutation_alone_needs_no_process(self) -> None:
        assert jobs([rule(["services"], [""], kind="MutatingPolicy")], [planned("Service")], {}) == []


class TestContext:
    def test_what_a_rule_looks_up_is_at_hand_and_never_none(self) -> None:
        policies = [rule(["deployments"], ["apps"], variables="resource.List('policy/v1', 'poddisruptionbudgets', ns)")]
        budget = planned("PodDisruptionBudget", "policy/v1")
        found = looked_up(policies, [budget, planned("Deployment", "apps/v1")])
        assert [made["metadata"]["name"] for made in found] == ["elsewhere", "api"]  # pyright: ignore[reportIndexIssue]
        assert looked_up([rule(["pods"], [""])], [budget]) == []

    def test_a_kind_whose_resource_is_guessed_wrongly_is_defined(self) -> None:
        gateway = planned("Gateway", "gateway.networking.k8s.io/v1")
        route = planned("HTTPRoute", "gateway.networking.k8s.io/v1")
        policies = [rule(["gateways", "httproutes"], ["gateway.networking.k8s.io"])]
        [made] = definitions(policies, [gateway, route])
        assert made["spec"]["names"]["plural"] == "gateways"  # pyright: ignore[reportIndexIssue]


def test_a_release_outside_a_service_is_the_platforms(tmp_path: Any) -> None:
    plan = digest()
    add_release(plan, tmp_path, {})
    found = {release.name: (release.service, release.source) for release in parse(plan).releases}
    assert found["agent"] == ("platform", ("", 0))
    assert found["cert-manager"][1][0] == "components/ingress/secure_ingress.py"
