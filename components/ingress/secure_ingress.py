"""`SecureIngress`: the issuer of certificates, and one Gateway with TLS for every public host."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import pulumi
from pydantic import AfterValidator, Field

from components.config.ingress import GatewayNamespace
from components.config.mesh import Revision
from components.ingress import hardening, issuers, routes
from components.ingress.hardening import FirewallArgs, HostLimits
from components.ingress.issuers import AcmeIssuer, Issuer, VaultIssuer
from components.ingress.routes import RouteRetries
from components.kube.bound_role import bound_role
from components.kube.manifest import Manifest, account_subject, of_kind, pod_security
from components.kube.mesh_labels import revision_label
from components.kube.names import (
    CERT_MANAGER_ACCOUNT,
    CERT_MANAGER_API,
    CERT_MANAGER_NAMESPACE,
    GATEWAY,
    GATEWAY_API,
    GATEWAY_LABEL,
    GATEWAY_NAMESPACE,
    SECURITY_API,
    VAULT_ACCOUNT,
    is_for_services,
)
from components.kube.objects import KubernetesObject
from components.kube.platform_network import network_policies
from components.schema.checked import check_fields
from components.schema.fields import Label, ObjectName, PublicHost
from components.schema.problem import FieldError
from components.schema.public import CIPHER_SUITES, CipherSuite

# https://gateway-api.sigs.k8s.io/reference/spec/#gatewayspec: 64 listeners, and one of them redirects.
MOST_HOSTS = 63
_NAMESPACE = "kubernetes.io/metadata.name"


def _owner(value: str) -> str:
    if not is_for_services(value):
        raise ValueError("no service may be there, and so no route")
    return value


Owner = Annotated[Label, AfterValidator(_owner)]
"""A namespace whose routes attach to a listener."""


@dataclass(frozen=True)
class SecureIngressArgs:
    """The decisions of a posture for the gateway, and the public hosts behind it.

    `issuer` is one of the three kinds, or `None` (nothing is created). `kind` is `gateway-api` (one Gateway of Istio)
    or `ingress` (each service has its own Ingress, with its limits as annotations). `hosts` are the public host names,
    and `owners` has the namespace of each: its listener takes routes from there, and from its `guests`, alone. With
    `deny_by_default` the mesh denies by default, and the Gateway gets an allow policy. `revision` names the istiod that
    creates the Gateway's pods. With `enforce` the `limits` and the firewall refuse requests; otherwise they only count
    them. `retries` are those of single routes, and with `tokenless` some path needs no token. `network_policies` are
    those of the Gateway's namespace, before its pods. Raises `FieldError` naming the field that is missing or wrong.
    """

    issuer: Issuer | None
    kind: str = "gateway-api"
    ingress_class: ObjectName | None = None
    gateway_namespace: GatewayNamespace = GATEWAY_NAMESPACE
    cert_manager_namespace: Label = CERT_MANAGER_NAMESPACE
    hosts: Sequence[PublicHost] = ()
    owners: Mapping[str, Owner] = field(default_factory=dict[str, str])
    guests: Mapping[str, Sequence[Owner]] = field(default_factory=dict[str, Sequence[str]])
    deny_by_default: bool = True
    tls_version: str = "1.2"
    cipher_suites: Annotated[Sequence[CipherSuite], Field(min_length=1)] = CIPHER_SUITES
    limits: Sequence[HostLimits] = ()
    retries: Sequence[RouteRetries] = ()
    tokenless: bool = False
    firewall: FirewallArgs | None = None
    enforce: bool = True
    revision: Revision = ""
    network_policies: Sequence[Manifest] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        if self.kind not in ("gateway-api", "ingress"):
            raise FieldError("kind", "not a kind of gateway", self.kind, ["gateway-api", "ingress"])
        if isinstance(self.issuer, AcmeIssuer) and self.kind == "ingress" and not self.ingress_class:
            message = f"{self.issuer.name} answers its challenge through an Ingress; name its class"
            raise FieldError("ingress_class", message)
        if self.tls_version not in ("1.2", "1.3"):
            raise FieldError("tls_version", "not a version of TLS that is sound", self.tls_version, ["1.2", "1.3"])
        if unknown := sorted({limit.host for limit in self.limits} - set(self.hosts)):
            raise FieldError("limits", "not among hosts", unknown[0])
        self._check_hosts()

    def _check_hosts(self) -> None:
        twice = sorted({host for host in self.hosts if self.hosts.count(host) > 1})
        if twice:
            raise FieldError("hosts", "it stands there twice", twice[0])
        if len(self.hosts) > MOST_HOSTS and self.kind == "gateway-api":
            message = f"a Gateway has {MOST_HOSTS + 1} listeners, one of them for HTTP"
            raise FieldError("hosts", message, f"{len(self.hosts)} hosts")
        ownerless = [host for host in self.hosts if host not in self.owners]
        if self.kind == "gateway-api" and ownerless:
            raise FieldError("owners", f"none may attach a route to {ownerless[0]}; name the namespace of its service")


def certificate(host: str, issuer: str, args: SecureIngressArgs) -> Manifest:
    """The certificate of one host, renewed 30 days before it expires (https://cert-manager.io/docs/usage/certificate/)."""
    return {
        "apiVersion": CERT_MANAGER_API,
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
                    # For the redirect and the ACME challenge alone: no service is reachable in plaintext.
                    "allowedRoutes": {"namespaces": {"from": "Same"}},
                },
                *(_https_listener(host, args) for host in args.hosts),
            ],
        },
    }


