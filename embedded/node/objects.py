"""What the node needs in the API server: rights of its programs, its DNS, and the choice of what runs on it."""

from typing import Any

from embedded.node.names import (
    API_PORT,
    CLUSTER_DOMAIN,
    DNS_ADDRESS,
    IMAGES_GATE,
    REAL,
    WORLD_ADDRESS,
)
from embedded.supervisor.kubernetes_api import KubernetesApi

_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
DNS_IMAGE = "registry.k8s.io/coredns/coredns:v1.15.0"
# Whose pods stay simulated: the host processes of the supervisor stand for them.
SIMULATED_NAMESPACES = (
    "cert-manager",
    "external-secrets",
    "istio-system",
    "kube-node-lease",
    "kube-public",
    "kube-system",
    "kyverno",
)
VAULT_NAMESPACE = "vault"
# Vault's servers run; its injector is played by the supervisor, since it is in no package registry.
_OF_THE_INJECTOR = (
    f"object.metadata.namespace == '{VAULT_NAMESPACE}' && has(object.metadata.labels)"
    " && 'app.kubernetes.io/name' in object.metadata.labels"
    " && object.metadata.labels['app.kubernetes.io/name'].endsWith('-agent-injector')"
)
_OWNERS = "object.metadata.ownerReferences"
_OF_A_DAEMON = f"has({_OWNERS}) && {_OWNERS}.exists(owner, owner.kind == 'DaemonSet')"
# A server block of its own for the cluster's names: in one, the answer that there is no such name would come first.
_COREFILE = f"""\
{CLUSTER_DOMAIN}:53 in-addr.arpa:53 ip6.arpa:53 {{
    errors
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 30
    }}
    cache 30
}}
.:53 {{
    errors
    health {{
        lameduck 5s
    }}
    ready
    template ANY ANY {{
        rcode NXDOMAIN
    }}
    reload
}}
"""

Manifest = dict[str, Any]


def ensure_objects(api: KubernetesApi) -> None:
    """Make them what they should be. Raises ``ApiError``."""
    for name, rules in (("embedded:kube-router", _POLICY_RULES), ("embedded:coredns", _DNS_RULES)):
        api.apply(f"/apis/{_RBAC}/v1/clusterroles", role(name, rules))
    dns = {"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}
    for name, subject in (
        ("embedded:kube-router", user("system:kube-router")),
        ("system:kubelet-api-admin", user("system:kubelet-client")),
        ("embedded:coredns", dns),
    ):
        api.apply(f"/apis/{_RBAC}/v1/clusterrolebindings", binding(name, subject))
    # Where the Service ``kubernetes`` leads: the API server itself publishes no address of loopback.
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    api.apply(slices, endpoint("kubernetes", WORLD_ADDRESS, API_PORT))
    for policy, bound in placement():
        api.apply(f"{_ADMISSION}/mutatingadmissionpolicies", policy)
        api.apply(f"{_ADMISSION}/mutatingadmissionpolicybindings", bound)
    api.apply("/api/v1/namespaces/kube-system/serviceaccounts", named("v1", "ServiceAccount", "coredns"))
    api.apply("/api/v1/namespaces/kube-system/configmaps", _dns_configuration())
    api.apply("/api/v1/namespaces/kube-system/services", _dns_service())
    api.apply("/apis/apps/v1/namespaces/kube-system/deployments", _dns_deployment())


def placement() -> list[tuple[Manifest, Manifest]]:
    """The policies that send pods to the node, and make each wait until the node has its images.

    They are the API server's own, so that no process has to answer for a pod to be admitted
    (https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/). A pod of the platform's own
    namespaces stays where it would be, but those of a DaemonSet are on every node.
    """
    elsewhere = [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(SIMULATED_NAMESPACES)}]
    selector = _added("nodeSelector", "{}", f"jsonpatch.escapeKey({REAL!r})", "'true'")
    tolerated = f"Object.spec.tolerations{{key: {REAL!r}, operator: 'Exists', effect: 'NoSchedule'}}"
    gate = f"Object.spec.schedulingGates{{name: {IMAGES_GATE!r}}}"
    tolerations, gates = _added("tolerations", "[]", "'-'", tolerated), _added("schedulingGates", "[]", "'-'", gate)
    everything = f"{selector} + {tolerations} + {gates}"
    return [
        _mutation("embedded-real-node", everything, elsewhere, f"!({_OF_A_DAEMON}) && !({_OF_THE_INJECTOR})"),
        _mutation("embedded-real-node-daemons", gates, [], _OF_A_DAEMON),
    ]


