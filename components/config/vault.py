"""The section `vault` of the stack config."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, model_validator
from pydantic.alias_generators import to_camel

from components.config.accounts import own_account
from components.config.existing import refuse_beside_existing, refuse_elsewhere
from components.kube.charts import OPENBAO_IMAGE, VAULT_IMAGE
from components.kube.images import from_hub
from components.kube.names import EXTERNAL_SECRETS_NAMESPACE
from components.schema.fields import (
    DNS_NAME,
    AbsolutePath,
    Cidr,
    Duration,
    ExactText,
    HttpsAddress,
    Image,
    Issuer,
    Label,
    ObjectName,
    Registry,
    SettingText,
    Size,
)
from components.schema.labels import LabelKey, LabelValue
from components.schema.pgp_key import public_key
from components.schema.schedule import Schedule
from components.schema.timed_exception import Owner
from components.schema.typed_file import OneOf, TypedFile, misplaced


def _audit_path(value: str) -> str:
    path = PurePosixPath(value)
    if value != "stdout" and not (path.is_absolute() and str(path) == value and ".." not in path.parts):
        raise ValueError("not stdout and not an absolute path")
    return value


def _pod_label(value: str) -> str:
    # The chart's selectors, and our network policies, know the pods by these.
    if value in ("app", "component", "release", "controller-revision-hash") or value.startswith(
        ("app.kubernetes.io/", "statefulset.kubernetes.io/", "helm.sh/", "vault-", "openbao-")
    ):
        raise ValueError("the chart sets it, or Vault itself")
    return value


def _signed_name(value: str) -> str:
    if not re.fullmatch(rf"(\*\.)?{DNS_NAME}", value):
        raise ValueError("not a host such as api.example.org, nor all below a domain such as *.apps.example.org")
    return value


def _common_name(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("nothing to see, or a character that is none to see: write a name such as Example Internal CA")
    return value


PodLabelKey = Annotated[LabelKey, AfterValidator(_pod_label)]
AuditPath = Annotated[StrictStr, AfterValidator(_audit_path)]
CommonName = Annotated[StrictStr, Field(min_length=1, max_length=64), AfterValidator(_common_name)]
SignedName = Annotated[StrictStr, AfterValidator(_signed_name)]

Shares = Annotated[StrictInt, Field(ge=1, le=20)]
SnapshotCount = Annotated[StrictInt, Field(ge=1, le=1000)]
VersionCount = Annotated[StrictInt, Field(ge=1, le=100)]
CertificateHours = Annotated[StrictInt, Field(ge=1, le=8760)]
DeployerAccount = Annotated[Label, own_account("the deployer")]
PgpPublicKey = Annotated[StrictStr, AfterValidator(public_key)]


def recovery_problem(shares: int, threshold: int, keys: int) -> tuple[str, str, int] | None:
    """The field of a bootstrap that contradicts the others, why, and its value; `keys` is the number of PGP keys."""
    if threshold > shares:
        return "recovery_threshold", f"more than there are recoveryShares, {shares}", threshold
    if shares > 1 and threshold == 1:
        return "recovery_threshold", "with several shares, no single one may be enough", threshold
    if keys not in (0, shares):
        return "pgp_keys", f"one for each of recoveryShares is due: {shares}", keys
    return None


class VaultLogin(TypedFile):
    """How the deployer logs in to Vault. No token is ever stored.

    `environment` uses the provider's variables; `jwt` and `kubernetes` use the token in `TERRAFORM_VAULT_AUTH_JWT`.
    """

    method: Literal["environment", "cert", "jwt", "kubernetes"] = "environment"
    cert_file: AbsolutePath | None = None
    key_file: AbsolutePath | None = None
    role: Label = "platform-deployer"


class CertificateLogin(TypedFile):
    """The holder of a certificate that this authority signed for this name. `vault.login.method` is then `cert`."""

    ca_cert_file: AbsolutePath
    common_name: ExactText = "platform-deployer"


class JwtLogin(TypedFile):
    """A job of a CI system, identified by a token of its OpenID issuer. `vault.login.method` is then `jwt`.

    https://developer.hashicorp.com/vault/docs/auth/jwt
    """

    issuer: Issuer
    issuer_ca_cert_file: AbsolutePath | None = None
    audience: ExactText
    subject: ExactText
    """The full subject of the token, such as one repository at one branch."""


class KubernetesLogin(TypedFile):
    """A service account of Vault's cluster, identified by its token for audience `vault`.

    `vault.login.method` is then `kubernetes`.
    """

    namespace: Label
    service_account: DeployerAccount


class BootstrapLogin(OneOf):
    """Who deploys after the root token is revoked: one of these."""

    cert: CertificateLogin | None = None
    jwt: JwtLogin | None = None
    kubernetes: KubernetesLogin | None = None


class VaultBootstrap(TypedFile):
    """How the first `pulumi up` initialises a new Vault. It has no effect on an initialised one.

    The recovery keys are the secret stack output `vaultRecoveryKeys`.
    https://developer.hashicorp.com/vault/docs/concepts/seal#recovery-key
    """

    login: BootstrapLogin
    recovery_shares: Shares = 5
    recovery_threshold: Shares = 3
    pgp_keys: tuple[PgpPublicKey, ...] = ()
    """The public key of each holder. Each share is encrypted for one of them, so that nobody else can read it."""
    plain_keys_reason: Owner | None = None
    """Why production may do without `pgpKeys`: whoever can decrypt the stack's state then has every key."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if wrong := recovery_problem(self.recovery_shares, self.recovery_threshold, len(self.pgp_keys)):
            field, message, found = wrong
            raise misplaced([to_camel(field)], message, found)
        return self


