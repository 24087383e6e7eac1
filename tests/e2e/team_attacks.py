"""What somebody with the rights of a team's deployer sends beyond its team: each is a request that has to be refused.

The first ones are for other namespaces and other kinds, which the deployer has no right to. The others are for what its
role lets it write, and no program has to be the project's own to send them.
"""

from collections.abc import Callable
from typing import Any

from components.kube.names import TEAMS_NAMESPACE
from tests.policy import cases

OWN, OTHER = "payments", "ledger"
_ISTIO, _RBAC = "networking.istio.io/v1", "rbac.authorization.k8s.io/v1"
Manifest = dict[str, Any]
DEPLOYER = {"kind": "ServiceAccount", "name": OWN, "namespace": "platform-teams"}


def thing(api: str, kind: str, spec: Manifest, name: str = "evil", namespace: str = OWN, **fields: Any) -> Manifest:
    """An object of a namespace."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **({"spec": spec} if spec else {}), **fields}


def deployment(change: Callable[[Manifest], object] | None = None, namespace: str = OWN) -> Manifest:
    """A Deployment that keeps to every rule, but for a change of its pods' template."""
    spec = {**cases.pod_spec({}), "serviceAccountName": "workload"}
    # Those of the cases keep the mesh's injector away, which no team may.
    labels = {key: text for key, text in cases.BASELINE["labels"].items() if "istio.io/" not in key}
    made = cases.wrap("Deployment", "evil", spec, labels)
    made["metadata"] |= {"name": "evil", "namespace": namespace}
    if change:
        change(made["spec"]["template"])
    return made


def of_pod(**fields: Any) -> Manifest:
    """A Deployment whose pods have these fields too."""
    return deployment(lambda template: template["spec"].update(fields))


def of_container(**fields: Any) -> Manifest:
    """A Deployment whose container has these fields too."""
    return deployment(lambda template: template["spec"]["containers"][0].update(fields))


def of_metadata(kind: str, **fields: str) -> Manifest:
    """A Deployment whose pods have these labels or annotations too."""
    return deployment(lambda template: template["metadata"].setdefault(kind, {}).update(fields))


def policy(egress: list[Manifest], name: str = "evil") -> Manifest:
    """A NetworkPolicy that opens a way out."""
    spec = {"podSelector": {"matchLabels": {"app": "checkout"}}, "policyTypes": ["Egress"], "egress": egress}
    return thing("networking.k8s.io/v1", "NetworkPolicy", spec, name)


def entry(**fields: Any) -> Manifest:
    """A ServiceEntry."""
    spec = {"hosts": ["api.example.com"], "exportTo": ["."], "location": "MESH_EXTERNAL", "resolution": "DNS"}
    return thing(
        _ISTIO, "ServiceEntry", {**spec, "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}], **fields}
    )


_HTTPS = [{"port": 443, "protocol": "TCP"}]
_OPEN = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}
_ALLOW: Manifest = {"action": "ALLOW", "rules": [{}]}

