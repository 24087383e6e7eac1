"""`VaultPlatform`: Vault, installed by its chart or external, configured for the secrets of services."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import pulumi
import pulumi_vault
from pulumi_vault import Audit, AuthBackend, Mount, Policy, ProviderAuthLoginCertArgs, ProviderAuthLoginJwtArgs
from pulumi_vault.kubernetes import AuthBackendConfig, AuthBackendRole
from pulumi_vault.kv import SecretBackendV2
from pydantic import Field, StrictInt

from components.config.vault import AuditPath, VersionCount
from components.kube.charts import OPENBAO, PUBLISHED, VAULT, ChartSources
from components.kube.manifest import Manifest, of_kind, pod_security
from components.kube.names import AUDIT_DIRECTORY, DEPLOYER, OPERATOR, TOKEN_AUDIENCE, VAULT_NAMESPACE, VAULT_RELEASE
from components.kube.objects import KubernetesObject, Release
from components.kube.platform_network import network_policies
from components.schema.checked import check_fields
from components.schema.fields import AbsolutePath, HttpsAddress, Label, Registry
from components.schema.problem import FieldError
from components.vault.bootstrap_resources import BootstrapArgs, DeployerAccess, bootstrap
from components.vault.database import database_connection, database_engine, first_password
from components.vault.database_connection import DatabaseConnectionArgs
from components.vault.deployer import KubernetesLogin, deployer_policy
from components.vault.operator import OPERATOR_TOKEN_SECONDS, operator_policy
from components.vault.pki import PkiArgs, pki_engine
from components.vault.reviewer import reviewer_token
from components.vault.server_certificate import ServerCertificateArgs, server_certificate, written
from components.vault.snapshots import SnapshotArgs, snapshots
from components.vault.values import InjectorArgs, ServerArgs, chart_values

# Pods of a new release first pull images and wait for volumes; an external server is there already.
_POD_SECONDS = 300
_SERVER_SECONDS = 60


@dataclass(frozen=True)
class VaultPlatformArgs:
    """Vault's address and configuration. `server` is `None` for an external Vault, `injector` where none is installed.

    Raises `FieldError` for what a stack file may not say, and for fields that contradict or need each other.
    """

    address: HttpsAddress
    audit_paths: Sequence[AuditPath]
    server: ServerArgs | None = None
    certificate: ServerCertificateArgs | None = None
    """The certificate that the servers are issued, by an authority of their own; `None`: they have one already."""
    injector: InjectorArgs | None = None
    openbao: bool = False
    hub: Registry | None = None
    """The registry path of the images of servers, agents and injector; `None`: their projects' own."""
    charts: ChartSources = PUBLISHED
    ca_cert_file: str | None = None
    login_cert_file: AbsolutePath | None = None
    """The client certificate to log in with, together with `login_key_file`."""
    login_key_file: AbsolutePath | None = None
    login_jwt_mount: Label = ""
    """The mount of the auth method to log in at with the token in `TERRAFORM_VAULT_AUTH_JWT`.

    Without it and without a certificate, the provider logs in with what its environment has.
    """
    login_role: Label = DEPLOYER
    bootstrap: BootstrapArgs | None = None
    """How to initialise Vault; `None`: an operator initialises it and makes the deployer's login."""
    kubernetes_host: HttpsAddress = "https://kubernetes.default.svc"
    kv_mount: Label = "secret"
    kept_versions: VersionCount = 10
    check_and_set: bool = True
    delete_after: Annotated[StrictInt, Field(ge=0)] = 0
    """Seconds after which a version of a secret is deleted; 0: never."""
    database_mount: Label = "database"
    databases: Sequence[DatabaseConnectionArgs] = ()
    auth_path: Label = "kubernetes"
    pki: PkiArgs | None = None
    """An intermediate for internal hosts; `None`: the program creates none."""
    snapshots: SnapshotArgs | None = None
    """Snapshots of the storage, which need `server`; `None`: none are taken."""
    retain_data: bool = True
    network_policies: Sequence[Manifest] = ()
    """The network policies of Vault's namespace, before its pods."""

    def __post_init__(self) -> None:
        check_fields(self)
        self._check_audits()
        self._check_seal()
        if bool(self.login_cert_file) != bool(self.login_key_file):
            message = "it goes with login_key_file, and one is without the other"
            raise FieldError("login_cert_file", message, legal=["both", "none"])
        if self.login_cert_file and self.login_jwt_mount:
            raise FieldError("login_cert_file", "login_jwt_mount is there, too: keep one")
        if self.bootstrap and not (self.login_cert_file or self.login_jwt_mount):
            raise FieldError("bootstrap", "no login of the deployer", legal=["login_cert_file", "login_jwt_mount"])
        if self.certificate and not self.server:
            raise FieldError("certificate", "an external Vault has its own; legal: with server")
        if self.certificate and self.ca_cert_file:
            raise FieldError("ca_cert_file", "the certificate comes with its authority: keep one of the two")
        if self.snapshots and not self.server:
            raise FieldError("snapshots", "an external Vault's storage is somebody else's; legal: with server")

    def _check_audits(self) -> None:
        for number, path in enumerate(self.audit_paths):
            if self.server and path != "stdout" and not path.startswith(f"{AUDIT_DIRECTORY}/"):
                raise FieldError("audit_paths", f"not below {AUDIT_DIRECTORY}, the only volume for it", path)
            if path in self.audit_paths[:number]:
                raise FieldError("audit_paths", "another device writes there: each needs a path of its own", path)

    def _check_seal(self) -> None:
        if self.server is None:
            if self.bootstrap and isinstance(self.bootstrap.login, KubernetesLogin):
                raise FieldError("bootstrap", "a login by a service account needs a Vault in the cluster")
            return
        if self.server.seal_type == "static" and not self.openbao:
            raise FieldError("server", "HashiCorp's Vault has no static seal, and OpenBao has")
        if self.bootstrap and not self.server.seal_type:
            raise FieldError("server", "a new Vault must unseal itself: with bootstrap it needs a seal")


