"""The public door: cert-manager and its issuers, and one Gateway with TLS for every host."""

import re
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import Namespace
from pulumi_kubernetes.helm.v3 import Release
from pulumi_kubernetes.yaml.v2 import ConfigFile

from components import ingress_issuers as issuers
from components.charts import CERT_MANAGER, GATEWAY_API_CRDS
from components.custom_object import custom_object
from components.mesh_security import SECURITY_API

GATEWAY = "public"
# Istio names the Deployment and the service account of a Gateway after the Gateway and its class.
GATEWAY_ACCOUNT = f"{GATEWAY}-istio"
GATEWAY_API = "gateway.networking.k8s.io/v1"
CIPHER_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
)

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

Manifest = dict[str, Any]


@dataclass(frozen=True)
class SecureIngressArgs:
    """The decisions of a posture for the door, and what is public behind it.

    `issuer` is `letsencrypt-prod`, `letsencrypt-staging`, `ca` or `none` (nothing is created). `kind` is
    `gateway-api` (one Gateway of Istio's) or `ingress` (each service brings its own Ingress). `hosts` are the public
    host names; only the namespaces in `route_namespaces` may attach a route to them. `deny_by_default` says that the
    mesh has a default deny, which the Gateway then needs an allow beside. Raises `ValueError` naming the field that is
    missing or wrong.
    """

    charts_dir: str | None
    issuer: str
    kind: str = "gateway-api"
    acme_email: str | None = None
    ingress_class: str | None = None
    gateway_namespace: str = "istio-ingress"
    hosts: tuple[str, ...] = ()
    route_namespaces: tuple[str, ...] = ()
    replicas: int = 2
    deny_by_default: bool = True

    def __post_init__(self) -> None:
        if self.kind not in ("gateway-api", "ingress"):
            raise ValueError(f"kind: {self.kind!r}; legal are gateway-api and ingress")
        issuers.check(self.issuer, self.acme_email)
        if issuers.is_acme(self.issuer) and self.kind == "ingress" and not self.ingress_class:
            raise ValueError(f"ingress_class: {self.issuer} answers its challenge through an Ingress; name its class")
        if self.replicas < 1:
            raise ValueError(f"replicas: {self.replicas} cert-managers renew nothing; set 1 or more")
        self._check_hosts()

    def _check_hosts(self) -> None:
        for host in self.hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"hosts: {host!r} is no host name; write it in lower case, without scheme or wildcard")
        twice = sorted({host for host in self.hosts if self.hosts.count(host) > 1})
        if twice:
            raise ValueError(f"hosts: {twice[0]!r} is claimed twice; a host belongs to one service")
        if self.kind == "gateway-api" and self.hosts and not self.route_namespaces:
            raise ValueError(
                f"route_namespaces: no namespace may attach a route to {self.hosts[0]}; "
                "name the namespaces of the public services"
            )


def cert_manager_values(replicas: int, gateway_api: bool) -> Manifest:
    """The values of the cert-manager chart (https://cert-manager.io/docs/installation/helm/).

    The start-up check stays on: a ready Deployment does not mean that the webhook answers.
    """
    followers = min(replicas, 2)
    disruption = {"enabled": replicas > 1}
    return {
        "crds": {"enabled": True, "keep": False},
        "replicaCount": followers,
        "podDisruptionBudget": disruption,
        "webhook": {"replicaCount": replicas, "podDisruptionBudget": disruption},
        "cainjector": {"replicaCount": followers, "podDisruptionBudget": disruption},
        # Leases in its own namespace need no right in kube-system.
        "global": {"leaderElection": {"namespace": issuers.NAMESPACE}},
        "startupapicheck": {"enabled": True},
        "extraArgs": ["--enable-gateway-api"] if gateway_api else [],
    }


def certificate(host: str, args: SecureIngressArgs) -> Manifest:
    """The certificate of one host, renewed a month before it ends (https://cert-manager.io/docs/usage/certificate/)."""
    return {
        "apiVersion": issuers.API,
        "kind": "Certificate",
        "metadata": {"name": host, "namespace": args.gateway_namespace},
        "spec": {
            "secretName": f"{host}-tls",
            "dnsNames": [host],
            "duration": "2160h0m0s",
            "renewBefore": "720h0m0s",
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "usages": ["digital signature", "server auth"],
            "issuerRef": {"name": args.issuer, "kind": "ClusterIssuer", "group": "cert-manager.io"},
        },
    }


def gateway(args: SecureIngressArgs) -> Manifest:
    """The Gateway: one HTTP listener that redirects, one HTTPS listener per host (SNI picks the certificate).

    TLS below 1.2 is refused by Istio's own default. https://gateway-api.sigs.k8s.io/api-types/gateway/
    """
    return {
        "apiVersion": GATEWAY_API,
        "kind": "Gateway",
        "metadata": {"name": GATEWAY, "namespace": args.gateway_namespace},
        "spec": {
            "gatewayClassName": "istio",
            "listeners": [
                {
                    "name": "http",
                    "port": 80,
                    "protocol": "HTTP",
                    # The redirect and cert-manager's challenge, which are both here; no service is reached in clear.
                    "allowedRoutes": {"namespaces": {"from": "Same"}},
                },
                *(_https_listener(host, args.route_namespaces) for host in args.hosts),
            ],
        },
    }


