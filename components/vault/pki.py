"""Vault's PKI engine for internal hosts: an intermediate that an offline root signs, and cert-manager's role.

Vault generates the key and never exports it. The program outputs the signing request, and the stack file names the
certificate. The root is not in Vault, so neither the deployer nor an intruder in Vault can make another authority.
https://developer.hashicorp.com/vault/api-docs/secret/pki
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import pulumi
from pulumi_vault import Mount, Policy
from pulumi_vault.kubernetes import AuthBackendRole
from pulumi_vault.pkisecret import (
    SecretBackendIntermediateCertRequest,
    SecretBackendIntermediateSetSigned,
    SecretBackendRole,
)
from pydantic import Field

from components.config.vault import CertificateHours, CommonName, SignedName
from components.kube.names import (
    CERT_MANAGER_NAMESPACE,
    PKI_AUTH_ROLE,
    PKI_MOUNT,
    PKI_ROLE,
    VAULT_ACCOUNT,
    VAULT_AUDIENCE,
)
from components.schema.checked import check_fields
from components.schema.fields import Label
from components.schema.problem import FieldError
from components.vault.policy import hcl

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, CertificateSigningRequest

REQUEST_PATH = f"{PKI_MOUNT}/issuers/generate/intermediate/internal"
SIGNED_PATH = f"{PKI_MOUNT}/intermediate/set-signed"
ROLE_PATH = f"{PKI_MOUNT}/roles/{PKI_ROLE}"
SIGN_PATH = f"{PKI_MOUNT}/sign/{PKI_ROLE}"

_KEY_BITS = 384
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_CERTIFICATE_KEY = "vault.pki.certificateFile"
_HOUR_SECONDS = 3600
# cert-manager logs in again for each certificate.
_TOKEN_SECONDS = 60


@dataclass(frozen=True)
class PkiArgs:
    """An intermediate and the names that it may sign. `next_common_name` requests its successor.

    Each of `domains` is a host, or `*.` and a domain for every host below it. `certificate` is the PEM of the
    intermediate; while it is empty, nothing can be signed. Raises `FieldError` for anything but one certificate
    that may sign others.
    """

    common_name: CommonName
    domains: Annotated[Sequence[SignedName], Field(min_length=1)]
    certificate: str = ""
    max_ttl_hours: CertificateHours = 2160
    next_common_name: CommonName = ""
    cert_manager_namespace: Label = CERT_MANAGER_NAMESPACE

    def __post_init__(self) -> None:
        check_fields(self)
        if self.next_common_name == self.common_name:
            raise FieldError("next_common_name", "the successor needs another name than common_name")
        if "PRIVATE KEY" in self.certificate:
            raise FieldError("certificate", "it holds a private key: give the certificate alone")
        if not self.certificate:
            return
        if (self.certificate.count(_BEGIN), self.certificate.count(_END)) != (1, 1):
            number = self.certificate.count(_BEGIN)
            raise FieldError("certificate", f"{number} certificates", legal=["the intermediate's own"])
        if not _signs(_parsed(self.certificate)):
            legal = ["CA:TRUE, and keyCertSign if there are key usages"]
            raise FieldError("certificate", "it signs no certificates", legal=legal)


def issuer_policy() -> str:
    """cert-manager's policy as Vault's HCL: it may request certificates from one role."""
    return hcl([(SIGN_PATH, ("update",))])


def matching_certificate(certificate: str, request: str) -> str:
    """The certificate as Vault takes it, if it is for the key of the request. Raises `FieldError`.

    Vault itself would take another's, and takes text after a certificate for a broken one.
    """
    from cryptography import x509

    requested = x509.load_pem_x509_csr(request.encode())
    if not requested.is_signature_valid:
        raise FieldError("vault.pki.commonName", "its request is not signed by its own key: something changed it")
    if _public_key(_parsed(certificate)) != _public_key(requested):
        raise FieldError(_CERTIFICATE_KEY, "it is not for the key of vault.pki.commonName: sign that one's request")
    before, end, after = certificate.partition(_END)
    return f"{before}{end}\n" if after.strip() else certificate


def _parsed(certificate: str) -> "Certificate":
    # Imported here: only stacks with an intermediate need it.
    from cryptography import exceptions, x509

    try:
        parsed = x509.load_pem_x509_certificate(certificate.encode())
        # Both are parsed only when they are asked for.
        _ = parsed.extensions, parsed.public_key()
    except (
        *(ValueError, exceptions.UnsupportedAlgorithm),
        *(x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
    ) as error:
        raise FieldError("certificate", f"not a certificate that can be read: {error}") from error
    return parsed


def _public_key(of: "Certificate | CertificateSigningRequest") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return of.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _signs(certificate: "Certificate") -> bool:
    """Whether Vault takes it for an authority's, and clients what it signs (RFC 5280, 4.2.1.3 and 4.2.1.9)."""
    from cryptography import x509

    limits = {extension.oid: extension.value for extension in certificate.extensions}
    constraints, usage = (limits.get(kind.oid) for kind in (x509.BasicConstraints, x509.KeyUsage))
    is_authority = isinstance(constraints, x509.BasicConstraints) and constraints.ca
    return is_authority and (not isinstance(usage, x509.KeyUsage) or usage.key_cert_sign)


