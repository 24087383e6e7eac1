"""`VaultPlatform`: Vault by its chart or an external one, ready for services to keep their secrets in."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_vault
from pulumi_kubernetes.core.v1 import Namespace, Secret, ServiceAccount
from pulumi_kubernetes.helm.v3 import Release, ReleaseArgs
from pulumi_kubernetes.rbac.v1 import ClusterRoleBinding
from pulumi_vault import Audit, AuthBackend, Mount, Policy, ProviderAuthLoginCertArgs, ProviderAuthLoginJwtArgs
from pulumi_vault.kubernetes import AuthBackendConfig, AuthBackendRole
from pulumi_vault.kv import SecretBackendV2

from components.charts import OPENBAO, VAULT
from components.service_vault import TOKEN_AUDIENCE
from components.vault_bootstrap_resources import BootstrapArgs, DeployerAccess, bootstrap
from components.vault_database import DatabaseConnectionArgs, database_engine
from components.vault_deployer import DEPLOYER, deployer_policy
from components.vault_operator import OPERATOR, OPERATOR_TOKEN_SECONDS, operator_policy
from components.vault_pki import PkiArgs, pki_engine
from components.vault_snapshots import SnapshotArgs, snapshots
from components.vault_values import NAMESPACE, RELEASE, InjectorArgs, ServerArgs, chart_values

REVIEWER = "vault-token-reviewer"
# Until a new release's pods answer: images are pulled and volumes made first.
_POD_SECONDS = 300
_SERVER_SECONDS = 60


@dataclass(frozen=True)
class VaultPlatformArgs:
    """Where Vault is and what it must do. `server` is `None` for an external Vault, `injector` where one runs already.

    Raises `ValueError` on an address without TLS, or on a certificate login without its files.
    """

    address: str
    audit_paths: Sequence[str]
    server: ServerArgs | None = None
    injector: InjectorArgs | None = None
    openbao: bool = False
    charts_dir: str | None = None
    ca_cert_file: str | None = None
    login_cert_file: str | None = None
    """With `login_key_file`, the client certificate to log in with; without, the provider's environment is used."""
    login_key_file: str | None = None
    login_jwt_mount: str = ""
    """The auth method to log in at with the token of `TERRAFORM_VAULT_AUTH_JWT`; empty: not so."""
    login_role: str = DEPLOYER
    bootstrap: BootstrapArgs | None = None
    """How to initialise it; `None`: that is an operator's, and so is the deployer's login."""
    kubernetes_host: str = "https://kubernetes.default.svc"
    kv_mount: str = "secret"
    kept_versions: int = 10
    check_and_set: bool = True
    delete_after: int = 0
    """Seconds after which a version of a secret is deleted; 0: never."""
    database_mount: str = "database"
    databases: Sequence[DatabaseConnectionArgs] = ()
    auth_path: str = "kubernetes"
    pki: PkiArgs | None = None
    """An intermediate for internal hosts; `None`: somebody else's signs, or none does."""
    snapshots: SnapshotArgs | None = None
    """Of its own server's storage; `None`: none are taken."""
    retain_data: bool = True

    def __post_init__(self) -> None:
        if not self.address.startswith("https://"):
            raise ValueError(f"address: {self.address!r} is without TLS; legal: an https:// address")
        if bool(self.login_cert_file) != bool(self.login_key_file):
            raise ValueError("login_cert_file and login_key_file: one without the other; legal: both or none")
        if self.login_cert_file and self.login_jwt_mount:
            raise ValueError("login_cert_file and login_jwt_mount: keep one")
        if self.bootstrap and not (self.login_cert_file or self.login_jwt_mount):
            raise ValueError("bootstrap: no login of the deployer; legal: login_cert_file, login_jwt_mount")
        if self.snapshots and not self.server:
            raise ValueError("snapshots: an external Vault's storage is somebody else's; legal: with server")


