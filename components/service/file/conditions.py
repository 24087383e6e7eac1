"""The conditions of a platform for service files: what a file is checked with, beside the other files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from components.service.file.checks import KnownDatabase
from components.service.file.layers import NO_STACK
from components.service.file.limits import NO_LIMITS, NamespaceLimits
from components.vault.terms import Delivery


@dataclass(frozen=True)
class Conditions:
    """The conditions of a platform for service files, without a secret: the teams' programs read them too.

    Empty `registries` admit every image. `databases` are those of the stack file (`None`: not checked).
    `unsupported` are the settings of a public route that the platform's class of Ingress has no annotation for.
    `scraper` is whether the platform allows reading metrics. `pki_domains` are the names that its PKI signs (`None`:
    another authority does). `ambient` is whether the mesh is in the ambient mode. `limits`: what the rules allow a
    namespace. `bypassed_port` is the port of Vault, where that alone says which connections of a pod leave out the
    mesh's proxy. `gateway_api` is whether routes of the Gateway API lead to public services, and no Ingress. `domain`
    is what `{domain}` stands for (empty: there is none). `delivery` is how the secrets come to the pods. `placements`
    are the classes of nodes, each with the namespaces that may choose it (empty: all). `elsewhere` are the namespaces
    of services that other stacks deploy, each with its team (`None`: not checked). `reserved` are the platform's
    namespaces, which no service has. `metadata` are the networks of the cluster's own metadata services.
    """

    registries: Sequence[str]
    api_server_reachable: bool
    vault: bool = True
    databases: Mapping[str, KnownDatabase] | None = None
    unsupported: Sequence[str] = ()
    scraper: bool = True
    pki_domains: Sequence[str] | None = None
    ambient: bool = False
    limits: NamespaceLimits = NO_LIMITS
    bypassed_port: int = 0
    gateway_api: bool = True
    domain: str = NO_STACK
    delivery: Delivery = Delivery.AGENT
    placements: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    elsewhere: Mapping[str, str] | None = field(default_factory=dict[str, str])
    reserved: Sequence[str] = ()
    metadata: Sequence[str] = ()

    def is_elsewhere(self, namespace: str) -> bool:
        """Whether other stacks may deploy the services of a namespace."""
        return self.elsewhere is None or namespace in self.elsewhere