class AwsKmsSeal(TypedFile):
    """A key of AWS KMS. The pods use it by the role of their service account (IRSA), never by an access key."""

    region: SettingText
    kms_key_id: SettingText
    """The key's id, ARN or alias."""
    endpoint: HttpsAddress | None = None


class GcpKmsSeal(TypedFile):
    """A key of Google Cloud KMS. The pods use it by Workload Identity, never by a credentials file."""

    project: SettingText
    region: SettingText
    key_ring: SettingText
    crypto_key: SettingText


class AzureKeyVaultSeal(TypedFile):
    """A key of Azure Key Vault. The pods use it by their managed identity, never by a client secret."""

    tenant_id: SettingText
    vault_name: SettingText
    key_name: SettingText
    client_id: SettingText | None = None
    """The managed identity, if the node has several."""


class TransitSeal(TypedFile):
    """A key of another Vault's transit engine."""

    address: HttpsAddress
    key_name: SettingText
    mount_path: SettingText = "transit/"
    tls_ca_cert: AbsolutePath | None = None
    """PEM file in the pod, which has each key of the ConfigMap `vault.authorities` as `/vault/authorities/<key>`, and
    each of the Secret `vault.tlsSecret` as `/vault/tls/<key>`."""
    token_secret: ObjectName
    """The Secret in namespace `vault` whose key `token` has a token that may only use the transit key."""


class StaticSeal(TypedFile):
    """A key of the operator, for OpenBao without a key service."""

    current_key_id: Label
    previous_key_id: Label | None = None
    """The previous key, as long as some data are encrypted with it."""
    key_secret: ObjectName
    """The Secret in namespace `vault` with each key, 32 bytes, under its id."""


class VaultSeal(OneOf):
    """The key that unseals Vault on start: one of these (https://developer.hashicorp.com/vault/docs/configuration/seal)."""

    awskms: AwsKmsSeal | None = None
    gcpckms: GcpKmsSeal | None = None
    azurekeyvault: AzureKeyVaultSeal | None = None
    transit: TransitSeal | None = None
    static: StaticSeal | None = None

    @property
    def type(self) -> str:
        """The seal's name in Vault's configuration."""
        return self.kind

    @property
    def parameters(self) -> dict[str, str]:
        """The seal's parameters in Vault's configuration, which has no secret."""
        written = self._written[self.type]
        return written.model_dump(exclude_none=True, exclude={"token_secret", "key_secret"})

    @property
    def secret(self) -> str:
        """The Secret that the pods need for it; empty if their cloud identity is enough."""
        return next(
            (s for s in (self.transit and self.transit.token_secret, self.static and self.static.key_secret) if s), ""
        )


