"""From a stack to the arguments of every component, all of them validated before the first resource is created."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from components.external_secrets import NAMESPACE as EXTERNAL_SECRETS
from components.external_secrets import ExternalSecretsArgs
from components.image_signatures import PUBLIC_REKOR, Attestor, KeyAttestor, KeylessAttestor
from components.kyverno_policy_set import KyvernoPolicySetArgs, rules_on
from components.mesh_security import AutoscalingArgs, MeshSecurityArgs, TracingArgs
from components.pem_file import read_pem
from components.plan_ingress import door_terms, ingress_args
from components.policy_library import PolicyLibraryError
from components.posture import Action
from components.secure_ingress import GATEWAY, GATEWAY_ACCOUNT, SecureIngressArgs
from components.service_args import PlatformArgs, SecureServiceArgs, StoreTerms, services_args
from components.service_database import DatabaseServer, seconds
from components.service_identities import ServiceIdentitiesArgs
from components.service_spec import PLATFORM_NAMESPACES
from components.settings import PROJECT, SECRETS, vault_networks
from components.settings_platform import DatabaseSettings, ImageAttestor
from components.settings_vault import BootstrapLogin, VaultBootstrap, VaultPki, VaultSettings
from components.stack import Stack
from components.typed_file import ConfigError, Problem
from components.vault_bootstrap_resources import BootstrapArgs
from components.vault_database import DatabaseConnectionArgs
from components.vault_deployer import MOUNTS, CertLogin, DeployerLogin, JwtLogin, KubernetesLogin
from components.vault_pki import PkiArgs
from components.vault_platform import VaultPlatformArgs
from components.vault_snapshots import SnapshotArgs
from components.vault_values import NAMESPACE, PORT, RELEASE, InjectorArgs, ServerArgs

ALLOW_RULE = "allow-platform"


@dataclass(frozen=True)
class Plan:
    """The arguments of each component; `None` where the posture switches the layer off."""

    vault: VaultPlatformArgs | None
    external_secrets: ExternalSecretsArgs | None
    mesh: MeshSecurityArgs | None
    ingress: SecureIngressArgs
    policies: KyvernoPolicySetArgs | None
    identities: ServiceIdentitiesArgs | None
    services: list[SecureServiceArgs]


def plan(stack: Stack) -> Plan:
    """The plan of a stack. Raises `ConfigError` for what only a component can judge, such as a rule's name."""
    try:
        policies = policy_args(stack)
        platform = platform_args(stack, rules_on(policies) if policies else ())
        services = services_args(stack.services, platform, stack.settings.services.replicas)
        return Plan(
            vault=vault_args(stack) if stack.posture.vault else None,
            external_secrets=external_secrets_args(stack),
            mesh=mesh_args(stack),
            ingress=ingress_args(stack, services),
            policies=policies,
            identities=identities_args(stack),
            services=services,
        )
    except (PolicyLibraryError, ValueError) as error:
        field, colon, message = str(error).partition(": ")
        key, text = (f"{PROJECT}:{field}", message) if colon else (PROJECT, str(error))
        raise ConfigError([Problem(stack.file, key, text)]) from error


def vault_args(stack: Stack) -> VaultPlatformArgs:
    """The arguments of `VaultPlatform` on a stack whose posture has Vault."""
    settings, posture = stack.settings.vault, stack.posture
    server = injector = None
    if settings.mode == "helm":
        server = ServerArgs(
            replicas=posture.vault_replicas,
            tls_secret=settings.tls_secret,
            seal_type=settings.seal.type if settings.seal else "",
            seal_parameters=settings.seal.parameters if settings.seal else {},
            seal_secret=settings.seal.secret if settings.seal else "",
            data_size=settings.storage.data,
            audit_size=settings.storage.audit,
            storage_class=settings.storage.storage_class,
        )
    if posture.injection and settings.injector and settings.delivery == "injector":
        injector = InjectorArgs(
            replicas=2 if posture.injection_fail_closed else 1,
            fail_closed=posture.injection_fail_closed,
            ca_certificate=read_pem(settings.ca_cert_file, "vault.caCertFile"),
        )
    return VaultPlatformArgs(
        address=settings.address or "",
        audit_paths=settings.audit_paths[: posture.audit_devices],
        server=server,
        injector=injector,
        openbao=settings.distribution == "openbao",
        charts_dir=stack.charts_dir,
        ca_cert_file=settings.ca_cert_file,
        login_cert_file=settings.login.cert_file,
        login_key_file=settings.login.key_file,
        login_jwt_mount=MOUNTS[method] if (method := settings.login.method) in ("jwt", "kubernetes") else "",
        login_role=settings.login.role,
        bootstrap=_bootstrap(settings, settings.bootstrap) if settings.bootstrap else None,
        kubernetes_host=settings.kubernetes_host,
        kept_versions=settings.secrets.keep_versions,
        check_and_set=settings.secrets.check_and_set,
        delete_after=seconds(settings.secrets.delete_after) if settings.secrets.delete_after else 0,
        databases=[_connection(stack, name, database) for name, database in sorted(stack.settings.databases.items())],
        pki=_pki(settings.pki) if settings.pki else None,
        snapshots=_snapshots(settings),
        retain_data=settings.retain_data,
    )