def _added(field: str, empty: str, key: str, value: str) -> str:
    """A patch that adds a value to a field of the pod's spec, which it makes when it is absent: JSON Patch would fail.

    In two steps, since the API server can't convert a list of objects with the version of CEL that it is built with.
    """
    made = f"JSONPatch{{op: 'add', path: '/spec/{field}', value: {empty}}}"
    added = f"JSONPatch{{op: 'add', path: '/spec/{field}/' + {key}, value: {value}}}"
    return f"(has(object.spec.{field}) ? [] : [{made}]) + [{added}]"


def _mutation(name: str, expression: str, namespaces: list[Manifest], condition: str) -> tuple[Manifest, Manifest]:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    policy = named("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy", name) | {
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {
                "namespaceSelector": {"matchExpressions": namespaces},
                "resourceRules": [rule],
            },
            "matchConditions": [{"name": "chosen", "expression": condition}],
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
        }
    }
    bound = named("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicyBinding", name)
    return policy, bound | {"spec": {"policyName": name}}


READ = ["get", "list", "watch"]
_POLICY_RULES: list[Manifest] = [
    {"apiGroups": [""], "resources": ["namespaces", "pods", "services", "nodes", "endpoints"], "verbs": READ},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": READ},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ},
]
_DNS_RULES: list[Manifest] = [
    {"apiGroups": [""], "resources": ["namespaces", "pods", "services"], "verbs": ["list", "watch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
]


def named(version: str, kind: str, name: str, **more: Any) -> Manifest:
    """The beginning of an object; ``more`` is further metadata."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **more}}


def role(name: str, rules: list[Manifest]) -> Manifest:
    """A ClusterRole with these rules."""
    return named(f"{_RBAC}/v1", "ClusterRole", name) | {"rules": rules}


def user(name: str) -> Manifest:
    """A user, by the name in its certificate, as the subject of a binding."""
    return {"apiGroup": _RBAC, "kind": "User", "name": name}


def binding(role: str, subject: Manifest) -> Manifest:
    """The binding of a subject to a ClusterRole."""
    made = named(f"{_RBAC}/v1", "ClusterRoleBinding", f"embedded:{role.removeprefix('embedded:')}")
    return made | {"roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role}, "subjects": [subject]}


def endpoint(service: str, address: str, port: int) -> Manifest:
    """The one endpoint of a Service, at its port ``https``."""
    labels = {"kubernetes.io/service-name": service}
    return named("discovery.k8s.io/v1", "EndpointSlice", service, labels=labels) | {
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }


_DNS_LABELS = {"k8s-app": "kube-dns"}


def _dns_configuration() -> Manifest:
    return named("v1", "ConfigMap", "coredns") | {"data": {"Corefile": _COREFILE}}


def _dns_service() -> Manifest:
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
    ]
    spec = {"clusterIP": DNS_ADDRESS, "selector": _DNS_LABELS, "ports": ports}
    return named("v1", "Service", "kube-dns", labels=_DNS_LABELS) | {"spec": spec}


def _dns_deployment() -> Manifest:
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    container = {
        "name": "coredns",
        "image": DNS_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": context,
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    pod = {
        "serviceAccountName": "coredns",
        "nodeSelector": {REAL: "true"},
        "tolerations": [{"operator": "Exists"}],
        "dnsPolicy": "Default",
        "priorityClassName": "system-cluster-critical",
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": _DNS_LABELS},
        "template": {"metadata": {"labels": _DNS_LABELS}, "spec": pod},
    }
    return named("apps/v1", "Deployment", "coredns", labels=_DNS_LABELS) | {"spec": spec}
