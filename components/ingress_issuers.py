"""The certificate issuers of a posture: Let's Encrypt over HTTP-01, or a CA of the cluster's own."""

from types import MappingProxyType
from typing import Any

NAMESPACE = "cert-manager"
API = "cert-manager.io/v1"
CA = "ca"
ACME_SERVERS = MappingProxyType(
    {
        "letsencrypt-prod": "https://acme-v02.api.letsencrypt.org/directory",
        "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
    }
)
ISSUERS = (*ACME_SERVERS, CA, "none")

Manifest = dict[str, Any]


def check(issuer: str, acme_email: str | None) -> None:
    """Raise `ValueError` for an unknown issuer, or for Let's Encrypt without an account's address."""
    if issuer not in ISSUERS:
        raise ValueError(f"issuer: {issuer!r}; legal are {', '.join(ISSUERS)}")
    if is_acme(issuer) and not acme_email:
        raise ValueError(f"acme_email: {issuer} warns an address before a certificate expires; give one")


def is_acme(issuer: str) -> bool:
    """Whether the issuer proves the ownership of a host by a challenge."""
    return issuer in ACME_SERVERS


def manifests(
    issuer: str, acme_email: str | None, gateway: tuple[str, str] | None, ingress_class: str | None
) -> tuple[Manifest, ...]:
    """The issuer and what it rests on, in the order of creation.

    The challenge of an ACME issuer is answered on the HTTP listener of `gateway` (name, namespace), or through an
    Ingress of `ingress_class`.
    """
    if issuer == "none":
        return ()
    if issuer == CA:
        return _own_ca()
    return (_acme(issuer, acme_email, _solver(gateway, ingress_class)),)


def _acme(issuer: str, email: str | None, solver: Manifest) -> Manifest:
    """https://cert-manager.io/docs/configuration/acme/."""
    return _cluster_issuer(
        issuer,
        {
            "acme": {
                "server": ACME_SERVERS[issuer],
                "email": email,
                "privateKeySecretRef": {"name": f"{issuer}-account"},
                "solvers": [{"http01": solver}],
            }
        },
    )


def _solver(gateway: tuple[str, str] | None, ingress_class: str | None) -> Manifest:
    # Left out, it is a NodePort: a door of its own on every node.
    service = {"serviceType": "ClusterIP"}
    if gateway is None:
        return {"ingress": {"ingressClassName": ingress_class, **service}}
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


def _cluster_issuer(name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": API, "kind": "ClusterIssuer", "metadata": {"name": name}, "spec": spec}
