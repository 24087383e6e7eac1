"""From a stack's plan to the facts that a security diff compares.

The program's own builders say what would be created, so a change of the program shows as well as one of a file. This
module runs in a process of its own beside the `components` of either commit, and uses of them what it must.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from components.image_signatures import SIGNATURE_RULE, Attestor, KeyAttestor
from components.ingress_issuers import AcmeIssuer, VaultIssuer
from components.kyverno_policy_set import KyvernoPolicySetArgs, action_of, policies
from components.mesh_security import TracingArgs
from components.plan import Plan, plan
from components.policy_library import REGISTRY_RULE, VALIDATING_TIERS, Library, Manifest, Rule, load_library
from components.posture import Action
from components.secure_ingress import SecureIngressArgs
from components.service_egress import sidecar
from components.stack import Stack, read_stack
from components.vault_database import DatabaseConnectionArgs
from components.vault_platform import VaultPlatformArgs
from components.vault_values import ServerArgs
from zt.diff_facts import (
    COMMIT_DAY,
    AuditDevice,
    DatabaseSetting,
    Fact,
    PlatformSetting,
    Registry,
    RuleAction,
    RuleItem,
    RuleParameter,
    RuleText,
    Side,
    Signer,
    Unjudged,
)
from zt.diff_read_service import service_facts
from zt.stack_file import StackFile


def side_of(project: Path, stack: str) -> Side:
    """The facts of a project's stack. Raises `ConfigError` for what the program itself would refuse."""
    read = stack_of(project, stack)
    return Side(read.settings.environment, frozenset(facts_of(read, plan(read), load_library())))


def stack_of(project: Path, stack: str) -> Stack:
    """The input of a run as `components.stack.load_stack` makes it, without Pulumi and without an overlay.

    Whether an exception has expired depends on the day, and is not judged: `zt check` does.
    """
    file = StackFile.read(project, stack)
    return read_stack(project, file.name, file.settings)


def facts_of(stack: Stack, wanted: Plan, library: Library) -> Iterator[Fact]:
    """Every fact of a plan."""
    yield from (PlatformSetting(name, value) for name, value in _platform(stack, wanted))
    if wanted.vault:
        yield from (PlatformSetting(name, value) for name, value in _vault(wanted.vault))
        yield from map(AuditDevice, wanted.vault.audit_paths)
        for database in wanted.vault.databases:
            yield from (DatabaseSetting(database.name, name, value) for name, value in _database(database))
    yield from _rules(wanted.policies, library)
    for args in wanted.services:
        yield from service_facts(args, library)


def _platform(stack: Stack, wanted: Plan) -> Iterator[tuple[str, str]]:
    settings, mesh = stack.settings, wanted.mesh
    controller = settings.ingress.controller
    yield "environment", settings.environment
    yield "vault", _on(wanted.vault is not None)
    yield "injection", _on(stack.posture.injection)
    yield "mtls", mesh.mtls if mesh else "off"
    yield "authorization", mesh.authorization if mesh else "off"
    yield "network-policies", _on(stack.posture.network_policies)
    yield "service-identities", wanted.identities.action.value if wanted.identities else "off"
    yield from _door(wanted.ingress)
    if controller:
        yield "door-identity", f"{controller.namespace}/{controller.service_account}"
    else:
        yield "door-identity", wanted.ingress.gateway_namespace
    yield "cert-manager-replicas", str(wanted.ingress.replicas)
    yield "exception-day", settings.as_of.isoformat() if settings.as_of else COMMIT_DAY
    if mesh:
        yield "trust-domain", mesh.trust_domain
        yield "mesh-replicas", str(mesh.replicas)
        if mesh.autoscaling:
            yield "mesh-replicas-maximum", str(mesh.autoscaling.maximum)
        yield "mesh-revision", mesh.revision or "default"
        yield "data-plane", "ambient" if mesh.ambient else "sidecar"
        yield "mesh-spans", _spans(mesh.tracing)
        scoped = all(sidecar(args) for args in wanted.services)
        yield "proxy-scope", "what the service declares" if scoped else "the whole mesh"
        yield "mesh-images", mesh.hub or "its own registry"
    if wanted.policies:
        yield "kyverno-replicas", str(wanted.policies.replicas)


def _door(args: SecureIngressArgs) -> Iterator[tuple[str, str]]:
    yield "issuer", args.issuer.name if args.issuer else "none"
    if isinstance(args.issuer, AcmeIssuer):
        yield "acme-server", args.issuer.directory or "its own"
    if isinstance(args.issuer, VaultIssuer):
        yield "vault-issuer", f"{args.issuer.mount}/sign/{args.issuer.role} of {args.issuer.server}"
    yield "door", args.kind
    yield "tls-version", args.tls_version
    yield "tls-ciphers", ", ".join(sorted(args.cipher_suites))
    yield "firewall", f"{args.firewall.image}: {'; '.join(args.firewall.directives)}" if args.firewall else "off"


