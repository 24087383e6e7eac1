"""The network policies of the platform's own namespaces: closed, and open for what each component needs.

A network policy cannot select the API server, neither as what a pod calls nor as what calls a webhook: these are
addresses, which differ between clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi

from components.kube.cluster_dns import ClusterDns
from components.kube.manifest import (
    Manifest,
    blocks_without,
    ip_blocks,
    namespace_selector,
    of_kind,
    tcp_rule,
)
from components.kube.names import API_SERVER_PORTS
from components.kube.networks import OpenNetworks
from components.kube.objects import KubernetesObject


@dataclass(frozen=True)
class ClusterNetwork:
    """What the platform's pods have to know of a cluster: the API server, its webhooks' callers, and who reads metrics.

    Without `api_server_networks` the API server may be anywhere, and without `webhook_networks` it may call from
    anywhere. An empty `scraper_namespace`: nobody reads metrics. `networks` opens the others.
    """

    api_server_networks: Sequence[str] = ()
    api_server_ports: Sequence[int] = API_SERVER_PORTS
    webhook_networks: Sequence[str] = ()
    scraper_namespace: str = ""
    dns: ClusterDns = field(default_factory=ClusterDns)
    networks: OpenNetworks = field(default_factory=OpenNetworks)

    def api_server(self) -> Manifest:
        """The rule for connections to the API server."""
        return tcp_rule("to", self.blocks(self.api_server_networks) or self.anywhere(), self.api_server_ports)

    def blocks(self, networks: Sequence[str]) -> list[Manifest]:
        """Networks without the metadata services in them, as peers."""
        return blocks_without(self.networks.without(networks))

    def anywhere(self) -> list[Manifest]:
        """Every address but those of metadata services, as peers."""
        return blocks_without(self.networks.anywhere())

    def webhook(self, port: int) -> Manifest:
        """The rule for calls of a webhook; `port` is that of its pods."""
        return tcp_rule("from", ip_blocks(self.webhook_networks), [port]) if self.webhook_networks else everybody(port)

    def metrics(self, *ports: int) -> list[Manifest]:
        """The rules for the reader of metrics."""
        if not self.scraper_namespace:
            return []
        return [tcp_rule("from", [namespace_selector(self.scraper_namespace)], ports)]


def everybody(port: int) -> Manifest:
    """The rule for connections from everywhere: pods, nodes and the world outside."""
    return {"ports": [{"port": port, "protocol": "TCP"}]}


def default_deny(namespace: str) -> Manifest:
    """The policy that lets no pod of a namespace connect, nor be connected to."""
    return opening(namespace, "default-deny", {})


def opening(
    namespace: str,
    name: str,
    selector: dict[str, str],
    ingress: Sequence[Manifest] = (),
    egress: Sequence[Manifest] = (),
) -> Manifest:
    """The policy that opens connections to and from the pods with these labels, and no other."""
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": selector} if selector else {},
            "policyTypes": ["Ingress", "Egress"],
            **({"ingress": list(ingress)} if ingress else {}),
            **({"egress": list(egress)} if egress else {}),
        },
    }


def network_policies(
    name: str,
    policies: Sequence[Manifest],
    namespace: pulumi.Resource,
    parent: pulumi.Resource,
    aliases: Sequence[pulumi.Alias] = (),
) -> list[pulumi.Resource]:
    """Create the policies of a namespace; what waits for them starts closed. `aliases`: where they were before."""
    options = pulumi.ResourceOptions(parent=parent, depends_on=[namespace], aliases=[*aliases])
    return [
        KubernetesObject(
            f"{name}-{policy['metadata']['namespace']}-{policy['metadata']['name']}",
            of_kind("NetworkPolicy", metadata=policy["metadata"], spec=policy["spec"]),
            options,
        )
        for policy in policies
    ]
