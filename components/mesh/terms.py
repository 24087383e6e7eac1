"""What services need to know of the mesh: its data plane, what it enforces, who reads metrics and spans."""

from dataclasses import dataclass, field

from components.kube.service_ref import ServiceRef


@dataclass(frozen=True)
class MeshTerms:
    """The decisions about the mesh that services depend on. `authorization` is `enforce`, `dry-run` or `off`."""

    on: bool = False
    ambient: bool = False
    """Whether the proxies run on the nodes; otherwise one runs in each pod."""
    strict: bool = False
    """Whether every connection within the mesh has mutual TLS; otherwise plaintext is accepted too."""
    authorization: str = "off"
    trust_domain: str = "cluster.local"
    revision: str = ""
    """The revision of the control plane that pods join; empty when there is only one."""
    scraper: ServiceRef = field(default_factory=ServiceRef)
    """The service account that may read the services' metrics; empty: none may."""
    collector: ServiceRef = field(default_factory=ServiceRef)
    """The service to which the proxies send their spans; empty: they send none."""
    collector_port: int = 0

    @property
    def closed_to_vault(self) -> bool:
        """Whether a pod refuses Vault, which has no identity in the mesh, unless it opens a port of its own for it."""
        return self.sidecars and self.strict

    @property
    def sidecars(self) -> bool:
        """Whether a proxy runs in each pod."""
        return self.on and not self.ambient
