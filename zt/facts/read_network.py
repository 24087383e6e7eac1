"""Reads the facts of one service's network from the manifests that the program would create for it."""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

from components.kube.mesh_labels import HBONE_PORT, KUBELET_PROBES
from components.kube.names import WORKLOAD_LABEL
from components.service.args.service import SecureServiceArgs
from components.service.manifests.authorization import authorization_policy, peer_authentication, request_authentication
from components.service.manifests.egress import service_entries
from components.service.manifests.network_policy import network_policy_spec
from components.service.manifests.workload import service_spec
from zt.facts.gateway import WithoutToken
from zt.facts.model import ANYTHING, EITHER, INTERNET, ClearText, Egress, Fact, OutsideHost, Reach

Manifest = dict[str, Any]
Connection = tuple[str, int, str]
"""The peer, the port and the protocol of a connection."""

_NAMESPACE = "kubernetes.io/metadata.name"


def network_facts(name: str, args: SecureServiceArgs) -> Iterator[Fact]:
    """Who may reach the service, what it may reach, and which of its ports accept plaintext."""
    yield from _callers(name, args)
    yield from outward_facts(name, args)
    if authentication := peer_authentication(args):
        days = {clear.port: clear.expires for clear in args.plaintext_ports}
        # At the port for Vault the database's own TLS takes the place of the mesh's.
        ports = [int(port) for port in authentication["spec"]["portLevelMtls"] if int(port) in days]
        yield from (ClearText(name, port, days[port]) for port in ports)


def outward_facts(name: str, args: SecureServiceArgs) -> Iterator[Fact]:
    """What the service may reach outside the other services. Calls are facts of the called service."""
    yield from _egress(name, args)
    for entry in service_entries(args):
        for port in entry["spec"]["ports"]:
            yield from (OutsideHost(name, host, port["number"], port["protocol"]) for host in entry["spec"]["hosts"])


def token_settings(args: SecureServiceArgs) -> Iterator[tuple[str, str]]:
    """The issuers of the token that a request from outside needs, and the claims that each one's must have."""
    authentication = request_authentication(args)
    if authentication is None:
        yield "token", "off"
        return
    rules: list[Manifest] = authentication["spec"]["jwtRules"]
    yield "token", EITHER.join(f"{rule['issuer']} ({rule.get('jwksUri', 'keys of the file')})" for rule in rules)
    claims = [
        {"aud": rule["audiences"], **token.required_claims} for rule, token in zip(rules, args.tokens, strict=True)
    ]
    texts = ["; ".join(f"{claim}={'|'.join(sorted(v))}" for claim, v in sorted(each.items())) for each in claims]
    issuers = [f"{rule['issuer']}: " if len(rules) > 1 else "" for rule in rules]
    yield "token-claims", EITHER.join(issuer + text for issuer, text in zip(issuers, texts, strict=True))


def paths_without_token(name: str, args: SecureServiceArgs) -> Iterator[WithoutToken]:
    """The paths of a service with a token for which the gateway needs none, as the service sees them."""
    policy = authorization_policy(args) if request_authentication(args) else None
    rules = cast("list[Manifest]", policy["spec"]["rules"]) if policy else []
    for rule in rules:
        source = cast("Manifest", rule["from"][0]["source"])
        if "requestPrincipals" in source or not any(_from_gateway(peer, args) for peer in _sources(source)):
            continue
        # Each prefix has a pattern for itself, and one for what is below it.
        [to] = cast("list[Manifest]", rule["to"])
        patterns = cast("list[str]", to["operation"].get("paths", ["/"]))
        yield WithoutToken(name, patterns[0])


def _callers(name: str, args: SecureServiceArgs) -> Iterator[Reach]:
    """Who may reach the service: the peers that both its network policy and its authorization let through."""
    ports = dict.fromkeys([*(port["port"] for port in service_spec(args)["ports"]), *args.peers])
    everybody = [(ANYTHING, port, "TCP") for port in ports]
    network = everybody
    if args.platform.network_policies:
        allowed = _allowed(network_policy_spec(args).get("ingress", []), "from")
        # Every stack lets the node probe its own pods.
        network = [connection for connection in allowed if connection[0] not in KUBELET_PROBES]
    rules = [Reach(peer, name, port, protocol) for peer, port, protocol in everybody]
    if args.platform.mesh.authorization == "enforce":
        rules = list(_rules(name, args))
    for connection in network:
        for rule in rules:
            source = _both(connection[0], rule.source)
            if source and _arrives(connection, rule) and not _from_gateway(source, args):
                yield Reach(source, name, rule.port, rule.protocol, rule.method, rule.path)


