"""Checks of the stack config that compare several keys."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from pydantic.alias_generators import to_camel

from components.config.action import Action
from components.config.engines import ENGINES
from components.config.layer_checks import ingress_problems, mesh_problems
from components.config.posture import Posture, PostureError
from components.config.problem_sink import ProblemSink
from components.config.settings import Settings
from components.config.stack_source import StackSource
from components.config.teams import team_problems
from components.config.vault import VaultSettings
from components.kube.names import (
    AUDIT_DIRECTORY,
    AUTHORITIES_DIRECTORY,
    DEFAULT_NAMESPACE,
    TEAMS_NAMESPACE,
    TLS_DIRECTORY,
    VAULT_NAMESPACE,
)
from components.schema.problem import UNSHOWN, Problem
from components.schema.reached import of_own_metadata, own_metadata_message
from components.schema.typed_file import dotted

_VAULT_RULE = "disallow-secrets-in-environment"


def cross_problems(settings: Settings, source: StackSource) -> list[Problem]:
    """The problems that show only when several keys are compared."""
    try:
        posture = settings.decisions()
    except PostureError:
        return []
    problems: list[Problem] = []

    def problem(key: str, message: str, value: object = UNSHOWN, legal: Iterable[str] = ()) -> None:
        problems.append(source.problem(key, message, value, legal))

    _metadata_problems(settings, problem)
    _vault_problems(settings, posture, problem)
    ingress_problems(settings.ingress, posture, settings.approved_images, settings.layers, problem)
    layer_problems(settings, problem)
    mesh_problems(settings.mesh, posture, problem)
    _seal_problems(settings.vault, posture, problem)
    if posture.vault:
        _certificate_problems(settings, problem)
        _authority_problems(settings, problem)
        _bootstrap_problems(settings, problem)
        _snapshot_problems(settings, problem)
        _pki_problems(settings, problem)
        _engine_problems(settings, problem)
        _administrator_problems(settings, problem)
    _delivery_problems(settings, posture, problem)
    team_problems(settings.teams, settings.databases, settings.vault.delivery, problem)
    for registry in settings.pull_secrets:
        if not any(registry == each or registry.startswith(f"{each}/") for each in settings.registries):
            message = "no image may come from there: registries does not have it"
            problem(f"pullSecrets.{registry}", message, registry, settings.registries)
    return problems


def _metadata_problems(settings: Settings, problem: ProblemSink) -> None:
    """Report what would be connected to at one of the cluster's own metadata services."""
    for key, value, network in of_own_metadata(settings, settings.metadata_cidrs):
        problem(dotted(key), own_metadata_message(network), value)


def _engine_problems(settings: Settings, problem: ProblemSink) -> None:
    if settings.vault.distribution != "openbao":
        return
    legal = sorted(name for name, engine in ENGINES.items() if engine.in_openbao)
    for name, database in settings.databases.items():
        if not database.kind.in_openbao:
            message = "OpenBao has no plugin for it, and HashiCorp's Vault has: see vault.distribution"
            problem(f"databases.{name}.engine", message, database.engine, legal)


def _administrator_problems(settings: Settings, problem: ProblemSink) -> None:
    """Vault changes an administrator's password for each connection alone: a second one would no longer log in."""
    first: dict[tuple[str, int, str], str] = {}
    for name, database in settings.databases.items():
        account = (database.address, database.own_port, database.admin_user)
        other = first.setdefault(account, name)
        if other != name and database.kind.rotates:
            message = f"databases.{other} has this administrator of this server, and changes its password: name another"
            problem(f"databases.{name}.adminUser", message, database.admin_user)


def _delivery_problems(settings: Settings, posture: Posture, problem: ProblemSink) -> None:
    vault = settings.vault
    if vault.delivery == "injector":
        message = "vault.delivery is injector, so that no copy is made: leave it out, or write external-secrets"
        if vault.external_secrets.mode == "existing":
            problem("vault.externalSecrets.mode", message, "existing")
        if vault.external_secrets.hub:
            problem("vault.externalSecrets.hub", message, vault.external_secrets.hub)
        return
    if not posture.vault:
        problem("vault.delivery", "this stack has no Vault to deliver from", vault.delivery, ["injector"])
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
    # The platform chooses the distribution's image, like its chart. Another image is checked like a service's.
    image = settings.vault.snapshots.image
    approved = settings.approved_images
    if image and not any(image == name or image.startswith((f"{name}/", f"{name}:", f"{name}@")) for name in approved):
        message = "not from registries or platformImages: list it there, or name another"
        problem("vault.snapshots.image", message, image, approved)


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
        problem("vault.cidrs", f"required: a network policy cannot name the host of {vault.address}")
    if len(vault.audit_paths) < posture.audit_devices:
        message = f"{posture.audit_devices} audit devices are due, each with a path"
        problem("vault.auditPaths", message, list(vault.audit_paths))
    _audit_problems(vault, problem)
    if vault.login.method == "cert":
        for key, value in (("certFile", vault.login.cert_file), ("keyFile", vault.login.key_file)):
            if value is None:
                problem(f"vault.login.{key}", "required when vault.login.method is cert")


