"""The platform's decisions, the same for every service of a stack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from components.config.posture import is_closed
from components.ingress.terms import IngressTerms
from components.kube.cluster_dns import ClusterDns
from components.kube.names import API_SERVER_PORTS, LayerNamespaces
from components.kube.networks import OpenNetworks
from components.mesh.terms import MeshTerms
from components.service.args.placement import PlacementArgs
from components.vault.terms import VaultTerms


@dataclass(frozen=True)
class PlatformTerms:
    """The terms of each layer of the platform, and what the cluster enforces."""

    vault: VaultTerms = field(default_factory=VaultTerms)
    mesh: MeshTerms = field(default_factory=MeshTerms)
    ingress: IngressTerms = field(default_factory=IngressTerms)
    network_policies: bool = False
    dns: ClusterDns = field(default_factory=ClusterDns)
    networks: OpenNetworks = field(default_factory=OpenNetworks)
    """What network policies leave out of the networks that they open."""
    api_server_networks: Sequence[str] = ()
    api_server_ports: Sequence[int] = API_SERVER_PORTS
    placements: Mapping[str, PlacementArgs] = field(default_factory=dict[str, PlacementArgs])
    """The classes of nodes, by name."""
    pull_secrets: Mapping[str, str] = field(default_factory=dict[str, str])
    """The Secret with the credentials of a registry, by the registry or a path in it."""
    layers: LayerNamespaces = field(default_factory=LayerNamespaces)
    """The namespaces of the layers, which others may have installed elsewhere."""
    rules: Sequence[str] = ()
    """The names of the rules that are on; an exception from any other is not created."""

    @property
    def closed(self) -> bool:
        """Whether undeclared calls are blocked, by network policies or by the mesh."""
        return is_closed(self.network_policies, self.mesh.authorization)