def _revision(args: SecureIngressArgs) -> dict[str, str]:
    # Without the label two istiods, one of them without a revision, would both create the Gateway's pods.
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
        # The API server itself sets the label with a namespace's name, so no other namespace can have it.
        "allowedRoutes": {"namespaces": {"from": "Selector", "selector": _namespaces(host, args)}},
    }


def _namespaces(host: str, args: SecureIngressArgs) -> Manifest:
    owner = args.owners[host]
    guests = sorted({*args.guests.get(host, ())} - {owner})
    if not guests:
        return {"matchLabels": {_NAMESPACE: owner}}
    return {"matchExpressions": [{"key": _NAMESPACE, "operator": "In", "values": [owner, *guests]}]}


def gateway_filters(args: SecureIngressArgs) -> tuple[Manifest, ...]:
    """The objects that configure the Gateway's Envoy beside its routes: TLS, limits, the firewall, retries, paths."""
    name = (GATEWAY, args.gateway_namespace)
    limits = hardening.limits_filter(name, args.limits, args.enforce)
    firewall = hardening.firewall(name, args.firewall, args.enforce) if args.firewall else None
    paths = routes.hidden_segments_filter(name) if args.tokenless else None
    filters = (
        *(hardening.tls_filter(name, args.tls_version), limits, firewall),
        *(routes.retries_filter(name, args.retries), paths),
    )
    return tuple(manifest for manifest in filters if manifest is not None)


def redirect(args: SecureIngressArgs) -> Manifest:
    """The route that redirects every HTTP request to HTTPS."""
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
    """The exception to the mesh-wide default deny: every client may reach the Gateway's two ports.

    It is enforced even where the deny is a dry run, since it allows every port that the Gateway listens on.
    """
    return {
        "apiVersion": SECURITY_API,
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "public-gateway", "namespace": args.gateway_namespace},
        "spec": {
            "selector": {"matchLabels": {GATEWAY_LABEL: GATEWAY}},
            "action": "ALLOW",
            "rules": [{"to": [{"operation": {"ports": ["80", "443"]}}]}],
        },
    }


