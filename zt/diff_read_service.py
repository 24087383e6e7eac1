"""The facts of one service, read from the manifests that the program would create for it."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

from components.policy_library import Library
from components.service_args import SecureServiceArgs
from components.service_calls import authorization_policy
from components.service_door import HSTS
from components.service_network import network_policy_spec
from components.service_route import http_route_spec, ingress_manifest, public_url
from components.service_spec import PLATFORM_NAMESPACES
from components.service_vault import TOKEN_AUDIENCE, uses_vault, vault_policy
from components.service_workload import deployment_spec, role_rules
from zt.diff_facts import (
    ANYTHING,
    ApiRight,
    ApiToken,
    DatabaseRight,
    Egress,
    Exemption,
    Fact,
    Public,
    Reach,
    Service,
    ServiceSetting,
    VaultAccess,
    Writable,
)

Manifest = dict[str, Any]

_NAMESPACE = "kubernetes.io/metadata.name"
_POLICY = re.compile(r'path "([^"]+)" \{\s*capabilities = \[([^\]]*)\]')


def service_facts(args: SecureServiceArgs, library: Library) -> Iterator[Fact]:
    """Every fact of one service."""
    name = f"{args.namespace}/{args.name}"
    deployment = deployment_spec(args)
    yield Service(name, args.team)
    yield from _callers(name, args)
    yield from _egress(name, args)
    yield from _public(name, args)
    yield from _vault(name, args)
    yield from _database(name, args)
    yield from _api(name, args, deployment)
    yield from (Writable(name, path) for path in dict.fromkeys(args.writable))
    yield from (ServiceSetting(name, key, value) for key, value in _settings(args, deployment))
    for exception in args.exceptions:
        yield Exemption(name, exception.rule, library.rule(exception.rule).tier, exception.expires)


def _callers(name: str, args: SecureServiceArgs) -> Iterator[Reach]:
    """Who may reach the service: whom both its network policy and its authorization let through."""
    found = {(ANYTHING, args.port, "TCP")}
    if args.platform.network_policies:
        rules = cast("list[Manifest]", network_policy_spec(args).get("ingress", []))
        found = {(peer, port, protocol) for peer, port, protocol in _allowed(rules, "from") if not _door(peer, args)}
    if args.platform.authorization == "enforce":
        identities = _identities(args)
        named = {
            (identity, port, protocol) for peer, port, protocol in found if peer == ANYTHING for identity in identities
        }
        found = named | {rule for rule in found if rule[0] in identities or ANYTHING in identities}
    yield from (Reach(peer, name, port, protocol) for peer, port, protocol in sorted(found))


def _door(peer: str, args: SecureServiceArgs) -> bool:
    """Whether a peer is the public door: what it shows is public, and said as such."""
    return args.public and peer.partition("/")[0] == args.platform.gateway_namespace


def _identities(args: SecureServiceArgs) -> set[str]:
    policy = authorization_policy(args)
    rules = cast("list[Manifest]", policy["spec"].get("rules", [])) if policy else []
    sources: list[Manifest] = [source["source"] for rule in rules for source in rule.get("from", [{"source": {}}])]
    principals: list[str] = [name for source in sources for name in source.get("principals", [ANYTHING])]
    # A principal is <trust domain>/ns/<namespace>/sa/<account>, and the account is called like its service.
    found = {re.sub(r".*/ns/([^/]+)/sa/([^/]+)", r"\1/\2", principal) for principal in principals}
    return {identity for identity in found if not _door(identity, args)}


def _egress(name: str, args: SecureServiceArgs) -> Iterator[Egress]:
    """Where a service may connect to beside other services; what all services share is said once."""
    if not args.platform.network_policies:
        return
    for peer, port, protocol in _allowed(network_policy_spec(args).get("egress", []), "to"):
        callee = (*peer.split("/"), port)
        if callee in {(call.namespace, call.name, call.port) for call in args.calls}:
            continue
        shared = peer.partition("/")[0] in PLATFORM_NAMESPACES
        yield Egress(ANYTHING if shared else name, "anything" if peer == ANYTHING else peer, port, protocol)


def _allowed(rules: Sequence[Manifest], side: str) -> Iterator[tuple[str, int, str]]:
    for rule in rules:
        peers = [_peer(peer) for peer in rule.get(side, [])] or [ANYTHING]
        ports: list[Manifest] = rule.get("ports") or [{"port": 0}]
        for peer in peers:
            for port in ports:
                yield peer, port["port"], port.get("protocol", "TCP")


def _peer(peer: Manifest) -> str:
    """A peer of a network policy: a network, a service, pods of a namespace, or anything."""
    if "ipBlock" in peer:
        return peer["ipBlock"]["cidr"]
    namespace = _labels(peer, "namespaceSelector").get(_NAMESPACE, ANYTHING)
    labels = _labels(peer, "podSelector")
    if set(labels) == {"app"}:
        return f"{namespace}/{labels['app']}"
    pods = ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or ANYTHING
    return ANYTHING if namespace == pods == ANYTHING else f"{namespace}/{pods}"


def _labels(peer: Manifest, selector: str) -> dict[str, str]:
    return cast("dict[str, str]", _section(_section(peer, selector), "matchLabels"))


def _section(manifest: Manifest, key: str) -> Manifest:
    return cast("Manifest", manifest.get(key) or {})


def _public(name: str, args: SecureServiceArgs) -> Iterator[Public]:
    if not args.public:
        return
    if args.platform.route == "ingress":
        for rule in ingress_manifest(args)["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                yield Public(name, path["backend"]["service"]["port"]["number"], rule["host"], path["path"])
        return
    route = http_route_spec(args)
    for rule in route["rules"]:
        paths = [match["path"]["value"] for match in rule["matches"]]
        ports = [backend["port"] for backend in rule["backendRefs"]]
        yield from (Public(name, port, h, path) for h in route["hostnames"] for path in paths for port in ports)


def _vault(name: str, args: SecureServiceArgs) -> Iterator[VaultAccess]:
    if not uses_vault(args):
        return
    for path, capabilities in _POLICY.findall(vault_policy(args)):
        yield from (VaultAccess(name, capability, path) for capability in re.findall(r'"([^"]+)"', capabilities))


def _database(name: str, args: SecureServiceArgs) -> Iterator[DatabaseRight]:
    database = args.database
    for grant in database.grants:
        tables = [ANYTHING] if grant.all_tables else grant.tables
        rights = [(privilege, "table", table) for privilege in grant.privileges for table in tables]
        sequences = [ANYTHING] if grant.all_sequences else grant.sequences
        for privilege, relation, one in (*rights, *(("USAGE", "sequence", sequence) for sequence in sequences)):
            yield DatabaseRight(name, database.connection, privilege, relation, grant.schema, one)


def _api(name: str, args: SecureServiceArgs, deployment: Manifest) -> Iterator[Fact]:
    for rule in role_rules(args):
        for group in rule["apiGroups"]:
            resources = [f"{resource}.{group}" if group else resource for resource in rule["resources"]]
            yield from (ApiRight(name, verb, resource) for resource in resources for verb in rule["verbs"])
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
    if args.database.connection:
        yield "database", args.database.connection
        yield "database-ttl", str(args.database.ttl)
        yield "database-max-ttl", str(args.database.max_ttl)
    if args.public:
        yield "public-scheme", public_url(args).partition(":")[0]
        yield from _limits(args)
    if args.secrets:
        yield "secrets", "Vault" if uses_vault(args) else "a Kubernetes Secret"
    for container in deployment["template"]["spec"]["containers"]:
        yield from _hardening(_section(container, "securityContext"))


def _limits(args: SecureServiceArgs) -> Iterator[tuple[str, str]]:
    door = args.door
    yield "door-requests", f"{3600 * door.requests / door.seconds:.0f}" if door.requests else "unlimited"
    yield "door-bytes", str(door.max_request_bytes or "unlimited")
    if args.platform.route == "ingress":
        yield "door-annotations", ", ".join(f"{name}: {text}" for name, text in sorted(door.annotations.items()))
    else:
        headers = dict(door.headers)
        yield "door-hsts", headers.pop(HSTS, "").partition(";")[0].removeprefix("max-age=") or "0"
        yield "door-headers", ", ".join(f"{name}: {text}" for name, text in sorted(headers.items())) or "none"


def _hardening(context: Manifest) -> Iterator[tuple[str, str]]:
    # What is absent is what Kubernetes assumes then.
    assumed = {"runAsNonRoot": False, "readOnlyRootFilesystem": False, "allowPrivilegeEscalation": True}
    for key, value in {**assumed, "privileged": False}.items():
        yield key, str(context.get(key, value)).lower()
    dropped = cast("list[str]", _section(context, "capabilities").get("drop", []))
    yield "capabilities", ", ".join(dropped) or "none"
    yield "seccomp", str(_section(context, "seccompProfile").get("type", "Unconfined"))
