"""Whether the live NetworkPolicies let a connection through.

https://kubernetes.io/docs/concepts/services-networking/network-policies/ : a pod that a policy selects for a direction
is isolated there, and only what a rule of any such policy allows gets through. A connection needs its source's egress
and its target's ingress. A pod in its node's network is no pod to a policy, as most network plugins have it: none
selects it, its traffic is that of the node's address, and what goes to and from a pod's own node is always allowed.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from components.kube.mesh_labels import AMBIENT, DATA_PLANE
from zt.cluster.manifest import Manifest, containers, part, parts, texts, word

PROXY = "istio-proxy"
INGRESS, EGRESS = "Ingress", "Egress"


@dataclass(frozen=True)
class Pod:
    """A pod as one end of a connection, with what policies look at. `ports` are its named ports of TCP.

    `node_ips` are the addresses of its node, and `proxied` says whether it has a proxy of the mesh of its own.
    """

    namespace: str
    labels: Mapping[str, str]
    account: str = "default"
    name: str = ""
    ip: str = ""
    namespace_labels: Mapping[str, str] = field(default_factory=dict[str, str])
    ports: Mapping[str, int] = field(default_factory=dict[str, int])
    host_network: bool = False
    node_ips: tuple[str, ...] = ()
    proxied: bool = False

    @property
    def meshed(self) -> bool:
        """Whether a proxy of the mesh stands before the pod, its own or the node's: no rule of the mesh holds else."""
        return self.proxied or self.ambient

    @property
    def ambient(self) -> bool:
        """Whether the node's proxy takes the pod into the mesh. The pod's label overrides that of its namespace.

        The mesh's CNI plugin leaves out what is in the node's network.
        """
        return (
            not self.host_network
            and (self.labels.get(DATA_PLANE) or self.namespace_labels.get(DATA_PLANE)) == AMBIENT[DATA_PLANE]
        )

    def __str__(self) -> str:
        """As a person reads it."""
        return f"{self.namespace}/{self.name or self.labels.get('app', 'pod')}"


def pod_of(manifest: Manifest, namespace_labels: Mapping[str, str]) -> Pod:
    """A live pod as one end of a connection."""
    metadata, spec, status = manifest["metadata"], part(manifest, "spec"), part(manifest, "status")
    ports = [port for container in parts(spec, "containers") for port in parts(container, "ports")]
    return Pod(
        namespace=metadata["namespace"],
        labels=part(metadata, "labels"),
        account=word(spec, "serviceAccountName") or "default",
        name=metadata["name"],
        ip=word(status, "podIP"),
        namespace_labels=namespace_labels,
        ports={
            port["name"]: port["containerPort"]
            for port in ports
            if "name" in port and port.get("protocol", "TCP") == "TCP"
        },
        host_network=spec.get("hostNetwork") is True,
        node_ips=(word(status, "hostIP"), *(address["ip"] for address in parts(status, "hostIPs"))),
        proxied=any(container["name"] == PROXY for container in containers(manifest)),
    )


@dataclass(frozen=True)
class Address:
    """One end outside the cluster's pods."""

    ip: str

    def __str__(self) -> str:
        """As a person reads it."""
        return self.ip


End = Pod | Address


@dataclass(frozen=True)
class Decision:
    """Whether a connection is allowed, and the policies that decide: those that allow it, or those that isolate."""

    allowed: bool
    by: tuple[str, ...]

    def __str__(self) -> str:
        """The names of the policies."""
        return ", ".join(self.by) or "no policy"


def egress(policies: Iterable[Manifest], source: Pod, target: End, port: int, protocol: str = "TCP") -> Decision:
    """Whether the policies of the source let a connection out."""
    return _decide(policies, EGRESS, source, target, port, protocol)


def ingress(policies: Iterable[Manifest], source: End, target: Pod, port: int, protocol: str = "TCP") -> Decision:
    """Whether the policies of the target let a connection in."""
    return _decide(policies, INGRESS, target, source, port, protocol)