def provider_args(args: VaultPlatformArgs, ca_cert_file: pulumi.Input[str] | None) -> pulumi_vault.ProviderArgs:
    """The arguments of the provider: a login with a short-lived token, and no fixed token."""
    login = jwt = None
    if args.login_cert_file and args.login_key_file:
        login = ProviderAuthLoginCertArgs(
            cert_file=args.login_cert_file, key_file=args.login_key_file, name=args.login_role
        )
    elif args.login_jwt_mount:
        jwt = ProviderAuthLoginJwtArgs(mount=args.login_jwt_mount, role=args.login_role)
    return pulumi_vault.ProviderArgs(
        address=args.address,
        ca_cert_file=ca_cert_file,
        auth_login_cert=login,
        auth_login_jwt=jwt,
        # The deployer's token is short-lived; creating a child of it would need a right that its policy does not give.
        skip_child_token=True,
    )


def audit_devices(args: VaultPlatformArgs) -> list[tuple[str, dict[str, str]]]:
    """Path and options of each audit device (https://developer.hashicorp.com/vault/docs/audit/file)."""
    return [(f"audit-{number}", {"file_path": path}) for number, path in enumerate(args.audit_paths, start=1)]


class VaultPlatform(pulumi.ComponentResource):
    """Vault with a KV v2 engine, Kubernetes authentication, audit devices, and a database engine for `databases`.

    With `certificate` the servers' certificate is issued first, which needs cert-manager: pass its `ready` as
    `depends_on`. With `server` a Helm release runs Vault; without it a service account reviews tokens on behalf of the
    external Vault. With `bootstrap` a new Vault is initialised, the deployer's login is made and the root token is
    revoked; without it an operator has to do so first. The operator has a login: a policy, a role, and a service
    account in Vault's namespace. With `snapshots` a CronJob copies the storage to a volume. Resources that hold secrets
    are protected and retained while `retain_data` is set.
    """

    provider: pulumi_vault.Provider
    release: Release | None
    recovery_keys: pulumi.Output[Sequence[str]] | None
    """The recovery keys, a secret; `None` without `bootstrap`, empty if Vault was initialised before."""
    authority: pulumi.Output[str] | None
    """The authority of the servers' certificate, in PEM; `None` where the program has none issued."""
    pki_request: pulumi.Output[str] | None
    """The signing request of the intermediate, in PEM; `None` without `pki`."""
    kv_mount: str
    auth_path: str
    accessor: pulumi.Output[str]
    """The accessor of the services' login, by which policies name what it says of them."""
    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: VaultPlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:VaultPlatform", name, None, opts)
        self._args = args
        self.kv_mount, self.auth_path = args.kv_mount, args.auth_path
        keep = args.retain_data or None
        namespace = KubernetesObject(
            f"{name}.namespace",
            of_kind("Namespace", metadata={"name": VAULT_NAMESPACE, "labels": pod_security("restricted")}),
            pulumi.ResourceOptions(
                parent=self, protect=keep if args.server else None, retain_on_delete=keep if args.server else None
            ),
        )
        closed = network_policies(name, args.network_policies, namespace, self)
        before: list[pulumi.Resource] = [namespace, *closed]
        self.authority, self._ca_cert_file = None, args.ca_cert_file
        if args.certificate:
            before, self.authority = server_certificate(name, args.certificate, before, self)
            self._ca_cert_file = written(self.authority, args.certificate.authority_file)
        self.release = self._release(name, before, keep)
        self.recovery_keys, self._before = None, list[pulumi.Resource]([self.release] if self.release else [])
        if args.bootstrap:
            self._bootstrap(name, args.bootstrap, keep)
        self.provider = pulumi_vault.Provider(
            f"{name}.provider",
            provider_args(args, self._ca_cert_file),
            opts=pulumi.ResourceOptions(parent=self, depends_on=self._before if args.bootstrap else None),
        )
        audits = self._audits()
        engine = self._engine(audits, keep)
        self._audited = audits
        self._databases = database_engine(args.database_mount, args.databases, self._in_engine, keep)
        auth = self._authentication(name, namespace, audits)
        operator = self._operator(name, namespace, auth)
        self.pki_request, pki = self._pki(audits, auth, keep)
        self.ready = [*audits, *engine, *self._databases, *auth, *operator, *pki]
        if args.snapshots:
            in_cluster = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
            self.ready += snapshots(args.snapshots, self.auth_path, in_cluster, self._in_vault(auth), keep)
        self.register_outputs({"address": args.address, "kvMount": args.kv_mount, "authPath": args.auth_path})

    def connect(
        self, database: DatabaseConnectionArgs, password: pulumi.Output[str] | None, after: Sequence[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        """Create the connection to a database that is a service of the stack, `after` it is ready.

        `password` is the administrator's first, if it is one that the service generates.
        """
        first = password if database.password_path else first_password(database)
        return database_connection(
            self._args.database_mount,
            database,
            first,
            self._databases[0],
            lambda before: self._in_engine([*before, *after]),
            self._args.retain_data or None,
        )

    def _in_engine(self, after: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
        return self._in_vault([*self._audited, *after])

    def _in_vault(
        self,
        depends_on: Sequence[pulumi.Resource],
        protect: bool | None = None,
    ) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self,
            provider=self.provider,
            depends_on=[*depends_on, *self._before],
            # When the release is deleted, Vault is gone with all that it holds.
            deleted_with=self.release if self._args.server else None,
            protect=protect,
            retain_on_delete=protect,
        )

    def _release(self, name: str, after: list[pulumi.Resource], keep: bool | None) -> Release | None:
        args = self._args
        if not (args.server or args.injector):
            return None
        chart = OPENBAO if args.openbao else VAULT
        values = self._values()
        holds_data = keep if args.server else None
        return Release(
            f"{name}.release",
            {
                **chart.source(args.charts),
                "name": VAULT_RELEASE,
                "namespace": VAULT_NAMESPACE,
                "values": values,
                # A new Vault becomes ready when it is initialised, and that comes after the release.
                "skipAwait": bool(args.server),
            },
            pulumi.ResourceOptions(parent=self, depends_on=after, protect=holds_data, retain_on_delete=holds_data),
        )

    def _values(self) -> Any:
        args = self._args
        external = None if args.server else args.address
        if self.authority is None or args.injector is None:
            return chart_values(args.server, args.injector, args.openbao, external, args.hub)
        injector = args.injector
        return self.authority.apply(
            lambda pem: chart_values(
                args.server, replace(injector, ca_certificate=pem), args.openbao, external, args.hub
            )
        )

    def _bootstrap(self, name: str, args: BootstrapArgs, keep: bool | None) -> None:
        platform = self._args
        access = DeployerAccess(
            address=platform.address,
            ca_cert_file=self._ca_cert_file or "",
            role=platform.login_role,
            cert_file=platform.login_cert_file or "",
            key_file=platform.login_key_file or "",
            patience=_POD_SECONDS if platform.server else _SERVER_SECONDS,
        )
        # Vault returns the recovery keys only once.
        options = pulumi.ResourceOptions(parent=self, depends_on=self._before, protect=keep, retain_on_delete=keep)
        initialisation, login = bootstrap(name, args, access, deployer_policy(pki=platform.pki is not None), options)
        self.recovery_keys = initialisation.recovery_keys
        self._before = [*self._before, login]

    def _audits(self) -> list[pulumi.Resource]:
        # A device's new file comes at its old path in Vault, which has to be free.
        replaced = pulumi.ResourceOptions.merge(self._in_vault([]), pulumi.ResourceOptions(delete_before_replace=True))
        return [
            Audit(path, path=path, type="file", options=options, opts=replaced)
            for path, options in audit_devices(self._args)
        ]

    def _engine(self, audits: Sequence[pulumi.Resource], keep: bool | None) -> list[pulumi.Resource]:
        # After the audit devices, so that every access to a secret is logged.
        mount = Mount(
            self.kv_mount,
            path=self.kv_mount,
            type="kv-v2",
            description="The services' secrets, one folder for each namespace and service",
            opts=self._in_vault(audits, protect=keep),
        )
        config = SecretBackendV2(
            self.kv_mount,
            mount=self.kv_mount,
            max_versions=self._args.kept_versions,
            cas_required=self._args.check_and_set,
            delete_version_after=self._args.delete_after or None,
            opts=self._in_vault([mount], protect=keep),
        )
        return [mount, config]

    def _authentication(
        self, name: str, namespace: pulumi.Resource, audits: Sequence[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        backend = AuthBackend(
            self.auth_path,
            path=self.auth_path,
            type="kubernetes",
            description="Service accounts of the cluster",
            opts=self._in_vault(audits),
        )
        self.accessor = backend.accessor
        token = None if self._args.server else reviewer_token(name, namespace, self)
        config = AuthBackendConfig(
            self.auth_path,
            backend=self.auth_path,
            kubernetes_host=self._args.kubernetes_host,
            kubernetes_ca_cert=token.field("ca.crt") if token else None,
            token_reviewer_jwt=token.field("token") if token else None,
            # Vault's own default, which the provider would turn round: the API server checks the issuer of a token
            # (https://developer.hashicorp.com/vault/docs/auth/kubernetes#discovering-the-service-account-issuer).
            disable_iss_validation=True,
            disable_local_ca_jwt=True if token else None,
            opts=self._in_vault([backend]),
        )
        return [backend, config]

    def _pki(
        self, audits: Sequence[pulumi.Resource], auth: Sequence[pulumi.Resource], keep: bool | None
    ) -> tuple[pulumi.Output[str] | None, list[pulumi.Resource]]:
        if self._args.pki is None:
            return None, []
        return pki_engine(self._args.pki, self.auth_path, lambda after: self._in_vault([*audits, *auth, *after]), keep)

    def _operator(
        self, name: str, namespace: pulumi.Resource, auth: Sequence[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        """The operator's login. No pod uses its account: an operator is whoever may request a token of it."""
        args = self._args
        account = KubernetesObject(
            f"{name}.operator",
            of_kind(
                "ServiceAccount",
                metadata={"name": OPERATOR, "namespace": VAULT_NAMESPACE},
                automountServiceAccountToken=False,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=[namespace]),
        )
        credentials = f"{args.database_mount}/creds"
        policy = Policy(
            OPERATOR,
            name=OPERATOR,
            policy=operator_policy(args.kv_mount, self.auth_path, credentials),
            opts=self._in_vault(auth),
        )
        role = AuthBackendRole(
            OPERATOR,
            backend=self.auth_path,
            role_name=OPERATOR,
            bound_service_account_names=[OPERATOR],
            bound_service_account_namespaces=[VAULT_NAMESPACE],
            audience=TOKEN_AUDIENCE,
            token_policies=[OPERATOR],
            token_no_default_policy=True,
            token_ttl=OPERATOR_TOKEN_SECONDS,
            token_max_ttl=OPERATOR_TOKEN_SECONDS,
            opts=self._in_vault([policy]),
        )
        return [account, policy, role]
