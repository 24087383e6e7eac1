"""Reads the facts that a security diff compares from a stack's plan.

The facts come from the manifests that the program would create, so a diff shows a change of the program as well as one
of a file. The two sides of a diff run this module in the version of their own commit, in separate processes.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from components.config.action import Action
from components.ingress.issuers import AcmeIssuer, VaultIssuer
from components.ingress.secure_ingress import SecureIngressArgs
from components.kyverno.image_signatures import SIGNATURE_RULE, Attestor, KeyAttestor
from components.kyverno.library import REGISTRY_RULE, VALIDATING_TIERS, Library, Manifest, Rule, load_library
from components.kyverno.policy_set import KyvernoPolicySetArgs, action_of, policies
from components.mesh.security import TracingArgs
from components.program.plan import Plan, plan
from components.program.stack import Stack, read_stack
from components.service.file.consent import consents
from components.service.file.sharing import readers_of
from components.service.manifests.egress import sidecar
from components.vault.database_connection import DatabaseConnectionArgs
from components.vault.platform import VaultPlatformArgs
from components.vault.values import ServerArgs
from zt.facts.file_keys import file_keys
from zt.facts.layers import layer_facts
from zt.facts.model import (
    COMMIT_DAY,
    AuditDevice,
    Consent,
    DatabaseSetting,
    Exclusion,
    Exemption,
    Fact,
    PlatformSetting,
    Side,
    TeamGrant,
    Unjudged,
)
from zt.facts.read_package import package_facts
from zt.facts.read_service import service_facts
from zt.facts.rules import Registry, RuleAction, RuleItem, RuleParameter, RuleText, Signer
from zt.project.stack_file import StackFile


def side_of(project: Path, stack: str) -> Side:
    """The facts of a project's stack. Raises `ConfigError` for what the program would refuse."""
    read = stack_of(project, stack)
    return Side(read.settings.environment, frozenset(facts_of(read, plan(read), load_library())))


def stack_of(project: Path, stack: str) -> Stack:
    """The stack as `components.stack.load_stack` reads it, without Pulumi and without an overlay.

    Expired exceptions are not refused, since that depends on the day: `zt check` reports them.
    """
    file = StackFile.read(project, stack)
    return read_stack(project, file.name, file.settings, line_of=file.line_of)


def facts_of(stack: Stack, planned: Plan, library: Library) -> Iterator[Fact]:
    """Every fact of a plan."""
    yield from (PlatformSetting(name, value) for name, value in _platform(stack, planned))
    if planned.vault:
        yield from (PlatformSetting(name, value) for name, value in _vault(planned.vault))
        yield from map(AuditDevice, planned.vault.audit_paths)
        for database in planned.vault.databases:
            yield from (DatabaseSetting(database.name, name, value) for name, value in _database(database))
    yield from _rules(planned.policies, library)
    for args in planned.services:
        yield from service_facts(args, library)
    for package in planned.packages:
        yield from package_facts(package, library)
    yield from (Consent(str(service), str(caller), port=port) for service, caller, port in consents(stack.tenants))
    yield from _teams(stack)
    yield from file_keys("stack", "", stack.settings)
    for package in stack.packages:
        yield from file_keys("package", str(package.spec.ref), package.spec)
    for spec in stack.services:
        yield from file_keys("service", str(spec.ref), spec)
        for name, secret in spec.secrets.items():
            yield from (Consent(str(spec.ref), str(reader), name) for reader in readers_of(spec, secret))
        for user, paths in spec.lent_paths().items():
            yield from (Consent(str(spec.ref), str(user), path=path) for path in paths)


def _teams(stack: Stack) -> Iterator[Fact]:
    """What the teams with stacks of their own may do, and what the platform approved for them."""
    for name, team in stack.settings.teams.items():
        hosts = [host for hosts in team.hosts.values() for host in hosts]
        yield from (TeamGrant(name, "namespace", each) for each in team.namespaces)
        yield from (TeamGrant(name, "host", each) for each in hosts)
        yield from (TeamGrant(name, "egress", each) for each in team.approved.egress)
        yield from (TeamGrant(name, "network", each) for each in team.approved.networks)
        yield from (TeamGrant(name, "patch", each) for each in team.approved.patch)
        yield from (TeamGrant(name, "user", each) for each in team.deployed_by.users)
        yield from (TeamGrant(name, "group", each) for each in team.deployed_by.groups)
    for name, database in stack.settings.databases.items():
        if database.team is not None:
            yield TeamGrant(database.team, "database", name)


