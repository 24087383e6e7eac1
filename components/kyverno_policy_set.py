"""Kyverno and the rule library: the chart, then every rule that the posture switches on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, cast

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace
from pulumi_kubernetes.helm.v3 import Release

from components.charts import KYVERNO
from components.custom_object import custom_object
from components.image_signatures import Attestor, signed_by
from components.policy_dashboard import dashboard_config_map
from components.policy_exceptions import NAMESPACE
from components.policy_library import (
    REGISTRY_RULE,
    Library,
    Manifest,
    PolicyLibraryError,
    Rule,
    load_library,
    manifest,
)
from components.posture import Action

# Each important rule starts by reporting; its phase in the stack file moves it on.
FIRST_PHASE = Action.AUDIT

_STRENGTH = tuple(Action)
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class KyvernoPolicySetArgs:
    """The decisions of a posture and what the rules are told.

    `important` is a ceiling over `phases` (by rule name). `approved_registries` and `platform_images` go to the rule
    `restrict-image-registries`; every other parameter goes through `parameters`, by rule and parameter name. No rule
    looks at `platform_namespaces`. Images have to be signed, with the action of the critical tier, once there are
    `image_attestors`. Raises `PolicyLibraryError` for an unknown rule or parameter, `ValueError` for
    fewer than one replica or an empty registry.
    """

    charts_dir: str | None
    critical: Action
    important: Action
    best_practice: Action
    mutate: bool
    generate: bool
    approved_registries: tuple[str, ...]
    platform_namespaces: tuple[str, ...]
    platform_images: tuple[str, ...] = ()
    phases: Mapping[str, Action] = field(default_factory=lambda: _EMPTY)
    replicas: int = 3
    parameters: Mapping[str, Mapping[str, object]] = field(default_factory=lambda: _EMPTY)
    image_attestors: tuple[Attestor, ...] = ()

    def __post_init__(self) -> None:
        if self.replicas < 1:
            raise ValueError(f"replicas: {self.replicas} admission controllers admit nothing; set 1 or more")
        for registry in self.approved_registries:
            if not registry.strip("/") or "*" in registry:
                raise ValueError(
                    f"approved_registries: {registry!r} names no registry; write one such as registry.example.org"
                )
        _check_names(self, load_library())


def _check_names(args: KyvernoPolicySetArgs, library: Library) -> None:
    important = [rule.name for rule in library.tier("important")]
    for name in args.phases:
        if name not in important:
            legal = ", ".join(important) or "none yet"
            raise PolicyLibraryError(f"phases: {name!r} is no important rule of policies/important; they are: {legal}")
    for name, values in args.parameters.items():
        # Building the manifest checks parameter names and values against the file.
        manifest(library.rule(name), Action.AUDIT, parameters=values)


def action_of(rule: Rule, args: KyvernoPolicySetArgs) -> Action:
    """What the posture makes of one rule. A rule that mutates or generates is off or on (`AUDIT`)."""
    match rule.tier:
        case "critical":
            return args.critical
        case "important":
            return min(args.important, args.phases.get(rule.name, FIRST_PHASE), key=_STRENGTH.index)
        case "best-practice":
            return args.best_practice
        case "images":
            return args.critical if args.image_attestors else Action.OFF
        case "mutate":
            return Action.AUDIT if args.mutate else Action.OFF
        case _:
            return Action.AUDIT if args.generate else Action.OFF


def rules_on(args: KyvernoPolicySetArgs) -> tuple[str, ...]:
    """The names of the rules that the posture switches on."""
    return tuple(rule.name for rule in load_library().rules.values() if action_of(rule, args) is not Action.OFF)


def policies(args: KyvernoPolicySetArgs, library: Library | None = None) -> tuple[Manifest, ...]:
    """The manifests of every rule that is on, in the order of the tiers."""
    made: list[Manifest] = []
    for rule in (library or load_library()).rules.values():
        action = action_of(rule, args)
        if action is Action.OFF:
            continue
        made.append(manifest(_signed(rule, args), action, args.platform_namespaces, _parameters(rule, args)))
    return tuple(made)


def _signed(rule: Rule, args: KyvernoPolicySetArgs) -> Rule:
    if rule.tier != "images":
        return rule
    return replace(rule, document=signed_by(rule.document, args.image_attestors, args.approved_registries))


def _parameters(rule: Rule, args: KyvernoPolicySetArgs) -> Mapping[str, object]:
    given: dict[str, object] = dict(args.parameters.get(rule.name, {}))
    if rule.name == REGISTRY_RULE:
        # The rule adds the slash itself, so that registry.example.org does not approve registry.example.org.evil.net.
        given.setdefault("registries", [registry.rstrip("/") for registry in args.approved_registries])
        if args.platform_images:
            given.setdefault("platformImages", list(args.platform_images))
    return given


def wait_for(policy: Manifest) -> dict[str, str]:
    """The annotation that holds Pulumi back until the rule is in force.

    A denying rule is so once its native policy is generated; Kyverno then reports no webhook, and so not ready.
    https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/#pulumi-kubernetes-annotations
    """
    spec = cast("dict[str, Any]", policy["spec"])
    native = spec.get("autogen", {}).get("validatingAdmissionPolicy", {}).get("enabled", False)
    field_path = ".status.generated" if native else ".status.conditionStatus.ready"
    return {"pulumi.com/waitFor": f"jsonpath={{{field_path}}}=true"}


def kyverno_values(replicas: int, platform_namespaces: Sequence[str]) -> dict[str, Any]:
    """The values of the Kyverno chart (https://github.com/kyverno/kyverno/tree/v1.19.1/charts/kyverno).

    Three controllers: admission, background (generates) and reports. The cleanup controller has no rule to serve.
    """
    # Those two elect a leader: a third replica would only wait.
    followers = min(replicas, 2)
    return {
        "crds": {"install": True},
        "config": {
            # Without this the chart's ConfigMap outlives it.
            "preserve": False,
            # The chart hides ReplicaSets from the rules; one without a Deployment is a workload like any other.
            "resourceFiltersExclude": ["[ReplicaSet,*,*]", "[ReplicaSet/?*,*,*]"],
            "webhooks": {
                "namespaceSelector": {
                    "matchExpressions": [
                        {
                            "key": "kubernetes.io/metadata.name",
                            "operator": "NotIn",
                            "values": list(platform_namespaces),
                        }
                    ]
                }
            },
        },
        # The chart means to drop the namespace of a result, which the dashboard needs.
        "metricsConfig": {
            "metricsExposure": {
                "kyverno_validating_policy_results_total": {"disabledLabelDimensions": ["policy_namespace"]}
            }
        },
        "features": {
            "generateValidatingAdmissionPolicy": {"enabled": True},
            "validatingAdmissionPolicyReports": {"enabled": True},
            # An exception weakens a rule, so only who may write in Kyverno's own namespace can make one.
            "policyExceptions": {"enabled": True, "namespace": NAMESPACE},
            "backgroundScan": {"enabled": True},
            # Kyverno would create one within each request, before it answers; the scan makes the same reports.
            "admissionReports": {"enabled": False},
        },
        "admissionController": {
            "replicas": replicas,
            "podDisruptionBudget": {"enabled": replicas > 1},
            "container": {"resources": _resources("100m", "256Mi", "768Mi")},
        },
        "backgroundController": {
            "replicas": followers,
            "podDisruptionBudget": {"enabled": followers > 1},
            "rbac": {"coreClusterRole": {"extraResources": _generated_kinds()}},
            "resources": _resources("100m", "128Mi", "384Mi"),
        },
        "reportsController": {
            "replicas": followers,
            "podDisruptionBudget": {"enabled": followers > 1},
            "rbac": {"clusterRole": {"extraResources": _judged_kinds()}},
            "resources": _resources("100m", "128Mi", "384Mi"),
        },
        "cleanupController": {"enabled": False},
        # Webhooks that outlive their server block every request (kyverno#9551).
        "webhooksCleanup": {"enabled": True},
    }


def _generated_kinds() -> list[dict[str, Any]]:
    """All that the generating rules write: the chart's own list would also hand out roles and role bindings."""
    verbs = ["create", "update", "patch", "delete"]
    return [
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": verbs},
        {"apiGroups": [""], "resources": ["resourcequotas", "limitranges", "serviceaccounts"], "verbs": verbs},
    ]


def _judged_kinds() -> list[dict[str, Any]]:
    """What the rules match beyond the role `view`: Kyverno calls a rule ready when it may read all that it matches."""
    verbs = ["get", "list", "watch"]
    return [
        {"apiGroups": [""], "resources": ["pods/ephemeralcontainers"], "verbs": verbs},
        {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["gateways"], "verbs": verbs},
    ]


def _resources(cpu: str, memory: str, memory_limit: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory_limit}}


