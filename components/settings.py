"""The typed stack config: what a `Pulumi.<stack>.yaml` may say, and the overlay that says only where things are.

One config key `zero-trust:<key>` for each top-level field of `Settings`. Secrets never live in this model.
"""

import ipaddress
import json
from collections.abc import Mapping
from datetime import date
from typing import Literal, cast
from urllib.parse import urlsplit

from pydantic import Field, StrictStr, ValidationError
from pydantic.alias_generators import to_camel

from components.posture import LAYERS, TABLE, Action, Override, Posture, PostureError, posture_for
from components.settings_ingress import IngressSettings, ProblemSink, ingress_problems
from components.settings_mesh import MeshSettings, mesh_problems
from components.settings_platform import (
    DatabaseSettings,
    KyvernoSettings,
    Overlay,
    ServiceDefaults,
)
from components.settings_vault import VaultSettings
from components.typed_file import (
    Cidr,
    ConfigError,
    HostName,
    ImageReference,
    Label,
    Problem,
    TypedFile,
    legal_keys,
    problems_of,
)

PROJECT = "zero-trust"
SECRETS = "zero-trust-secrets"
"""The namespace of the Pulumi config that holds secrets; those of the project's own are never one."""
# How the CLI hands over a day that the stack file has without quotes.
_MIDNIGHT = " 00:00:00 +0000 UTC"
_VAULT_RULE = "disallow-secrets-in-environment"
PHASES: Mapping[str, Action] = {"audit": Action.AUDIT, "warn": Action.WARN, "enforce": Action.DENY}


class PostureOverride(TypedFile):
    """A cell of the posture table that this stack changes."""

    value: object
    """The value for this layer; `components/posture.py` has the scale of each."""
    reason: StrictStr | None = None
    """Why; required when the value is weaker than the environment's default."""


class PostureOverrides(TypedFile):
    """The layers of the posture table. A layer left out keeps the environment's default."""

    vault: PostureOverride | None = None
    vault_replicas: PostureOverride | None = None
    audit_devices: PostureOverride | None = None
    injection: PostureOverride | None = None
    injection_fail_closed: PostureOverride | None = None
    critical: PostureOverride | None = None
    important: PostureOverride | None = None
    best_practice: PostureOverride | None = None
    mutate: PostureOverride | None = None
    generate: PostureOverride | None = None
    mtls: PostureOverride | None = None
    authorization: PostureOverride | None = None
    network_policies: PostureOverride | None = None
    issuer: PostureOverride | None = None

    def by_layer(self) -> dict[str, Override]:
        """The overrides that the stack file has."""
        written = {layer: cast("PostureOverride | None", getattr(self, layer)) for layer in LAYERS}
        return {layer: Override(o.value, o.reason) for layer, o in written.items() if o is not None}


class Settings(TypedFile):
    """Everything a stack file says."""

    environment: Literal["production", "staging", "dev", "local"]
    """The row of the posture table that this stack starts from."""
    trust_domain: HostName = "cluster.local"
    """The mesh's trust domain: the first part of every workload's identity."""
    registries: tuple[ImageReference, ...] = Field(min_length=1)
    """Registries whose images may run. A path narrows one down."""
    platform_images: tuple[ImageReference, ...] = ("registry.istio.io/release/proxyv2", "docker.io/hashicorp/vault")
    """Repositories of what injection adds to a pod: the mesh's proxy, Vault's agent."""
    vault: VaultSettings = VaultSettings()
    databases: dict[Label, DatabaseSettings] = Field(default_factory=dict)
    """The databases that services may have users in, by the name that their files call them."""
    kyverno: KyvernoSettings = KyvernoSettings()
    mesh: MeshSettings = MeshSettings()
    ingress: IngressSettings = IngressSettings()
    services: ServiceDefaults = ServiceDefaults()
    api_server_cidrs: tuple[Cidr, ...] = ()
    """Where the Kubernetes API is, for the services that declare `kubernetesApi`."""
    as_of: date | None = None
    """The day that exceptions are judged on; by default that of the checked-out commit."""
    posture: PostureOverrides = PostureOverrides()
    """Cells of the posture table to change, each with `value` and `reason`."""
    phases: dict[StrictStr, Literal["audit", "warn", "enforce"]] = Field(default_factory=dict)
    """The phase of each rule of the important tier; a rule without one is in `audit`."""

    def decisions(self) -> Posture:
        """The posture of this stack. Raises `PostureError` on an override that the table does not allow."""
        return posture_for(self.environment, self.posture.by_layer())

    def phase_actions(self) -> dict[str, Action]:
        """The phases as actions: `enforce` denies."""
        return {rule: PHASES[phase] for rule, phase in self.phases.items()}


