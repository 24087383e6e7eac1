"""What the deployer of a team may not grant its own services: the half of the approvals that admission holds.

A team's program checks its files, and its author can leave that out. So this native policy looks at what arrives in
the teams' namespaces: networks and hosts outside the cluster, nodes, the fields of a patch, and what turns the mesh or
the default deny off. What the platform approved stands in the policy itself, from the stack file. Whoever may change
the policy is not held by it. The API server evaluates it, so it holds while Kyverno is down.
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from components.config.action import Action
from components.kube.manifest import Manifest
from components.kube.mesh_labels import PASSING_BY, STAYING
from components.kube.names import KYVERNO_NAMESPACE, NAMESPACE_POLICIES, TEAM_GRANTS
from components.kube.networks import OpenNetworks
from components.schema.metadata_services import metadata_networks
from components.schema.problem import FieldError
from components.service.native_policy import NativePolicy, check_size, create_policy, literal, of_namespace

_WORKLOADS: Mapping[str, Sequence[str]] = {
    "": ("pods", "replicationcontrollers"),
    "apps": ("daemonsets", "deployments", "replicasets", "statefulsets"),
    "batch": ("cronjobs", "jobs"),
}
_MESH: Mapping[str, Sequence[str]] = {
    "networking.istio.io": ("destinationrules", "serviceentries", "sidecars"),
    "security.istio.io": ("requestauthentications",),
}
# They make and change pods of objects that were looked at themselves.
_CONTROLLERS = ("system:kube-controller-manager", "system:kube-scheduler")
_CONTROLLER_GROUPS = ("system:nodes", "system:serviceaccounts:kube-system")


@dataclass(frozen=True)
class Granted:
    """What the platform approved for one namespace.

    `hosts` and `networks` are outside the cluster. `nodes` are the labels of nodes as `key=value`, `tolerations` as
    `key=value:effect`, and `classes` the names of priority and runtime classes. `patched` are the service accounts
    whose pods have a patch.
    """

    team: str
    hosts: Sequence[str] = ()
    networks: Sequence[str] = ()
    nodes: Sequence[str] = ()
    tolerations: Sequence[str] = ()
    classes: Sequence[str] = ()
    patched: Sequence[str] = ()


@dataclass(frozen=True)
class TeamGrantsArgs:
    """The action for a violation, what each namespace was granted, and what the teams decide themselves.

    `annotations` are those of the mesh that the platform's own services have, beside what every pod may have, each with
    its value; `free` are names of the approvals that admission leaves to the teams. Kyverno's controllers act from
    `kyverno_namespace`, and `networks` says what no policy opens. Raises `FieldError` for `Action.OFF`, and without a
    namespace.
    """

    action: Action
    granted: Mapping[str, Granted]
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    free: Sequence[str] = ()
    kyverno_namespace: str = KYVERNO_NAMESPACE
    networks: OpenNetworks = field(default_factory=OpenNetworks)

    def __post_init__(self) -> None:
        if self.action is Action.OFF:
            raise FieldError("action", "off creates nothing: leave the component out")
        if not self.granted:
            raise FieldError("granted", "no namespace is a team's, so there is nothing to hold")
        check_size(policy_spec(self), "teams")


def _rules(kinds: Mapping[str, Sequence[str]], operations: Sequence[str]) -> list[Manifest]:
    return [
        {"apiGroups": [group], "apiVersions": ["*"], "operations": list(operations), "resources": list(names)}
        for group, names in kinds.items()
    ]


def _here(args: TeamGrantsArgs, name: str) -> dict[str, str]:
    """The variables with one list of what the namespace of the request was granted."""
    lists = {namespace: list(getattr(granted, name)) for namespace, granted in args.granted.items()}
    return of_namespace(name, lists, "[]", lambda namespace: f"teams.{args.granted[namespace].team}.approved")


_MAY_CHANGE = (
    "authorizer.group('admissionregistration.k8s.io').resource('validatingadmissionpolicies')"
    f".name('{TEAM_GRANTS}').check('update').allowed()"
)
_POD = (
    "variables.kind == 'pods' ? object.?spec.orValue({}) : variables.kind == 'cronjobs' ? "
    "object.?spec.?jobTemplate.?spec.?template.?spec.orValue({}) : object.?spec.?template.?spec.orValue({})"
)
_META = (
    "variables.kind == 'pods' ? object.?metadata.orValue({}) : variables.kind == 'cronjobs' ? "
    "object.?spec.?jobTemplate.?spec.?template.?metadata.orValue({}) : "
    "object.?spec.?template.?metadata.orValue({})"
)


def _variables(args: TeamGrantsArgs) -> dict[str, str]:
    workloads = [name for names in _WORKLOADS.values() for name in names]
    return {
        "kind": "request.resource.resource",
        "workload": f"variables.kind in {literal(workloads)}",
        "pod": f"variables.workload && request.operation != 'DELETE' ? dyn({_POD}) : dyn({{}})",
        "meta": f"variables.workload && request.operation != 'DELETE' ? dyn({_META}) : dyn({{}})",
        "containers": (
            "variables.pod.?containers.orValue([]) + variables.pod.?initContainers.orValue([]) + "
            "variables.pod.?ephemeralContainers.orValue([])"
        ),
        "account": "variables.pod.?serviceAccountName.orValue('default')",
        "egress": (
            "variables.kind == 'networkpolicies' && request.operation != 'DELETE' "
            "? object.?spec.?egress.orValue([]) : []"
        ),
        **_here(args, "hosts"),
        **_here(args, "networks"),
        "metadata": literal([str(each) for each in metadata_networks(args.networks.metadata)]),
        **_here(args, "nodes"),
        **_here(args, "tolerations"),
        **_here(args, "classes"),
        **_here(args, "patched"),
    }


def _validation(approval: str, expression: str, what: str) -> tuple[str, Manifest]:
    message = f"{what}: the platform's team decides that, in its stack file (docs/how-to/teams.md)"
    return approval, {"expression": expression, "reason": "Forbidden", "message": message}


def _egress(networks: OpenNetworks) -> list[tuple[str, Manifest]]:
    # To a host the policy opens the internet, and the mesh holds the name: so it takes an approved host, and leaves out
    # what the platform's own policies leave out.
    internet = " || ".join(
        f"(peer.ipBlock.cidr == '{network}' && {literal(list(excepted))}.all(e, e in peer.ipBlock.?except.orValue([])))"
        for network, excepted in networks.internet().items()
    )
    # A wide network is opened without the metadata services in it.
    approved = (
        "(isCIDR(peer.ipBlock.cidr) && variables.networks.exists(n, cidr(n).containsCIDR(peer.ipBlock.cidr)) && "
        "variables.metadata.all(m, !cidr(m).containsCIDR(peer.ipBlock.cidr) && "
        "(!cidr(peer.ipBlock.cidr).containsCIDR(m) || m in peer.ipBlock.?except.orValue([])))) || "
        f"(variables.hosts.size() > 0 && ({internet}))"
    )
    return [
        _validation(
            "egress",
            "variables.egress.all(rule, rule.?to.orValue([]).size() > 0 && rule.?ports.orValue([]).size() > 0 && "
            f"rule.to.all(peer, !has(peer.ipBlock) || {approved}))",
            "a network outside the cluster that is not approved for this namespace",
        ),
        _validation(
            "egress",
            "variables.kind != 'serviceentries' || request.operation == 'DELETE' || "
            "(object.spec.hosts.all(host, host in variables.hosts) && object.spec.?exportTo.orValue([]) == ['.'] && "
            "!has(object.spec.endpoints) && !has(object.spec.workloadSelector) && "
            "object.spec.?addresses.orValue([]).all(address, "
            "variables.networks.exists(n, cidr(n).containsCIDR(address))))",
            "a host outside the cluster that is not approved for this namespace",
        ),
        _validation(
            "egress",
            "variables.kind != 'sidecars' || request.operation == 'DELETE' || "
            "object.spec.?outboundTrafficPolicy.?mode.orValue('REGISTRY_ONLY') == 'REGISTRY_ONLY'",
            "a proxy that lets requests go to hosts that nobody declared",
        ),
    ]


def _placement() -> list[tuple[str, Manifest]]:
    return [
        _validation(
            "placement",
            "variables.pod.?nodeSelector.orValue({}).all(key, "
            "(key + '=' + variables.pod.nodeSelector[key]) in variables.nodes) && "
            "!has(variables.pod.nodeName) && !has(variables.pod.affinity) && "
            "variables.pod.?schedulerName.orValue('default-scheduler') == 'default-scheduler'",
            "nodes that are not those of a class for this namespace",
        ),
        _validation(
            "placement",
            "variables.pod.?tolerations.orValue([]).all(t, (t.?key.orValue('') + '=' + t.?value.orValue('') + ':' + "
            "t.?effect.orValue('')) in variables.tolerations)",
            "a toleration that is not that of a class for this namespace",
        ),
        _validation(
            "placement",
            "[variables.pod.?priorityClassName.orValue(''), variables.pod.?runtimeClassName.orValue('')]"
            ".all(name, name == '' || name in variables.classes)",
            "a priority or a runtime that is not that of a class for this namespace",
        ),
    ]


def _patch() -> list[tuple[str, Manifest]]:
    return [
        _validation(
            "patch",
            "variables.account in variables.patched || (!has(variables.pod.dnsConfig) && "
            "!has(variables.pod.hostAliases) && !variables.pod.?setHostnameAsFQDN.orValue(false) && "
            "variables.containers.all(c, !has(c.workingDir) && !c.?stdin.orValue(false) && !c.?tty.orValue(false) && "
            "!c.?lifecycle.?postStart.hasValue()))",
            "a field of a pod that only a patch has, and no patch is approved for this service",
        )
    ]


def _always(args: TeamGrantsArgs) -> list[tuple[str, Manifest]]:
    """What no team decides in any environment."""
    own = "'.' + request.namespace + '.svc.cluster.local'"
    free = literal([key for key, value in STAYING.items() if not value])
    allowed = literal({**{key: value for key, value in STAYING.items() if value}, **args.annotations})
    meta = "variables.meta.?{0}.orValue({{}})"
    held = " && ".join(
        f"{meta.format(name)}.all(key, !{literal(list(PASSING_BY))}.exists(p, key.contains(p)) || key in {free} || "
        f"{allowed}[?key].orValue('') == {meta.format(name)}[key])"
        for name in ("labels", "annotations")
    )
    return [
        _validation("", held, "a label or an annotation by which a pod leaves the mesh"),
        _validation(
            "",
            f"variables.kind != 'networkpolicies' || !(request.name in {literal(NAMESPACE_POLICIES)})",
            "a network policy that the platform makes in every namespace",
        ),
        _validation(
            "",
            "variables.kind != 'services' || request.operation == 'DELETE' || "
            "(object.spec.?type.orValue('ClusterIP') == 'ClusterIP' && !has(object.spec.externalIPs))",
            "a Service that is open to the outside, beside the gateway, or that stands for another host",
        ),
        _validation(
            "",
            "variables.kind != 'destinationrules' || request.operation == 'DELETE' || "
            f"object.spec.host.endsWith({own})",
            "a rule for the connections to a host that is not this namespace's",
        ),
        # Without keys istiod itself asks for them, wherever the address of the issuer leads.
        _validation(
            "",
            "variables.kind != 'requestauthentications' || request.operation == 'DELETE' || "
            "object.spec.?jwtRules.orValue([]).all(rule, has(rule.jwks) && !has(rule.jwksUri) && !has(rule.jwks_uri))",
            "tokens whose keys the mesh's control plane would fetch",
        ),
    ]


def policy_spec(args: TeamGrantsArgs) -> Manifest:
    """The spec of the ValidatingAdmissionPolicy."""
    checks = [*_always(args), *_egress(args.networks), *_placement(), *_patch()]
    changes = ("CREATE", "UPDATE")
    controllers = (*_CONTROLLER_GROUPS, f"system:serviceaccounts:{args.kyverno_namespace}")
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                *_rules({"": ("services",), **_MESH}, changes),
                *_rules(_WORKLOADS, changes),
                *_rules({"networking.k8s.io": ("networkpolicies",)}, (*changes, "DELETE")),
            ]
        },
        "matchConditions": [
            {
                "name": "not-the-cluster",
                "expression": (
                    f"!(request.userInfo.username in {literal(_CONTROLLERS)}) && "
                    "!request.userInfo.?groups.orValue([])"
                    f".exists(group, group in {literal(controllers)})"
                ),
            },
            {"name": "not-the-platform", "expression": f"!({_MAY_CHANGE})"},
        ],
        "variables": [{"name": name, "expression": expression} for name, expression in _variables(args).items()],
        "validations": [validation for approval, validation in checks if approval not in args.free or not approval],
    }


def native_policy(args: TeamGrantsArgs) -> NativePolicy:
    """The policy with its action and the teams' namespaces."""
    return NativePolicy(TEAM_GRANTS, policy_spec(args), args.action, [*args.granted])


class TeamGrants(pulumi.ComponentResource):
    """The native policy that holds what the platform has to approve, and its binding to the teams' namespaces."""

    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: TeamGrantsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:TeamGrants", name, None, opts)
        self.ready = create_policy(name, native_policy(args), self)
        self.register_outputs({"policy": TEAM_GRANTS})
