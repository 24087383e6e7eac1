"""Layers as others installed them: the objects that charts make with the values on which the stack relies."""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import yaml

from components.kube.cluster import Answer, Call, Cluster
from components.kube.finding import Line

Body = dict[str, Any]

APPS, RBAC = "/apis/apps/v1", "/apis/rbac.authorization.k8s.io/v1"
HOOKS = "/apis/admissionregistration.k8s.io/v1"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
KYVERNO_CONFIG = "/api/v1/namespaces/kyverno/configmaps/kyverno"
MESH_CONFIG = "/api/v1/namespaces/istio-system/configmaps/istio"
INJECTOR_CONFIG = "/api/v1/namespaces/istio-system/configmaps/istio-sidecar-injector"
UNJUDGED = ("kube-system", "kyverno", "istio-system", "istio-ingress", "cert-manager", "vault")


@dataclass
class Living:
    """What is at each path of an API server, a list as a list. Nothing else is there."""

    at: dict[str, Any] = field(default_factory=dict[str, Any])
    calls: list[Call] = field(default_factory=list[Call])
    logs: dict[str, str] = field(default_factory=dict[str, str])

    def send(self, call: Call) -> Answer:
        self.calls.append(call)
        if call.path in self.logs:
            return Answer(200, text=self.logs[call.path])
        there = self.at.get(call.path)
        if there is None:
            return Answer(404, {"message": "not found"})
        if isinstance(there, int):
            return Answer(there, {"message": f"{call.path} is forbidden"})
        return Answer(200, {"items": there} if isinstance(there, list) else there)

    @property
    def cluster(self) -> Cluster:
        return Cluster(self.send, "context test (https://test)")

    def with_(self, path: str, there: Any) -> "Living":
        return Living({**deepcopy(self.at), path: there})

    def deployment(self, name: str) -> Body:
        """A Deployment to change."""
        return next(each for each in self.at[f"{APPS}/deployments"] if each["metadata"]["name"] == name)

    def copy(self) -> "Living":
        return Living(deepcopy(self.at))


def served(*kinds: str) -> Body:
    return {"resources": [{"name": f"{kind.lower()}s", "kind": kind} for kind in kinds]}


def deployment(
    namespace: str,
    name: str,
    labels: Mapping[str, str],
    image: str,
    *args: str,
    container: str = "",
    account: str = "",
    env: Mapping[str, str] | None = None,
) -> Body:
    variables = [{"name": key, "value": value} for key, value in (env or {}).items()]
    spec = {
        "serviceAccountName": account or name,
        "containers": [{"name": container or name, "image": image, "args": list(args), "env": variables}],
    }
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {"replicas": 1, "template": {"metadata": {"labels": dict(labels)}, "spec": spec}},
        "status": {"readyReplicas": 1},
    }


def hook(name: str, namespace: str, policy: str = "Fail", **labels: str) -> Body:
    webhook = {
        "name": name,
        "failurePolicy": policy,
        "clientConfig": {"service": {"namespace": namespace, "name": name}},
    }
    return {"metadata": {"name": name, "labels": labels}, "webhooks": [webhook]}


def kyverno() -> Living:
    def controller(component: str, *args: str, container: str = "controller") -> Body:
        name = f"kyverno-{component}"
        labels = {"app.kubernetes.io/part-of": "kyverno", "app.kubernetes.io/component": component}
        image = f"reg.kyverno.io/kyverno/{component}:v1.19.1"
        return deployment("kyverno", name, labels, image, *args, container=container)

    names = [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(UNJUDGED)}]
    config = {
        "excludeGroups": "system:nodes",
        "resourceFilters": "[Event,*,*] [*/*,kube-system,*] [Pod/binding,*,*] [ConfigMap,kyverno,kyverno]",
        "webhooks": json.dumps({"namespaceSelector": {"matchExpressions": names}}),
    }
    kinds = ("DeletingPolicy", "GeneratingPolicy", "ImageValidatingPolicy", "MutatingPolicy")
    return Living(
        {
            "/apis/policies.kyverno.io/v1": served(
                *kinds, "NamespacedDeletingPolicy", "PolicyException", "ValidatingPolicy"
            ),
            f"{APPS}/deployments": [
                controller(
                    "admission-controller",
                    "--enablePolicyException=true",
                    "--exceptionNamespace=kyverno",
                    "--generateValidatingAdmissionPolicy=true",
                    "--forceFailurePolicyIgnore=false",
                    container="kyverno",
                ),
                controller("background-controller"),
                controller("reports-controller", "--validatingAdmissionPolicyReports=true", "--backgroundScan=true"),
                controller("cleanup-controller"),
            ],
            KYVERNO_CONFIG: {"data": config},
            f"{RBAC}/clusterroles": [],
        }
    )