def _platform(stack: Stack, planned: Plan) -> Iterator[tuple[str, str]]:
    settings, mesh = stack.settings, planned.mesh
    controller = settings.ingress.controller
    yield "environment", settings.environment
    yield "vault", _on(planned.vault is not None)
    yield "injection", _on(stack.posture.injection)
    yield "mtls", mesh.mtls if mesh else "off"
    yield "authorization", mesh.authorization if mesh else "off"
    yield "network-policies", _on(stack.posture.network_policies)
    yield "service-identities", planned.identities.action.value if planned.identities else "off"
    yield from _ingress(planned.ingress)
    if controller:
        yield "gateway-identity", f"{controller.namespace}/{controller.service_account}"
    else:
        yield "gateway-identity", planned.ingress.gateway_namespace
    if planned.certificates:
        yield "cert-manager-replicas", str(planned.certificates.replicas)
    yield "exception-day", settings.as_of.isoformat() if settings.as_of else COMMIT_DAY
    if mesh:
        yield "trust-domain", mesh.trust_domain
        yield "mesh-replicas", str(mesh.replicas)
        if mesh.autoscaling:
            yield "mesh-replicas-maximum", str(mesh.autoscaling.maximum)
        yield "mesh-revision", mesh.revision or "default"
        yield "data-plane", "ambient" if mesh.ambient else "sidecar"
        yield "mesh-spans", _spans(mesh.tracing)
        scoped = all(sidecar(args) for args in planned.services)
        yield "proxy-scope", "what the service declares" if scoped else "the whole mesh"
    if planned.policies:
        yield "kyverno-replicas", str(planned.policies.replicas)
    yield from layer_facts(stack)


def _ingress(args: SecureIngressArgs) -> Iterator[tuple[str, str]]:
    yield "issuer", args.issuer.name if args.issuer else "none"
    if isinstance(args.issuer, AcmeIssuer):
        yield "acme-server", args.issuer.directory or "its own"
    if isinstance(args.issuer, VaultIssuer):
        yield "vault-issuer", f"{args.issuer.mount}/sign/{args.issuer.role} of {args.issuer.server}"
    yield "gateway-kind", args.kind
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
    yield "vault-authority", "the program's own" if args.certificate else args.ca_cert_file or "public"
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
    yield "engine", args.engine
    yield "place", f"{args.host}:{args.port}/{args.database}".removesuffix("/")
    yield "administrator", args.username
    yield "tls", _on(args.tls)
    if args.tls:
        yield "authority", args.ca_cert_file or (_key_digest(args.authority) if args.authority else "public")


def _key_digest(pem: str) -> str:
    return f"sha256:{hashlib.sha256(''.join(pem.split()).encode()).hexdigest()[:16]}"


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
    yield from (Exclusion(name, expires) for name, expires in args.excluded_namespaces.items())
    for exception in args.exceptions:
        tier = library.rule(exception.rule).tier
        yield Exemption(exception.workload, exception.rule, tier, exception.expires)
    yield from (_signer(attestor) for attestor in args.image_attestors)
    for policy in policies(args, library):
        yield from _rule_facts(library.rule(cast("str", _section(policy, "metadata")["name"])), policy)


def _action(rule: Rule, args: KyvernoPolicySetArgs | None) -> str:
    action = action_of(rule, args) if args else Action.OFF
    has_actions = rule.tier in (*VALIDATING_TIERS, "images")
    return action.value if has_actions or action is Action.OFF else "on"


def _signer(attestor: Attestor) -> Signer:
    if isinstance(attestor, KeyAttestor):
        return Signer(attestor.name, f"key {_key_digest(attestor.public_key)}", SIGNATURE_RULE)
    identity = f"{attestor.subject} of {attestor.issuer}, logged at {attestor.rekor_url}"
    return Signer(attestor.name, identity, SIGNATURE_RULE)


def _rule_facts(rule: Rule, policy: Manifest) -> Iterator[Fact]:
    """The parameters of an active rule, and a digest of the rest of it."""
    for name, value in _parameter_values(rule, policy).items():
        if not isinstance(value, list):
            yield RuleParameter(rule.name, rule.tier, name, _text(value))
            continue
        for item in cast("list[object]", value):
            if (rule.name, name) == (REGISTRY_RULE, "registries"):
                yield Registry(_text(item), rule.name)
            else:
                yield RuleItem(rule.name, rule.tier, name, _text(item))
    # The digest is of the library's document: the manifest also contains the stack's registries and attestors.
    yield RuleText(rule.name, rule.tier, _digest(rule))


def _parameter_values(rule: Rule, policy: Manifest) -> dict[str, object]:
    variables = cast("list[dict[str, str]]", _section(policy, "spec").get("variables", []))
    return {v["name"]: json.loads(v["expression"]) for v in variables if v["name"] in rule.parameters}


def _digest(rule: Rule) -> str:
    spec = dict(_section(rule.document, "spec"))
    variables = cast("list[dict[str, str]]", spec.get("variables", []))
    # The posture sets these two, and separate facts record them.
    for key in ("validationActions", "failurePolicy"):
        spec.pop(key, None)
    spec["variables"] = [v for v in variables if v["name"] not in rule.parameters]
    return hashlib.sha256(json.dumps(spec, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _section(manifest: Manifest, key: str) -> Manifest:
    return cast("Manifest", manifest.get(key) or {})