class VaultStorage(TypedFile):
    """The volumes of the Vault pods."""

    data: Size = "10Gi"
    audit: Size = "10Gi"
    storage_class: ObjectName | None = None


class VaultSnapshots(TypedFile):
    """Scheduled snapshots of Vault's storage in the cluster, if this stack installs Vault.

    They are encrypted like the storage: nobody can read one without the seal's key.
    """

    schedule: Schedule = "15 */6 * * *"
    """The schedule in cron's notation, in UTC."""
    keep: SnapshotCount = 28
    """How many snapshots to keep; older ones are removed."""
    size: Size = "10Gi"
    """The size of their volume, which needs room for one more than `keep`."""
    storage_class: ObjectName | None = None
    """The StorageClass of their volume, best in another zone than Vault's volumes; by default that of the cluster."""
    image: Image | None = None
    """Vault's image in another registry, with a tag or a digest; by default that of the distribution."""
    off_reason: Owner | None = None
    """Why this stack takes no snapshots, such as backups of the volumes; by default it takes them."""


class VaultSecrets(TypedFile):
    """The KV v2 engine that holds the services' secrets (https://developer.hashicorp.com/vault/docs/secrets/kv/kv-v2)."""

    keep_versions: VersionCount = 10
    check_and_set: StrictBool = True
    """Whether a write must name the version that it replaces, so that it does not overwrite another one unnoticed."""
    delete_after: Duration | None = None
    """The time after which each version is deleted, even the newest: a secret that is not rotated ends. By default
    never."""
    refresh: Duration = "5m"
    """How often a pod's agent reads the newest version, and so how soon a rotated secret is in its file."""