def imported_issuer(issuers: Sequence[str] | None) -> str:
    """The id of the issuer that Vault created for the certificate. Raises `FieldError` if it had it already."""
    if not issuers:
        raise FieldError(_CERTIFICATE_KEY, "Vault has this certificate already: sign the request once more")
    return issuers[0]


def pki_engine(
    args: PkiArgs,
    auth_path: str,
    options: Callable[[Sequence[pulumi.Resource]], pulumi.ResourceOptions],
    keep: bool | None,
) -> tuple[pulumi.Output[str], list[pulumi.Resource]]:
    """Mount the engine, request the intermediate and, once that is signed, let cert-manager request certificates.

    Returns the newest signing request, in PEM, and the resources. `options` returns the options of a resource in Vault
    that depends on others; `keep` protects the engine, and with it the key.
    """
    seconds = args.max_ttl_hours * _HOUR_SECONDS
    engine = Mount(
        PKI_MOUNT,
        path=PKI_MOUNT,
        type="pki",
        description="Certificates of internal hosts",
        default_lease_ttl_seconds=seconds,
        max_lease_ttl_seconds=seconds,
        opts=pulumi.ResourceOptions.merge(options([]), pulumi.ResourceOptions(protect=keep, retain_on_delete=keep)),
    )

    def within(*after: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions.merge(options([engine, *after]), pulumi.ResourceOptions(deleted_with=engine))

    # Named after the common name: a successor that takes over keeps its request.
    requests = [
        SecretBackendIntermediateCertRequest(
            f"{PKI_MOUNT}.{name}",
            backend=PKI_MOUNT,
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
    resources: list[pulumi.Resource] = [engine, *requests]
    if args.certificate:
        signed = SecretBackendIntermediateSetSigned(
            PKI_MOUNT,
            backend=PKI_MOUNT,
            certificate=request.csr.apply(lambda csr: matching_certificate(args.certificate, csr)),
            opts=within(request),
        )
        role = _role(args.domains, seconds, signed.imported_issuers.apply(imported_issuer), within(signed))
        resources += [signed, role, *_login(auth_path, args.cert_manager_namespace, options, role)]
    return requests[-1].csr, resources


def _role(
    domains: Sequence[str], seconds: int, issuer: pulumi.Output[str], opts: pulumi.ResourceOptions
) -> SecretBackendRole:
    """The role for the domains of the stack file, without the names and usages that Vault allows by default."""
    return SecretBackendRole(
        f"{PKI_MOUNT}.{PKI_ROLE}",
        backend=PKI_MOUNT,
        name=PKI_ROLE,
        # Not the engine's default issuer, which does not change when the next intermediate is imported.
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
        # cert-manager's requests have SANs and no common name.
        require_cn=False,
        # In seconds, as Vault returns them.
        ttl=str(seconds),
        max_ttl=str(seconds),
        opts=opts,
    )


def _login(
    auth_path: str,
    namespace: str,
    options: Callable[[Sequence[pulumi.Resource]], pulumi.ResourceOptions],
    role: SecretBackendRole,
) -> list[pulumi.Resource]:
    policy = Policy(PKI_AUTH_ROLE, name=PKI_AUTH_ROLE, policy=issuer_policy(), opts=options([role]))
    login = AuthBackendRole(
        PKI_AUTH_ROLE,
        backend=auth_path,
        role_name=PKI_AUTH_ROLE,
        bound_service_account_names=[VAULT_ACCOUNT],
        bound_service_account_namespaces=[namespace],
        audience=VAULT_AUDIENCE,
        token_policies=[PKI_AUTH_ROLE],
        token_no_default_policy=True,
        token_ttl=_TOKEN_SECONDS,
        token_max_ttl=_TOKEN_SECONDS,
        opts=options([policy]),
    )
    return [policy, login]