def _arrives(connection: Connection, rule: Reach) -> bool:
    """Whether an allowed connection may be for the port of a rule. The tunnel's port leads to any port."""
    _, port, protocol = connection
    return port in (rule.port, HBONE_PORT) and protocol == rule.protocol


def _both(network: str, identity: str) -> str:
    """The peer that both the network and the mesh let through; empty if there is none."""
    if ANYTHING in (network, identity):
        return identity if network == ANYTHING else network
    whole_namespace = network.endswith(f"/{ANYTHING}") and identity.startswith(network[:-1])
    return identity if whole_namespace or network == identity else ""


def _from_gateway(peer: str, args: SecureServiceArgs) -> bool:
    """Whether a peer is the gateway of a public service, whose paths are `Public` facts."""
    return args.public and peer.partition("/")[0] == args.platform.ingress.gateway.namespace


def _rules(name: str, args: SecureServiceArgs) -> Iterator[Reach]:
    """The connections that the mesh allows, one for each source, port, method and path."""
    policy = authorization_policy(args)
    rules = cast("list[Manifest]", policy["spec"].get("rules", [])) if policy else []
    # The workloads of packages, by their service accounts, which have other names.
    known: dict[str, list[str]] = {}
    for peer in args.called_by:
        if peer.package and str(peer.service) not in known.setdefault(str(peer.identity), []):
            known[str(peer.identity)].append(str(peer.service))
    for rule in rules:
        found = [peer for source in rule.get("from", [{"source": {}}]) for peer in _sources(source["source"])]
        sources = [name for peer in found for name in known.get(peer, [peer])]
        for to in cast("list[Manifest]", rule["to"]):
            operation: Manifest = to["operation"]
            for source in sources:
                for port in operation["ports"]:
                    for method in operation.get("methods", [""]):
                        for path in operation.get("paths", [""]):
                            yield Reach(source, name, int(port), "TCP", method, path)


def _sources(source: Manifest) -> list[str]:
    """The peers of a source: its identities or its networks."""
    # A principal is <trust domain>/ns/<namespace>/sa/<account>, and the account has the name of its service.
    principals = [re.sub(r".*/ns/([^/]+)/sa/([^/]+)", r"\1/\2", text) for text in source.get("principals", [])]
    return principals or source.get("ipBlocks", [ANYTHING])


def _egress(name: str, args: SecureServiceArgs) -> Iterator[Egress]:
    """Where a service may connect to outside the other services. What all services may reach is one fact."""
    if not args.platform.network_policies:
        return
    shared = {*args.platform.layers.platform, args.platform.mesh.collector.namespace}
    called = {(c.service.namespace, c.service.name, port) for c in args.calls for port in (c.port, HBONE_PORT)}
    for peer, port, protocol in _allowed(network_policy_spec(args).get("egress", []), "to"):
        callee = (*peer.split("/"), port)
        if callee in called:
            continue
        everybody = peer.partition("/")[0] in shared
        yield Egress(ANYTHING if everybody else name, "anything" if peer == ANYTHING else peer, port, protocol)


def _allowed(rules: Sequence[Manifest], side: str) -> Iterator[Connection]:
    for rule in rules:
        peers = [_peer(peer) for peer in rule.get(side, [])] or [ANYTHING]
        ports: list[Manifest] = rule.get("ports") or [{"port": 0}]
        for peer in peers:
            for port in ports:
                yield peer, port["port"], port.get("protocol", "TCP")


def _peer(peer: Manifest) -> str:
    """A peer of a network policy: a network, the internet, a service, pods of a namespace, or anything."""
    if "ipBlock" in peer:
        block: Manifest = peer["ipBlock"]
        everything = ipaddress.ip_network(block["cidr"]).prefixlen == 0
        return INTERNET if everything and block.get("except") else block["cidr"]
    namespace = _labels(peer, "namespaceSelector").get(_NAMESPACE, ANYTHING)
    labels = _labels(peer, "podSelector")
    for label in ("app", WORKLOAD_LABEL):
        if set(labels) == {label}:
            return f"{namespace}/{labels[label]}"
    pods = ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or ANYTHING
    return ANYTHING if namespace == pods == ANYTHING else f"{namespace}/{pods}"


def _labels(peer: Manifest, selector: str) -> dict[str, str]:
    chosen = cast("Manifest", peer.get(selector) or {})
    return cast("dict[str, str]", chosen.get("matchLabels") or {})
