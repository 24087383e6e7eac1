"""What the file of a team's own stack may say: the platform's rights are not the team's.

The file's own stack checks this, so that a mistake is found before anything is created. Whoever changes the program
gets past it, and no further: the rights of the deployer, and admission, say the same (docs/adr/0017-teams.md).
"""

import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from components.config.approvals import CRITICAL_EXCEPTIONS, EGRESS, OTHER_EXCEPTIONS, PATCH
from components.kyverno.library import load_library
from components.schema.problem import Key
from components.service.file.checks import Finding
from components.service.file.service import ServiceSpec

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ASK = "ask the platform's team, whose stack file says it: "
_SHARED = "the rights to it are a policy in Vault, which is the platform's: only services of one stack share a secret"
_OF_JOB = (
    "in a team's stack a workload reads the secrets of its own name alone, and a job has a name of its own: "
    "run it as a service with `run`"
)
_GATEWAY = "the gateway is the platform's, and its stack decides it: leave it out"


@dataclass(frozen=True)
class TeamApprovals:
    """A team, its namespaces, and what the platform approved for it.

    `hosts` are public hosts by namespace; `exceptions` are the service accounts, as `namespace/name`, that the platform
    excepted from each rule; `egress` and `networks` are hosts and networks outside the cluster; `patches` are services
    whose files may have one. `decides` are the approvals that are the team's own in this environment.
    """

    name: str = ""
    namespaces: Sequence[str] = ()
    hosts: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    exceptions: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    egress: Sequence[str] = ()
    networks: Sequence[str] = ()
    patches: Sequence[str] = ()
    decides: Sequence[str] = ()


def team_findings(spec: ServiceSpec, team: TeamApprovals, gateway_api: bool) -> Iterator[Finding]:
    """What a file says that a team's stack cannot do, or that the platform has not approved."""
    if spec.team != team.name:
        yield spec, ("team",), "this stack is that of another team", repr(spec.team), (team.name,)
    if spec.namespace not in team.namespaces:
        message = "no namespace of the team: " + _ASK + f"teams.{team.name}.namespaces"
        yield spec, ("namespace",), message, repr(spec.namespace), tuple(team.namespaces)
    yield from _public(spec, team, gateway_api)
    yield from _tokens(spec)
    yield from _secrets(spec)
    yield from _rights(spec)
    yield from _egress(spec, team)
    if spec.patch and PATCH not in team.decides and spec.name not in team.patches:
        message = "the platform has not approved one for this service: " + _ASK + f"teams.{team.name}.approved.patch"
        yield spec, ("patch",), message, "", ()
    for number, exception in enumerate(spec.exceptions):
        excepted = team.exceptions.get(exception.rule, ())
        if _exception_kind(exception.rule) in team.decides:
            continue
        for account in (str(spec.ref), *(f"{spec.ref}-{job}" for job in spec.jobs)):
            if account not in excepted:
                message = f"the platform has not excepted {account} from it: " + _ASK + "kyverno.exceptions"
                yield spec, ("exceptions", number, "rule"), message, repr(exception.rule), ()


def _public(spec: ServiceSpec, team: TeamApprovals, gateway_api: bool) -> Iterator[Finding]:
    hosts = team.hosts.get(spec.namespace, ())
    for host in spec.hosts:
        if host not in hosts:
            message = f"no host of {spec.namespace}: " + _ASK + f"teams.{team.name}.hosts.{spec.namespace}"
            yield spec, spec.key_of_host(host), message, repr(host), tuple(hosts)
    shared = "a host that two namespaces share needs both files in one stack: give each a host of its own"
    for key, value in (("hostOwner", spec.host_owner), ("hostUsers", spec.host_users)):
        if value:
            yield spec, (key,), shared, "", ()
    if gateway_api:
        yield from _of_gateway(spec)


def _tokens(spec: ServiceSpec) -> Iterator[Finding]:
    for number, token in enumerate(spec.tokens):
        if token.jwks_uri is not None:
            key: Key = ("jwt", number, "jwksUri") if isinstance(spec.jwt, tuple) else ("jwt", "jwksUri")
            message = "the mesh's control plane would fetch them, from wherever it leads: write the keys under jwks"
            yield spec, key, message, repr(token.jwks_uri), ()


def _of_gateway(spec: ServiceSpec) -> Iterator[Finding]:
    """What the gateway itself does for a service, by objects in its own namespace."""
    for key, value in (("rateLimit", spec.rate_limit), ("maxRequestBytes", spec.max_request_bytes)):
        if value is not None:
            yield spec, (key,), _GATEWAY, "", ()
    for number, public in enumerate(spec.paths):
        for key in ("retries", "token"):
            if getattr(public, key) is not None:
                yield spec, ("paths", number, key), _GATEWAY, "", ()


def _exception_kind(rule: str) -> str:
    known = load_library().rules.get(rule)
    return CRITICAL_EXCEPTIONS if known is None or known.tier == "critical" else OTHER_EXCEPTIONS


def _egress(spec: ServiceSpec, team: TeamApprovals) -> Iterator[Finding]:
    if EGRESS in team.decides:
        return
    ask = "the platform has not approved it: " + _ASK + f"teams.{team.name}.approved"
    networks = [ipaddress.ip_network(network) for network in team.networks]
    for number, outside in enumerate(spec.egress):
        if outside.host not in team.egress:
            yield spec, ("egress", number, "host"), f"{ask}.egress", repr(outside.host), tuple(team.egress)
        for cidr in outside.cidrs:
            asked = ipaddress.ip_network(cidr)
            if not any(_within(asked, network) for network in networks):
                yield spec, ("egress", number, "cidrs"), f"{ask}.networks", repr(cidr), tuple(team.networks)


def _within(asked: _Network, network: _Network) -> bool:
    if isinstance(asked, ipaddress.IPv4Network):
        return isinstance(network, ipaddress.IPv4Network) and asked.subnet_of(network)
    return isinstance(network, ipaddress.IPv6Network) and asked.subnet_of(network)


def _secrets(spec: ServiceSpec) -> Iterator[Finding]:
    for name, secret in spec.secrets.items():
        for key, value in (("from", secret.from_), ("readers", secret.readers)):
            if value:
                yield spec, ("secrets", name, key), _SHARED, "", ()
    for name, job in spec.jobs.items():
        if job.secrets:
            yield spec, ("jobs", name, "secrets"), _OF_JOB, repr(list(job.secrets)), ()
        if job.accesses:
            yield spec, ("jobs", name), _OF_JOB, repr(sorted(job.accesses)), ()


def _rights(spec: ServiceSpec) -> Iterator[Finding]:
    asked: Collection[tuple[Key, object]] = (
        (("kubernetesApi",), spec.kubernetes_api),
        (("leaderElection",), spec.leader_election),
        (("plaintextPorts",), spec.plaintext_ports),
    )
    for key, value in asked:
        if value:
            message = "a team's deployer has no right to give it: such a service belongs in the platform's stack"
            yield spec, key, message, "", ()
