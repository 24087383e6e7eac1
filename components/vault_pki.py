"""Vault's PKI engine for internal hosts: an intermediate that an offline root signed, and what cert-manager may do.

Vault makes the key and never gives it out; who deploys hands over the request and takes a certificate back. The root
is in no Vault, so that neither the deployer nor whoever breaks into Vault can make another authority.
https://developer.hashicorp.com/vault/api-docs/secret/pki
"""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_vault import Mount, Policy
from pulumi_vault.kubernetes import AuthBackendRole
from pulumi_vault.pkisecret import (
    SecretBackendIntermediateCertRequest,
    SecretBackendIntermediateSetSigned,
    SecretBackendRole,
)

from components.ingress_issuers import NAMESPACE, VAULT_ACCOUNT, VAULT_AUDIENCE, VaultIssuer
from components.vault_policy import hcl

MOUNT, ROLE, AUTH_ROLE = VaultIssuer.mount, VaultIssuer.role, VaultIssuer.auth_role
REQUEST_PATH = f"{MOUNT}/issuers/generate/intermediate/internal"
SIGNED_PATH = f"{MOUNT}/intermediate/set-signed"
ROLE_PATH = f"{MOUNT}/roles/{ROLE}"
SIGN_PATH = f"{MOUNT}/sign/{ROLE}"

_KEY_BITS = 384
# How the public half of such a key begins, in a request and in a certificate alike (RFC 5480), and its length.
_PUBLIC_KEY = bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200")
_PUBLIC_KEY_BYTES = len(_PUBLIC_KEY) + 97
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_BEGIN_REQUEST, _END_REQUEST = "-----BEGIN CERTIFICATE REQUEST-----", "-----END CERTIFICATE REQUEST-----"
_CERTIFICATE_KEY = "vault.pki.certificateFile"
_HOUR_SECONDS = 3600
# cert-manager logs in anew for each certificate.
_TOKEN_SECONDS = 60


@dataclass(frozen=True)
class PkiArgs:
    """An intermediate and the names that it may sign; `next_common_name` asks for its successor.

    Each of `domains` is one host, or `*.` and a domain for every host below it. `certificate` is the intermediate's in
    PEM, empty while nobody signed its request: nothing can be signed then. Raises `ValueError` on anything but one
    certificate.
    """

    common_name: str
    domains: Sequence[str]
    certificate: str = ""
    max_ttl_hours: int = 2160
    next_common_name: str = ""

    def __post_init__(self) -> None:
        if "PRIVATE KEY" in self.certificate:
            raise ValueError(f"{_CERTIFICATE_KEY}: it holds a private key: give the certificate alone")
        if self.certificate and (self.certificate.count(_BEGIN), self.certificate.count(_END)) != (1, 1):
            raise ValueError(
                f"{_CERTIFICATE_KEY}: {self.certificate.count(_BEGIN)} certificates; legal: the intermediate's own"
            )


def issuer_policy() -> str:
    """What cert-manager's login may do, as Vault's HCL: ask for a signature of one role."""
    return hcl([(SIGN_PATH, ("update",))])


def answers(certificate: str, request: str) -> str:
    """The certificate, if it is for the key of the request. Raises `ValueError`: Vault would take another."""
    asked = ssl.PEM_cert_to_DER_cert(request.replace(_BEGIN_REQUEST, _BEGIN).replace(_END_REQUEST, _END))
    given = ssl.PEM_cert_to_DER_cert(certificate[certificate.index(_BEGIN) :].strip())
    start = asked.index(_PUBLIC_KEY)
    if asked[start : start + _PUBLIC_KEY_BYTES] not in given:
        raise ValueError(f"{_CERTIFICATE_KEY}: it is not for the key of vault.pki.commonName: sign that one's request")
    return certificate


def imported(issuers: Sequence[str] | None) -> str:
    """The issuer that Vault made of the certificate. Raises `ValueError` when it had it already."""
    if not issuers:
        raise ValueError(f"{_CERTIFICATE_KEY}: Vault has this certificate already: sign the request once more")
    return issuers[0]


