"""The public door: cert-manager and its issuers, and one Gateway with TLS for every host."""

import re
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import Namespace, ServiceAccount
from pulumi_kubernetes.helm.v3 import Release
from pulumi_kubernetes.rbac.v1 import Role, RoleBinding
from pulumi_kubernetes.yaml.v2 import ConfigFile

from components import gateway_hardening as hardening
from components import ingress_issuers as issuers
from components.charts import CERT_MANAGER, GATEWAY_API_CRDS
from components.custom_object import custom_object
from components.gateway_hardening import CIPHER_SUITES, FirewallArgs, HostLimits
from components.ingress_issuers import AcmeIssuer, Issuer, VaultIssuer
from components.mesh_metadata import SECURITY_API, revision_label

GATEWAY = "public"
# Istio names the Deployment and the service account of a Gateway after the Gateway and its class.
GATEWAY_ACCOUNT = f"{GATEWAY}-istio"
GATEWAY_API = "gateway.networking.k8s.io/v1"

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

Manifest = dict[str, Any]


@dataclass(frozen=True)
class SecureIngressArgs:
    """The decisions of a posture for the door, and what is public behind it.

    `issuer` is one of the three kinds, or `None` (nothing is created). `kind` is `gateway-api` (one Gateway of Istio's)
    or `ingress` (each service brings its own Ingress, with its limits as annotations). `hosts` are the public
    host names; only the namespaces in `route_namespaces` may attach a route to them. `deny_by_default` says that the
    mesh has a default deny, which the Gateway then needs an allow beside. `revision` is the mesh's, whose istiod makes
    the Gateway's pods. `limits` are those of hosts; `enforce` says whether they and the firewall refuse requests, or
    count them. Raises `ValueError` naming the field that is missing or wrong.
    """

    charts_dir: str | None
    issuer: Issuer | None
    kind: str = "gateway-api"
    ingress_class: str | None = None
    gateway_namespace: str = "istio-ingress"
    hosts: tuple[str, ...] = ()
    route_namespaces: tuple[str, ...] = ()
    replicas: int = 2
    deny_by_default: bool = True
    tls_version: str = "1.2"
    cipher_suites: tuple[str, ...] = CIPHER_SUITES
    limits: tuple[HostLimits, ...] = ()
    firewall: FirewallArgs | None = None
    enforce: bool = True
    revision: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ("gateway-api", "ingress"):
            raise ValueError(f"kind: {self.kind!r}; legal are gateway-api and ingress")
        if isinstance(self.issuer, AcmeIssuer) and self.kind == "ingress" and not self.ingress_class:
            raise ValueError(
                f"ingress_class: {self.issuer.name} answers its challenge through an Ingress; name its class"
            )
        if self.replicas < 1:
            raise ValueError(f"replicas: {self.replicas} cert-managers renew nothing; set 1 or more")
        if self.tls_version not in ("1.2", "1.3"):
            raise ValueError(f"tls_version: {self.tls_version!r}; legal are 1.2 and 1.3")
        if strange := sorted({limit.host for limit in self.limits} - set(self.hosts)):
            raise ValueError(f"limits: {strange[0]!r} is not among hosts")
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


def certificate(host: str, issuer: str, args: SecureIngressArgs) -> Manifest:
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
            "issuerRef": {"name": issuer, "kind": "ClusterIssuer", "group": "cert-manager.io"},
        },
    }


def gateway(args: SecureIngressArgs) -> Manifest:
    """The Gateway: one HTTP listener that redirects, one HTTPS listener per host (SNI picks the certificate).

    https://gateway-api.sigs.k8s.io/api-types/gateway/
    """
    return {
        "apiVersion": GATEWAY_API,
        "kind": "Gateway",
        "metadata": {"name": GATEWAY, "namespace": args.gateway_namespace, "labels": _revision(args)},
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
                *(_https_listener(host, args) for host in args.hosts),
            ],
        },
    }


def _revision(args: SecureIngressArgs) -> dict[str, str]:
    # Two istiods, one of them without a revision, would both make the pods of a Gateway that names neither.
    return revision_label(args.revision or "default")


