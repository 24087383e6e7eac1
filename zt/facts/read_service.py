"""Reads the facts of one service from the manifests that the program would create for it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from components.ingress.terms import HSTS
from components.kube.names import TOKEN_AUDIENCE
from components.kyverno.library import Library
from components.service.args.database import DatabaseArgs
from components.service.args.jobs import JobArgs
from components.service.args.routes import RouteArgs
from components.service.args.service import SecureServiceArgs
from components.service.file.database import SECRET_NAME
from components.service.file.kubernetes_api import leading_on, right_text
from components.service.manifests.job import job_spec, workload_of
from components.service.manifests.placement import placement_text
from components.service.manifests.route import ingress_manifest, public_url, route_spec
from components.service.manifests.vault import reaches_vault, uses_vault, vault_policy
from components.service.manifests.workload import role_rules, workload_spec
from zt.facts.gateway import CrossOrigin, Public
from zt.facts.model import (
    ANYTHING,
    ApiException,
    ApiRight,
    ApiToken,
    DatabaseOwner,
    DatabaseRight,
    Exemption,
    Fact,
    Kept,
    PodPatch,
    SecretInEnvironment,
    Service,
    ServiceJob,
    ServiceSetting,
    VaultAccess,
    Writable,
)
from zt.facts.read_containers import container_facts
from zt.facts.read_network import network_facts, outward_facts, paths_without_token, token_settings
from zt.facts.read_workload import hardening, scope, storage, workload_settings

Manifest = dict[str, Any]

_POLICY = re.compile(r'path "([^"]+)" \{\s*capabilities = \[([^\]]*)\]')


def service_facts(args: SecureServiceArgs, library: Library) -> Iterator[Fact]:
    """Every fact of one service."""
    name = f"{args.namespace}/{args.name}"
    workload = job_spec(args) if args.ends else workload_spec(args)
    yield Service(name, args.team)
    yield from network_facts(name, args)
    yield from public_facts(name, args)
    yield from paths_without_token(name, args)
    yield from vault_facts(name, args)
    yield from _databases(name, args)
    yield from _api(name, args, workload)
    shared = [scratch.path for scratch in args.scratch]
    yield from (Writable(name, path) for path in dict.fromkeys([*args.writable, *args.writable_copies, *shared]))
    yield from (Kept(name, volume.path, scope(args, volume)) for volume in args.volumes)
    settings = (*_settings(args, workload), *workload_settings(args, workload))
    yield from (ServiceSetting(name, key, value) for key, value in settings)
    yield from container_facts(name, args, workload["template"]["spec"])
    for job in args.jobs:
        yield from _job(name, args, job)
    if args.patch.expires:
        yield PodPatch(name, args.patch.text, args.patch.expires)
    for each in args.secret_env.variables:
        yield SecretInEnvironment(name, each.name, f"{each.secret}/{each.field}", args.secret_env.expires)
    for exception in args.exceptions:
        yield Exemption(name, exception.rule, library.rule(exception.rule).tier, exception.expires)


def _job(service: str, args: SecureServiceArgs, job: JobArgs) -> Iterator[Fact]:
    """What a job may do. It has its own identity, so its facts stand under the name of its workload."""
    workload = workload_of(args, job)
    name = f"{workload.namespace}/{workload.name}"
    yield ServiceJob(service, name, job.run.schedule)
    yield from outward_facts(name, workload)
    yield from vault_facts(name, workload)
    yield from _databases(name, workload)
    yield from (Kept(name, volume.path, scope(workload, volume)) for volume in workload.claimed_volumes)
    if workload.claimed_volumes:
        yield ServiceSetting(name, "storage", storage(workload))
    yield ServiceSetting(name, "placement", placement_text(workload.place))
    pod = job_spec(workload)["template"]["spec"]
    for container in pod["containers"]:
        context = container.get("securityContext", {})
        yield from (ServiceSetting(name, key, value) for key, value in hardening(context))


def public_facts(name: str, args: SecureServiceArgs) -> Iterator[Public | CrossOrigin]:
    """Where everybody reaches it, and which pages may read its answers."""
    if not args.public:
        return
    if args.platform.ingress.route == "ingress":
        for rule in ingress_manifest(args)["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                yield Public(name, path["backend"]["service"]["port"]["number"], rule["host"], path["path"])
        return
    for route in (route_spec(args, public) for public in args.public_ports):
        yield from _routed(name, route)


def _routed(name: str, route: Manifest) -> Iterator[Public | CrossOrigin]:
    for rule in route["rules"]:
        paths = [_matched_path(match) for match in rule.get("matches", [])] or ["/"]
        ports = [backend["port"] for backend in rule["backendRefs"]]
        filters = {made["type"]: made for made in rule.get("filters", [])}
        rewrite = filters["URLRewrite"]["urlRewrite"]["path"]["replacePrefixMatch"] if "URLRewrite" in filters else ""
        yield from (Public(name, port, h, p, rewrite) for h in route["hostnames"] for p in paths for port in ports)
        if "CORS" in filters:
            cors: Manifest = filters["CORS"]["cors"]
            credentials = "credentials" if cors.get("allowCredentials") else ""
            yield from (CrossOrigin(name, path, o, credentials) for path in paths for o in cors["allowOrigins"])


def _matched_path(match: Manifest) -> str:
    """The path that a match of an HTTPRoute or of a GRPCRoute lets through, and all below it."""
    if "path" in match:
        return match["path"]["value"]
    return "/".join(
        ["", match["method"]["service"], *([match["method"]["method"]] if "method" in match["method"] else [])]
    )


def vault_facts(name: str, args: SecureServiceArgs) -> Iterator[VaultAccess]:
    """What its account may do in Vault."""
    if not uses_vault(args):
        return
    for path, capabilities in _POLICY.findall(vault_policy(args)):
        yield from (VaultAccess(name, capability, path) for capability in re.findall(r'"([^"]+)"', capabilities))


def _databases(name: str, args: SecureServiceArgs) -> Iterator[Fact]:
    for database in args.databases:
        if database.as_owner:
            yield from (DatabaseOwner(name, database.connection, schema) for schema in database.schemas)
        else:
            yield from _rights(name, database)


def _rights(name: str, database: DatabaseArgs) -> Iterator[DatabaseRight]:
    for grant in database.grants:
        tables = [ANYTHING] if grant.all_tables else grant.tables
        rights = [(privilege, "table", table) for privilege in grant.privileges for table in tables]
        sequences = [ANYTHING] if grant.all_sequences else grant.sequences
        for privilege, kind, relation in (*rights, *(("USAGE", "sequence", sequence) for sequence in sequences)):
            yield DatabaseRight(name, database.connection, privilege, kind, grant.schema, relation)
    rights = [(privilege, "key", grant.prefix) for grant in database.keys for privilege in grant.privileges]
    rights += [(privilege, "channel", prefix) for prefix in database.channels for privilege in ("PUBLISH", "SUBSCRIBE")]
    rights += [("EVAL", "script", "")] if database.scripts else []
    for privilege, kind, prefix in rights:
        yield DatabaseRight(name, database.connection, privilege, kind, "", prefix)


def _api(name: str, args: SecureServiceArgs, deployment: Manifest) -> Iterator[Fact]:
    for wide in (False, True):
        for rule in role_rules(args, cluster_wide=wide):
            for group in rule["apiGroups"]:
                resources = [f"{resource}.{group}" if group else resource for resource in rule["resources"]]
                yield from (ApiRight(name, verb, resource, wide) for resource in resources for verb in rule["verbs"])
    for timed in (rule for rule in args.kubernetes_api if rule.expires):
        beyond = leading_on(timed.api_groups, timed.resources, timed.verbs, timed.cluster_wide)
        yield from (ApiException(name, right_text(right), timed.expires) for right in beyond)
    pod = deployment["template"]["spec"]
    sources: list[Manifest] = [s for v in pod.get("volumes", []) for s in v.get("projected", {}).get("sources", [])]
    tokens: list[Manifest] = [source["serviceAccountToken"] for source in sources if "serviceAccountToken" in source]
    if pod.get("automountServiceAccountToken", True) or any(t.get("audience") != TOKEN_AUDIENCE for t in tokens):
        yield ApiToken(name)


def _settings(args: SecureServiceArgs, deployment: Manifest) -> Iterator[tuple[str, str]]:
    yield "image", args.image
    yield "team", args.team
    yield "protocol", args.protocol
    yield "user", str(args.run_as_user)
    for database in args.databases:
        # One of several has its name behind the key.
        which = "" if database.name == SECRET_NAME else f":{database.name}"
        yield f"database{which}", database.connection
        yield f"database-ttl{which}", str(database.ttl)
        yield f"database-max-ttl{which}", str(database.max_ttl)
    if args.public:
        yield from public_settings(args)
        yield "routes", "; ".join(filter(None, map(_waited, _routes(args)))) or "plain"
        yield from token_settings(args)
    if args.secrets:
        yield "secrets", "Vault" if reaches_vault(args) else "a Kubernetes Secret"
    yield from hardening(deployment["template"]["spec"]["containers"][0].get("securityContext", {}))


def _routes(args: SecureServiceArgs) -> Iterator[RouteArgs]:
    """Every public path, with the host before it where that is one of a further port."""
    for public in args.public_ports:
        host = public.hosts[0] if public.name else ""
        yield from (replace(route, path=f"{host}{route.path}") for route in public.routes)


def _waited(route: RouteArgs) -> str:
    """How long the gateway waits for an answer on a path, and how often it asks again."""
    retries = route.retries
    codes = f" after {', '.join(map(str, retries.codes))}" if retries.codes else ""
    parts = (
        f"{route.timeout} s at most" if route.timeout else "",
        f"{retries.attempts} more times{codes}" if retries.attempts else "",
        f"{retries.each} s each" if retries.each else "",
    )
    return f"{route.path}: {', '.join(filter(None, parts))}" if any(parts) else ""


def public_settings(args: SecureServiceArgs) -> Iterator[tuple[str, str]]:
    """What holds for every request from outside: TLS, the limits and the headers."""
    yield "public-scheme", public_url(args).partition(":")[0]
    yield from _limits(args)


def _limits(args: SecureServiceArgs) -> Iterator[tuple[str, str]]:
    limits = args.limits
    yield "gateway-requests", f"{3600 * limits.requests / limits.seconds:.0f}" if limits.requests else "unlimited"
    yield "gateway-bytes", str(limits.max_request_bytes or "unlimited")
    if args.platform.ingress.route == "ingress":
        yield "gateway-annotations", ", ".join(f"{name}: {text}" for name, text in sorted(limits.annotations.items()))
    else:
        headers = dict(limits.headers)
        yield "gateway-hsts", headers.pop(HSTS, "").partition(";")[0].removeprefix("max-age=") or "0"
        yield "gateway-headers", ", ".join(f"{name}: {text}" for name, text in sorted(headers.items())) or "none"