def parse_settings(values: Mapping[str, object], file: str, overlay: Overlay | None = None) -> Settings:
    """The settings that a stack file's decoded values make, placed where the overlay says.

    Raises `ConfigError` with every problem of the file.
    """
    prefix = f"{PROJECT}:"
    try:
        settings = Settings.model_validate(dict(values))
    except ValidationError as error:
        problems = problems_of(error, Settings, file, prefix)
        raise ConfigError([*problems, *_posture_problems(values, file)]) from error
    if overlay is not None:
        places = {"vault": overlay.place(settings.vault), "ingress": settings.ingress.at(overlay.acme)}
        settings = settings.model_copy(update=places)
    if problems := [*_posture_problems(values, file), *_cross_problems(settings, file)]:
        raise ConfigError(problems)
    return settings


def decode_config(config: Mapping[str, object], secret_keys: frozenset[str], file: str) -> dict[str, object]:
    """The project's own keys of a Pulumi config, decoded: Pulumi hands objects over as JSON text.

    Raises `ConfigError` on a secret (this model is kept in plain text) and on a value that is not of its key's kind.
    """
    values: dict[str, object] = {}
    problems: list[Problem] = []
    texts = {"environment", "trustDomain", "asOf"}
    for key in sorted(key for key in config if key.startswith(f"{PROJECT}:")):
        name, value = key.removeprefix(f"{PROJECT}:"), config[key]
        if key in secret_keys:
            problems.append(Problem(file, key, "a secret does not belong here: services generate theirs", "a secret"))
        elif name in texts or name not in legal_keys(Settings, ()) or not isinstance(value, str):
            values[name] = value.removesuffix(_MIDNIGHT) if isinstance(value, str) else value
        else:
            try:
                values[name] = json.loads(value)
            except json.JSONDecodeError:
                problems.append(Problem(file, key, "a mapping or a list is expected", repr(value)))
    if problems := [*problems, *_secret_problems(values, config, secret_keys, file)]:
        raise ConfigError(problems)
    return values


def _secret_problems(
    values: Mapping[str, object], config: Mapping[str, object], secret_keys: frozenset[str], file: str
) -> list[Problem]:
    """What is wrong with the secrets of the config: in clear text, or asked for and not there."""
    written = sorted(key for key in config if key.startswith(f"{SECRETS}:"))
    found = [
        Problem(
            file, key, f"in clear text: set it with `pulumi config set --secret {key}`", "a value not repeated here"
        )
        for key in written
        if key not in secret_keys
    ]
    databases = values.get("databases")
    for name, database in cast("Mapping[str, object]", databases if isinstance(databases, dict) else {}).items():
        wanted = cast("Mapping[str, object]", database).get("adminSecret") if isinstance(database, dict) else None
        if isinstance(wanted, str) and f"{SECRETS}:{wanted}" not in written:
            legal = tuple(key.removeprefix(f"{SECRETS}:") for key in written)
            found.append(
                Problem(file, f"{PROJECT}:databases.{name}.adminSecret", "no such secret", repr(wanted), legal)
            )
    return found


def _posture_problems(values: Mapping[str, object], file: str) -> list[Problem]:
    environment = values.get("environment")
    if not isinstance(environment, str) or environment not in TABLE:
        return []
    try:
        overrides = PostureOverrides.model_validate(values.get("posture", {}))
    except ValidationError:
        return []
    try:
        posture_for(environment, overrides.by_layer())
    except PostureError as error:
        return [
            Problem(
                file,
                f"{PROJECT}:posture.{to_camel(p.layer)}",
                p.message,
                repr(p.found),
                tuple(_yaml(v) for v in p.legal),
            )
            for p in error.problems
        ]
    return []


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cross_problems(settings: Settings, file: str) -> list[Problem]:
    """What only shows when two keys are read together."""
    try:
        posture = settings.decisions()
    except PostureError:
        return []
    found: list[Problem] = []

    def problem(key: str, message: str, value: object = "") -> None:
        found.append(Problem(file, f"{PROJECT}:{key}", message, repr(value) if value else ""))

    _vault_problems(settings, posture, problem)
    ingress_problems(settings.ingress, posture, (*settings.registries, *settings.platform_images), problem)
    mesh_problems(settings.mesh, posture, problem)
    _seal_problems(settings.vault, posture, problem)
    if posture.vault:
        _bootstrap_problems(settings, problem)
        _snapshot_problems(settings, problem)
        _pki_problems(settings, problem)
    _delivery_problems(settings, posture, problem)
    return found


