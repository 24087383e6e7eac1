"""The arguments of `VaultPlatform` and of `ExternalSecrets`, and the terms of Vault, from a stack."""

from pathlib import Path
from urllib.parse import urlsplit

from components.config.checks import vault_networks
from components.config.database import DatabaseSettings
from components.config.pem_file import read_pem
from components.config.vault import BootstrapLogin, VaultBootstrap, VaultPki, VaultSettings
from components.external_secrets.operator import ExternalSecretsArgs
from components.kube.names import SECRETS, VAULT_PORT, VAULT_TLS_SECRET
from components.program.plans.addresses import cluster_address, cluster_dns, port, port_for_vault, port_of
from components.program.plans.network import external_secrets_policies, vault_policies
from components.program.stack import Stack, delivery
from components.program.stack_exceptions import platform_namespaces
from components.program.stack_keys import stack_keys
from components.schema.fields import seconds
from components.schema.problem import FieldError, keys_of
from components.service.args.database import role_names
from components.vault.bootstrap_resources import BootstrapArgs
from components.vault.database_connection import DatabaseConnectionArgs
from components.vault.deployer import MOUNTS, CertLogin, DeployerLogin, JwtLogin, KubernetesLogin
from components.vault.pki import PkiArgs
from components.vault.platform import VaultPlatformArgs
from components.vault.server_certificate import ServerCertificateArgs
from components.vault.snapshots import SnapshotArgs
from components.vault.terms import DatabaseServer, StoreTerms, VaultTerms
from components.vault.values import InjectorArgs, ServerArgs


@stack_keys(
    address="vault.address",
    ca_cert_file="vault.caCertFile",
    certificate="vault.tlsSecret",
    login_cert_file="vault.login.certFile",
    bootstrap="vault.bootstrap",
    snapshots="vault.snapshots",
    audit_paths="vault.auditPaths",
    seal_type="vault.seal",
    server="vault.seal",
)
def vault_args(stack: Stack) -> VaultPlatformArgs:
    """The arguments of `VaultPlatform`, for a stack whose posture has Vault."""
    settings, posture = stack.settings.vault, stack.posture
    server = injector = None
    if settings.mode == "helm":
        server = ServerArgs(
            replicas=posture.vault_replicas,
            tls_secret=settings.tls_secret or VAULT_TLS_SECRET,
            authorities=settings.authorities or "",
            image=settings.image,
            seal_type=settings.seal.type if settings.seal else "",
            seal_parameters=settings.seal.parameters if settings.seal else {},
            seal_secret=settings.seal.secret if settings.seal else "",
            data_size=settings.storage.data,
            audit_size=settings.storage.audit,
            storage_class=settings.storage.storage_class,
            account_annotations=settings.service_account_annotations,
            pod_labels=settings.pod_labels,
        )
    if posture.injection and settings.injector and settings.delivery == "injector":
        injector = InjectorArgs(
            replicas=2 if posture.injection_fail_closed else 1,
            fail_closed=posture.injection_fail_closed,
            ca_certificate=read_pem(settings.ca_cert_file, "vault.caCertFile"),
            spared_namespaces=platform_namespaces(stack.settings),
        )
    return VaultPlatformArgs(
        address=settings.address or "",
        audit_paths=settings.audit_paths[: posture.audit_devices],
        server=server,
        certificate=_certificate(stack) if settings.issued else None,
        injector=injector,
        openbao=settings.distribution == "openbao",
        hub=settings.hub,
        charts=stack.charts,
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
        pki=_pki(settings.pki, stack.settings.layers.cert_manager) if settings.pki else None,
        snapshots=_snapshots(stack),
        retain_data=settings.retain_data,
        network_policies=vault_policies(stack),
    )


def _certificate(stack: Stack) -> ServerCertificateArgs:
    host = urlsplit(stack.settings.vault.address or "").hostname or ""
    return ServerCertificateArgs(host, stack.posture.vault_replicas, f".vault-authority.{stack.name}.pem")


def _pki(settings: VaultPki, namespace: str) -> PkiArgs:
    with keys_of(certificate="vault.pki.certificateFile", next_common_name="vault.pki.nextCommonName"):
        return PkiArgs(
            common_name=settings.common_name,
            domains=settings.domains,
            certificate=read_pem(settings.certificate_file, "vault.pki.certificateFile"),
            max_ttl_hours=settings.max_ttl_hours,
            next_common_name=settings.next_common_name or "",
            cert_manager_namespace=namespace,
        )