class SecureIngress(pulumi.ComponentResource):
    """The posture's issuer and, for the Gateway API, the Gateway, its certificates and its limits.

    Creates nothing without an issuer. It needs cert-manager, and the Gateway needs Istio: pass `ready` of both as
    `depends_on`. `gateway` is name and namespace of the Gateway, `None` without one; `issuer_name` is empty without an
    issuer. `authority` is the PEM of the authority of a Vault that signs, where only the cluster knows it.
    """

    ready: list[pulumi.Resource]
    gateway: tuple[str, str] | None
    issuer_name: str

    def __init__(
        self,
        name: str,
        args: SecureIngressArgs,
        opts: pulumi.ResourceOptions | None = None,
        authority: pulumi.Output[str] | None = None,
    ) -> None:
        super().__init__("zero-trust:platform:SecureIngress", name, None, opts)
        self._name, self._args = name, args
        self._authority = authority
        self.ready = []
        self.gateway = None
        self.issuer_name = ""
        if args.issuer is not None:
            self.issuer_name = args.issuer.name
            self._issuers(args, args.issuer)
            if args.kind == "gateway-api":
                self.gateway = (GATEWAY, args.gateway_namespace)
        self.register_outputs({"issuer": self.issuer_name, "hosts": list(args.hosts)})

    def _issuers(self, args: SecureIngressArgs, issuer: Issuer) -> None:
        after = self._namespace(args) if args.kind == "gateway-api" else []
        if isinstance(issuer, VaultIssuer):
            after += self._vault_account()
        parent = (GATEWAY, args.gateway_namespace) if args.kind == "gateway-api" else None
        for manifest in issuers.manifests(issuer, parent, args.ingress_class, args.cert_manager_namespace):
            spec = self._signed_by(issuer, manifest)
            after = [*after, self._object({**manifest, "spec": spec}, after)]
        self.ready = after
        if args.kind != "gateway-api":
            return
        certificates = [self._object(certificate(host, issuer.name, args), after) for host in args.hosts]
        # Created before the Gateway, so that it serves no request without them.
        filters = [self._object(manifest, after) for manifest in gateway_filters(args)]
        public = self._object(gateway(args), [*after, *certificates, *filters])
        allow = [gateway_allow(args)] if args.deny_by_default else []
        on_gateway = [self._object(manifest, [public]) for manifest in (redirect(args), *allow)]
        self.ready = [*after, *certificates, *filters, public, *on_gateway]

    def _signed_by(self, issuer: Issuer, manifest: Manifest) -> Any:
        """The spec of an issuer's object, with the authority that only the cluster knows."""
        if self._authority is None or not (isinstance(issuer, VaultIssuer) and issuer.own):
            return manifest["spec"]
        return self._authority.apply(
            lambda pem: issuers.manifests(replace(issuer, ca_bundle=pem), None, None)[0]["spec"]
        )

    def _vault_account(self) -> list[pulumi.Resource]:
        """The service account as which cert-manager logs in to Vault, and the right to request its tokens."""
        options = pulumi.ResourceOptions(parent=self)
        name = f"{self._name}-vault-issuer"
        metadata: Any = {"name": VAULT_ACCOUNT, "namespace": self._args.cert_manager_namespace}
        account = KubernetesObject(
            name, of_kind("ServiceAccount", metadata=metadata, automountServiceAccountToken=False), options
        )
        rules = issuers.token_rules()
        requester = account_subject(CERT_MANAGER_ACCOUNT, self._args.cert_manager_namespace)
        return [account, *bound_role(name, metadata, rules, [requester], options)]

    def _namespace(self, args: SecureIngressArgs) -> list[pulumi.Resource]:
        """The Gateway's namespace, and the network policies in it."""
        created = KubernetesObject(
            f"{self._name}-{args.gateway_namespace}",
            of_kind("Namespace", metadata={"name": args.gateway_namespace, "labels": pod_security("restricted")}),
            pulumi.ResourceOptions(parent=self),
        )
        return [created, *network_policies(self._name, args.network_policies, created, self)]

    def _object(self, manifest: Manifest, after: list[pulumi.Resource]) -> KubernetesObject:
        name = f"{self._name}-{manifest['kind'].lower()}-{manifest['metadata']['name']}"
        return KubernetesObject(name, manifest, pulumi.ResourceOptions(parent=self, depends_on=after))