def _pki(wanted: VaultPki) -> PkiArgs:
    certificate = read_pem(wanted.certificate_file, "vault.pki.certificateFile")
    return PkiArgs(wanted.common_name, wanted.domains, certificate, wanted.max_ttl_hours, wanted.next_common_name or "")


def _snapshots(settings: VaultSettings) -> SnapshotArgs | None:
    wanted = settings.snapshots
    if not settings.snapshot_image:
        return None
    return SnapshotArgs(
        image=settings.snapshot_image,
        schedule=wanted.schedule,
        keep=wanted.keep,
        size=wanted.size,
        program="bao" if settings.distribution == "openbao" else "vault",
        storage_class=wanted.storage_class or "",
        tls_secret=settings.tls_secret,
    )


def _connection(stack: Stack, name: str, settings: DatabaseSettings) -> DatabaseConnectionArgs:
    password = settings.admin_password_file
    if password is not None and not Path(password).is_file():
        raise ValueError(f"databases.{name}.adminPasswordFile: no file {password!r}; leave the key out once it is used")
    users = (spec for spec in stack.services if spec.database and spec.database.connection == name)
    return DatabaseConnectionArgs(
        name=name,
        host=settings.host,
        port=settings.port,
        database=settings.database,
        username=settings.admin_user,
        roles=[f"{spec.namespace}.{spec.name}" for spec in users],
        tls=settings.tls,
        ca_cert_file=settings.ca_cert_file or "",
        max_open_connections=settings.max_open_connections,
        password_file=password or "",
        password_secret=f"{SECRETS}:{settings.admin_secret}" if settings.admin_secret else "",
        password_version=settings.admin_password_version,
    )


def _bootstrap(settings: VaultSettings, wanted: VaultBootstrap) -> BootstrapArgs:
    keys = wanted.recovery_shares, wanted.recovery_threshold, wanted.pgp_keys
    return BootstrapArgs(_deployer_login(settings, wanted.login), *keys)


def _deployer_login(settings: VaultSettings, login: BootstrapLogin) -> DeployerLogin:
    here = "vault.bootstrap.login"
    if cert := login.cert:
        return CertLogin(read_pem(cert.ca_cert_file, f"{here}.cert.caCertFile"), cert.common_name)
    if jwt := login.jwt:
        authority = read_pem(jwt.issuer_ca_cert_file, f"{here}.jwt.issuerCaCertFile")
        return JwtLogin(jwt.issuer, jwt.audience, jwt.subject, authority)
    if account := login.kubernetes:
        return KubernetesLogin(account.namespace, account.service_account, settings.kubernetes_host)
    raise ValueError(f"{here}: write one of cert, jwt, kubernetes")


def external_secrets_args(stack: Stack) -> ExternalSecretsArgs | None:
    """The arguments of `ExternalSecrets`; `None` where Vault's agent brings the secrets."""
    if stack.settings.vault.delivery == "injector":
        return None
    return ExternalSecretsArgs(stack.charts_dir, replicas=2 if stack.posture.injection_fail_closed else 1)


def _store(settings: VaultSettings) -> StoreTerms:
    if settings.delivery == "injector":
        return StoreTerms()
    inside = f"https://{RELEASE}.{NAMESPACE}.svc:{PORT}"
    server = inside if settings.mode == "helm" else settings.address or ""
    authority = read_pem(settings.ca_cert_file, "vault.caCertFile")
    return StoreTerms(server, authority, settings.delivery_reason or "")


def mesh_args(stack: Stack) -> MeshSecurityArgs | None:
    """The arguments of `MeshSecurity`; `None` without mTLS."""
    settings, mtls = stack.settings, stack.posture.mtls
    if mtls is None:
        return None
    mesh = settings.mesh
    scaled, tracing = mesh.autoscaling, mesh.tracing
    return MeshSecurityArgs(
        charts_dir=stack.charts_dir,
        mtls=mtls,
        authorization=stack.posture.authorization,
        replicas=scaled.minimum if scaled else mesh.replicas or 1,
        autoscaling=AutoscalingArgs(scaled.maximum, scaled.cpu) if scaled else None,
        trust_domain=settings.trust_domain,
        hub=mesh.hub,
        revision=mesh.revision or "",
        tracing=TracingArgs(tracing.namespace, tracing.service, tracing.port, tracing.sampling) if tracing else None,
        ambient=stack.ambient,
    )


