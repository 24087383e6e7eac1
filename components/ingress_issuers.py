"""The certificate issuers of a posture: Let's Encrypt or another ACME server, a CA in the cluster, or Vault."""

import base64
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from components.mesh_metadata import DATA_PLANE

NAMESPACE = "cert-manager"
API = "cert-manager.io/v1"
CA = "ca"
VAULT = "vault"
VAULT_ACCOUNT = "vault-issuer"
ACME_SERVERS = MappingProxyType(
    {
        "letsencrypt-prod": "https://acme-v02.api.letsencrypt.org/directory",
        "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
    }
)
# cert-manager asks the API server for a token of this audience for a ClusterIssuer of this name.
VAULT_AUDIENCE = f"vault://{VAULT}"

Manifest = dict[str, Any]


@dataclass(frozen=True)
class AcmeIssuer:
    """An issuer that proves the ownership of a host by a challenge over HTTP-01.

    `name` is `letsencrypt-prod` or `letsencrypt-staging`; `directory` replaces Let's Encrypt's own address, and
    `ca_bundle` is the PEM of the authority behind it (empty: public ones). Raises `ValueError` naming what is wrong.
    """

    name: str
    email: str
    directory: str = ""
    ca_bundle: str = ""

    def __post_init__(self) -> None:
        if self.name not in ACME_SERVERS:
            raise ValueError(f"issuer: {self.name!r}; legal are {', '.join(ACME_SERVERS)}")
        if not self.email:
            raise ValueError(f"acme_email: {self.name} warns an address before a certificate expires; give one")


@dataclass(frozen=True)
class CaIssuer:
    """A CA in the cluster: the key pair of a Secret in namespace `cert-manager`, or without one a root of its own."""

    secret: str = ""

    @property
    def name(self) -> str:
        """The name of its ClusterIssuer."""
        return CA


@dataclass(frozen=True)
class VaultIssuer:
    """A PKI engine of Vault that signs by `role`. cert-manager logs in as the service account `vault-issuer`.

    `ca_bundle` is the PEM of the authority behind `server` (empty: public ones). Raises `ValueError` for an address
    without TLS.
    """

    server: str
    mount: str = "pki"
    role: str = "public-hosts"
    auth_mount: str = "kubernetes"
    auth_role: str = "cert-manager"
    ca_bundle: str = ""

    def __post_init__(self) -> None:
        if not self.server.startswith("https://"):
            raise ValueError(f"vault.server: {self.server!r} is no https address")

    @property
    def name(self) -> str:
        """The name of its ClusterIssuer."""
        return VAULT


Issuer: TypeAlias = AcmeIssuer | CaIssuer | VaultIssuer


def manifests(issuer: Issuer, gateway: tuple[str, str] | None, ingress_class: str | None) -> tuple[Manifest, ...]:
    """The issuer and what it rests on, in the order of creation.

    The challenge of an ACME issuer is answered on the HTTP listener of `gateway` (name, namespace), or through an
    Ingress of `ingress_class`.
    """
    match issuer:
        case AcmeIssuer():
            return (_acme(issuer, _solver(gateway, ingress_class)),)
        case CaIssuer(secret=""):
            return _own_ca()
        case CaIssuer():
            return (_cluster_issuer(CA, {"ca": {"secretName": issuer.secret}}),)
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
    # Left out, it is a NodePort: a door of its own on every node.
    service = {"serviceType": "ClusterIP"}
    if gateway is None:
        # The solver answers in clear text, which the proxy of a mesh with STRICT mTLS would refuse.
        labels = {"sidecar.istio.io/inject": "false", DATA_PLANE: "none"}
        outside = {"metadata": {"labels": labels}}
        return {"ingress": {"ingressClassName": ingress_class, "podTemplate": outside, **service}}
    name, namespace = gateway
    parent = {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": name,
        "namespace": namespace,
        "sectionName": "http",
    }
    return {"gatewayHTTPRoute": {"parentRefs": [parent], **service}}


def _own_ca() -> tuple[Manifest, ...]:
    """A root that signs itself, and the issuer that signs with it (https://cert-manager.io/docs/configuration/ca/)."""
    root = {
        "apiVersion": API,
        "kind": "Certificate",
        "metadata": {"name": "root-ca", "namespace": NAMESPACE},
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
        _cluster_issuer(CA, {"ca": {"secretName": "root-ca"}}),
    )


def _vault(issuer: VaultIssuer) -> Manifest:
    """https://cert-manager.io/docs/configuration/vault/."""
    login = {
        "mountPath": f"/v1/auth/{issuer.auth_mount}",
        "role": issuer.auth_role,
        "serviceAccountRef": {"name": VAULT_ACCOUNT},
    }
    spec = {"server": issuer.server, "path": f"{issuer.mount}/sign/{issuer.role}", "auth": {"kubernetes": login}}
    return _cluster_issuer(VAULT, {"vault": {**spec, **_ca_bundle(issuer.ca_bundle)}})


def token_rules() -> list[Manifest]:
    """What cert-manager may do in its namespace to log in to Vault: ask for a token of that one account."""
    return [
        {
            "apiGroups": [""],
            "resources": ["serviceaccounts/token"],
            "resourceNames": [VAULT_ACCOUNT],
            "verbs": ["create"],
        }
    ]


def _cluster_issuer(name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": API, "kind": "ClusterIssuer", "metadata": {"name": name}, "spec": spec}
