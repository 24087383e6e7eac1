"""The calls between services of different stacks: which of their two halves are there.

Each stack makes the half of its own end, as a rule of that service's network policy, and one alone opens nothing. A
stack knows its own halves from its files; those of other stacks are in the cluster.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from components.program.plan import Plan
from components.program.stack import Stack
from zt.report.cluster import Snapshot
from zt.report.model import Half, StackCall
from zt.report.services import name_of

_NAMESPACE = "kubernetes.io/metadata.name"
_Call = tuple[str, str, int]
Manifest = Mapping[str, Any]


def stack_calls(stack: Stack, planned: Plan, cluster: Snapshot | None) -> tuple[StackCall, ...]:
    """Every call that leaves its stack, by caller and callee; without a cluster those of this stack's files."""
    others = planned.platform.conditions.elsewhere or {}
    teams = {spec.namespace: "" for spec in stack.services} | dict(_teams(stack))
    here = {spec.namespace for spec in stack.services}
    out: set[_Call] = set()
    into: set[_Call] = set()
    for args in planned.services:
        name = name_of(args)
        out |= {(name, str(peer.service), peer.port) for peer in args.calls if peer.service.namespace not in here}
        into |= {(str(peer.service), name, peer.port) for peer in args.called_by if peer.service.namespace not in here}
    made_out, made_into = _halves(cluster.network_policies, others) if cluster else (set[_Call](), set[_Call]())
    apart = {call for call in made_out | made_into if teams.get(_space(call[0])) != teams.get(_space(call[1]))}
    rows: list[StackCall] = []
    for call in sorted(out | into | apart):
        caller, callee, port = call
        rows.append(
            StackCall(
                caller=caller,
                callee=callee,
                port=port,
                caller_half=_half(call, out, made_out, here=_space(caller) in here, measured=cluster is not None),
                callee_half=_half(call, into, made_into, here=_space(callee) in here, measured=cluster is not None),
            )
        )
    return tuple(rows)


def _teams(stack: Stack) -> Iterator[tuple[str, str]]:
    for name, team in stack.settings.teams.items():
        yield from ((namespace, name) for namespace in team.namespaces)


def _space(service: str) -> str:
    return service.partition("/")[0]


def _half(call: _Call, declared: set[_Call], made: set[_Call], *, here: bool, measured: bool) -> Half:
    if here:
        return "there" if call in declared else "missing"
    if not measured:
        return "not measured"
    return "there" if call in made else "missing"


def _halves(policies: Iterable[Manifest], namespaces: Mapping[str, str]) -> tuple[set[_Call], set[_Call]]:
    """The calls that network policies of services let out, and those that they let in."""
    out: set[_Call] = set()
    into: set[_Call] = set()
    for policy in policies:
        metadata, spec = policy["metadata"], cast("Manifest", policy.get("spec") or {})
        name = _labels(spec, "podSelector").get("app")
        if metadata["namespace"] not in namespaces or not name:
            continue
        own = f"{metadata['namespace']}/{name}"
        out |= {(own, other, port) for other, port in _peers(spec.get("egress"), "to") if _space(other) in namespaces}
        into |= {
            (other, own, port) for other, port in _peers(spec.get("ingress"), "from") if _space(other) in namespaces
        }
    return out, into


def _peers(rules: object, side: str) -> Iterator[tuple[str, int]]:
    """The services that rules name by namespace and label, each with its port."""
    for rule in cast("list[Manifest]", rules or []):
        for peer in cast("list[Manifest]", rule.get(side) or []):
            namespace = _labels(peer, "namespaceSelector").get(_NAMESPACE)
            name = _labels(peer, "podSelector").get("app")
            for port in cast("list[Manifest]", rule.get("ports") or []):
                if namespace and name and isinstance(port.get("port"), int):
                    yield f"{namespace}/{name}", port["port"]


def _labels(peer: Manifest, selector: str) -> Mapping[str, str]:
    chosen = cast("Manifest", peer.get(selector) or {})
    return cast("Mapping[str, str]", chosen.get("matchLabels") or {})
