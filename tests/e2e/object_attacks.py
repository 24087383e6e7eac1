"""What a person with rights in a service's namespace asks for, to take over, read or open what belongs to a service."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from tests.e2e.admission import Admission
from tests.policy import cases
from tests.policy.cases import Manifest, merge

NAME = "reach"
NETWORKING, ISTIO, MESH, GATEWAY = (
    "networking.k8s.io/v1",
    "security.istio.io/v1",
    "networking.istio.io/v1",
    "gateway.networking.k8s.io/v1",
)
_PORTS = [{"port": 6379, "name": "tcp"}]

Attack = Callable[[Admission, str], str]
"""Sends the request, for a namespace, and returns the refusal; empty when the API server would have done it."""


def make(api_version: str, kind: str, name: str = NAME, labels: Manifest | None = None, **fields: Any) -> Attack:
    """Create an object."""
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": labels or {}}, **fields}
    return lambda tenant, namespace: tenant.dry_run("POST", manifest, namespace).message


def change(api_version: str, kind: str, name: str, patch: Manifest) -> Attack:
    """Change an object, by a JSON merge patch."""
    head = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}

    def send(tenant: Admission, namespace: str) -> str:
        body = tenant.request("GET", head, namespace)
        return tenant.dry_run("PUT", merge(body, patch), namespace).message

    return send


def report(api_version: str, kind: str, name: str, status: Manifest) -> Attack:
    """Change what a controller found out about an object."""
    head = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}

    def send(tenant: Admission, namespace: str) -> str:
        body = merge(tenant.request("GET", head, namespace), {"status": status})
        return tenant.dry_run("PUT", body, namespace, "status").message

    return send


def delete(api_version: str, kind: str, name: str) -> Attack:
    """Delete an object."""
    head = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}
    return lambda tenant, namespace: tenant.dry_run("DELETE", head, namespace).message


def run(kind: str, labels: Manifest | None = None, account: str = "workload", **spec: Any) -> Attack:
    """Run pods of its own that every rule admits, outside the mesh."""
    mine = {**cases.BASELINE["labels"], "app": "case", "sidecar.istio.io/inject": "false", **(labels or {})}
    made = cases.wrap(kind, NAME, {**cases.pod_spec({}), "serviceAccountName": account, **spec}, mine)
    if "selector" in made["spec"]:
        app = {"app": mine["app"]}
        made["spec"]["selector"] = app if kind == "ReplicationController" else {"matchLabels": app}
    # The object itself says nothing of the service.
    made["metadata"] = made["metadata"] if kind == "Pod" else {"name": NAME}
    return lambda tenant, namespace: tenant.dry_run("POST", _in(made, namespace), namespace).message


def _in(manifest: Manifest, namespace: str) -> Manifest:
    placed = deepcopy(manifest)
    placed["metadata"]["namespace"] = namespace
    return placed


def stamped(namespace: str, service: str = "newcomer") -> Manifest:
    """Labels as the program gives them to the objects of a service."""
    return {"app": service, "app.kubernetes.io/managed-by": "pulumi", "app.kubernetes.io/part-of": namespace}


def forestall(tenant: Admission, namespace: str) -> str:
    """Be there before a service comes, with the program's labels."""
    return make("v1", "ConfigMap", "newcomer-config", stamped(namespace), data={})(tenant, namespace)


def _a_pod(tenant: Admission, namespace: str, service: str = "redis") -> str:
    pods = tenant.plane.core.list_namespaced_pod(namespace, label_selector=f"app={service}")
    return pods.items[0].metadata.name


def relabel_a_pod(tenant: Admission, namespace: str) -> str:
    """Take a running pod of redis out of its Service and its policies."""
    name = _a_pod(tenant, namespace)
    return change("v1", "Pod", name, {"metadata": {"labels": {"app": "other"}}})(tenant, namespace)


