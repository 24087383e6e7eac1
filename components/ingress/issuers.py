"""The certificate issuers of a posture: Let's Encrypt or another ACME server, a CA in the cluster, or Vault."""

import base64
from dataclasses import dataclass
from typing import TypeAlias

from components.config.ingress import AcmeDirectory, Email
from components.config.pem_file import Pem
from components.kube.manifest import Manifest, rbac_rule
from components.kube.mesh_labels import DATA_PLANE
from components.kube.names import (
    ACME_SERVERS,
    AUTH_PATH,
    CA_ISSUER,
    CERT_MANAGER_API,
    CERT_MANAGER_NAMESPACE,
    PKI_AUTH_ROLE,
    PKI_MOUNT,
    PKI_ROLE,
    VAULT_ACCOUNT,
    VAULT_ISSUER,
)
from components.schema.checked import check_fields
from components.schema.fields import HttpsAddress, Label, ObjectName
from components.schema.problem import FieldError


@dataclass(frozen=True)
class AcmeIssuer:
    """An ACME server, which checks by an HTTP-01 challenge that a host is ours.

    `name` is `letsencrypt-prod` or `letsencrypt-staging`; `directory` replaces the address of Let's Encrypt, and
    `ca_bundle` is the PEM of the server's authority (empty: public ones). Raises `FieldError` naming the field.
    """

    name: str
    email: Email
    directory: AcmeDirectory = ""
    ca_bundle: Pem = ""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.name not in ACME_SERVERS:
            raise FieldError("issuer", "not an ACME issuer", self.name, ACME_SERVERS)


@dataclass(frozen=True)
class CaIssuer:
    """A CA in the cluster: the key pair in a Secret of namespace `cert-manager`, or a new root without `secret`."""

    secret: ObjectName = ""

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def name(self) -> str:
        """The name of its ClusterIssuer."""
        return CA_ISSUER


@dataclass(frozen=True)
class VaultIssuer:
    """A PKI engine of Vault that signs by `role`. cert-manager logs in as the service account `vault-issuer`.

    `ca_bundle` is the PEM of the authority of `server` (empty: public ones). That of the stack's `own` Vault is issued
    in the cluster, and `SecureIngress` is told it. Raises `FieldError` for what a stack file may not say.
    """

    server: HttpsAddress
    mount: Label = PKI_MOUNT
    role: Label = PKI_ROLE
    auth_mount: Label = AUTH_PATH
    auth_role: Label = PKI_AUTH_ROLE
    ca_bundle: Pem = ""
    own: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def name(self) -> str:
        """The name of its ClusterIssuer."""
        return VAULT_ISSUER


Issuer: TypeAlias = AcmeIssuer | CaIssuer | VaultIssuer


def manifests(
    issuer: Issuer,
    gateway: tuple[str, str] | None,
    ingress_class: str | None,
    namespace: str = CERT_MANAGER_NAMESPACE,
) -> tuple[Manifest, ...]:
    """The ClusterIssuer and the objects that it needs, in the order of creation.

    For an ACME issuer the HTTP listener of `gateway` (name, namespace) serves the challenge, or an Ingress of
    `ingress_class`.
    """
    match issuer:
        case AcmeIssuer():
            return (_acme(issuer, _solver(gateway, ingress_class)),)
        case CaIssuer(secret=""):
            return _own_ca(namespace)
        case CaIssuer():
            return (_cluster_issuer(CA_ISSUER, {"ca": {"secretName": issuer.secret}}),)
        case VaultIssuer():
            return (_vault(issuer),)


def _acme(issuer: AcmeIssuer, solver: Manifest) -> Manifest:
    """https://cert-manager.io/docs/configuration/acme/."""
    acme: Manifest = {
        "server": issuer.directory or ACME_SERVERS[issuer.name],
        "email": issuer.email,
        "privateKeySecretRef": {"name": f"{issuer.name}-account"},
        "solvers": [{"http01": solver}],
    }
    return _cluster_issuer(issuer.name, {"acme": {**acme, **_ca_bundle(issuer.ca_bundle)}})


def _ca_bundle(pem: str) -> Manifest:
    return {"caBundle": base64.b64encode(pem.encode()).decode()} if pem else {}


def _solver(gateway: tuple[str, str] | None, ingress_class: str | None) -> Manifest:
    # The default is a NodePort, which would open a port on every node.
    service = {"serviceType": "ClusterIP"}
    if gateway is None:
        # The ingress controller speaks plaintext to the solver, which a proxy with STRICT mTLS would refuse.
        labels = {"sidecar.istio.io/inject": "false", DATA_PLANE: "none"}
        pod_template = {"metadata": {"labels": labels}}
        return {"ingress": {"ingressClassName": ingress_class, "podTemplate": pod_template, **service}}
    name, namespace = gateway
    parent = {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": name,
        "namespace": namespace,
        "sectionName": "http",
    }
    return {"gatewayHTTPRoute": {"parentRefs": [parent], **service}}


def _own_ca(namespace: str) -> tuple[Manifest, ...]:
    """A root that signs itself, and the issuer that signs with it (https://cert-manager.io/docs/configuration/ca/)."""
    root = {
        "apiVersion": CERT_MANAGER_API,
        "kind": "Certificate",
        "metadata": {"name": "root-ca", "namespace": namespace},
        "spec": {
            "isCA": True,
            "commonName": "zero-trust platform root",
            "secretName": "root-ca",
            "duration": "87600h0m0s",
            "renewBefore": "8760h0m0s",
            "privateKey": {"algorithm": "ECDSA", "size": 384, "rotationPolicy": "Never"},
            "issuerRef": {"name": "self-signed", "kind": "ClusterIssuer", "group": "cert-manager.io"},
        },
    }
    return (
        _cluster_issuer("self-signed", {"selfSigned": {}}),
        root,
        _cluster_issuer(CA_ISSUER, {"ca": {"secretName": "root-ca"}}),
    )


def _vault(issuer: VaultIssuer) -> Manifest:
    """https://cert-manager.io/docs/configuration/vault/."""
    login = {
        "mountPath": f"/v1/auth/{issuer.auth_mount}",
        "role": issuer.auth_role,
        "serviceAccountRef": {"name": VAULT_ACCOUNT},
    }
    spec = {"server": issuer.server, "path": f"{issuer.mount}/sign/{issuer.role}", "auth": {"kubernetes": login}}
    return _cluster_issuer(VAULT_ISSUER, {"vault": {**spec, **_ca_bundle(issuer.ca_bundle)}})


def token_rules() -> list[Manifest]:
    """The right that cert-manager needs to log in to Vault: to request tokens of the account `vault-issuer`."""
    return [rbac_rule("", ["serviceaccounts/token"], ["create"], [VAULT_ACCOUNT])]


def _cluster_issuer(name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": CERT_MANAGER_API, "kind": "ClusterIssuer", "metadata": {"name": name}, "spec": spec}