WITHOUT_RIGHT: dict[str, Manifest] = {
    "another team's namespace": deployment(namespace=OTHER),
    "a wider callee: its network": thing("networking.k8s.io/v1", "NetworkPolicy", _OPEN, namespace=OTHER),
    "a wider callee: its callers": thing("security.istio.io/v1", "AuthorizationPolicy", _ALLOW, namespace=OTHER),
    "the mesh's root namespace": thing("security.istio.io/v1", "AuthorizationPolicy", _ALLOW, namespace="istio-system"),
    "the mode of the mesh": thing("security.istio.io/v1", "PeerAuthentication", {"mtls": {"mode": "DISABLE"}}),
    "a filter in every proxy": thing("networking.istio.io/v1alpha3", "EnvoyFilter", {}),
    "an exception": thing(
        "policies.kyverno.io/v1",
        "PolicyException",
        {"policyRefs": [{"name": "disallow-privileged", "kind": "ValidatingPolicy"}]},
        namespace="kyverno",
    ),
    "an exception in its own namespace": thing(
        "policies.kyverno.io/v1",
        "PolicyException",
        {"policyRefs": [{"name": "disallow-privileged", "kind": "ValidatingPolicy"}]},
    ),
    "all rights, by a binding": thing(
        _RBAC,
        "RoleBinding",
        {},
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        subjects=[DEPLOYER],
    ),
    "its own role in another namespace": thing(
        _RBAC,
        "RoleBinding",
        {},
        namespace=OTHER,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "team-deployer"},
        subjects=[DEPLOYER],
    ),
    "a role with more": thing(_RBAC, "Role", {}, rules=[{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]),
    "a Secret": thing("v1", "Secret", {}),
    "a bare pod": thing("v1", "Pod", cases.pod_spec({})),
    "a larger quota": thing("v1", "ResourceQuota", {"hard": {"pods": "1000"}}),
    "another deployer's account": thing("v1", "ServiceAccount", {}, namespace="platform-teams"),
    "a gateway of its own": thing(_ISTIO, "Gateway", {"servers": []}),
    "a certificate": thing("cert-manager.io/v1", "Certificate", {"secretName": "x", "issuerRef": {"name": "ca"}}),
}