def _https_listener(host: str, route_namespaces: tuple[str, ...]) -> Manifest:
    return {
        "name": f"https-{host}",
        "hostname": host,
        "port": 443,
        "protocol": "HTTPS",
        "tls": {
            "mode": "Terminate",
            "certificateRefs": [{"group": "", "kind": "Secret", "name": f"{host}-tls"}],
            "options": {"gateway.istio.io/tls-cipher-suites": ",".join(CIPHER_SUITES)},
        },
        "allowedRoutes": {
            "namespaces": {
                "from": "Selector",
                "selector": {
                    "matchExpressions": [
                        {
                            "key": "kubernetes.io/metadata.name",
                            "operator": "In",
                            "values": sorted(set(route_namespaces)),
                        }
                    ]
                },
            }
        },
    }


def redirect(args: SecureIngressArgs) -> Manifest:
    """The route that answers every plain HTTP request with the HTTPS address."""
    return {
        "apiVersion": GATEWAY_API,
        "kind": "HTTPRoute",
        "metadata": {"name": "redirect-to-https", "namespace": args.gateway_namespace},
        "spec": {
            "parentRefs": [{"name": GATEWAY, "sectionName": "http"}],
            "rules": [
                {
                    "filters": [
                        {"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}},
                    ]
                }
            ],
        },
    }


def gateway_allow(args: SecureIngressArgs) -> Manifest:
    """What the mesh-wide default deny needs as an exception: anybody may reach the Gateway's own two ports.

    Enforced where the deny is a dry run too: it denies nothing that a listener would serve.
    """
    return {
        "apiVersion": SECURITY_API,
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "public-gateway", "namespace": args.gateway_namespace},
        "spec": {
            "selector": {"matchLabels": {"gateway.networking.k8s.io/gateway-name": GATEWAY}},
            "action": "ALLOW",
            "rules": [{"to": [{"operation": {"ports": ["80", "443"]}}]}],
        },
    }


class SecureIngress(pulumi.ComponentResource):
    """cert-manager with the posture's issuer and, for the Gateway API, the Gateway, its certificates and its allow.

    Creates nothing when the issuer is `none`. The Gateway needs Istio: pass `depends_on` its `ready`. `gateway` is
    name and namespace of the Gateway, `None` without one; `issuer_name` is empty without an issuer.
    """

    ready: list[pulumi.Resource]
    gateway: tuple[str, str] | None
    issuer_name: str

    def __init__(self, name: str, args: SecureIngressArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:SecureIngress", name, None, opts)
        self._name = name
        self.ready = []
        self.gateway = None
        self.issuer_name = ""
        if args.issuer != "none":
            self.issuer_name = args.issuer
            door = self._door_before_issuers(args)
            self._issuers(args, self._cert_manager(args, door), door)
            if args.kind == "gateway-api":
                self.gateway = (GATEWAY, args.gateway_namespace)
        self.register_outputs({"issuer": self.issuer_name, "hosts": list(args.hosts)})

    def _door_before_issuers(self, args: SecureIngressArgs) -> list[pulumi.Resource]:
        """The Gateway API and the namespace of the Gateway. cert-manager looks for that API once, when it starts."""
        if args.kind != "gateway-api":
            return []
        crds = ConfigFile(
            f"{self._name}-gateway-api",
            file=GATEWAY_API_CRDS.source(args.charts_dir),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return [crds, self._namespace(args.gateway_namespace)]

    def _cert_manager(self, args: SecureIngressArgs, door: list[pulumi.Resource]) -> Release:
        source: dict[str, Any] = CERT_MANAGER.source(args.charts_dir)
        return Release(
            f"{self._name}-cert-manager",
            name="cert-manager",
            namespace=issuers.NAMESPACE,
            values=cert_manager_values(args.replicas, args.kind == "gateway-api"),
            atomic=True,
            timeout=600,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*door, self._namespace(issuers.NAMESPACE)]),
            **source,
        )

    def _issuers(self, args: SecureIngressArgs, release: Release, door: list[pulumi.Resource]) -> None:
        after: list[pulumi.Resource] = [release, *door]
        parent = (GATEWAY, args.gateway_namespace) if args.kind == "gateway-api" else None
        for made in issuers.manifests(args.issuer, args.acme_email, parent, args.ingress_class):
            after = [*after, self._object(made, after)]
        self.ready = after
        if args.kind != "gateway-api":
            return
        certificates = [self._object(certificate(host, args), after) for host in args.hosts]
        public = self._object(gateway(args), [*after, *certificates])
        allow = [gateway_allow(args)] if args.deny_by_default else []
        beside = [self._object(made, [public]) for made in (redirect(args), *allow)]
        self.ready = [*after, *certificates, public, *beside]

    def _namespace(self, namespace: str) -> Namespace:
        return Namespace(
            f"{self._name}-{namespace}",
            metadata={"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _object(self, made: Manifest, after: list[pulumi.Resource]) -> CustomResource:
        name = f"{self._name}-{made['kind'].lower()}-{made['metadata']['name']}"
        return custom_object(name, made, pulumi.ResourceOptions(parent=self, depends_on=after))