def _https_listener(host: str, args: SecureIngressArgs) -> Manifest:
    return {
        "name": f"https-{host}",
        "hostname": host,
        "port": 443,
        "protocol": "HTTPS",
        "tls": {
            "mode": "Terminate",
            "certificateRefs": [{"group": "", "kind": "Secret", "name": f"{host}-tls"}],
            "options": {"gateway.istio.io/tls-cipher-suites": ",".join(args.cipher_suites)},
        },
        "allowedRoutes": {
            "namespaces": {
                "from": "Selector",
                "selector": {
                    "matchExpressions": [
                        {
                            "key": "kubernetes.io/metadata.name",
                            "operator": "In",
                            "values": sorted(set(args.route_namespaces)),
                        }
                    ]
                },
            }
        },
    }


def gateway_filters(args: SecureIngressArgs) -> tuple[Manifest, ...]:
    """What the Gateway's Envoy is told beside its routes: TLS versions, limits, the firewall."""
    door = (GATEWAY, args.gateway_namespace)
    limits = hardening.limits_filter(door, args.limits, args.enforce)
    firewall = hardening.firewall(door, args.firewall, args.enforce) if args.firewall else None
    wanted = (hardening.tls_filter(door, args.tls_version), limits, firewall)
    return tuple(made for made in wanted if made is not None)


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
    """cert-manager with the posture's issuer and, for the Gateway API, the Gateway, its certificates and its limits.

    Creates nothing without an issuer. The Gateway needs Istio: pass `depends_on` its `ready`. `gateway` is
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
        if args.issuer is not None:
            self.issuer_name = args.issuer.name
            door = self._door_before_issuers(args)
            self._issuers(args, args.issuer, self._cert_manager(args, door), door)
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

    def _issuers(self, args: SecureIngressArgs, issuer: Issuer, release: Release, door: list[pulumi.Resource]) -> None:
        after: list[pulumi.Resource] = [release, *door]
        if isinstance(issuer, VaultIssuer):
            after += self._vault_account(release)
        parent = (GATEWAY, args.gateway_namespace) if args.kind == "gateway-api" else None
        for made in issuers.manifests(issuer, parent, args.ingress_class):
            after = [*after, self._object(made, after)]
        self.ready = after
        if args.kind != "gateway-api":
            return
        certificates = [self._object(certificate(host, issuer.name, args), after) for host in args.hosts]
        # Before the Gateway: it never serves a request that they would have refused.
        filters = [self._object(made, after) for made in gateway_filters(args)]
        public = self._object(gateway(args), [*after, *certificates, *filters])
        allow = [gateway_allow(args)] if args.deny_by_default else []
        beside = [self._object(made, [public]) for made in (redirect(args), *allow)]
        self.ready = [*after, *certificates, *filters, public, *beside]

    def _vault_account(self, release: Release) -> list[pulumi.Resource]:
        """The account that cert-manager logs in to Vault as, and the right to ask for its tokens."""
        options = pulumi.ResourceOptions(parent=self, depends_on=[release])
        name = f"{self._name}-vault-issuer"
        metadata: Any = {"name": issuers.VAULT_ACCOUNT, "namespace": issuers.NAMESPACE}
        account = ServiceAccount(name, metadata=metadata, automount_service_account_token=False, opts=options)
        rules: Any = issuers.token_rules()
        role = Role(name, metadata=metadata, rules=rules, opts=options)
        binding = RoleBinding(
            name,
            metadata=metadata,
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": issuers.VAULT_ACCOUNT},
            subjects=[{"kind": "ServiceAccount", "name": "cert-manager", "namespace": issuers.NAMESPACE}],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role]),
        )
        return [account, role, binding]

    def _namespace(self, namespace: str) -> Namespace:
        return Namespace(
            f"{self._name}-{namespace}",
            metadata={"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _object(self, made: Manifest, after: list[pulumi.Resource]) -> CustomResource:
        name = f"{self._name}-{made['kind'].lower()}-{made['metadata']['name']}"
        return custom_object(name, made, pulumi.ResourceOptions(parent=self, depends_on=after))
