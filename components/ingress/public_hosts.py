"""Which namespace may name which host.

Whoever may write an Ingress, a route or a certificate in one namespace could otherwise take the host of another. This
native policy knows the hosts of each namespace and refuses every other one. cert-manager passes, known by its service
account, with the solvers and requests that it makes of objects which passed themselves. Who may change the policy may
also name a host that is not in it yet, but none of another namespace.

The hosts are in the policy itself, not in a parameter of it. An API server that has seen the last policy with a
ConfigMap go reads none for the next one until it is restarted: that policy would refuse everything.
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import pulumi

from components.config.action import Action
from components.config.ingress import HostPattern
from components.kube.in_force import settle
from components.kube.manifest import Manifest, of_kind
from components.kube.names import CERT_MANAGER_ACCOUNT, CERT_MANAGER_NAMESPACE, PUBLIC_HOSTS
from components.kube.objects import KubernetesObject
from components.schema.checked import check_fields
from components.schema.fields import Label, PublicHost, PublicPath
from components.schema.host_pattern import is_covered
from components.schema.problem import FieldError

EVERY_HOST = "*"
_ACTIONS = {Action.AUDIT: ["Audit"], Action.WARN: ["Warn", "Audit"], Action.DENY: ["Deny"]}

JUDGED: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "": ("services",),
        "networking.k8s.io": ("ingresses",),
        "gateway.networking.k8s.io": ("httproutes", "grpcroutes", "tlsroutes", "gateways", "listenersets"),
        "networking.istio.io": ("gateways", "virtualservices", "serviceentries"),
        "cert-manager.io": ("certificates", "certificaterequests"),
        "acme.cert-manager.io": ("orders", "challenges"),
    }
)
"""The resources that name hosts, by API group."""

# Annotations with names, separated by commas. Those of certificates: https://cert-manager.io/docs/reference/annotations/
_NAMES = (
    "cert-manager.io/common-name",
    "cert-manager.io/alt-names",
    "external-dns.alpha.kubernetes.io/hostname",
    "external-dns.alpha.kubernetes.io/internal-hostname",
)
# What else a certificate may name, and the annotations that choose its issuer.
_OTHER_NAMES = ("cert-manager.io/ip-sans", "cert-manager.io/uri-sans", "cert-manager.io/email-sans")
_ISSUERS = (
    "cert-manager.io/cluster-issuer",
    "cert-manager.io/issuer",
    "cert-manager.io/issuer-kind",
    "cert-manager.io/issuer-group",
    "kubernetes.io/tls-acme",
)


@dataclass(frozen=True)
class PublicHostsArgs:
    """The action for a violation, the hosts of each namespace, and the namespaces where the policy does not hold.

    A host is a full name, `*.` with a domain for all names below it, or `*` for all hosts. `lent` has for each
    namespace the hosts of others that its routes may name, each with the paths that they may have there. Raises
    `FieldError` for `Action.OFF`, and for a pattern that covers the host of another namespace.
    """

    action: Action
    hosts: Mapping[Label, Sequence[HostPattern]]
    platform_namespaces: Sequence[Label]
    lent: Mapping[Label, Mapping[PublicHost, Sequence[PublicPath]]] = field(
        default_factory=dict[str, Mapping[str, Sequence[str]]]
    )
    cert_manager_namespace: Label = CERT_MANAGER_NAMESPACE

    def __post_init__(self) -> None:
        check_fields(self)
        if self.action is Action.OFF:
            raise FieldError("action", "off creates nothing: leave the component out")
        claims = [(namespace, host) for namespace, hosts in sorted(self.hosts.items()) for host in hosts]
        for namespace, pattern in claims:
            for other, host in claims:
                if other != namespace and covers(pattern, host):
                    message = f"it covers {host} of namespace {other}, and a host belongs to one namespace"
                    raise FieldError(f"hosts.{namespace}", message, pattern)


def covers(pattern: str, host: str) -> bool:
    """Whether a namespace with this pattern may name the host."""
    return pattern == EVERY_HOST or is_covered(host, [pattern])


def _cel_list(texts: Sequence[str]) -> str:
    return f"[{', '.join(repr(text) for text in texts)}]"


def _annotations(of: str) -> str:
    return f"{of}.metadata.?annotations.orValue({{}})"


def _is_alias(key: str) -> str:
    # ingress-nginx and HAProxy have annotations for further hosts, with a prefix that can be changed.
    return f"({key} in {_cel_list(_NAMES)} || {key}.endsWith('/server-alias') || {key}.endsWith('/server-alias-regex'))"


def _matters(key: str) -> str:
    return f"({_is_alias(key)} || {key} in {_cel_list((*_OTHER_NAMES, *_ISSUERS))})"


def _changed() -> str:
    """An update that leaves every name as it was passes, so that a finalizer or a label can still be changed."""
    new, old = _annotations("object"), _annotations("oldObject")
    return (
        "request.operation != 'UPDATE' || object.?spec != oldObject.?spec || "
        f"{new}.exists(key, {_matters('key')} && {old}[?key] != optional.of({new}[key])) || "
        f"{old}.exists(key, {_matters('key')} && !(key in {new}))"
    )


_RESOURCE = "request.resource.resource + '.' + request.resource.group"
_INSIDE = (
    "(host.endsWith('.' + request.namespace + '.svc') || host.endsWith('.' + request.namespace + '.svc.cluster.local'))"
)
_COVERS = (
    "exists(pattern, pattern == '*' || pattern == host || "
    "(pattern.startsWith('*.') && host.endsWith(pattern.substring(1))))"
)
_ALL = f"'{EVERY_HOST}' in variables.own"
_MAY_CHANGE = (
    "authorizer.group('admissionregistration.k8s.io').resource('validatingadmissionpolicies')"
    f".name('{PUBLIC_HOSTS}').check('update').allowed()"
)
# A changed policy is in force a second after its answer. The deployer's next request must not fail by that.
_IS_NEW = (
    "(variables.mayChange && host != '' && !variables.hosts.exists(other, other != request.namespace && "
    f"variables.hosts[other].{_COVERS}))"
)

# A match of an HTTPRoute has a path, that of a GRPCRoute a service and a method.
_PATH = (
    "(variables.resource == 'grpcroutes.gateway.networking.k8s.io' ? "
    "(match.?method.?type.orValue('Exact') == 'Exact' && match.?method.?service.orValue('') != '' ? "
    "'/' + match.method.service + '/' + match.method.?method.orValue('') : '') : "
    "(match.?path.?type.orValue('PathPrefix') in ['PathPrefix', 'Exact'] ? match.?path.?value.orValue('') : ''))"
)
# A route at the host of another namespace, when each of its requests is for a path that it was lent.
_LENT_HERE = (
    "(host in variables.lent && variables.resource in "
    "['httproutes.gateway.networking.k8s.io', 'grpcroutes.gateway.networking.k8s.io'] && "
    "object.spec.?rules.orValue([]).size() > 0 && object.spec.rules.all(rule, rule.?matches.orValue([]).size() > 0 && "
    f"rule.matches.all(match, variables.lent[host].exists(prefix, prefix == '/' || {_PATH} == prefix || "
    f"{_PATH}.startsWith(prefix + '/')))))"
)
_LENT_TEXT = (
    " + (variables.lent.size() > 0 ? '; of others, for routes: ' + "
    "variables.lent.map(host, host + ' at ' + variables.lent[host].join(', ')).join('; ') : '')"
)
# Each expression is a list of lists of hosts; the empty name stands for all hosts.
_ALIASES = (
    f"{_annotations('object')}.map(key, {_is_alias('key')}, "
    f"{_annotations('object')}[key].replace(' ', '').split(',').filter(host, host != ''))"
)
_OF_INGRESS = (
    "object.spec.?rules.orValue([]).map(rule, [rule.?host.orValue('')]) + "
    "object.spec.?tls.orValue([]).map(tls, tls.?hosts.orValue([]).size() > 0 ? tls.hosts : ['']) + "
    "(has(object.spec.defaultBackend) ? [['']] : [])"
)
# A route that is only attached to Services, which is for callers within the mesh, needs no host.
_OF_ROUTE = (
    "object.spec.?hostnames.orValue([]).size() > 0 ? [object.spec.hostnames] : "
    "(object.spec.?parentRefs.orValue([]).size() > 0 && "
    "object.spec.parentRefs.all(parent, parent.?kind.orValue('Gateway') == 'Service')) ? [] : [['']]"
)
# Listeners of the mesh's own protocol carry no public host.
_OF_LISTENERS = (
    "object.spec.?listeners.orValue([]).map(listener, listener.?protocol.orValue('') != 'HBONE', "
    "[listener.?hostname.orValue('')])"
)
# Hosts of Istio's Gateway are `host` or `namespace/host`.
_OF_SERVERS = (
    "object.spec.?servers.orValue([]).map(server, "
    "server.?hosts.orValue(['']).map(host, host.contains('/') ? host.split('/')[1] : host))"
)
# Without an export no proxy of another namespace sees it. Short names are those of the own namespace.
_OF_MESH = (
    "object.spec.?exportTo.orValue([]).size() > 0 && "
    "object.spec.exportTo.all(place, place in ['.', '~', request.namespace]) ? [] : "
    f"[object.spec.?hosts.orValue([]).filter(host, !{_INSIDE} && !host.matches('^[a-z0-9-]+$'))]"
)
# A namespaced issuer is the namespace's own: names that no public host can have are its own affair.
_OF_CERTIFICATE = (
    "[(object.spec.?dnsNames.orValue([]) + (object.spec.?commonName.orValue('') != '' ? [object.spec.commonName] : []))"
    f".filter(host, !{_INSIDE} && (variables.clusterIssuer || host.matches('^[^ /@]*[.][^ /@]*$')))]"
)
_CLUSTER_ISSUER = (
    "variables.resource == 'certificates.cert-manager.io' ? "
    "!(object.spec.issuerRef.?kind.orValue('') in ['', 'Issuer'] && "
    "object.spec.issuerRef.?group.orValue('') in ['', 'cert-manager.io']) : "
    f"['cert-manager.io/cluster-issuer', 'kubernetes.io/tls-acme'].exists(key, key in {_annotations('object')}) || "
    f"!({_annotations('object')}[?'cert-manager.io/issuer-kind'].orValue('Issuer') in ['', 'Issuer']) || "
    f"!({_annotations('object')}[?'cert-manager.io/issuer-group'].orValue('') in ['', 'cert-manager.io'])"
)
_OTHER = (
    "variables.resource == 'certificates.cert-manager.io' ? "
    "object.spec.?ipAddresses.orValue([]).exists(ip, variables.clusterIssuer || "
    "!(ip == '::1' || ip.startsWith('127.'))) || "
    "(variables.clusterIssuer && (object.spec.?isCA.orValue(false) || "
    "object.spec.?literalSubject.orValue('') != '' || "
    + " || ".join(f"object.spec.?{name}.orValue([]).size() > 0" for name in ("uris", "emailAddresses", "otherNames"))
    + f")) : variables.clusterIssuer && {_cel_list(_OTHER_NAMES)}.exists(key, key in {_annotations('object')})"
)


_BY_RESOURCE: Mapping[str, str] = MappingProxyType(
    {
        "ingresses.networking.k8s.io": _OF_INGRESS,
        **{f"{kind}routes.gateway.networking.k8s.io": _OF_ROUTE for kind in ("http", "grpc", "tls")},
        "gateways.gateway.networking.k8s.io": _OF_LISTENERS,
        "listenersets.gateway.networking.k8s.io": _OF_LISTENERS,
        "gateways.networking.istio.io": _OF_SERVERS,
        "virtualservices.networking.istio.io": _OF_MESH,
        "serviceentries.networking.istio.io": _OF_MESH,
        "certificates.cert-manager.io": _OF_CERTIFICATE,
    }
)


def _host_map(args: PublicHostsArgs) -> str:
    """The hosts of each namespace that has any, as a map of CEL."""
    entries = (f"{name!r}: {_cel_list(sorted(set(hosts)))}" for name, hosts in sorted(args.hosts.items()) if hosts)
    # A namespace that cannot be gives a map without any its type.
    return "{" + (", ".join(entries) or "'': ['']") + "}"


def _lent(args: PublicHostsArgs) -> str:
    """The paths of each host that the namespace of a request was lent, as CEL, which writes maps as JSON does."""
    lent = {
        namespace: {host: sorted({path.rstrip("/") or "/" for path in paths}) for host, paths in sorted(hosts.items())}
        for namespace, hosts in sorted(args.lent.items())
    }
    return f"{json.dumps(lent)}[?request.namespace].orValue({{}})"


def _named() -> str:
    by_expression: dict[str, list[str]] = {}
    for resource, expression in _BY_RESOURCE.items():
        by_expression.setdefault(expression, []).append(resource)
    cases = [
        f"variables.resource in {_cel_list(names)} ? ({expression})" for expression, names in by_expression.items()
    ]
    return f"({' : '.join(cases)} : []) + {_ALIASES}"


# Their hosts are in a signing request, which an expression cannot read.
_UNREADABLE = (
    "certificaterequests.cert-manager.io",
    "orders.acme.cert-manager.io",
    "challenges.acme.cert-manager.io",
)


def policy_spec(args: PublicHostsArgs) -> Manifest:
    """The spec of the ValidatingAdmissionPolicy."""
    operations = ["CREATE", "UPDATE"]
    lent = f" && !{_LENT_HERE}" if args.lent else ""
    cert_manager = f"system:serviceaccount:{args.cert_manager_namespace}:{CERT_MANAGER_ACCOUNT}"
    rules = [
        {"apiGroups": [group], "apiVersions": ["*"], "operations": operations, "resources": list(resources)}
        for group, resources in JUDGED.items()
    ]
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": rules},
        "matchConditions": [
            {"name": "not-cert-manager", "expression": f"request.userInfo.username != '{cert_manager}'"},
            # A preview shows a route before its host is listed, and stores nothing.
            {"name": "not-a-preview", "expression": f"!(request.dryRun && {_MAY_CHANGE})"},
            {
                "name": "names-a-host",
                "expression": (
                    "request.resource.resource != 'services' || "
                    f"{_annotations('object')}.exists(key, {_is_alias('key')})"
                ),
            },
            {"name": "names-changed", "expression": _changed()},
        ],
        "variables": [
            {"name": "resource", "expression": _RESOURCE},
            {"name": "mayChange", "expression": _MAY_CHANGE},
            {"name": "hosts", "expression": _host_map(args)},
            {"name": "own", "expression": "variables.hosts[?request.namespace].orValue([])"},
            *([{"name": "lent", "expression": _lent(args)}] if args.lent else []),
            {"name": "clusterIssuer", "expression": _CLUSTER_ISSUER},
            {"name": "named", "expression": _named()},
            {
                "name": "refused",
                "expression": (
                    f"variables.named.map(hosts, hosts.filter(host, !variables.own.{_COVERS} && !{_IS_NEW}{lent}))"
                    ".filter(hosts, hosts.size() > 0)"
                ),
            },
            {
                "name": "theirs",
                "expression": (
                    "request.namespace + ' has ' + (variables.own.size() > 0 ? variables.own.join(', ') : 'none') + "
                    "': the hosts of its public services, and those under ingress.hosts of the stack file'"
                    + (_LENT_TEXT if args.lent else "")
                ),
            },
        ],
        "validations": [
            {
                "expression": "variables.refused.size() == 0",
                "reason": "Forbidden",
                "messageExpression": (
                    "'namespace ' + request.namespace + ' may not name ' + "
                    "(variables.refused[0][0] == '' ? 'every host, as what names no host does' : "
                    "'the host ' + variables.refused[0][0]) + '; ' + variables.theirs"
                ),
                "message": "a host of another namespace, or of none",
            },
            {
                "expression": f"{_ALL} || !({_OTHER})",
                "reason": "Forbidden",
                "messageExpression": (
                    "'namespace ' + request.namespace + ' may not request a certificate for an address, a URI, a mail "
                    "address, a subject or an authority: only for its hosts; ' + variables.theirs"
                ),
                "message": "a certificate for something other than the namespace's hosts",
            },
            {
                "expression": f"{_ALL} || !(variables.resource in {_cel_list(_UNREADABLE)})",
                "reason": "Forbidden",
                "message": "only cert-manager makes this object, from a Certificate: create a Certificate instead",
            },
        ],
    }


def binding_spec(args: PublicHostsArgs) -> Manifest:
    """The spec of the binding, to every namespace but the platform's own."""
    others = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": sorted(args.platform_namespaces)}
    return {
        "policyName": PUBLIC_HOSTS,
        "validationActions": _ACTIONS[args.action],
        "matchResources": {"namespaceSelector": {"matchExpressions": [others]}},
    }


class PublicHosts(pulumi.ComponentResource):
    """The native policy that ties each host to a namespace, and its binding.

    The API server evaluates it, so it holds while Kyverno is down.
    """

    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: PublicHostsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:PublicHosts", name, None, opts)
        # A host of another namespace is no new one, so that even the deployer's route waits for the policy.
        settled = pulumi.ResourceOptions(
            hooks=pulumi.ResourceHookBinding(after_update=[pulumi.ResourceHook(f"{name}.settle", settle)])
        )
        policy = KubernetesObject(
            name,
            of_kind("ValidatingAdmissionPolicy", metadata={"name": PUBLIC_HOSTS}, spec=policy_spec(args)),
            pulumi.ResourceOptions.merge(pulumi.ResourceOptions(parent=self), settled if args.lent else None),
        )
        binding = KubernetesObject(
            name,
            of_kind("ValidatingAdmissionPolicyBinding", metadata={"name": PUBLIC_HOSTS}, spec=binding_spec(args)),
            pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.ready = [policy, binding]
        self.register_outputs({"policy": PUBLIC_HOSTS})
