"""`KyvernoPolicySet`: Kyverno, and every rule of the library that the posture switches on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Annotated, Any

import pulumi
from pydantic import AfterValidator, Field

from components.config.action import Action
from components.config.kyverno import ExcludedName
from components.kube.charts import KYVERNO, ChartSources
from components.kube.in_force import settle, until_rewritten
from components.kube.layer_place import check_place
from components.kube.living import living_cluster
from components.kube.manifest import Manifest, of_kind, pod_security
from components.kube.names import KYVERNO_NAMESPACE
from components.kube.objects import KubernetesObject, Release
from components.kube.platform_network import network_policies
from components.kyverno.controller_rights import existing_rights, generated_kinds, judged_kinds
from components.kyverno.dashboard import dashboard_config_map
from components.kyverno.exceptions import AccountExceptionArgs, account_exception
from components.kyverno.expired_exceptions import NAME as EXPIRED_EXCEPTIONS
from components.kyverno.expired_exceptions import cleanup_rights, cleanup_values, deleting_policy
from components.kyverno.image_signatures import Attestor, signed_by
from components.kyverno.library import (
    REGISTRY_RULE,
    Library,
    Rule,
    check_parameters,
    load_library,
    manifest,
)
from components.kyverno.platform_images import images_by_parameter
from components.kyverno.rule_integrity import rule_integrity
from components.kyverno.widened import check_widened, widened
from components.schema.checked import check_fields
from components.schema.fields import ImageReference, IsoDay, Label, Registry, Replicas
from components.schema.problem import FieldError

# An important rule only reports until the stack file gives it another phase.
FIRST_PHASE = Action.AUDIT

_STRENGTH = tuple(Action)
_EMPTY: Mapping[str, Any] = MappingProxyType({})

IN_FORCE = {"pulumi.com/waitFor": "jsonpath={[?@.generated == true || @.conditionStatus.ready == true]}"}
"""The annotation that makes Pulumi wait until a rule is in force: any part of the object, its status, that says so.