class VaultPki(TypedFile):
    """An intermediate CA in Vault for internal hosts, used by cert-manager's issuer `vault`.

    Vault creates its key. The stack output `vaultPkiRequest` is the request for the root to sign.
    https://developer.hashicorp.com/vault/docs/secrets/pki
    """

    common_name: CommonName
    """The intermediate's name. Each name has its own key and request; `nextCommonName` prepares a change."""
    next_common_name: CommonName | None = None
    """The name of its successor, whose request is then the stack output while this one still signs."""
    domains: tuple[SignedName, ...] = Field(min_length=1)
    """The hosts that may get a certificate: one, or all below a domain (`*.apps.example.org`). Never a wildcard."""
    certificate_file: AbsolutePath | None = None
    """PEM file of the intermediate's certificate alone. Without it nothing is signed yet."""
    max_ttl_hours: CertificateHours = 2160
    """The longest lifetime of a certificate. Hosts request 2160 hours, and get this if it is less."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.next_common_name == self.common_name:
            raise misplaced(
                ["nextCommonName"], "the successor needs another name than commonName", self.next_common_name
            )
        return self


class ExternalSecretsSettings(TypedFile):
    """The External Secrets Operator, with `delivery: external-secrets`."""

    mode: Literal["helm", "existing"] = "helm"
    """`helm` installs it in the namespace `external-secrets`; `existing` takes one that others installed, whose
    settings `pulumi up` and `zt preflight` check."""
    namespace: Label | None = None
    """With `mode: existing`: its namespace; by default `external-secrets`."""
    hub: Registry | None = None
    """A registry, or a path in one, that mirrors its image: `<hub>/external-secrets`."""

    @model_validator(mode="after")
    def _own_place(self) -> Self:
        refuse_beside_existing(self, self.mode, "hub")
        refuse_elsewhere(self.mode, self.namespace, EXTERNAL_SECRETS_NAMESPACE)
        return self


class VaultSettings(TypedFile):
    """Vault: installed by its chart, or an existing one."""

    mode: Literal["helm", "external"] = "helm"
    distribution: Literal["vault", "openbao"] = "vault"
    hub: Registry | None = None
    """A registry, or a path in one, that mirrors the images of servers, agents and injector, each under its last name:
    `<hub>/vault` or `<hub>/openbao`, and `<hub>/vault-k8s`, which OpenBao's injector is, too."""
    address: HttpsAddress | None = None
    """The address of Vault's API for the deployer."""
    ca_cert_file: StrictStr | None = None
    """PEM file of the authority behind Vault's certificate, if that is not a public one, nor the program's own."""
    login: VaultLogin = VaultLogin()
    bootstrap: VaultBootstrap | None = None
    """How a new Vault is initialised; by default an operator does it and creates the deployer's login."""
    kubernetes_host: HttpsAddress = "https://kubernetes.default.svc"
    """The address of the API server for Vault, which reviews tokens there."""
    cidrs: tuple[Cidr, ...] = ()
    """Networks of an external Vault, if its address is a host name: network policies accept no names."""
    client_cidrs: tuple[Cidr, ...] = ()
    """The networks outside the cluster that may reach Vault's port in it, the deployer's above all. By default any:
    through a load balancer it comes from addresses of the cluster's nodes."""
    audit_paths: tuple[AuditPath, ...] = ("/vault/audit/audit.log", "stdout")
    """Where the audit devices write; the posture sets how many of them are used."""
    delivery: Literal["injector", "external-secrets"] = "injector"
    """How a secret gets into its pod: by Vault's agent, directly into the pod's memory, or by the External Secrets
    Operator, which keeps a copy in a Kubernetes Secret and so in etcd."""
    delivery_reason: Owner | None = None
    """Why production may have a copy of each secret in etcd, where whoever reads a namespace's Secrets can read it."""
    external_secrets: ExternalSecretsSettings = ExternalSecretsSettings()
    injector: StrictBool = True
    """Whether this stack installs the agent injector; false if the cluster has one already."""
    tls_secret: ObjectName | None = None
    """A Secret of yours in namespace `vault` with `tls.crt`, `tls.key` and `ca.crt` of the servers. By default the
    program has cert-manager make one, by an authority of its own, and renew it. Vault takes up a renewed one."""
    authorities: ObjectName | None = None
    """A ConfigMap of yours in namespace `vault` with the certificates of further authorities in PEM: that of the seal's
    Vault, those of PostgreSQL servers. Vault's pods have each key as `/vault/authorities/<key>`."""
    seal: VaultSeal | None = None
    service_account_annotations: dict[LabelKey, StrictStr] = Field(default_factory=dict)
    """Annotations of the service account of Vault's pods, by which a cloud gives them the seal's key:
    `eks.amazonaws.com/role-arn`, `iam.gke.io/gcp-service-account` or `azure.workload.identity/client-id`."""
    pod_labels: dict[PodLabelKey, LabelValue] = Field(default_factory=dict)
    """Labels of Vault's pods, such as `azure.workload.identity/use: "true"`."""
    storage: VaultStorage = VaultStorage()
    snapshots: VaultSnapshots = VaultSnapshots()
    secrets: VaultSecrets = VaultSecrets()
    pki: VaultPki | None = None
    """The PKI of the issuer `vault`; by default an existing one, at `ingress.vault`."""
    retain_data: StrictBool = True
    """Whether `pulumi destroy` refuses to remove volumes and engines with secrets."""

    @property
    def issued(self) -> bool:
        """Whether the program has the certificate of Vault's servers issued."""
        return self.mode == "helm" and self.tls_secret is None

    @property
    def image(self) -> str:
        """Vault's image, for what the program itself runs of it."""
        own = OPENBAO_IMAGE if self.distribution == "openbao" else VAULT_IMAGE
        return self.snapshots.image or from_hub(own, self.hub)

    @property
    def snapshot_image(self) -> str:
        """The image that takes the snapshots; empty if the stack takes none."""
        return "" if self.mode != "helm" or self.snapshots.off_reason else self.image