def _audit_problems(vault: VaultSettings, problem: ProblemSink) -> None:
    for number, path in enumerate(vault.audit_paths):
        if path in vault.audit_paths[:number]:
            problem(f"vault.auditPaths[{number}]", "another device writes there: each needs a path of its own", path)
        elif vault.mode == "helm" and path != "stdout" and not path.startswith(f"{AUDIT_DIRECTORY}/"):
            message = f"not below {AUDIT_DIRECTORY}, the only volume that Vault's pods may write logs to"
            problem(f"vault.auditPaths[{number}]", message, path)


def _certificate_problems(settings: Settings, problem: ProblemSink) -> None:
    vault = settings.vault
    if vault.mode == "external" and vault.tls_secret:
        problem("vault.tlsSecret", "an external Vault has its certificate: leave it out", vault.tls_secret)
    if not vault.issued:
        return
    if vault.ca_cert_file is not None:
        message = "the program's own authority is behind it: leave it out, or name your own Secret in vault.tlsSecret"
        problem("vault.caCertFile", message, vault.ca_cert_file)
    if vault.delivery == "external-secrets":
        message = "required with vault.delivery external-secrets, beside caCertFile: its stores need the authority"
        problem("vault.tlsSecret", message)


def _authority_problems(settings: Settings, problem: ProblemSink) -> None:
    """A file of an authority has to be in the pods of Vault that read it."""
    vault, files = settings.vault, dict[str, str]()
    if vault.mode == "external":
        if vault.authorities:
            problem("vault.authorities", "an external Vault has its own files: leave it out", vault.authorities)
        return
    if vault.seal and vault.seal.transit and vault.seal.transit.tls_ca_cert:
        files["vault.seal.transit.tlsCaCert"] = vault.seal.transit.tls_ca_cert
    for name, database in settings.databases.items():
        if database.ca_cert_file:
            files[f"databases.{name}.caCertFile"] = database.ca_cert_file
    for key, file in files.items():
        directory, _, name = file.rpartition("/")
        further = f"{AUTHORITIES_DIRECTORY}/{name} with a ConfigMap in vault.authorities"
        if directory == AUTHORITIES_DIRECTORY and not vault.authorities:
            problem(key, "Vault's pods have no such file without vault.authorities", file, [further])
        if directory == TLS_DIRECTORY and vault.issued and name != "ca.crt":
            message = "the program's own certificate has no such file beside it"
            problem(key, message, file, [further, f"{TLS_DIRECTORY}/{name} with a Secret in vault.tlsSecret"])


def _bootstrap_problems(settings: Settings, problem: ProblemSink) -> None:
    vault, bootstrap = settings.vault, settings.vault.bootstrap
    if bootstrap is None:
        return
    if vault.login.method != bootstrap.login.kind:
        problem("vault.login.method", "vault.bootstrap makes another", vault.login.method, [bootstrap.login.kind])
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
    """The networks of an external Vault: those in the stack file, or its address if that is an IP."""
    if vault.cidrs or vault.address is None:
        return vault.cidrs
    try:
        address = ipaddress.ip_address(urlsplit(vault.address).hostname or "")
    except ValueError:
        return ()
    return (f"{address}/{address.max_prefixlen}",)


def layer_problems(settings: Settings, problem: ProblemSink) -> None:
    """Report layers of others in a namespace that is somebody else's."""
    shared = {
        VAULT_NAMESPACE: "Vault's",
        settings.ingress.gateway_namespace: "the gateway's",
        TEAMS_NAMESPACE: "the teams'",
        DEFAULT_NAMESPACE: "that of whoever names none",
    }
    for key, name in (
        ("kyverno.namespace", settings.layers.kyverno),
        ("mesh.namespace", settings.layers.mesh),
        ("mesh.rootNamespace", settings.mesh.root_namespace),
        ("ingress.certManager.namespace", settings.layers.cert_manager),
        ("vault.externalSecrets.namespace", settings.layers.external_secrets),
    ):
        if name in shared:
            problem(key, f"it is {shared[name]}, and no rule looks at a layer's: write that of the layer", name)