def provider_args(args: VaultPlatformArgs) -> pulumi_vault.ProviderArgs:
    """An explicit provider with a short-lived login and no token of its own."""
    login = jwt = None
    if args.login_cert_file and args.login_key_file:
        login = ProviderAuthLoginCertArgs(
            cert_file=args.login_cert_file, key_file=args.login_key_file, name=args.login_role
        )
    elif args.login_jwt_mount:
        jwt = ProviderAuthLoginJwtArgs(mount=args.login_jwt_mount, role=args.login_role)
    return pulumi_vault.ProviderArgs(
        address=args.address,
        ca_cert_file=args.ca_cert_file,
        auth_login_cert=login,
        auth_login_jwt=jwt,
        # The login's own token is short-lived already, and making children of it would be one more right.
        skip_child_token=True if login or jwt else None,
    )


def audit_devices(args: VaultPlatformArgs) -> list[tuple[str, dict[str, str]]]:
    """Path and options of each audit device (https://developer.hashicorp.com/vault/docs/audit/file)."""
    return [(f"audit-{number}", {"file_path": path}) for number, path in enumerate(args.audit_paths, start=1)]


class VaultPlatform(pulumi.ComponentResource):
    """Vault with a KV v2 engine, Kubernetes authentication, audit devices, and a database engine where there are any.

    The operator has a login of its own: a policy, a role and the service account in Vault's namespace that it is for.
    With `snapshots` a CronJob copies the storage of its own server to a volume.

    With `server`, a Helm release runs it; without, a service account reviews tokens on behalf of the external Vault.
    With `bootstrap` a Vault that nobody initialised is, the deployer's login is made, and the root token revoked;
    without, an operator does that before the configuration can follow. What holds secrets is protected and retained
    while `retain_data` is set.
    """

    provider: pulumi_vault.Provider
    release: Release | None
    recovery_keys: pulumi.Output[Sequence[str]] | None
    """The keys that the bootstrap got, a secret; empty where somebody else initialised Vault."""
    pki_request: pulumi.Output[str] | None
    """What the root signs, in PEM; `None` without an intermediate."""
    kv_mount: str
    auth_path: str
    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: VaultPlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:VaultPlatform", name, None, opts)
        self._args = args
        self.kv_mount, self.auth_path = args.kv_mount, args.auth_path
        keep = args.retain_data or None
        namespace = Namespace(
            f"{name}.namespace",
            metadata={"name": NAMESPACE},
            opts=pulumi.ResourceOptions(
                parent=self, protect=keep if args.server else None, retain_on_delete=keep if args.server else None
            ),
        )
        self.release = self._release(name, namespace, keep)
        self.recovery_keys, self._before = None, list[pulumi.Resource]([self.release] if self.release else [])
        if args.bootstrap:
            self._bootstrap(name, args.bootstrap, keep)
        self.provider = pulumi_vault.Provider(
            f"{name}.provider",
            provider_args(args),
            opts=pulumi.ResourceOptions(parent=self, depends_on=self._before if args.bootstrap else None),
        )
        audits = self._audits()
        engine = self._engine(audits, keep)
        databases = database_engine(
            args.database_mount, args.databases, lambda after: self._in_vault([*audits, *after]), keep
        )
        auth = self._authentication(name, namespace, audits)
        operator = self._operator(name, namespace, auth)
        self.pki_request, issuing = self._pki(audits, auth, keep)
        self.ready = [*audits, *engine, *databases, *auth, *operator, *issuing]
        if args.snapshots:
            in_cluster = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
            self.ready += snapshots(args.snapshots, self.auth_path, in_cluster, self._in_vault(auth), keep)
        self.register_outputs({"address": args.address, "kvMount": args.kv_mount, "authPath": args.auth_path})

    def _in_vault(
        self,
        depends_on: Sequence[pulumi.Resource],
        protect: bool | None = None,
    ) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self,
            provider=self.provider,
            depends_on=[*depends_on, *self._before],
            # A Vault that is gone cannot be asked to delete.
            deleted_with=self.release if self._args.server else None,
            protect=protect,
            retain_on_delete=protect,
        )

    def _release(self, name: str, namespace: Namespace, keep: bool | None) -> Release | None:
        args = self._args
        if not (args.server or args.injector):
            return None
        chart = OPENBAO if args.openbao else VAULT
        values = chart_values(args.server, args.injector, args.openbao, None if args.server else args.address)
        holds_data = keep if args.server else None
        return Release(
            f"{name}.release",
            ReleaseArgs(
                **cast("dict[str, Any]", chart.source(args.charts_dir)),
                name=RELEASE,
                namespace=NAMESPACE,
                values=values,
                # A Vault that nobody initialised is not ready, and initialising it comes after the release.
                skip_await=bool(args.server),
            ),
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[namespace], protect=holds_data, retain_on_delete=holds_data
            ),
        )

    def _bootstrap(self, name: str, args: BootstrapArgs, keep: bool | None) -> None:
        own = self._args
        access = DeployerAccess(
            address=own.address,
            ca_cert_file=own.ca_cert_file or "",
            role=own.login_role,
            cert_file=own.login_cert_file or "",
            key_file=own.login_key_file or "",
            patience=_POD_SECONDS if own.server else _SERVER_SECONDS,
        )
        # Nobody gets the recovery keys a second time.
        options = pulumi.ResourceOptions(parent=self, depends_on=self._before, protect=keep, retain_on_delete=keep)
        first, login = bootstrap(name, args, access, deployer_policy(pki=own.pki is not None), options)
        self.recovery_keys = first.recovery_keys
        self._before = [*self._before, login]

    def _audits(self) -> list[pulumi.Resource]:
        return [
            Audit(path, path=path, type="file", options=options, opts=self._in_vault([]))
            for path, options in audit_devices(self._args)
        ]

    def _engine(self, audits: Sequence[pulumi.Resource], keep: bool | None) -> list[pulumi.Resource]:
        # The audit devices come first: no secret is ever written or read unseen.
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
        self, name: str, namespace: Namespace, audits: Sequence[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        backend = AuthBackend(
            self.auth_path,
            path=self.auth_path,
            type="kubernetes",
            description="Service accounts of the cluster",
            opts=self._in_vault(audits),
        )
        token = None if self._args.server else self._reviewer(name, namespace)
        config = AuthBackendConfig(
            self.auth_path,
            backend=self.auth_path,
            kubernetes_host=self._args.kubernetes_host,
            kubernetes_ca_cert=_field(token, "ca.crt"),
            token_reviewer_jwt=_field(token, "token"),
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

    def _operator(self, name: str, namespace: Namespace, auth: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        """Whoever the API server lets ask for a token of this account is the operator: it stands on no pod."""
        args = self._args
        account = ServiceAccount(
            f"{name}.operator",
            metadata={"name": OPERATOR, "namespace": NAMESPACE},
            automount_service_account_token=False,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[namespace]),
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
            bound_service_account_namespaces=[NAMESPACE],
            audience=TOKEN_AUDIENCE,
            token_policies=[OPERATOR],
            token_no_default_policy=True,
            token_ttl=OPERATOR_TOKEN_SECONDS,
            token_max_ttl=OPERATOR_TOKEN_SECONDS,
            opts=self._in_vault([policy]),
        )
        return [account, policy, role]

    def _reviewer(self, name: str, namespace: Namespace) -> Secret:
        """The identity by which an external Vault reviews tokens: a bound token that does not expire under it."""
        child = pulumi.ResourceOptions(parent=self, depends_on=[namespace])
        account = ServiceAccount(
            f"{name}.reviewer",
            metadata={"name": REVIEWER, "namespace": NAMESPACE},
            automount_service_account_token=False,
            opts=child,
        )
        ClusterRoleBinding(
            f"{name}.reviewer",
            metadata={"name": REVIEWER},
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
            subjects=[{"kind": "ServiceAccount", "name": REVIEWER, "namespace": NAMESPACE}],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[account]),
        )
        # The Kubernetes provider waits until the token controller has filled a secret of this type.
        return Secret(
            f"{name}.reviewer",
            metadata={
                "name": REVIEWER,
                "namespace": NAMESPACE,
                "annotations": {"kubernetes.io/service-account.name": REVIEWER},
            },
            type="kubernetes.io/service-account-token",
            opts=pulumi.ResourceOptions(parent=self, depends_on=[account]),
        )


def _field(secret: Secret | None, key: str) -> pulumi.Output[str] | None:
    if secret is None:
        return None
    return pulumi.Output.secret(secret.data.apply(lambda data: _decoded(data, key)))


def _decoded(data: Mapping[str, str] | None, key: str) -> str:
    return base64.b64decode(data[key]).decode() if data and key in data else ""