class KyvernoPolicySet(pulumi.ComponentResource):
    """Kyverno in its own namespace, one policy for each rule that is on, and a Grafana dashboard of their results.

    Creates nothing when all are off. The policies depend on the release, so that destroy removes them while Kyverno
    still serves its webhooks. `ready` holds the release and the policies: what is created after them is judged by them.
    """

    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: KyvernoPolicySetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:KyvernoPolicySet", name, None, opts)
        self.ready = []
        manifests = policies(args)
        if manifests:
            release = self._release(name, args)
            self._dashboard(name, args, release)
            self.ready = [release, *(self._policy(name, made, release) for made in manifests)]
        self.register_outputs({"policies": [cast("dict[str, str]", made["metadata"])["name"] for made in manifests]})

    def _release(self, name: str, args: KyvernoPolicySetArgs) -> Release:
        namespace = Namespace(
            f"{name}-namespace",
            metadata={"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            opts=pulumi.ResourceOptions(parent=self),
        )
        source: dict[str, Any] = KYVERNO.source(args.charts_dir)
        return Release(
            f"{name}-release",
            name="kyverno",
            namespace=NAMESPACE,
            values=kyverno_values(args.replicas, args.platform_namespaces),
            atomic=True,
            timeout=600,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[namespace]),
            **source,
        )

    def _policy(self, name: str, made: Manifest, release: Release) -> CustomResource:
        metadata = cast("dict[str, Any]", made["metadata"])
        waited_for = {**made, "metadata": {**metadata, "annotations": {**metadata["annotations"], **wait_for(made)}}}
        options = pulumi.ResourceOptions(parent=self, depends_on=[release])
        return custom_object(f"{name}-{metadata['name']}", waited_for, options)

    def _dashboard(self, name: str, args: KyvernoPolicySetArgs, release: Release) -> ConfigMap:
        library = load_library()
        on = Library({rule: library.rules[rule] for rule in rules_on(args)})
        made: dict[str, Any] = dashboard_config_map(NAMESPACE, on)
        options = pulumi.ResourceOptions(parent=self, depends_on=[release])
        return ConfigMap(f"{name}-dashboard", metadata=made["metadata"], data=made["data"], opts=options)
