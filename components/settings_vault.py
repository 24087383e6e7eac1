"""The section `vault` of the stack config."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self, cast

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, model_validator

from components.charts import OPENBAO_IMAGE, VAULT_IMAGE
from components.cron_schedule import Schedule
from components.pgp_keys import public_key
from components.service_database import duration
from components.typed_file import Cidr, HttpsAddress, Image, Label, Quantity, TypedFile


def _absolute(value: str) -> str:
    if not PurePosixPath(value).is_absolute():
        raise ValueError("not an absolute path")
    return value


def _audit_path(value: str) -> str:
    if value != "stdout" and not PurePosixPath(value).is_absolute():
        raise ValueError("not stdout and not an absolute path")
    return value


def _signed_name(value: str) -> str:
    if not re.fullmatch(r"(\*\.)?([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]*[a-z0-9])?", value):
        raise ValueError("not a host such as api.example.org, nor all below a domain such as *.apps.example.org")
    return value


AbsolutePath = Annotated[StrictStr, AfterValidator(_absolute)]
AuditPath = Annotated[StrictStr, AfterValidator(_audit_path)]
CommonName = Annotated[StrictStr, Field(min_length=1, max_length=64)]
SignedName = Annotated[StrictStr, AfterValidator(_signed_name)]
Duration = Annotated[StrictStr, AfterValidator(duration)]
PgpPublicKey = Annotated[StrictStr, AfterValidator(public_key)]


class OneOf(TypedFile):
    """A choice: exactly one of the keys is written."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self._written) != 1:
            raise ValueError(f"write one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def _written(self) -> dict[str, TypedFile]:
        given = {name: cast("TypedFile | None", getattr(self, name)) for name in type(self).model_fields}
        return {name: choice for name, choice in given.items() if choice is not None}

    @property
    def kind(self) -> str:
        """The key that is written."""
        return next(iter(self._written))


class VaultLogin(TypedFile):
    """How the deployer logs in to Vault. No token is ever stored.

    `environment` takes the provider's own variables; `jwt` and `kubernetes` the token in `TERRAFORM_VAULT_AUTH_JWT`.
    """

    method: Literal["environment", "cert", "jwt", "kubernetes"] = "environment"
    cert_file: AbsolutePath | None = None
    key_file: AbsolutePath | None = None
    role: Label = "platform-deployer"


class CertificateLogin(TypedFile):
    """Who holds a certificate that this authority signed for this name. `vault.login.method` is then `cert`."""

    ca_cert_file: AbsolutePath
    common_name: StrictStr = "platform-deployer"


class JwtLogin(TypedFile):
    """A job of a CI system, by the token that its OpenID issuer signs. `vault.login.method` is then `jwt`.

    https://developer.hashicorp.com/vault/docs/auth/jwt
    """

    issuer: HttpsAddress
    issuer_ca_cert_file: AbsolutePath | None = None
    audience: StrictStr
    subject: StrictStr
    """In full, such as one repository at one branch."""


class KubernetesLogin(TypedFile):
    """A service account of the cluster that Vault runs in, by its token for audience `vault`.

    `vault.login.method` is then `kubernetes`.
    """

    namespace: Label
    service_account: Label


class BootstrapLogin(OneOf):
    """Who deploys, once the root token is revoked: one of these."""

    cert: CertificateLogin | None = None
    jwt: JwtLogin | None = None
    kubernetes: KubernetesLogin | None = None


class VaultBootstrap(TypedFile):
    """What the first `pulumi up` makes of a Vault that nobody has initialised; without effect on any other.

    The recovery keys are the stack output `vaultRecoveryKeys`, a secret.
    https://developer.hashicorp.com/vault/docs/concepts/seal#recovery-key
    """

    login: BootstrapLogin
    recovery_shares: Annotated[StrictInt, Field(ge=1, le=20)] = 5
    recovery_threshold: Annotated[StrictInt, Field(ge=1, le=20)] = 3
    pgp_keys: tuple[PgpPublicKey, ...] = ()
    """A public key of each holder: each share is encrypted for one of them, so that nobody else can read it."""
    plain_keys_reason: StrictStr | None = None
    """Why production may do without `pgpKeys`: who reads the stack's state in the clear then holds every key."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.recovery_threshold > self.recovery_shares:
            raise ValueError("recoveryThreshold: more than there are recoveryShares")
        if self.recovery_shares > 1 and self.recovery_threshold == 1:
            raise ValueError("recoveryThreshold: with several shares, no single one may be enough")
        if self.pgp_keys and len(self.pgp_keys) != self.recovery_shares:
            raise ValueError(f"pgpKeys: {len(self.pgp_keys)} for {self.recovery_shares} recoveryShares: one each")
        return self


class AwsKmsSeal(TypedFile):
    """A key of AWS KMS. The pods may use it by their service account's role (IRSA), never by an access key."""

    region: StrictStr
    kms_key_id: StrictStr
    """The key's id, ARN or alias."""
    endpoint: HttpsAddress | None = None


class GcpKmsSeal(TypedFile):
    """A key of Google Cloud KMS. The pods may use it by Workload Identity, never by a credentials file."""

    project: StrictStr
    region: StrictStr
    key_ring: StrictStr
    crypto_key: StrictStr


class AzureKeyVaultSeal(TypedFile):
    """A key of Azure Key Vault. The pods may use it by their managed identity, never by a client secret."""

    tenant_id: StrictStr
    vault_name: StrictStr
    key_name: StrictStr
    client_id: StrictStr | None = None
    """The managed identity, when the node has several."""


class TransitSeal(TypedFile):
    """A key of another Vault's transit engine."""

    address: HttpsAddress
    key_name: StrictStr
    mount_path: StrictStr = "transit/"
    tls_ca_cert: AbsolutePath | None = None
    """PEM file in the pod; a further key of the Secret `vault.tlsSecret` is there as `/vault/tls/<key>`."""
    token_secret: Label
    """The Secret in namespace `vault` whose key `token` holds a token that may use the key, and nothing else."""


class StaticSeal(TypedFile):
    """A key of the operator's own, for OpenBao where there is no key service."""

    current_key_id: Label
    previous_key_id: Label | None = None
    """The key before, while its data are not yet written again."""
    key_secret: Label
    """The Secret in namespace `vault` that holds each key, 32 bytes, under its id."""


class VaultSeal(OneOf):
    """The key that unseals Vault on start: one of these (https://developer.hashicorp.com/vault/docs/configuration/seal)."""

    awskms: AwsKmsSeal | None = None
    gcpckms: GcpKmsSeal | None = None
    azurekeyvault: AzureKeyVaultSeal | None = None
    transit: TransitSeal | None = None
    static: StaticSeal | None = None

    @property
    def type(self) -> str:
        """The seal's name in Vault's own configuration."""
        return self.kind

    @property
    def parameters(self) -> dict[str, str]:
        """What stands in Vault's own configuration; no secret does."""
        written = self._written[self.type]
        return written.model_dump(exclude_none=True, exclude={"token_secret", "key_secret"})

    @property
    def secret(self) -> str:
        """The Secret that the pods need for it; empty where their cloud's identity is enough."""
        return next(
            (s for s in (self.transit and self.transit.token_secret, self.static and self.static.key_secret) if s), ""
        )


class VaultStorage(TypedFile):
    """The volumes of the Vault pods."""

    data: Quantity = "10Gi"
    audit: Quantity = "10Gi"
    storage_class: Label | None = None


class VaultSnapshots(TypedFile):
    """Snapshots of Vault's storage, taken by the clock in the cluster, where this stack installs Vault.

    Each is encrypted as the storage is: without the seal's key nobody reads it.
    """

    schedule: Schedule = "15 */6 * * *"
    """When one is taken, as cron writes it, in UTC."""
    keep: Annotated[StrictInt, Field(ge=1, le=1000)] = 28
    """How many of them stay; the oldest go."""
    size: Quantity = "10Gi"
    """The volume that they are kept on: it has to hold one more than stay."""
    storage_class: Label | None = None
    """The cluster's StorageClass; its default one without it. One outside the zone of Vault's own volumes is best."""
    image: Image | None = None
    """Vault's own image at another registry, with a tag or a digest; by default the one of the distribution."""
    off_reason: StrictStr | None = None
    """Why this stack takes none, such as backups of the volumes themselves; by default it takes them."""


class VaultSecrets(TypedFile):
    """The KV v2 engine that holds the services' secrets (https://developer.hashicorp.com/vault/docs/secrets/kv/kv-v2)."""

    keep_versions: Annotated[StrictInt, Field(ge=1, le=100)] = 10
    check_and_set: StrictBool = True
    """Whether a write must name the version that it replaces, so that none undoes another unseen."""
    delete_after: Duration | None = None
    """After this time each version is deleted, the newest one too: a secret that is not rotated ends. By default
    never."""
    refresh: Duration = "5m"
    """How often a pod's agent asks for the newest version, and so how soon a rotated secret is in its file."""


class VaultPki(TypedFile):
    """An intermediate in Vault for internal hosts; cert-manager's issuer `vault` signs by it.

    Vault makes its key. The stack output `vaultPkiRequest` is what the root signs.
    https://developer.hashicorp.com/vault/docs/secrets/pki
    """

    common_name: CommonName
    """The intermediate's name. Each name has a key and a request of its own: `nextCommonName` changes it."""
    next_common_name: CommonName | None = None
    """The name of its successor, whose request is then the stack output, while this one goes on signing."""
    domains: tuple[SignedName, ...] = Field(min_length=1)
    """What may be signed: a host, or every host below a domain (`*.apps.example.org`). Never a wildcard."""
    certificate_file: AbsolutePath | None = None
    """PEM file of the intermediate's certificate alone. Without it nothing is signed yet."""
    max_ttl_hours: Annotated[StrictInt, Field(ge=1, le=8760)] = 2160
    """The longest that a certificate lives; a host's is asked for with 2160 hours, and gets less where this says so."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.next_common_name == self.common_name:
            raise ValueError("nextCommonName: the successor needs another name than commonName")
        return self


class VaultSettings(TypedFile):
    """Vault: installed by its chart, or somewhere else already."""

    mode: Literal["helm", "external"] = "helm"
    distribution: Literal["vault", "openbao"] = "vault"
    address: HttpsAddress | None = None
    """Vault's API as the deployer reaches it."""
    ca_cert_file: StrictStr | None = None
    """PEM file of the authority behind Vault's certificate, when it is not a public one."""
    login: VaultLogin = VaultLogin()
    bootstrap: VaultBootstrap | None = None
    """How a new Vault is initialised; by default an operator does it, and makes the deployer's login."""
    kubernetes_host: HttpsAddress = "https://kubernetes.default.svc"
    """The API server as Vault reaches it, to review tokens."""
    cidrs: tuple[Cidr, ...] = ()
    """Networks of an external Vault, when its address is a host name: network policies take no names."""
    audit_paths: tuple[AuditPath, ...] = ("/vault/audit/audit.log", "stdout")
    """Where the audit devices write; the posture says how many of them there are."""
    delivery: Literal["injector", "external-secrets"] = "injector"
    """How a secret comes to its pod: by Vault's agent, straight into the pod's memory, or by the External Secrets
    Operator, which keeps a copy in a Kubernetes Secret, so in etcd."""
    delivery_reason: StrictStr | None = None
    """Why production may have a copy of each secret in etcd: whoever reads the Secrets of a namespace reads it."""
    injector: StrictBool = True
    """Whether this stack installs the agent injector; false where the cluster has one already."""
    tls_secret: Label = "vault-server-tls"  # noqa: S105 - the name of a Secret, not its value
    """The Secret in namespace `vault` with `tls.crt`, `tls.key` and `ca.crt` of the server."""
    seal: VaultSeal | None = None
    storage: VaultStorage = VaultStorage()
    snapshots: VaultSnapshots = VaultSnapshots()
    secrets: VaultSecrets = VaultSecrets()
    pki: VaultPki | None = None
    """The PKI behind the issuer `vault`; by default somebody else's, at `ingress.vault`."""
    retain_data: StrictBool = True
    """Whether `pulumi destroy` refuses to remove what holds secrets."""

    @property
    def snapshot_image(self) -> str:
        """What this stack takes its snapshots with; empty where it takes none."""
        if self.mode != "helm" or self.snapshots.off_reason:
            return ""
        return self.snapshots.image or (OPENBAO_IMAGE if self.distribution == "openbao" else VAULT_IMAGE)