def move_a_pod(tenant: Admission, namespace: str) -> str:
    """Say that a running pod of redis has another address: its Service sends connections there."""
    status = {"podIP": "10.244.9.9", "podIPs": [{"ip": "10.244.9.9"}]}
    return report("v1", "Pod", _a_pod(tenant, namespace), status)(tenant, namespace)


def bind_a_pod(tenant: Admission, namespace: str) -> str:
    """Say on which node a pod of redis runs."""
    name = _a_pod(tenant, namespace)
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}}
    body = {**binding, "target": {"apiVersion": "v1", "kind": "Node", "name": "node-a"}}
    return tenant.answer("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/binding?dryRun=All", body)


def annotate_a_pod(key: str) -> Attack:
    """Annotate a running pod of redis."""

    def send(tenant: Admission, namespace: str) -> str:
        name = _a_pod(tenant, namespace)
        return change("v1", "Pod", name, {"metadata": {"annotations": {key: "changed"}}})(tenant, namespace)

    return send


def stop(tenant: Admission, namespace: str) -> str:
    """Scale redis to nothing."""
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "redis", "namespace": namespace}}
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/redis/scale?dryRun=All"
    return tenant.answer("PUT", path, {**scale, "spec": {"replicas": 0}})


def _ingress(service: str, host: str = "mine.example.org") -> Manifest:
    backend = {"service": {"name": service, "port": {"number": 6379}}}
    return {"rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}


_OPEN = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}
_OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}
_ELSEWHERE = {
    "type": "ExternalName",
    "externalName": "evil.example.org",
    "selector": None,
    "clusterIP": None,
    "clusterIPs": None,
}
_CLOUD_ROLE = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}
_TO_REACH = [{"backendRefs": [{"name": NAME, "port": 6379}]}]


def _at(name: str, **fields: str) -> Manifest:
    """Where a route for the mesh is attached."""
    return {"parentRefs": [{"group": "", "kind": "Service", "name": name, **fields}], "rules": _TO_REACH}


def certificate(*names: str, issuer: str = "ClusterIssuer") -> Attack:
    """Request a certificate for names within the cluster."""
    spec = {"secretName": NAME, "dnsNames": [*names], "issuerRef": {"kind": issuer, "name": "letsencrypt-prod"}}
    return make("cert-manager.io/v1", "Certificate", spec=spec)


_QUOTA = {"hard": {"pods": "0"}}
_SCALER = {"minReplicas": 1, "maxReplicas": 9}