def istio(ambient: bool = False) -> Living:
    labels = {"app": "istiod", "istio.io/rev": "default"}
    mesh = {
        "trustDomain": "cluster.local",
        "rootNamespace": "istio-system",
        "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
        "pathNormalization": {"normalization": "DECODE_AND_MERGE_SLASHES"},
        "accessLogEncoding": "JSON",
    }
    values = {
        "global": {"hub": "docker.io/istio", "tag": "1.31.0", "proxy": {"image": "proxyv2", "includeIPRanges": "*"}},
        "pilot": {"cni": {"enabled": True}},
        "gateways": {"seccompProfile": {"type": "RuntimeDefault"}},
        "sidecarInjectorWebhook": {"rewriteAppHTTPProbe": True},
    }
    agents = ["istio-cni-node", *(["ztunnel"] if ambient else [])]
    env = {"PILOT_ENABLE_AMBIENT": "true"} if ambient else {"ENABLE_NATIVE_SIDECARS": "true"}
    return Living(
        {
            "/apis/security.istio.io/v1": served("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"),
            "/apis/networking.istio.io/v1": served("DestinationRule", "ServiceEntry", "Sidecar"),
            f"{APPS}/deployments": [
                deployment(
                    "istio-system", "istiod", labels, "docker.io/istio/pilot:1.31.0", container="discovery", env=env
                )
            ],
            f"{APPS}/daemonsets": [
                {
                    "metadata": {"name": name, "namespace": "istio-system"},
                    "spec": {"template": {"metadata": {"labels": {"k8s-app": name}}}},
                }
                for name in agents
            ],
            MESH_CONFIG: {"data": {"mesh": yaml.safe_dump(mesh)}},
            INJECTOR_CONFIG: {"data": {"values": json.dumps(values)}},
            f"{HOOKS}/mutatingwebhookconfigurations": [
                hook("istio-sidecar-injector", "istio-system", **{"istio.io/rev": "default"})
            ],
            f"{HOOKS}/validatingwebhookconfigurations": [
                hook("istio-validator-istio-system", "istio-system", **{"istio.io/rev": "default"})
            ],
            "/api/v1/namespaces": [],
        }
    )


def changed(living: Living, path: str, key: str, **changes: Any) -> Living:
    """A cluster whose ConfigMap has other settings under a key, in YAML or in JSON; `None` takes one out."""
    whole = living.copy()
    data = whole.at[path]["data"]
    settings = yaml.safe_load(data[key])
    for name, value in changes.items():
        *parents, last = name.split("__")
        place = settings
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is None:
            place.pop(last)
        else:
            place[last] = value
    data[key] = json.dumps(settings)
    return whole


def cert_manager() -> Living:
    def controller(component: str, name: str, *args: str) -> Body:
        labels = {
            "app.kubernetes.io/name": "cert-manager" if component == "controller" else component,
            "app.kubernetes.io/component": component,
        }
        image = f"quay.io/jetstack/cert-manager-{component}:v1.21.2"
        return deployment("cert-manager", name, labels, image, *args)

    return Living(
        {
            "/apis/cert-manager.io/v1": served("Certificate", "CertificateRequest", "ClusterIssuer", "Issuer"),
            f"{APPS}/deployments": [
                controller(
                    "controller",
                    "cert-manager",
                    "--cluster-resource-namespace=$(POD_NAMESPACE)",
                    "--leader-election-namespace=kube-system",
                    "--enable-gateway-api",
                ),
                controller("webhook", "cert-manager-webhook"),
                controller("cainjector", "cert-manager-cainjector"),
            ],
            f"{HOOKS}/validatingwebhookconfigurations": [hook("cert-manager-webhook", "cert-manager")],
            f"{RBAC}/clusterroles": [],
        }
    )


def gateway_api(version: str = "v1.6.0", *fields: str) -> Living:
    """The definitions; `fields` are those of a rule, `filters.cors` for one."""
    properties: Body = {"matches": {}}
    for text in fields:
        *parents, last = text.split(".")
        place = properties
        for parent in parents:
            place = place.setdefault(parent, {"items": {"properties": {}}})["items"]["properties"]
        place[last] = {"type": "object"}
    rules = {"type": "array", "items": {"properties": properties}}
    schema = {"openAPIV3Schema": {"properties": {"spec": {"properties": {"rules": rules}}}}}
    annotations = {"gateway.networking.k8s.io/bundle-version": version}
    return Living(
        {
            "/apis/gateway.networking.k8s.io/v1": served("Gateway", "GatewayClass", "GRPCRoute", "HTTPRoute"),
            f"{DEFINITIONS}/httproutes.gateway.networking.k8s.io": {
                "metadata": {"annotations": annotations},
                "spec": {"versions": [{"name": "v1", "schema": schema}]},
            },
        }
    )


def external_secrets() -> Living:
    def part_of(name: str) -> Body:
        labels = {"app.kubernetes.io/name": name}
        return deployment("external-secrets", name, labels, "ghcr.io/external-secrets/external-secrets:v0.16.2")

    return Living(
        {
            "/apis/external-secrets.io/v1": served("ExternalSecret", "SecretStore"),
            f"{APPS}/deployments": [part_of("external-secrets"), part_of("external-secrets-webhook")],
            f"{HOOKS}/validatingwebhookconfigurations": [hook("secretstore-validate", "external-secrets")],
            f"{RBAC}/clusterroles": [],
            f"{RBAC}/clusterrolebindings": [],
        }
    )


ELSEWHERE = {"kyverno": "policy", "istio-system": "mesh-root", "cert-manager": "pki", "external-secrets": "copies"}
"""Other namespaces of the layers."""


def moved(living: Living) -> Living:
    """The same layers, each installed in another namespace."""
    text = json.dumps(living.at)
    for own, other in ELSEWHERE.items():
        for place in ('"namespace": "{}"', "/namespaces/{}/", "rootNamespace: {}"):
            text = text.replace(place.format(own), place.format(other))
        # What names a namespace in the text of a setting: a flag, a filter, and the webhooks' own list.
        text = text.replace(f"exceptionNamespace={own}", f"exceptionNamespace={other}")
        text = text.replace(f",{own},", f",{other},").replace(f'\\"{own}\\"', f'\\"{other}\\"')
    return Living(json.loads(text))


def objecting(lines: list[Line], result: str = "fails") -> dict[str, str]:
    """What the lines with a result say, by what they are about."""
    return {line.about: f"{line.found} {line.details} -> {line.fix}" for line in lines if line.result == result}