NOT_GRANTED: dict[str, dict[str, Manifest]] = {
    "a network outside the cluster": {
        "any network": policy([{}]),
        "any network at one port": policy([{"ports": _HTTPS}]),
        "every address": policy([{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": _HTTPS}]),
        "a node's identity": policy([{"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}], "ports": _HTTPS}]),
        "a network beside the approved one": policy(
            [{"to": [{"ipBlock": {"cidr": "203.0.112.0/23"}}], "ports": _HTTPS}]
        ),
        "every port of an approved network": policy([{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}]),
    },
    "a host outside the cluster": {
        "another host": entry(hosts=["exfil.example.net"]),
        "every host": entry(hosts=["*.example.net"]),
        "a host that is an address of the cluster": entry(endpoints=[{"address": "10.0.0.7"}]),
        "a host for every namespace": entry(exportTo=["*"]),
    },
    "hosts that nobody declared": {
        "a proxy without limits": thing(_ISTIO, "Sidecar", {"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}}),
    },
    "a host that is not this namespace's": {
        "another's connections": thing(_ISTIO, "DestinationRule", {"host": "book.ledger.svc.cluster.local"}),
    },
    "nodes that are not those of a class": {
        "nodes of another class": of_pod(nodeSelector={"node-role.kubernetes.io/control-plane": ""}),
        "one node by its name": of_pod(nodeName="node-1"),
    },
    "a toleration that is not": {
        "every taint": of_pod(tolerations=[{"operator": "Exists"}]),
        "the taint of another class": of_pod(tolerations=[{"key": "other", "operator": "Exists"}]),
    },
    "a priority or a runtime": {
        "a priority over others": of_pod(priorityClassName="system-cluster-critical"),
        "another runtime": of_pod(runtimeClassName="host"),
    },
    "only a patch has": {
        "names of its own in the hosts file": of_pod(
            hostAliases=[{"ip": "10.0.0.7", "hostnames": ["vault.vault.svc"]}]
        ),
        "another resolver": of_pod(dnsPolicy="None", dnsConfig={"nameservers": ["203.0.113.7"]}),
        "a hook beside the start": of_container(lifecycle={"postStart": {"exec": {"command": ["sh"]}}}),
    },
    "leaves the mesh": {
        "a pod without a proxy, by a label": of_metadata("labels", **{"sidecar.istio.io/inject": "false"}),
        "a pod without a proxy, by an annotation": of_metadata("annotations", **{"sidecar.istio.io/inject": "false"}),
        "a port past the proxy": of_metadata("annotations", **{"traffic.sidecar.istio.io/excludeOutboundPorts": "443"}),
        "a router, which nothing redirects": of_metadata("annotations", **{"inject.istio.io/templates": "gateway"}),
        "a proxy of its own": of_metadata(
            "annotations",
            **{
                "proxy.istio.io/overrides": '{"initContainers": [{"name": "istio-proxy", "args": ["proxy", "router"]}]}'
            },
        ),
        "another network": of_metadata("annotations", **{"k8s.v1.cni.cncf.io/networks": "storage"}),
    },
    "a Service that is open to the outside": {
        "a Service for the outside": thing("v1", "Service", {"type": "LoadBalancer", "ports": [{"port": 443}]}),
        "a Service that is another host": thing(
            "v1", "Service", {"type": "ExternalName", "externalName": "evil.example.net"}
        ),
    },
    "the mesh's control plane would fetch": {
        "keys from wherever an address leads": thing(
            "security.istio.io/v1",
            "RequestAuthentication",
            {"jwtRules": [{"issuer": "https://a.example.net", "jwksUri": "https://169.254.169.254/"}]},
        ),
        "keys from wherever an issuer leads": thing(
            "security.istio.io/v1", "RequestAuthentication", {"jwtRules": [{"issuer": "https://10.0.0.7"}]}
        ),
    },
    "makes in every namespace": {
        "the default deny of its own": policy([], name="default-deny"),
    },
}
"""By a part of the sentence with which admission refuses it."""

PAST_THE_MESH: dict[str, Manifest] = {
    "the proxy's name, which is not redirected": of_container(name="istio-proxy", args=["proxy", "router"]),
    "the name that keeps the plugin away": of_container(name="istio-init"),
    "the proxy as its own user": of_pod(
        initContainers=[
            {
                **cases.BASELINE["injected"]["initContainers"][1],
                # Of two rules that refuse, the API server names one: this image is approved.
                "image": cases.BASELINE["container"]["image"],
                "securityContext": {**cases.BASELINE["container"]["securityContext"], "runAsUser": 1000},
                "volumeMounts": [],
            }
        ]
    ),
    "the user of the proxy": of_container(
        securityContext={**cases.BASELINE["container"]["securityContext"], "runAsUser": 1337}
    ),
}
"""Containers that the mesh's plugin would not redirect, which a rule of the library refuses to everybody."""

GRANTED: dict[str, Manifest] = {
    "a Deployment": deployment(),
    "a part of an approved network": policy([{"to": [{"ipBlock": {"cidr": "203.0.113.128/25"}}], "ports": _HTTPS}]),
    "an approved host": entry(),
    "nodes of its class": of_pod(
        nodeSelector={"pool": "gpu"},
        tolerations=[{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        priorityClassName="high",
    ),
}
# What a deployer asks for and does not get: of the cluster, and of Vault.
OF_OTHERS = [
    "/api/v1/secrets",
    "/api/v1/namespaces/kyverno/secrets",
    "/api/v1/namespaces/payments/secrets",
    "/api/v1/namespaces/ledger/pods",
    "/apis/networking.k8s.io/v1/namespaces/ledger/networkpolicies",
    f"/api/v1/namespaces/{TEAMS_NAMESPACE}/configmaps",
]
WRITTEN_IN_VAULT = [
    "secret/data/ledger/book/key",
    "secret/data/shop/api/database",
    "secret/data/payments/checkout",
    "sys/policies/acl/payments.checkout",
    "sys/policies/acl/team_services",
    "sys/policies/acl/team_deployer_payments",
    "auth/kubernetes/role/payments.checkout",
    "auth/kubernetes/role/team_payments",
    "auth/token/create",
    "database/config/shop",
    "database/roles/ledger.book",
    "sys/mounts/mine",
    "sys/auth/mine",
]
READ_IN_VAULT = [
    "secret/data/payments/checkout/stripe",
    "secret/data/ledger/book/key",
    "secret/metadata/payments",
    "database/creds/payments.checkout",
    "sys/policies/acl/team_services",
    "auth/kubernetes/role/team_payments",
]