def _spans(tracing: TracingArgs | None) -> str:
    if tracing is None:
        return "nowhere"
    return f"{tracing.namespace}/{tracing.service}:{tracing.port}, {tracing.sampling} % of the requests"


def _vault(args: VaultPlatformArgs) -> Iterator[tuple[str, str]]:
    yield "vault-place", "this cluster" if args.server else args.address
    yield "vault-distribution", "openbao" if args.openbao else "vault"
    yield "vault-login", "cert" if args.login_cert_file else ("token" if args.login_jwt_mount else "environment")
    yield "vault-login-role", args.login_role
    yield "vault-authority", args.ca_cert_file or "public"
    yield "vault-reviewer", args.kubernetes_host
    yield "vault-kept-versions", str(args.kept_versions)
    yield "vault-delete-after", str(args.delete_after)
    yield "vault-check-and-set", _on(args.check_and_set)
    yield "vault-retained", _on(args.retain_data)
    if args.injector:
        yield "injection-failure", "fails closed" if args.injector.fail_closed else "fails open"
    if args.server:
        yield "vault-replicas", str(args.server.replicas)
        yield "vault-seal", args.server.seal_type or "key shares of operators"
        yield "vault-seal-key", _seal_key(args.server)


def _database(args: DatabaseConnectionArgs) -> Iterator[tuple[str, str]]:
    yield "place", f"{args.host}:{args.port}/{args.database}"
    yield "administrator", args.username
    yield "tls", _on(args.tls)
    if args.tls:
        yield "authority", args.ca_cert_file or "public"


def _seal_key(args: ServerArgs) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(args.seal_parameters.items())) or "none"


def _on(switch: bool) -> str:
    return "on" if switch else "off"


def _rules(args: KyvernoPolicySetArgs | None, library: Library) -> Iterator[Fact]:
    for rule in library.rules.values():
        yield RuleAction(rule.name, rule.tier, _action(rule, args))
    if args is None:
        return
    yield from map(Unjudged, args.platform_namespaces)
    yield from (_signer(attestor) for attestor in args.image_attestors)
    for made in policies(args, library):
        yield from _rule_facts(library.rule(cast("str", _section(made, "metadata")["name"])), made)


def _action(rule: Rule, args: KyvernoPolicySetArgs | None) -> str:
    action = action_of(rule, args) if args else Action.OFF
    judges = rule.tier in (*VALIDATING_TIERS, "images")
    return action.value if judges or action is Action.OFF else "on"


def _signer(attestor: Attestor) -> Signer:
    if isinstance(attestor, KeyAttestor):
        digest = hashlib.sha256("".join(attestor.public_key.split()).encode()).hexdigest()
        return Signer(attestor.name, f"key sha256:{digest[:16]}", SIGNATURE_RULE)
    identity = f"{attestor.subject} of {attestor.issuer}, logged at {attestor.rekor_url}"
    return Signer(attestor.name, identity, SIGNATURE_RULE)


def _rule_facts(rule: Rule, made: Manifest) -> Iterator[Fact]:
    """What a rule that is on is told, and a digest of the rest of it."""
    for name, value in _told(rule, made).items():
        if not isinstance(value, list):
            yield RuleParameter(rule.name, rule.tier, name, _text(value))
            continue
        for item in cast("list[object]", value):
            if (rule.name, name) == (REGISTRY_RULE, "registries"):
                yield Registry(_text(item), rule.name)
            else:
                yield RuleItem(rule.name, rule.tier, name, _text(item))
    # The library's own document: the stack's registries and attestors are filled into the manifest.
    yield RuleText(rule.name, rule.tier, _digest(rule))


def _told(rule: Rule, made: Manifest) -> dict[str, object]:
    variables = cast("list[dict[str, str]]", _section(made, "spec").get("variables", []))
    return {v["name"]: json.loads(v["expression"]) for v in variables if v["name"] in rule.parameters}


def _digest(rule: Rule) -> str:
    spec = dict(_section(rule.document, "spec"))
    variables = cast("list[dict[str, str]]", spec.get("variables", []))
    # The posture decides these, and they are facts of their own.
    for key in ("validationActions", "failurePolicy"):
        spec.pop(key, None)
    spec["variables"] = [v for v in variables if v["name"] not in rule.parameters]
    return hashlib.sha256(json.dumps(spec, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _section(manifest: Manifest, key: str) -> Manifest:
    return cast("Manifest", manifest.get(key) or {})
