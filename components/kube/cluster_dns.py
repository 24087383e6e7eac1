"""Where a cluster answers names: its DNS pods, a cache on each node, or its provider. This module imports no SDK."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from components.kube.manifest import Manifest, ip_blocks, pods

DNS_PORT = 53
NAMESPACE = "kube-system"
LABELS: Mapping[str, str] = {"k8s-app": "kube-dns"}
"""The labels of CoreDNS's and kube-dns's pods in nearly every cluster."""


@dataclass(frozen=True)
class ClusterDns:
    """The pods that answer names, by namespace and labels, and the networks of servers that are no pods.

    Empty `labels`: no pod answers. A cache on the node (NodeLocal DNSCache) and a provider's own DNS have addresses,
    often link-local ones, which no rule for pods opens.
    """

    namespace: str = NAMESPACE
    labels: Mapping[str, str] = field(default_factory=lambda: dict(LABELS))
    networks: Sequence[str] = ()

    def rule(self) -> Manifest:
        """The rule of a NetworkPolicy for connections to it, and to nothing else of these addresses."""
        ports = [{"port": DNS_PORT, "protocol": protocol} for protocol in ("UDP", "TCP")]
        peers = [pods(self.namespace, self.labels)] if self.labels else []
        return {"to": [*peers, *ip_blocks(self.networks)], "ports": ports}