OF_EDIT: dict[str, Attack] = {
    **{f"an endpoint of redis, as {kind}": run(kind, {"app": "redis"}) for kind in cases.KINDS},
    "another selector for redis": change("v1", "Service", "redis", {"spec": {"selector": {"app": "case"}}}),
    "redis somewhere else": change("v1", "Service", "redis", {"spec": _ELSEWHERE}),
    "another port of redis": change("v1", "Service", "redis", {"spec": {"ports": [{**_PORTS[0], "targetPort": 8080}]}}),
    "no label on redis": change("v1", "Service", "redis", {"metadata": {"labels": {"app": None}}}),
    "no Service": delete("v1", "Service", "redis"),
    "a label of redis on its own": make("v1", "ConfigMap", labels={"app": "redis"}, data={}),
    "another way to redis": make("v1", "Service", spec={"selector": {"app": "redis"}, "ports": _PORTS}),
    "another way by another label": make(
        "v1", "Service", spec={"selector": {"app.kubernetes.io/name": "redis"}, "ports": _PORTS}
    ),
    "a way to every service": make("v1", "Service", spec={"selector": {"team": "commerce"}, "ports": _PORTS}),
    "a policy that opens everything": make(NETWORKING, "NetworkPolicy", spec=_OPEN),
    "the policy of redis changed": change(NETWORKING, "NetworkPolicy", "redis", {"spec": {"ingress": [{}]}}),
    "no policy of redis": delete(NETWORKING, "NetworkPolicy", "redis"),
    "no default": delete(NETWORKING, "NetworkPolicy", "default-deny"),
    "the default changed": change(NETWORKING, "NetworkPolicy", "default-deny", {"spec": {"policyTypes": ["Ingress"]}}),
    "an Ingress to redis": make(NETWORKING, "Ingress", spec=_ingress("redis")),
    "an Ingress for the host of api": make(NETWORKING, "Ingress", spec=_ingress(NAME, "api.example.org")),
    "the keys of the host of api": make(
        NETWORKING, "Ingress", spec={**_ingress(NAME), "tls": [{"hosts": ["mine.example.org", "api.example.org"]}]}
    ),
    "the Deployment stopped": stop,
    "no Deployment": delete("apps/v1", "Deployment", "redis"),
    "an autoscaler": make(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        spec={**_SCALER, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "redis"}},
    ),
    "no disruption budget": delete("policy/v1", "PodDisruptionBudget", "api"),
    "a disruption budget for all": make("policy/v1", "PodDisruptionBudget", spec={"maxUnavailable": 0, "selector": {}}),
    "no service account": delete("v1", "ServiceAccount", "redis"),
    "the account as an identity of a cloud": change(
        "v1", "ServiceAccount", "redis", {"metadata": {"annotations": _CLOUD_ROLE}}
    ),
    "the Service given to the garbage collector": change(
        "v1", "Service", "redis", {"metadata": {"ownerReferences": [_OWNER]}}
    ),
    "the place of a service to come": forestall,
    "a pod out of its Service": relabel_a_pod,
    "a pod out of the mesh": annotate_a_pod("ambient.istio.io/redirection"),
    "another address of a pod, for the network": annotate_a_pod("cni.projectcalico.org/podIP"),
    "the mesh's authority": change("v1", "ConfigMap", "istio-ca-root-cert", {"data": {"root-cert.pem": "another"}}),
}
"""What the role `edit` has the rights for."""

OF_MORE: dict[str, Attack] = {
    "an endpoint written by hand": make(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        labels={"kubernetes.io/service-name": "redis"},
        addressType="IPv4",
        endpoints=[{"addresses": ["10.244.9.9"]}],
        ports=[{"port": 6379, "protocol": "TCP"}],
    ),
    "callers of no name": make(ISTIO, "AuthorizationPolicy", spec={"action": "ALLOW", "rules": [{}]}),
    "plaintext": make(ISTIO, "PeerAuthentication", spec={"mtls": {"mode": "PERMISSIVE"}}),
    "callers sent elsewhere": make(
        MESH,
        "VirtualService",
        spec={
            "hosts": ["redis.shop.svc.cluster.local"],
            "tcp": [{"route": [{"destination": {"host": "evil.shop.svc.cluster.local"}}]}],
        },
    ),
    "callers that accept anybody": make(
        MESH,
        "DestinationRule",
        spec={"host": "redis.shop.svc.cluster.local", "trafficPolicy": {"tls": {"mode": "DISABLE"}}},
    ),
    "a route to redis": make(
        GATEWAY,
        "HTTPRoute",
        spec={
            "parentRefs": [{"name": "public", "namespace": "istio-ingress"}],
            "hostnames": ["api.example.org"],
            "rules": [{"backendRefs": [{"name": "redis", "port": 6379}]}],
        },
    ),
    "a Gateway in the place of redis": make(
        GATEWAY,
        "Gateway",
        spec={
            "gatewayClassName": "istio",
            "listeners": [{"name": "http", "port": 6379, "protocol": "HTTP"}],
        },
    ),
    "the dry run of a policy": change(
        ISTIO, "AuthorizationPolicy", "redis", {"metadata": {"annotations": {"istio.io/dry-run": "true"}}}
    ),
    "another address of a pod": move_a_pod,
    "no pod of api may be moved": report("policy/v1", "PodDisruptionBudget", "api", {"disruptionsAllowed": 0}),
    "a Deployment that is not there": report("apps/v1", "Deployment", "redis", {"observedGeneration": 0}),
    "a route that nobody accepted": report(GATEWAY, "HTTPRoute", "api", {"parents": []}),
    "no pod in the namespace": make("v1", "ResourceQuota", spec=_QUOTA),
    "no memory for a pod": make("v1", "LimitRange", spec={"limits": [{"type": "Container", "max": {"memory": "1Mi"}}]}),
    **{
        f"callers of redis sent elsewhere, by {kind}": make(GATEWAY, kind, spec=_at("redis"))
        for kind in ("HTTPRoute", "GRPCRoute", "TCPRoute")
    },
    "callers of another namespace's Service sent elsewhere": make(
        GATEWAY, "HTTPRoute", spec=_at("vault", namespace="vault")
    ),
    "a copy of requests to redis": make(
        GATEWAY,
        "HTTPRoute",
        spec={
            **_at(NAME),
            "rules": [
                {
                    "backendRefs": [
                        {
                            "name": NAME,
                            "port": 6379,
                            "filters": [
                                {
                                    "type": "RequestMirror",
                                    "requestMirror": {"backendRef": {"name": "redis", "port": 6379}},
                                }
                            ],
                        }
                    ]
                }
            ],
        },
    ),
    "a certificate with the name of redis": certificate(f"{NAME}.shop.svc", "redis.shop.svc.cluster.local"),
    "a certificate with the names of its pods": certificate("*.redis.shop.svc"),
    "a certificate with every name": certificate("*.shop.svc"),
    "no policy of the mesh": delete(ISTIO, "AuthorizationPolicy", "redis"),
}
"""What needs rights on the platform's own kinds, which the built-in roles have not."""

