"""Certificates as the gateway serves them, and the authorities that they lead to."""

import base64
import json

import urllib3
from cryptography import x509

from tests.e2e.plane import Plane

GATEWAY = "istio-ingress"


def ready(plane: Plane, host: str, issuer: str) -> bool:
    """Whether cert-manager says that the host's certificate is there, and comes from the issuer."""
    found = plane.objects.get_namespaced_custom_object("cert-manager.io", "v1", GATEWAY, "certificates", host)
    conditions = {c["type"]: c for c in found.get("status", {}).get("conditions", [])}
    state = conditions.get("Ready", {})
    current = state.get("observedGeneration") == found["metadata"]["generation"]
    return state.get("status") == "True" and current and found["spec"]["issuerRef"]["name"] == issuer


def chain(plane: Plane, name: str, namespace: str = GATEWAY) -> list[x509.Certificate]:
    """The certificates of a TLS Secret, the host's own first."""
    secret = plane.core.read_namespaced_secret(name, namespace)
    return x509.load_pem_x509_certificates(base64.b64decode(secret.data["tls.crt"]))


def hosts(certificate: x509.Certificate) -> list[str]:
    """The DNS names of a certificate."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return names.value.get_values_for_type(x509.DNSName)


def acme_root(plane: Plane) -> x509.Certificate:
    """The root that the ACME server made when it started."""
    port = json.loads((plane.state / "ports.json").read_text())["pebble-management"]
    with urllib3.PoolManager(ca_certs=str(plane.state / "pki" / "acme-ca.crt")) as pool:
        answer = pool.request("GET", f"https://127.0.0.1:{port}/roots/0")
    return x509.load_pem_x509_certificate(answer.data)
