"""Who may change what belongs to a service: its objects, its endpoints, its data, and the policies around it.

The role `edit` may write most objects of its namespace, and some of them are a service's, or make something else look
like one. This native policy demands for these the verb `use` on the service's account, as `service-identities` does. It
looks at a request as a whole: `marks` has every name by which the request reaches for a service, and `owners` the
services among them. Whoever touches several services, or what holds for all of them, needs the right to all accounts
of the namespace.
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import pulumi

from components.config.action import Action
from components.kube.manifest import Manifest
from components.kube.names import OBJECTS, OWN_LAYERS, USE, LayerNamespaces
from components.schema.problem import FieldError
from components.service.args.service import SecureServiceArgs
from components.service.manifests.held import ORDINAL, accounts, held_names
from components.service.native_policy import (
    MAY_USE,
    NativePolicy,
    cel_list,
    check_size,
    create_policy,
    of_namespace,
)
from components.service.object_changes import CHANGED, UNBOUNDED
from components.service.object_references import internal_names, references, words

# What these and the operators write follows from objects that were judged themselves, or holds for every namespace.
_CLUSTER_USERS = ("system:kube-controller-manager", "system:kube-scheduler")
_WORKLOADS = (
    "/replicationcontrollers",
    "apps/deployments",
    "apps/statefulsets",
    "apps/daemonsets",
    "apps/replicasets",
    "batch/jobs",
)
# A service is known by the name of these.
_NAMED = (
    "/services",
    "/endpoints",
    "/serviceaccounts",
    "apps/deployments",
    "apps/statefulsets",
    "batch/jobs",
    "batch/cronjobs",
)
# The groups of what a service has, or is reached by. Kinds of other operators often have the labels of a pod.
_GROUPS = (
    "",
    "apps",
    "autoscaling",
    "batch",
    "cert-manager.io",
    "discovery.k8s.io",
    "gateway.networking.k8s.io",
    "gateway.networking.x-k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "snapshot.storage.k8s.io",
)
# One object of these groups, with any name, opens or redirects what a service has.
_OPENING_GROUPS = (
    "networking.istio.io",
    "security.istio.io",
    "extensions.istio.io",
    "telemetry.istio.io",
    "external-secrets.io",
    "generators.external-secrets.io",
    "groupsnapshot.storage.k8s.io",
)
_GATEWAYS = ("Gateway", "ListenerSet", "XListenerSet")
_CLAIM = "'PersistentVolumeClaim'"
# The authorities that every pod of the namespace trusts.
_AUTHORITIES = ("kube-root-ca.crt", "istio-ca-root-cert", "istio-ca-crl")


def _operators(layers: LayerNamespaces) -> tuple[str, ...]:
    """The namespaces whose service accounts write into those of services, and which no tenant has."""
    return ("kube-system", layers.kyverno, layers.cert_manager, layers.mesh)


@dataclass(frozen=True)
class ServiceObjectsArgs:
    """The action for a violation; for each namespace its services' accounts, and the names that they hold.

    The service accounts of `operators`, which are namespaces without tenants, may do as their own rights say. Raises
    `FieldError` for `Action.OFF`, and without a namespace.
    """

    action: Action
    accounts: Mapping[str, Sequence[str]]
    held: Mapping[str, Mapping[str, Sequence[str]]]
    whole: Sequence[str] = ()
    """Namespaces of other stacks, whose services nobody here knows: there every object counts as that of all."""
    operators: Sequence[str] = _operators(OWN_LAYERS)

    def __post_init__(self) -> None:
        if self.action is Action.OFF:
            raise FieldError("action", "off creates nothing: leave the component out")
        if not (self.accounts or self.whole):
            raise FieldError("namespaces", "none is named, so there is no service to keep")
        check_size(policy_spec(self), "services")


_NO_PACKAGES: Mapping[str, Sequence[str]] = MappingProxyType({})


def objects_args(
    action: Action,
    services: Sequence[SecureServiceArgs],
    packages: Mapping[str, Sequence[str]] = _NO_PACKAGES,
    whole: Sequence[str] = (),
    layers: LayerNamespaces = OWN_LAYERS,
) -> ServiceObjectsArgs:
    """The arguments for these services and their jobs, for the accounts of packages, by namespace, and for `whole`."""
    names = {namespace: [*known] for namespace, known in packages.items()}
    for args in services:
        names.setdefault(args.namespace, []).extend(accounts(args))
    return ServiceObjectsArgs(action, names, held_names(services), whole, _operators(layers))


# The labels together that the program gives its objects. Nobody else can put them on anything, not even for a service
# that is not there yet: an apply adds to what it finds under its name, and would keep a container that a tenant wrote.
_STAMPED = (
    "o.metadata.?labels[?'app.kubernetes.io/managed-by'].orValue('') == 'pulumi' && "
    "o.metadata.?labels[?'app.kubernetes.io/part-of'].orValue('') == request.namespace && "
    "o.metadata.?labels[?'app'].hasValue()"
)


def _variables(args: ServiceObjectsArgs) -> dict[str, str]:
    # A map, since a list of hundreds of names would be searched again and again.
    names = {namespace: dict.fromkeys(own, True) for namespace, own in args.accounts.items()}
    held = {
        namespace: {name: " ".join(sorted(owners)) for name, owners in own.items()}
        for namespace, own in args.held.items()
    }
    pod = "variables.pod"
    spec = "variables.request"
    return {
        **of_namespace("names", names, "{}", lambda _: "services"),
        **of_namespace("held", held, "{}", lambda _: "services"),
        "kind": "request.resource.group + '/' + request.resource.resource",
        "both": "(object == null ? [] : [dyn(object)]) + (oldObject == null ? [] : [dyn(oldObject)])",
        "request": "object == null || request.?subResource.orValue('') == 'scale' ? dyn({}) : dyn(object)",
        "pod": (
            f"variables.kind == '/pods' ? {spec} : "
            f"variables.kind in {cel_list(_WORKLOADS)} ? {spec}.?spec.?template.orValue(dyn({{}})) : "
            "variables.kind == 'batch/cronjobs' ? "
            f"{spec}.?spec.?jobTemplate.?spec.?template.orValue(dyn({{}})) : dyn({{}})"
        ),
        "labelled": f"{pod}.?metadata.?labels[?'app'].orValue('')",
        "volumes": f"{pod}.?spec.?volumes.orValue([])",
        "containers": (
            f"{pod}.?spec.?containers.orValue([]) + {pod}.?spec.?initContainers.orValue([]) + "
            f"{pod}.?spec.?ephemeralContainers.orValue([])"
        ),
        # Every place where a claim is made: by itself, for each replica, and for the life of a pod.
        "claims": (
            f"(variables.kind == '/persistentvolumeclaims' ? [{spec}.?spec.orValue(dyn({{}}))] : []) + "
            f"(variables.kind == 'apps/statefulsets' ? {spec}.?spec.?volumeClaimTemplates.orValue([])"
            ".map(t, t.?spec.orValue(dyn({}))) : []) + "
            "variables.volumes.map(v, v.?ephemeral.?volumeClaimTemplate.?spec.orValue(dyn({})))"
        ),
        "sources": "variables.claims.map(c, c.?dataSource.orValue(dyn({}))) + "
        "variables.claims.map(c, c.?dataSourceRef.orValue(dyn({})))",
        "references": references(spec),
        "holders": (
            "(variables.references + variables.references"
            ".filter(r, r.matches('^[a-z-]*claims/.*-[0-9]+$'))"
            f".map(r, r.substring(0, r.lastIndexOf('-') + 1) + '{ORDINAL}'))"
            ".map(r, variables.held[?r].orValue('')).join(' ').split(' ')"
        ),
        # The labels by which a Service or a disruption budget picks pods.
        "selectors": (
            f"variables.kind == '/services' ? [{spec}.?spec.?selector.orValue(dyn({{}}))].filter(s, s.size() > 0) : "
            f"variables.kind == 'policy/poddisruptionbudgets' && has({spec}.spec) && has({spec}.spec.selector) "
            f"? [{spec}.spec.selector.?matchLabels.orValue(dyn({{}}))] : []"
        ),
        # Every pod of a service has both labels with its name; a selector with neither may pick it by others.
        "picked": "variables.selectors.map(s, s[?'app'].or(s[?'app.kubernetes.io/name']).orValue(''))",
        "backends": (
            "request.resource.group.startsWith('gateway.networking.') ? "
            + words(
                f"{spec}.?spec.?rules.orValue([]).map(r, r.?backendRefs.orValue([]).map(b, b.?name.orValue('')) + "
                "r.?backendRefs.orValue([]).map(b, b.?filters.orValue([])"
                ".map(f, f.?requestMirror.?backendRef.?name.orValue('')).join(' ')) + "
                "r.?filters.orValue([]).map(f, f.?requestMirror.?backendRef.?name.orValue('')))"
            )
            + " : variables.kind == 'networking.k8s.io/ingresses' ? "
            + words(
                f"{spec}.?spec.?rules.orValue([]).map(r, "
                "r.?http.?paths.orValue([]).map(p, p.?backend.?service.?name.orValue('')))"
            )
            + f" + [{spec}.?spec.?defaultBackend.?service.?name.orValue('')] : []"
        ),
        # A route for the mesh is attached to a Service, and decides where the requests for it go.
        "parents": (
            f"request.resource.group.startsWith('gateway.networking.') ? {spec}.?spec.?parentRefs.orValue([]) : []"
        ),
        # By a certificate of an authority that others trust, for the name of a Service, somebody is the service.
        "internal": internal_names(spec),
        "marks": " + ".join(
            (
                "variables.both.map(o, o.metadata.?labels[?'app'].orValue(''))",
                "variables.both.map(o, o.metadata.?labels[?'kubernetes.io/service-name'].orValue(''))",
                f"(variables.kind in {cel_list(_NAMED)} ? variables.both.map(o, o.metadata.?name.orValue('')) : [])",
                "[variables.labelled]",
                "variables.picked",
                "variables.backends",
                "variables.parents.filter(p, p.?kind.orValue('') == 'Service').map(p, p.name)",
                "variables.internal",
                (
                    "(variables.kind == 'autoscaling/horizontalpodautoscalers' ? "
                    f"[{spec}.?spec.?scaleTargetRef.?name.orValue('')] : [])"
                ),
                "variables.holders",
            )
        ),
        "owners": "variables.marks.filter(mark, mark in variables.names)",
        # The object as it is to be, and as it was.
        "stamped": f"variables.both.map(o, {_STAMPED})",
        # Network policies add up, and so does the rest of these: one more opens everything.
        "opening": " || ".join(
            (
                *([f"request.namespace in {cel_list(args.whole)}"] if args.whole else []),
                "request.resource.resource.endsWith('networkpolicies')",
                f"request.resource.group in {cel_list(_OPENING_GROUPS)}",
                (
                    "(request.resource.group.startsWith('gateway.networking.') && "
                    "!request.resource.resource.endsWith('routes'))"
                ),
                (
                    f"(variables.kind == '/configmaps' && variables.both.exists(o, o.metadata.name in "
                    f"{cel_list(_AUTHORITIES)}))"
                ),
                "'' in variables.picked",
                # Whose data a snapshot has, nothing here can see.
                f"variables.sources.exists(s, s.?kind.orValue({_CLAIM}) != {_CLAIM})",
                # A route at somebody else's Service is one for the callers in this namespace.
                (
                    f"variables.parents.exists(p, !(p.?kind.orValue('Gateway') in {cel_list(_GATEWAYS)}) && "
                    "!(p.kind == 'Service' && p.?namespace.orValue(request.namespace) == request.namespace))"
                ),
                "'*' in variables.internal",
                f"variables.kind in {cel_list(UNBOUNDED)}",
                # It names a pod, not what that is of.
                "variables.kind == '/bindings' || request.?subResource.orValue('') == 'binding'",
                "(variables.owners.size() == 0 && true in variables.stamped)",
            )
        ),
        "account": (
            "variables.opening || variables.owners.exists(owner, owner != variables.owners[0]) "
            "? '' : variables.owners[0]"
        ),
    }


def policy_spec(args: ServiceObjectsArgs) -> Manifest:
    """The spec of the ValidatingAdmissionPolicy."""
    trusted = [f"system:serviceaccounts:{namespace}" for namespace in args.operators]
    every = {"apiVersions": ["*"], "operations": ["CREATE", "UPDATE", "DELETE"], "scope": "Namespaced"}
    groups = [*_GROUPS, *_OPENING_GROUPS]
    policies = ["networkpolicies", "ciliumnetworkpolicies"]
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {**every, "apiGroups": groups, "resources": ["*/*"]},
                # Those of another network's plugin.
                {**every, "apiGroups": ["*"], "resources": policies},
            ],
            # Of tokens another policy decides, and an eviction is an end of a pod.
            "excludeResourceRules": [
                {**every, "apiGroups": [""], "resources": ["events", "serviceaccounts/token", "pods/eviction"]}
            ],
        },
        "matchConditions": [
            {
                "name": "not-the-cluster",
                "expression": (
                    f"!(request.userInfo.username in {cel_list(_CLUSTER_USERS)}) && "
                    f"!request.userInfo.?groups.orValue([]).exists(group, group in {cel_list(trusted)})"
                ),
            },
            # Its controller makes a new one.
            {
                "name": "not-the-end-of-a-pod",
                "expression": "!(request.operation == 'DELETE' && request.resource.resource == 'pods')",
            },
            {"name": "changed", "expression": CHANGED},
        ],
        "variables": [{"name": name, "expression": expression} for name, expression in _variables(args).items()],
        "validations": [
            {
                "expression": f"(!variables.opening && variables.owners.size() == 0) || {MAY_USE}",
                "reason": "Forbidden",
                "messageExpression": (
                    "request.userInfo.username + ' may not ' + request.operation.lowerAscii() + ' ' + "
                    "request.resource.resource + request.?name.optMap(name, ' ' + name).orValue('') + ' of ' + "
                    "request.namespace + ': it touches ' + (variables.account == '' ? 'all services' : "
                    "'service ' + variables.account) + "
                    f"', so it needs the verb {USE} on serviceaccounts' + "
                    "(variables.account == '' ? '' : ' ' + variables.account)"
                ),
                "message": f"this touches a service of the platform: it needs the verb {USE} on the service's account",
            },
            {
                "expression": (
                    "!(variables.labelled in variables.names) || "
                    "variables.pod.?spec.?serviceAccountName.orValue('') == variables.labelled"
                ),
                "reason": "Forbidden",
                "messageExpression": (
                    "'a pod with the label app: ' + variables.labelled + ' is an endpoint of that service: "
                    "it must run as service account ' + variables.labelled"
                ),
                "message": "a pod with the labels of a service must run as its service account",
            },
            {
                "expression": "request.operation != 'UPDATE' || !variables.stamped[0] || variables.stamped[1]",
                "reason": "Forbidden",
                "message": "somebody made this object before the service had one of its name: delete it first",
            },
        ],
    }


def native_policy(args: ServiceObjectsArgs) -> NativePolicy:
    """The policy with its action and its namespaces."""
    return NativePolicy(OBJECTS, policy_spec(args), args.action, [*args.accounts, *args.whole])


class ServiceObjects(pulumi.ComponentResource):
    """The native policy that restricts who may change what belongs to services, and its binding.

    The API server evaluates it, so it holds while Kyverno is down.
    """

    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: ServiceObjectsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:ServiceObjects", name, None, opts)
        self.ready = create_policy(name, native_policy(args), self)
        self.register_outputs({"policy": OBJECTS})