def pki_engine(
    args: PkiArgs,
    auth_path: str,
    options: Callable[[Sequence[pulumi.Resource]], pulumi.ResourceOptions],
    keep: bool | None,
) -> tuple[pulumi.Output[str], list[pulumi.Resource]]:
    """Mount the engine, ask for the intermediate and, once it is signed, let cert-manager's account sign by it.

    Returns the newest request, in PEM, and what was made. `options` gives the options of a resource in Vault by what it
    waits for; `keep` protects the engine, and with it the key.
    """
    seconds = args.max_ttl_hours * _HOUR_SECONDS
    engine = Mount(
        MOUNT,
        path=MOUNT,
        type="pki",
        description="Certificates of internal hosts",
        default_lease_ttl_seconds=seconds,
        max_lease_ttl_seconds=seconds,
        opts=pulumi.ResourceOptions.merge(options([]), pulumi.ResourceOptions(protect=keep, retain_on_delete=keep)),
    )

    def within(*after: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions.merge(options([engine, *after]), pulumi.ResourceOptions(deleted_with=engine))

    # By its name: a successor that takes over is the request that it was.
    requests = [
        SecretBackendIntermediateCertRequest(
            f"{MOUNT}.{name}",
            backend=MOUNT,
            type="internal",
            common_name=name,
            key_type="ec",
            key_bits=_KEY_BITS,
            opts=within(),
        )
        for name in (args.common_name, args.next_common_name)
        if name
    ]
    request = requests[0]
    made: list[pulumi.Resource] = [engine, *requests]
    if args.certificate:
        signed = SecretBackendIntermediateSetSigned(
            MOUNT,
            backend=MOUNT,
            certificate=request.csr.apply(lambda csr: answers(args.certificate, csr)),
            opts=within(request),
        )
        role = _role(args.domains, seconds, signed.imported_issuers.apply(imported), within(signed))
        made += [signed, role, *_login(auth_path, options, role)]
    return requests[-1].csr, made


def _role(
    domains: Sequence[str], seconds: int, issuer: pulumi.Output[str], opts: pulumi.ResourceOptions
) -> SecretBackendRole:
    """Says no to all that Vault would allow by default, and to every name but those of the stack file."""
    return SecretBackendRole(
        f"{MOUNT}.{ROLE}",
        backend=MOUNT,
        name=ROLE,
        # Not the engine's default: that one stays where it is when the next intermediate comes.
        issuer_ref=issuer,
        allowed_domains=sorted(domains),
        allow_bare_domains=True,
        allow_glob_domains=any(domain.startswith("*.") for domain in domains),
        allow_subdomains=False,
        allow_any_name=False,
        allow_localhost=False,
        allow_wildcard_certificates=False,
        allow_ip_sans=False,
        enforce_hostnames=True,
        server_flag=True,
        client_flag=False,
        code_signing_flag=False,
        email_protection_flag=False,
        key_type="ec",
        key_bits=256,
        key_usages=["DigitalSignature"],
        # cert-manager's requests name their hosts as SANs alone.
        require_cn=False,
        # In seconds, as Vault answers them.
        ttl=str(seconds),
        max_ttl=str(seconds),
        opts=opts,
    )


def _login(
    auth_path: str, options: Callable[[Sequence[pulumi.Resource]], pulumi.ResourceOptions], role: SecretBackendRole
) -> list[pulumi.Resource]:
    policy = Policy(AUTH_ROLE, name=AUTH_ROLE, policy=issuer_policy(), opts=options([role]))
    login = AuthBackendRole(
        AUTH_ROLE,
        backend=auth_path,
        role_name=AUTH_ROLE,
        bound_service_account_names=[VAULT_ACCOUNT],
        bound_service_account_namespaces=[NAMESPACE],
        audience=VAULT_AUDIENCE,
        token_policies=[AUTH_ROLE],
        token_no_default_policy=True,
        token_ttl=_TOKEN_SECONDS,
        token_max_ttl=_TOKEN_SECONDS,
        opts=options([policy]),
    )
    return [policy, login]