ALLOWED: dict[str, Attack] = {
    **{f"its own program, as {kind}": run(kind) for kind in cases.KINDS},
    "its own ConfigMap": make("v1", "ConfigMap", data={"key": "value"}),
    "its own Secret": make("v1", "Secret", stringData={"key": "value"}),
    "its own Service": make("v1", "Service", spec={"selector": {"app": "case"}, "ports": _PORTS}),
    "its own Ingress": make(NETWORKING, "Ingress", spec=_ingress(NAME)),
    "its own claim": make(
        "v1",
        "PersistentVolumeClaim",
        spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    ),
    "its own claim in a pod": run(
        "Pod", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data-of-mine"}}]
    ),
    "its own Secret in a pod": run("Pod", volumes=[{"name": "data", "secret": {"secretName": "of-mine"}}]),
    "its own autoscaler": make(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        spec={**_SCALER, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}},
    ),
    "its own account": make("v1", "ServiceAccount"),
    "its own disruption budget": make(
        "policy/v1", "PodDisruptionBudget", spec={"maxUnavailable": 1, "selector": {"matchLabels": {"app": "case"}}}
    ),
    "a finalizer": change("v1", "Service", "redis", {"metadata": {"finalizers": ["example.org/load-balancer"]}}),
}
"""What is a tenant's own, or changes nothing that matters."""

ALLOWED_MORE: dict[str, Attack] = {
    "a route at its own Service": make(GATEWAY, "HTTPRoute", spec=_at(NAME)),
    "a certificate with its Service's name": certificate(f"{NAME}.shop.svc"),
    "a certificate of its own authority": certificate("redis.shop.svc", issuer="Issuer"),
    "a Lease": make("coordination.k8s.io/v1", "Lease", spec={"holderIdentity": NAME}),
}
"""The same, with rights on the platform's own kinds."""

OF_A_DRIVER: dict[str, Attack] = {
    "what a network's driver notes on a pod": annotate_a_pod("vpc.amazonaws.com/pod-eni"),
    "the address of a pod": move_a_pod,
    "a quota": make("v1", "ResourceQuota", spec=_QUOTA),
}
"""What somebody does who works on the objects of all namespaces."""
