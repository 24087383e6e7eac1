"""The certificate of Vault's servers: cert-manager issues it by an authority of its own and renews it.

The authority's key never leaves the cluster, and the program reads no Secret. It learns the authority's certificate
from a request of its own that the authority signs, for a name that nobody has and a key that nobody kept.
https://cert-manager.io/docs/configuration/ca/ and https://cert-manager.io/docs/usage/certificaterequest/
"""

import base64
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pulumi
from pydantic import Field, StrictInt

from components.kube.manifest import Manifest
from components.kube.names import CERT_MANAGER_API, VAULT_NAMESPACE, VAULT_RELEASE, VAULT_TLS_SECRET
from components.kube.objects import KubernetesObject
from components.schema.checked import check_fields

_AUTHORITY, _SELF_SIGNED, _SERVER = "vault-authority", "vault-self-signed", "vault-server"
_YEAR = 8760  # hours
# For the name authority.invalid, which cannot exist (RFC 2606). Whose it is does not matter: it may do nothing.
_REQUEST = """\
-----BEGIN CERTIFICATE REQUEST-----
MIIBBTCBrQIBADAcMRowGAYDVQQDDBFhdXRob3JpdHkuaW52YWxpZDBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABFzdhswFOAfcSYmLMQA116uuGPrHJnnTPVR2iDjf
y8ROhr8hjEmT+GMKTFKbocDdO1swtKUbWw2TaPQObeo1x6agLzAtBgkqhkiG9w0B
CQ4xIDAeMBwGA1UdEQQVMBOCEWF1dGhvcml0eS5pbnZhbGlkMAoGCCqGSM49BAMC
A0cAMEQCIHIOW/8IlRowsCG15oHr2I4bc0tLSpf8xXzH8amYEjeVAiAqCKEPJ7pW
S4Y/uBryP6qbQavNcSFSme91udkCrFk4iw==
-----END CERTIFICATE REQUEST-----
"""


@dataclass(frozen=True)
class ServerCertificateArgs:
    """The certificate of `replicas` servers, which the deployer reaches at `host`, a name or an address.

    The authority's certificate is written to `authority_file`, since the Vault provider takes it only from a file. The
    path is relative to the program's directory: an absolute one would differ between machines, and so the provider.
    """

    host: str
    replicas: Annotated[StrictInt, Field(ge=1)]
    authority_file: str

    def __post_init__(self) -> None:
        check_fields(self)


def server_names(replicas: int, host: str) -> tuple[str, ...]:
    """The names by which pods, the other servers, probes and the deployer reach Vault."""
    servers = [f"{VAULT_RELEASE}-{number}.{VAULT_RELEASE}-internal" for number in range(replicas)]
    names = (f"{VAULT_RELEASE}.{VAULT_NAMESPACE}.svc", *servers, "127.0.0.1", *([host] if host else []))
    return tuple(dict.fromkeys(names))


def manifests(args: ServerCertificateArgs) -> tuple[Manifest, ...]:
    """The authority, its issuer, the servers' certificate and the request, in the order of creation."""
    names = server_names(args.replicas, args.host)
    addresses = [name for name in names if _is_address(name)]
    return (
        _object("Issuer", _SELF_SIGNED, {"selfSigned": {}}),
        _object(
            "Certificate",
            _AUTHORITY,
            {
                "isCA": True,
                "commonName": "zero-trust platform: Vault's servers",
                "secretName": _AUTHORITY,
                "duration": f"{10 * _YEAR}h0m0s",
                "renewBefore": f"{_YEAR}h0m0s",
                "privateKey": {"algorithm": "ECDSA", "size": 384, "rotationPolicy": "Never"},
                "issuerRef": _issuer(_SELF_SIGNED),
            },
        ),
        _object("Issuer", _AUTHORITY, {"ca": {"secretName": _AUTHORITY}}),
        _object(
            "Certificate",
            _SERVER,
            {
                "secretName": VAULT_TLS_SECRET,
                "dnsNames": [name for name in names if name not in addresses],
                "ipAddresses": addresses,
                "duration": "2160h0m0s",
                "renewBefore": "720h0m0s",
                "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
                # A server that joins the others is their client.
                "usages": ["digital signature", "server auth", "client auth"],
                "issuerRef": _issuer(_AUTHORITY),
            },
        ),
        _object(
            "CertificateRequest",
            _AUTHORITY,
            {
                "request": base64.b64encode(_REQUEST.encode()).decode(),
                "duration": "1h0m0s",
                "usages": ["digital signature"],
                "issuerRef": _issuer(_AUTHORITY),
            },
        ),
    )


class _Request(KubernetesObject):
    """The request, with the status that cert-manager gives it."""

    status: pulumi.Output[Mapping[str, Any]]


def server_certificate(
    name: str, args: ServerCertificateArgs, after: Sequence[pulumi.Resource], parent: pulumi.Resource
) -> tuple[list[pulumi.Resource], pulumi.Output[str]]:
    """Create all of it, each when the one before is ready. Returns the resources, and the authority's PEM."""
    made = list(after)
    *issued, request = manifests(args)
    for manifest in issued:
        options = pulumi.ResourceOptions(parent=parent, depends_on=made)
        made = [*made, KubernetesObject(f"{name}.{manifest['metadata']['name']}.{manifest['kind']}", manifest, options)]
    asked = _Request(
        f"{name}.authority", {**request, "status": None}, pulumi.ResourceOptions(parent=parent, depends_on=made)
    )
    return [*made, asked], asked.status.apply(_authority)


def written(authority: pulumi.Output[str], file: str) -> pulumi.Output[str]:
    """The file's path, once the authority is in it."""
    return authority.apply(lambda pem: _write(pem, file))


def _write(pem: str, file: str) -> str:
    path = Path(file)
    if not path.exists() or path.read_text(encoding="utf-8") != pem:
        path.write_text(pem, encoding="utf-8")
    return file


def _authority(status: Mapping[str, Any]) -> str:
    return base64.b64decode(status["ca"]).decode()


def _object(kind: str, name: str, spec: Manifest) -> Manifest:
    metadata: Manifest = {"name": name, "namespace": VAULT_NAMESPACE}
    # cert-manager takes a moment for each, and the next one needs it.
    metadata["annotations"] = {"pulumi.com/waitFor": "condition=Ready"}
    return {"apiVersion": CERT_MANAGER_API, "kind": kind, "metadata": metadata, "spec": spec}


def _issuer(name: str) -> Manifest:
    return {"name": name, "kind": "Issuer", "group": "cert-manager.io"}


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