def _snapshots(stack: Stack) -> SnapshotArgs | None:
    settings = stack.settings.vault
    if not settings.snapshot_image:
        return None
    return SnapshotArgs(
        image=settings.snapshot_image,
        schedule=settings.snapshots.schedule,
        keep=settings.snapshots.keep,
        size=settings.snapshots.size,
        program="bao" if settings.distribution == "openbao" else "vault",
        storage_class=settings.snapshots.storage_class or "",
        tls_secret=settings.tls_secret or VAULT_TLS_SECRET,
        dns=cluster_dns(stack),
    )


def _connection(stack: Stack, name: str, settings: DatabaseSettings) -> DatabaseConnectionArgs:
    password = settings.admin_password_file
    if password is not None and not Path(password).is_file():
        message = "no such file" + ("; leave the key out once it is used" if settings.kind.rotates else "")
        raise FieldError(f"databases.{name}.adminPasswordFile", message, password)
    secret, _, field = (settings.admin_from or "").partition("/")
    return DatabaseConnectionArgs(
        name=name,
        host=settings.address,
        port=port_for_vault(stack, settings),
        database=settings.database or "",
        engine=settings.engine,
        username=settings.admin_user,
        roles=[role for spec in stack.services for role in role_names(spec, name)],
        namespaces=stack.settings.teams[settings.team].namespaces if settings.team else (),
        tls=settings.tls,
        ca_cert_file=settings.ca_cert_file or "",
        authority=read_pem(settings.authority_file, f"databases.{name}.authorityFile"),
        max_open_connections=settings.max_open_connections,
        password_file=password or "",
        password_secret=f"{SECRETS}:{settings.admin_secret}" if settings.admin_secret else "",
        password_version=settings.admin_password_version,
        service=settings.server,
        password_path=f"{settings.server}/{secret}" if secret else "",
        password_field=field,
    )


def _bootstrap(settings: VaultSettings, bootstrap: VaultBootstrap) -> BootstrapArgs:
    return BootstrapArgs(
        login=_deployer_login(settings, bootstrap.login),
        recovery_shares=bootstrap.recovery_shares,
        recovery_threshold=bootstrap.recovery_threshold,
        pgp_keys=bootstrap.pgp_keys,
    )


def _deployer_login(settings: VaultSettings, login: BootstrapLogin) -> DeployerLogin:
    key = "vault.bootstrap.login"
    if cert := login.cert:
        return CertLogin(read_pem(cert.ca_cert_file, f"{key}.cert.caCertFile"), cert.common_name)
    if jwt := login.jwt:
        authority = read_pem(jwt.issuer_ca_cert_file, f"{key}.jwt.issuerCaCertFile")
        return JwtLogin(jwt.issuer, jwt.audience, jwt.subject, authority)
    if account := login.kubernetes:
        return KubernetesLogin(account.namespace, account.service_account, settings.kubernetes_host)
    raise FieldError(key, "write one of them", legal=["cert", "jwt", "kubernetes"])


def external_secrets_args(stack: Stack) -> ExternalSecretsArgs | None:
    """The arguments of `ExternalSecrets`; `None` where Vault's agent delivers the secrets."""
    if stack.settings.vault.delivery == "injector":
        return None
    return ExternalSecretsArgs(
        stack.charts,
        replicas=2 if stack.posture.injection_fail_closed else 1,
        hub=stack.settings.vault.external_secrets.hub,
        network_policies=external_secrets_policies(stack),
        existing=stack.settings.vault.external_secrets.mode == "existing",
        namespace=stack.settings.layers.external_secrets,
    )


def _store(settings: VaultSettings) -> StoreTerms:
    if settings.delivery == "injector":
        return StoreTerms()
    authority = read_pem(settings.ca_cert_file, "vault.caCertFile")
    return StoreTerms(cluster_address(settings), authority, settings.delivery_reason or "")


def vault_terms(stack: Stack) -> VaultTerms:
    """The terms of Vault for the stack's services."""
    settings = stack.settings.vault
    external = settings.mode == "external"
    return VaultTerms(
        delivery=delivery(stack.settings, stack.posture),
        databases=[
            DatabaseServer(
                name,
                database.address,
                port_of(stack, database),
                database.database or "",
                database.networks,
                database.server,
                database.engine,
                database.tls,
            )
            for name, database in sorted(stack.settings.databases.items())
        ],
        refresh=settings.secrets.refresh,
        store=_store(settings),
        port=port(settings.address) if external else VAULT_PORT,
        networks=vault_networks(settings) if external else (),
    )