def policy_args(stack: Stack) -> KyvernoPolicySetArgs | None:
    """The arguments of `KyvernoPolicySet`; `None` when no tier and no mutation is on."""
    settings, posture = stack.settings, stack.posture
    tiers = {posture.critical, posture.important, posture.best_practice}
    if tiers == {Action.OFF} and not posture.mutate and not posture.generate:
        return None
    hub = settings.mesh.hub
    return KyvernoPolicySetArgs(
        charts_dir=stack.charts_dir,
        critical=posture.critical,
        important=posture.important,
        best_practice=posture.best_practice,
        phases=settings.phase_actions(),
        mutate=posture.mutate,
        generate=posture.generate,
        approved_registries=settings.registries,
        # A mirror of the mesh brings a proxy of its own name.
        platform_images=(*settings.platform_images, *([f"{hub}/proxyv2"] if hub else [])),
        platform_namespaces=(*PLATFORM_NAMESPACES, *_more_namespaces(stack)),
        replicas=settings.kyverno.replicas,
        parameters=_parameters(stack),
        image_attestors=tuple(_attestor(signer) for signer in settings.kyverno.image_signatures),
    )


def identities_args(stack: Stack) -> ServiceIdentitiesArgs | None:
    """The arguments of `ServiceIdentities`, which acts as the critical rules do; `None` when they are off."""
    action = stack.posture.critical
    return ServiceIdentitiesArgs(action, stack.namespaces) if action is not Action.OFF and stack.namespaces else None


def _parameters(stack: Stack) -> Mapping[str, Mapping[str, object]]:
    """The parameters of the rules, with where the platform is for the rule that lets every pod reach it."""
    vault, given = stack.settings.vault, stack.settings.kyverno.parameters
    place: dict[str, object] = {}
    if vault.mode == "external" and stack.posture.vault:
        place = {"vaultPort": _port(vault.address), "vaultNetworks": list(vault_networks(vault))}
    if stack.ambient:
        # The nodes talk to istiod, and no pod does.
        place["podsReachIstiod"] = False
    return {**given, ALLOW_RULE: {**place, **given.get(ALLOW_RULE, {})}} if place else given


def _attestor(signer: ImageAttestor) -> Attestor:
    if signer.public_key is not None:
        return KeyAttestor(signer.name, signer.public_key)
    return KeylessAttestor(signer.name, signer.issuer or "", signer.subject or "", signer.rekor_url or PUBLIC_REKOR)


def _more_namespaces(stack: Stack) -> list[str]:
    """The namespaces that only some stacks have, and the gateway's when it has another name than the platform's own."""
    namespace = stack.settings.ingress.gateway_namespace
    gateway = [] if namespace in PLATFORM_NAMESPACES else [namespace]
    return gateway if stack.settings.vault.delivery == "injector" else [*gateway, EXTERNAL_SECRETS]


def platform_args(stack: Stack, rules: tuple[str, ...]) -> PlatformArgs:
    """What every service of the stack is told about the platform."""
    settings, posture = stack.settings, stack.posture
    controller = settings.ingress.controller
    external = settings.vault.mode == "external"
    scraper, tracing = settings.mesh.scraper, settings.mesh.tracing
    return PlatformArgs(
        vault=posture.vault,
        injection=posture.injection,
        mesh=stack.mesh,
        authorization=posture.authorization,
        network_policies=posture.network_policies,
        ambient=stack.ambient,
        rules=rules,
        trust_domain=settings.trust_domain,
        databases=[
            DatabaseServer(name, found.host, found.port, found.database, found.networks)
            for name, found in sorted(settings.databases.items())
        ],
        secret_refresh=settings.vault.secrets.refresh,
        store=_store(settings.vault),
        vault_port=_port(settings.vault.address) if external else PORT,
        vault_networks=vault_networks(settings.vault) if external else (),
        api_server_networks=settings.api_server_cidrs,
        route=stack.route,
        issuer="" if posture.issuer == "none" else posture.issuer,
        ingress_class=settings.ingress.class_name or "",
        gateway_name=GATEWAY,
        gateway_namespace=controller.namespace if controller else settings.ingress.gateway_namespace,
        gateway_account=controller.service_account if controller else GATEWAY_ACCOUNT,
        door=door_terms(stack),
        revision=settings.mesh.revision or "",
        scraper_namespace=scraper.namespace if scraper else "",
        scraper_account=scraper.service_account if scraper else "",
        tracing_namespace=tracing.namespace if tracing else "",
        tracing_service=tracing.service if tracing else "",
        tracing_port=tracing.port if tracing else 0,
    )


def _port(address: str | None) -> int:
    return urlsplit(address or "").port or 443