One that denies is in force once its native policy is generated, of which Kyverno writes nothing if somebody else writes
the status in the same moment. It takes the rule into its webhook then, as one that does not deny, and says ready.
https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/#pulumi-kubernetes-annotations
"""


def _reports(action: Action) -> Action:
    if action not in (Action.OFF, Action.AUDIT):
        raise ValueError("the tier reports and never blocks: off, or audit")
    return action


def _phase(action: Action) -> Action:
    if action is Action.OFF:
        raise ValueError("no phase of a rule: audit, warn or deny")
    return action


@dataclass(frozen=True)
class KyvernoPolicySetArgs:
    """The decisions of a posture for the rules, and their parameters.

    `phases` are the actions of important rules, by rule name; `important` limits them. `approved_registries` is a
    parameter of the rule `restrict-image-registries`, `platform_images` of each rule that knows what the platform
    injects; `parameters` has all others, by rule and parameter name. No rule applies in `platform_namespaces`, nor in
    `excluded_namespaces`, which has for each the first day on which that is no longer agreed, as an ISO date.
    `exceptions` are those of workloads that no service file makes. With `image_attestors` images must be signed, with
    the action of the critical tier. `network_policies` are those of Kyverno's namespace, before its pods. With
    `existing` others installed Kyverno: nothing in its namespace is changed, and `replicas` and `network_policies` have
    no meaning. Raises `FieldError` for an unknown rule or parameter, fewer than one replica, an empty or wildcard
    registry, and two attestors of one name.
    """

    charts: ChartSources
    critical: Action
    important: Action
    best_practice: Annotated[Action, AfterValidator(_reports)]
    mutate: bool
    generate: bool
    approved_registries: Annotated[Sequence[Registry], Field(min_length=1)]
    platform_namespaces: Sequence[Label]
    platform_images: Sequence[ImageReference] = ()
    phases: Mapping[str, Annotated[Action, AfterValidator(_phase)]] = field(default_factory=lambda: _EMPTY)
    replicas: Replicas = 3
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: _EMPTY)
    widened: Mapping[str, IsoDay] = field(default_factory=lambda: _EMPTY)
    """The critical rules that `parameters` lets more through by, each with the first day without that."""
    image_attestors: Sequence[Attestor] = ()
    excluded_namespaces: Mapping[ExcludedName, IsoDay] = field(default_factory=lambda: _EMPTY)
    exceptions: Sequence[AccountExceptionArgs] = ()
    network_policies: Sequence[Manifest] = ()
    existing: bool = False
    namespace: Label = KYVERNO_NAMESPACE
    """That of Kyverno, in which exceptions count."""
    hub: Registry | None = None
    """The registry path of Kyverno's images; `None`: its project's own."""

    @property
    def unjudged_namespaces(self) -> tuple[str, ...]:
        """The namespaces that no rule looks at. Only the API server writes the label that they are matched by."""
        return (*self.platform_namespaces, *sorted(self.excluded_namespaces))

    def __post_init__(self) -> None:
        check_fields(self)
        check_place(self.namespace, KYVERNO_NAMESPACE, self.existing, hub=self.hub)
        names = [attestor.name for attestor in self.image_attestors]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise FieldError("image_attestors", "a name is there twice: give each attestor one of its own", twice[0])
        _check_names(self, load_library())


def _check_names(args: KyvernoPolicySetArgs, library: Library) -> None:
    important = [rule.name for rule in library.tier("important")]
    for name in args.phases:
        if name not in important:
            raise FieldError(f"phases.{name}", "no important rule of policies/important", legal=important)
    if unknown := sorted({each.rule for each in args.exceptions} - library.rules.keys()):
        raise FieldError("exceptions", "no such rule in policies/", unknown[0], library.rules)
    for name, values in args.parameters.items():
        if name not in library.rules:
            raise FieldError(f"parameters.{name}", "no such rule in policies/", legal=library.rules)
        check_parameters(library.rules[name], values)
        check_widened(library.rules[name], values)
        if (more := widened(library.rules[name], values)) and name not in args.widened:
            message = f"it lets through {', '.join(more)}, which the rule does not: widened has no last day for it"
            raise FieldError(f"parameters.{name}", message)


def action_of(rule: Rule, args: KyvernoPolicySetArgs) -> Action:
    """The action of one rule under the posture. A rule that mutates or generates is off or on (`AUDIT`)."""
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
    return tuple(
        manifest(_with_attestors(rule, args), action, args.unjudged_namespaces, _parameters(rule, args))
        for rule in (library or load_library()).rules.values()
        if (action := action_of(rule, args)) is not Action.OFF
    )


def exceptions(args: KyvernoPolicySetArgs) -> tuple[Manifest, ...]:
    """The exceptions of workloads that no service file makes, from the rules that are on."""
    on = rules_on(args)
    return tuple(account_exception(exception, args.namespace) for exception in args.exceptions if exception.rule in on)


def _with_attestors(rule: Rule, args: KyvernoPolicySetArgs) -> Rule:
    if rule.tier != "images":
        return rule
    return replace(rule, document=signed_by(rule.document, args.image_attestors, args.approved_registries))


def _parameters(rule: Rule, args: KyvernoPolicySetArgs) -> Mapping[str, object]:
    parameters: dict[str, object] = dict(args.parameters.get(rule.name, {}))
    if rule.name == REGISTRY_RULE:
        # The rule adds the slash itself, so that registry.example.org does not approve registry.example.org.evil.net.
        parameters.setdefault("registries", [*args.approved_registries])
    if args.platform_images:
        for name, images in images_by_parameter(args.platform_images).items():
            if name in rule.parameters:
                parameters.setdefault(name, list(images))
    return parameters


def kyverno_values(replicas: int, unjudged_namespaces: Sequence[str], hub: str | None = None) -> dict[str, Any]:
    """The values of the Kyverno chart (https://github.com/kyverno/kyverno/tree/v1.19.1/charts/kyverno).

    Four controllers: admission, background (which generates), reports and cleanup (which ends exceptions).
    """
    # All but the admission controller elect a leader: a third replica would only wait.
    followers = min(replicas, 2)
    return {
        "crds": {"install": True, "migration": _image(hub, "kyverno-cli")},
        # Rights in one namespace must not reach the rules: no role of the chart becomes a part of admin, edit or view.
        "rbac": {"roles": {"aggregate": {"admin": False, "view": False}}},
        "config": {
            # Otherwise the ConfigMap stays when the chart is removed.
            "preserve": False,
            # By default the chart hides ReplicaSets from the rules; one without a Deployment is a workload too.
            # And its own namespace from the cleanup controller too. No webhook looks there, and no rule.
            "resourceFiltersExclude": [
                "[ReplicaSet,*,*]",
                "[ReplicaSet/?*,*,*]",
                f"[*/*,{KYVERNO_NAMESPACE},*]",
            ],
            "webhooks": {
                "namespaceSelector": {
                    "matchExpressions": [
                        {
                            "key": "kubernetes.io/metadata.name",
                            "operator": "NotIn",
                            "values": list(unjudged_namespaces),
                        }
                    ]
                }
            },
        },
        # By default the chart drops the namespace of a result, which the dashboard needs.
        "metricsConfig": {
            "metricsExposure": {
                "kyverno_validating_policy_results_total": {"disabledLabelDimensions": ["policy_namespace"]}
            }
        },
        "features": {
            "generateValidatingAdmissionPolicy": {"enabled": True},
            "validatingAdmissionPolicyReports": {"enabled": True},
            # An exception weakens a rule, so it takes the right to write in Kyverno's own namespace.
            "policyExceptions": {"enabled": True, "namespace": KYVERNO_NAMESPACE},
            "backgroundScan": {"enabled": True},
            # Kyverno would write such a report before it answers a request; the scan writes the same ones.
            "admissionReports": {"enabled": False},
            # It asks each time about each kind whether it may delete that; the answer is no.
            "ttlController": {"reconciliationInterval": "24h"},
        },
        "admissionController": {
            "replicas": replicas,
            "podDisruptionBudget": {"enabled": replicas > 1},
            "initContainer": _image(hub, "kyvernopre"),
            "container": {**_image(hub, "kyverno"), "resources": _resources("100m", "256Mi", "768Mi")},
        },
        "backgroundController": {
            **_image(hub, "background-controller"),
            "replicas": followers,
            "podDisruptionBudget": {"enabled": followers > 1},
            "rbac": {"coreClusterRole": {"extraResources": generated_kinds()}},
            "resources": _resources("100m", "128Mi", "384Mi"),
        },
        "reportsController": {
            **_image(hub, "reports-controller"),
            "replicas": followers,
            "podDisruptionBudget": {"enabled": followers > 1},
            "rbac": {"clusterRole": {"extraResources": judged_kinds()}},
            "resources": _resources("100m", "128Mi", "384Mi"),
        },
        "cleanupController": {
            **_image(hub, "cleanup-controller"),
            **cleanup_values(followers, _resources("100m", "128Mi", "256Mi")),
        },
        # Webhooks that outlive their server block every request (kyverno#9551).
        "webhooksCleanup": {"enabled": True, **_image(hub, "readiness-checker")},
    }


def _image(hub: str | None, name: str) -> dict[str, Any]:
    return {"image": {"registry": hub, "repository": name}} if hub else {}


def _resources(cpu: str, memory: str, memory_limit: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory_limit}}


def _hooks(name: str) -> dict[str, pulumi.ResourceHookBinding]:
    """What is waited for after the change of a policy, by its kind.

    What a policy leaves out from now on, it has to leave out before the next namespace or workload is there.
    """
    waits = {"GeneratingPolicy": settle, "ValidatingPolicy": until_rewritten(living_cluster)}
    return {
        kind: pulumi.ResourceHookBinding(after_update=[pulumi.ResourceHook(f"{name}.{kind}.in-force", wait)])
        for kind, wait in waits.items()
    }


class KyvernoPolicySet(pulumi.ComponentResource):
    """Kyverno in its own namespace, one policy for each rule that is on, and a Grafana dashboard of their results.

    With them come the policy that ends exceptions on their day, and the native one that says who may write exceptions.

    Creates nothing when all are off. A Kyverno that others installed gets rights of the stack's own instead, and stays
    as it is. The policies depend on the release, so that destroy removes them while Kyverno
    still serves its webhooks. `ready` holds the release and the policies, which apply to everything created after them.
    """

    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: KyvernoPolicySetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:KyvernoPolicySet", name, None, opts)
        self.ready = []
        manifests = policies(args)
        if manifests:
            kyverno = (
                existing_rights(name, args.namespace, pulumi.ResourceOptions(parent=self))
                if args.existing
                else [self._release(name, args)]
            )
            after = pulumi.ResourceOptions(parent=self, depends_on=kyverno)
            KubernetesObject(f"{name}-{EXPIRED_EXCEPTIONS}", deleting_policy(args.namespace), after)
            self._dashboard(name, args, after)
            hooks = _hooks(name)
            rules = [self._policy(name, policy, after, hooks) for policy in manifests]
            guard = rule_integrity(name, args.critical, args.namespace, pulumi.ResourceOptions(parent=self))
            # One that has ended is gone from the cluster, and what is gone cannot be updated.
            excepted = pulumi.ResourceOptions(
                parent=self, depends_on=kyverno, replace_on_changes=["*"], delete_before_replace=True
            )
            granted = [KubernetesObject(f"{name}-{e['metadata']['name']}", e, excepted) for e in exceptions(args)]
            self.ready = [*kyverno, *rules, *guard, *granted]
        self.register_outputs({"policies": [policy["metadata"]["name"] for policy in manifests]})

    def _release(self, name: str, args: KyvernoPolicySetArgs) -> Release:
        namespace = KubernetesObject(
            f"{name}-namespace",
            of_kind("Namespace", metadata={"name": KYVERNO_NAMESPACE, "labels": pod_security("restricted")}),
            pulumi.ResourceOptions(parent=self),
        )
        in_namespace = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        rights = cleanup_rights(name, in_namespace)
        closed = network_policies(name, args.network_policies, namespace, self)
        return Release(
            f"{name}-release",
            {
                **KYVERNO.source(args.charts),
                "name": "kyverno",
                "namespace": KYVERNO_NAMESPACE,
                "values": kyverno_values(args.replicas, args.unjudged_namespaces, args.hub),
                "atomic": True,
                "timeout": 600,
            },
            pulumi.ResourceOptions.merge(in_namespace, pulumi.ResourceOptions(depends_on=[*rights, *closed])),
        )

    def _policy(
        self,
        name: str,
        policy: Manifest,
        after: pulumi.ResourceOptions,
        hooks: Mapping[str, pulumi.ResourceHookBinding],
    ) -> KubernetesObject:
        metadata = policy["metadata"]
        annotations = {**metadata["annotations"], **IN_FORCE}
        waited_for = {**policy, "metadata": {**metadata, "annotations": annotations}}
        settled = pulumi.ResourceOptions(hooks=hooks.get(policy["kind"]))
        options = pulumi.ResourceOptions.merge(after, settled)
        return KubernetesObject(f"{name}-{metadata['name']}", waited_for, options)

    def _dashboard(self, name: str, args: KyvernoPolicySetArgs, after: pulumi.ResourceOptions) -> KubernetesObject:
        library = load_library()
        on = Library({rule: library.rules[rule] for rule in rules_on(args)})
        config_map = dashboard_config_map(args.namespace, on)
        return KubernetesObject(
            f"{name}-dashboard", of_kind("ConfigMap", metadata=config_map["metadata"], data=config_map["data"]), after
        )