def _decide(
    policies: Iterable[Manifest], direction: str, selected: Pod, peer: End, port: int, protocol: str
) -> Decision:
    if is_same(selected, peer) or selected.host_network or of_own_node(selected, peer):
        return Decision(allowed=True, by=())  # No policy keeps a pod from itself or from its node.
    isolating = [policy for policy in policies if _isolates(policy, direction, selected)]
    # A port name refers to the containers of the target.
    target = selected if direction == INGRESS else peer
    named: Mapping[str, int] = target.ports if isinstance(target, Pod) and not target.host_network else {}
    allowing = [
        policy
        for policy in isolating
        if any(
            _peers_match(parts(rule, "from" if direction == INGRESS else "to"), policy, peer)
            and _ports_match(parts(rule, "ports"), port, protocol, named)
            for rule in parts(policy, "spec", direction.lower())
        )
    ]
    decisive = allowing or isolating
    names = tuple(sorted(f"{policy['metadata']['namespace']}/{policy['metadata']['name']}" for policy in decisive))
    return Decision(bool(allowing) or not isolating, names)


def is_same(pod: Pod, other: End) -> bool:
    """Whether both ends are one pod. By its name: pods in a node's network share an address."""
    return isinstance(other, Pod) and bool(pod.name) and (pod.namespace, pod.name) == (other.namespace, other.name)


def of_own_node(pod: Pod, other: End) -> bool:
    """Whether the other end has an address of the pod's own node."""
    of_a_node = isinstance(other, Address) or other.host_network
    return of_a_node and bool(other.ip) and other.ip in pod.node_ips


def _isolates(policy: Manifest, direction: str, pod: Pod) -> bool:
    spec = part(policy, "spec")
    # The default is Ingress, plus Egress if the policy has egress rules.
    types = texts(spec, "policyTypes") or [INGRESS, *([EGRESS] if parts(spec, "egress") else [])]
    in_namespace = policy["metadata"]["namespace"] == pod.namespace
    return direction in types and in_namespace and selects(part(spec, "podSelector"), pod.labels)


def _peers_match(peers: Sequence[Manifest], policy: Manifest, end: End) -> bool:
    return not peers or any(_peer_matches(peer, policy["metadata"]["namespace"], end) for peer in peers)


def _peer_matches(peer: Manifest, namespace: str, end: End) -> bool:
    if "ipBlock" in peer:
        return _in_block(peer["ipBlock"], end.ip)
    if isinstance(end, Address) or end.host_network:
        return False
    if (selector := peer.get("namespaceSelector")) is not None:
        in_namespace = selects(selector, end.namespace_labels)
    else:
        in_namespace = end.namespace == namespace
    return in_namespace and selects(part(peer, "podSelector"), end.labels)


def _in_block(block: Manifest, ip: str) -> bool:
    if not ip:
        return False
    address = ipaddress.ip_address(ip)
    excepted = any(address in ipaddress.ip_network(cidr) for cidr in texts(block, "except"))
    return address in ipaddress.ip_network(block["cidr"]) and not excepted


def _ports_match(ports: Sequence[Manifest], port: int, protocol: str, named: Mapping[str, int]) -> bool:
    return not ports or any(_port_matches(entry, port, protocol, named) for entry in ports)


def _port_matches(entry: Manifest, port: int, protocol: str, named: Mapping[str, int]) -> bool:
    if (entry.get("protocol") or "TCP") != protocol:
        return False
    if (first := entry.get("port")) is None:
        return True
    if isinstance(first, str):
        return named.get(first) == port
    return first <= port <= entry.get("endPort", first)


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects; an empty one selects everything."""
    return all(labels.get(key) == value for key, value in part(selector, "matchLabels").items()) and all(
        _expression_holds(expression, labels) for expression in parts(selector, "matchExpressions")
    )


def _expression_holds(expression: Manifest, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case _:
            return value is None
