"""From a stack to the arguments of the door, and to what the door asks of each public service."""

from collections.abc import Sequence

from components.gateway_hardening import FirewallArgs, HostLimits
from components.ingress_issuers import ACME_SERVERS, CA, VAULT, AcmeIssuer, CaIssuer, Issuer, VaultIssuer
from components.pem_file import read_pem
from components.secure_ingress import SecureIngressArgs
from components.service_args import SecureServiceArgs
from components.service_door import HSTS, DoorArgs, DoorTerms
from components.settings_ingress import HstsSettings, IngressSettings
from components.stack import Stack
from components.vault_values import NAMESPACE, PORT, RELEASE

_YEAR = HstsSettings.model_validate({"maxAge": 31_536_000})
_FIVE_MINUTES = HstsSettings.model_validate({"maxAge": 300})


def ingress_args(stack: Stack, services: Sequence[SecureServiceArgs]) -> SecureIngressArgs:
    """The arguments of `SecureIngress`, which creates nothing without an issuer.

    Raises `ValueError` naming the key of a file that cannot be read.
    """
    settings, posture = stack.settings.ingress, stack.posture
    public = [args for args in services if args.hosts]
    doors = sorted((host, args.door) for args in public for host in args.hosts)
    return SecureIngressArgs(
        charts_dir=stack.charts_dir,
        issuer=_issuer(stack),
        kind=settings.kind,
        ingress_class=settings.class_name,
        gateway_namespace=settings.gateway_namespace,
        hosts=tuple(host for host, _ in doors),
        route_namespaces=tuple(sorted({args.namespace for args in public})),
        replicas=settings.replicas,
        deny_by_default=posture.authorization != "off",
        tls_version=settings.tls.min_version,
        cipher_suites=settings.tls.ciphers,
        limits=tuple(HostLimits(host, door.requests, door.seconds, door.max_request_bytes) for host, door in doors),
        firewall=FirewallArgs(settings.waf.image, settings.waf.directives)
        if settings.waf and posture.authorization != "off"
        else None,
        enforce=posture.authorization == "enforce",
        revision=stack.settings.mesh.revision or "",
    )


def _issuer(stack: Stack) -> Issuer | None:
    name, ingress, vault = stack.posture.issuer, stack.settings.ingress, stack.settings.vault
    if name in ACME_SERVERS:
        acme = ingress.acme_server
        bundle = read_pem(acme.ca_bundle_file, "ingress.acmeServer.caBundleFile") if acme else ""
        return AcmeIssuer(name, ingress.acme_email or "", acme.directory if acme else "", bundle)
    if name == CA:
        return CaIssuer(ingress.ca.key_pair if ingress.ca else "")
    if name != VAULT:
        return None
    own = ingress.vault.model_dump(include={"mount", "role", "auth_mount", "auth_role"}) if ingress.vault else {}
    inside = f"https://{RELEASE}.{NAMESPACE}.svc:{PORT}" if vault.mode == "helm" else vault.address
    server = (ingress.vault and ingress.vault.server) or inside or ""
    own_bundle = ingress.vault.ca_bundle_file if ingress.vault else None
    bundle = (own_bundle, "ingress.vault.caBundleFile") if own_bundle else (vault.ca_cert_file, "vault.caCertFile")
    return VaultIssuer(server, **own, ca_bundle=read_pem(*bundle))


def door_terms(stack: Stack) -> DoorTerms:
    """What every public service of the stack is asked for, as far as the posture asks anything."""
    settings, asked = stack.settings.ingress, stack.posture.authorization != "off"
    words = settings.annotations
    rate, size = settings.rate_limit, settings.max_request_bytes
    return DoorTerms(
        default=DoorArgs(
            headers=_headers(settings, stack.posture.issuer),
            requests=0 if rate == "none" else rate.requests,
            seconds=1 if rate == "none" else rate.seconds,
            max_request_bytes=0 if size == "none" else size,
        ),
        header_annotations=words.headers,
        rate_annotations=words.rate_limit,
        size_annotations=words.max_request_bytes,
        other_annotations={**words.tls, **(words.waf if asked else {})},
        asked=asked,
    )


def _headers(settings: IngressSettings, issuer: str) -> dict[str, str]:
    written = {} if settings.headers == "none" else dict(settings.headers)
    hsts = settings.hsts or (_YEAR if issuer == "letsencrypt-prod" else _FIVE_MINUTES)
    if hsts == "none" or issuer == "none" or settings.kind == "ingress":
        return written
    return {HSTS: hsts.header, **written}