def _delivery_problems(settings: Settings, posture: Posture, problem: ProblemSink) -> None:
    vault = settings.vault
    if vault.delivery == "injector":
        return
    if not posture.vault:
        problem("vault.delivery", "this stack has no Vault to deliver from: leave it out", vault.delivery)
    if settings.environment == "production" and not (vault.delivery_reason or "").strip():
        message = "required in production with vault.delivery external-secrets: each secret then lies in etcd, too"
        problem("vault.deliveryReason", message)
    if settings.databases:
        message = (
            "external-secrets brings no database users: set vault.delivery to injector, or leave the databases out"
        )
        problem("databases", message, sorted(settings.databases))


def _seal_problems(vault: VaultSettings, posture: Posture, problem: ProblemSink) -> None:
    if vault.mode == "helm" and vault.seal is None and posture.vault_replicas > 1:
        problem("vault.seal", "required with several replicas: each one that restarts must unseal itself")
    if vault.seal and vault.seal.static and vault.distribution == "vault":
        problem("vault.seal.static", "HashiCorp Vault has no such seal: set vault.distribution to openbao")


def _snapshot_problems(settings: Settings, problem: ProblemSink) -> None:
    # Like its chart, the distribution's own image is the platform's choice; another one is checked as a service's is.
    image = settings.vault.snapshots.image
    approved = (*settings.registries, *settings.platform_images)
    if image and not any(image.startswith((f"{name}/", f"{name}:", f"{name}@")) for name in approved):
        problem("vault.snapshots.image", "not from registries or platformImages: list it there, or name another", image)


def _vault_problems(settings: Settings, posture: Posture, problem: ProblemSink) -> None:
    vault = settings.vault
    if not posture.vault:
        if settings.databases:
            problem("databases", "this stack has no Vault to make users in them", sorted(settings.databases))
        if posture.important is Action.DENY and settings.phases.get(_VAULT_RULE) == "enforce":
            problem(f"phases.{_VAULT_RULE}", "this stack has no Vault: its services hold their secrets in Kubernetes")
        return
    if vault.address is None:
        problem("vault.address", "required while the posture has Vault on: the deployer configures Vault over it")
        return
    if vault.mode == "external" and posture.network_policies and not vault_networks(vault):
        problem("vault.cidrs", "required: a network policy cannot name the host of vault.address", vault.address)
    if len(vault.audit_paths) < posture.audit_devices:
        problem(
            "vault.auditPaths", f"{posture.audit_devices} audit devices are due, each with a path", vault.audit_paths
        )
    if vault.login.method == "cert":
        for key, value in (("certFile", vault.login.cert_file), ("keyFile", vault.login.key_file)):
            if value is None:
                problem(f"vault.login.{key}", "required when vault.login.method is cert")


def _bootstrap_problems(settings: Settings, problem: ProblemSink) -> None:
    vault, bootstrap = settings.vault, settings.vault.bootstrap
    if bootstrap is None:
        return
    if vault.login.method != bootstrap.login.kind:
        problem("vault.login.method", f"vault.bootstrap makes {bootstrap.login.kind}", vault.login.method)
    if vault.mode == "helm" and vault.seal is None:
        problem("vault.seal", "required with vault.bootstrap: a new Vault must unseal itself")
    if vault.mode == "external" and bootstrap.login.kubernetes:
        problem("vault.bootstrap.login.kubernetes", "needs a Vault in the cluster: set vault.mode to helm")
    if settings.environment == "production" and not (bootstrap.pgp_keys or bootstrap.plain_keys_reason):
        problem("vault.bootstrap.pgpKeys", "required in production, or the reason to do without: plainKeysReason")


def _pki_problems(settings: Settings, problem: ProblemSink) -> None:
    elsewhere = settings.ingress.vault
    if settings.vault.pki is None or elsewhere is None:
        return
    for name in sorted(elsewhere.model_fields_set & {"mount", "role", "auth_mount", "auth_role"}):
        problem(f"ingress.vault.{to_camel(name)}", "leave it out: vault.pki makes the engine and its roles")


def vault_networks(vault: VaultSettings) -> tuple[str, ...]:
    """The networks an external Vault is reached in: those written, or its address when that is an IP."""
    if vault.cidrs or vault.address is None:
        return vault.cidrs
    try:
        address = ipaddress.ip_address(urlsplit(vault.address).hostname or "")
    except ValueError:
        return ()
    return (f"{address}/{address.max_prefixlen}",)
