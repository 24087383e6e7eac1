"""The typed config of a stack, as a `Pulumi.<stack>.yaml` has it.

Each top-level field of `Settings` has a config key `zero-trust:<key>`. This model never contains a secret.
"""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Literal, Self, cast

from pydantic import AfterValidator, Field, StrictStr, model_validator

from components.config.action import Action
from components.config.charts import ChartSettings
from components.config.database import DatabaseSettings
from components.config.ingress import IngressSettings
from components.config.kyverno import KyvernoSettings
from components.config.mesh import MeshSettings
from components.config.placement import PlacementClass
from components.config.posture import LAYERS, Override, Posture, posture_for
from components.config.teams import TeamSettings
from components.config.vault import VaultSettings
from components.kube import cluster_dns
from components.kube.images import PROXY, SOLVER, from_hub
from components.kube.names import (
    API_SERVER_PORTS,
    CERT_MANAGER_NAMESPACE,
    EXTERNAL_SECRETS_NAMESPACE,
    KYVERNO_NAMESPACE,
    MESH_NAMESPACE,
    LayerNamespaces,
)
from components.schema.fields import Cidr, Day, HostName, ImageReference, Label, ObjectName, Port, Registry, Replicas
from components.schema.labels import LabelKey, LabelValue
from components.schema.metadata_services import ANSWERING_NAMES, METADATA_SERVICES, outside_metadata
from components.schema.reached import REACHED
from components.schema.timed_exception import Owner
from components.schema.typed_file import TypedFile, misplaced

_BROADEST_METADATA = {4: 16, 6: 32}


def one_server(value: str) -> str:
    """The network of one address that may answer names. Raises `ValueError` for any other.

    Port 53 of every pod leads there. Of metadata services it is those at which a cloud answers names as well.
    """
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError("not the network of an address, such as 169.254.20.10/32") from error
    if network.prefixlen != network.max_prefixlen:
        raise ValueError(f"more than one address: write {network.network_address}/{network.max_prefixlen}")
    services = {each.network for each in METADATA_SERVICES}
    if str(network) not in ANSWERING_NAMES and (str(network) in services or not network.is_link_local):
        outside_metadata(network)
    return str(network)


def _own_metadata(value: str) -> str:
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError("not a network such as 10.20.0.7/32") from error
    if network.prefixlen < _BROADEST_METADATA[network.version]:
        raise ValueError(f"broader than /{_BROADEST_METADATA[network.version]}: name what hands out identities there")
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError("an address of IPv4 in another form: write it as one, such as 10.20.0.7/32")
    return str(network)


class ServiceDefaults(TypedFile):
    """The defaults of a service file."""

    replicas: Replicas = 2


class DnsSettings(TypedFile):
    """Where the cluster answers names, and the names outside of it that the stack output `coreDns` may resolve."""

    namespace: Label = cluster_dns.NAMESPACE
    """The namespace of the pods that answer."""
    labels: dict[LabelKey, LabelValue] = Field(default_factory=lambda: dict(cluster_dns.LABELS))
    """The labels of these pods. Empty where no pod answers, as with Cloud DNS on GKE."""
    servers: tuple[Annotated[StrictStr, AfterValidator(one_server), REACHED], ...] = ()
    """Addresses that answer beside or in place of pods, each as one address: `169.254.20.10/32` of NodeLocal
    DNSCache, `169.254.169.254/32` of Cloud DNS on GKE. Pods reach them at port 53 alone."""

    allow: tuple[HostName, ...] = ()
    """Further names, each with all below it, beside those that services and other settings declare: those of a cloud's
    key service, and what other namespaces need."""

    @model_validator(mode="after")
    def _answered(self) -> Self:
        if not self.labels and not self.servers:
            raise misplaced(["servers"], "nobody answers: write labels of pods, or the address of a server", [])
        return self


class ImportSettings(TypedFile):
    """What was there before the stack, and shall be the stack's from now on."""

    namespaces: tuple[Label, ...] = ()
    """Namespaces of the stack that somebody else made. The stack sets its labels on them, and takes the objects in them
    that have the names of its own. `pulumi destroy` leaves them as long as they stand here."""


PHASES: Mapping[str, Action] = {"audit": Action.AUDIT, "warn": Action.WARN, "enforce": Action.DENY}


class PostureOverride(TypedFile):
    """A cell of the posture table that this stack changes."""

    value: object
    """The value for this layer; `components/config/posture.py` has the scale of each layer."""
    reason: Owner | None = None
    """Why; required when the value is weaker than the environment's default."""


class PostureOverrides(TypedFile):
    """The layers of the posture table. A layer left out keeps the environment's default."""

    vault: PostureOverride | None = None
    vault_replicas: PostureOverride | None = None
    audit_devices: PostureOverride | None = None
    injection: PostureOverride | None = None
    injection_fail_closed: PostureOverride | None = None
    critical: PostureOverride | None = None
    important: PostureOverride | None = None
    best_practice: PostureOverride | None = None
    mutate: PostureOverride | None = None
    generate: PostureOverride | None = None
    mtls: PostureOverride | None = None
    authorization: PostureOverride | None = None
    network_policies: PostureOverride | None = None
    issuer: PostureOverride | None = None

    def by_layer(self) -> dict[str, Override]:
        """The overrides in the stack file."""
        written = {layer: cast("PostureOverride | None", getattr(self, layer)) for layer in LAYERS}
        return {layer: Override(o.value, o.reason) for layer, o in written.items() if o is not None}


class Settings(TypedFile):
    """Everything in a stack file."""

    environment: Literal["production", "staging", "dev", "local"]
    """The row of the posture table that this stack starts from."""
    trust_domain: HostName = "cluster.local"
    """The mesh's trust domain: the first part of every workload's identity."""
    registries: tuple[Registry, ...] = Field(min_length=1)
    """Registries whose images may run. A path limits a registry to a part."""
    platform_images: tuple[ImageReference, ...] = (
        "docker.io/istio/proxyv2",
        "docker.io/hashicorp/vault",
        "quay.io/openbao/openbao",
    )
    """Images that the platform adds to a pod: the mesh's proxy, Vault's agent, cert-manager's solver. Without a tag
    it is the version that the program installs; with one that version, such as the proxy's before an upgrade."""
    vault: VaultSettings = VaultSettings()
    databases: dict[Label, DatabaseSettings] = Field(default_factory=dict)
    """The databases that services may have users in, by the name that service files use."""
    charts: ChartSettings = ChartSettings()
    kyverno: KyvernoSettings = KyvernoSettings()
    mesh: MeshSettings = MeshSettings()
    ingress: IngressSettings = IngressSettings()
    services: ServiceDefaults = ServiceDefaults()
    placement: dict[Label, PlacementClass] = Field(default_factory=dict)
    """The classes of nodes that services may choose from, by name."""
    teams: dict[Label, TeamSettings] = Field(default_factory=dict)
    """The teams that deploy from stacks of their own, by name, which is `team` of their service files."""
    pull_secrets: dict[Registry, ObjectName] = Field(default_factory=dict)
    """For a registry, or a path in one, that asks who pulls: the Secret with the credentials. The program does not
    create it: somebody, such as External Secrets, keeps it in each namespace of services. Only pods with an image of
    that registry name it."""
    api_server_cidrs: tuple[Cidr, ...] = ()
    """The networks of the Kubernetes API. Services that declare `kubernetesApi` need them. The platform's own pods
    reach only these if they are here, or else any network but those of metadata services."""
    api_server_ports: tuple[Port, ...] = Field(default=API_SERVER_PORTS, min_length=1)
    """The ports of the Kubernetes API, at its Service and at its endpoints."""
    webhook_cidrs: tuple[Cidr, ...] = ()
    """The networks from which the Kubernetes API calls the platform's webhooks. By default any, because it may call
    from its own address, from a node or through a tunnel."""
    metadata_cidrs: tuple[Annotated[StrictStr, AfterValidator(_own_metadata)], ...] = ()
    """Where this cluster's nodes and pods get identities beside the metadata services of clouds, such as an agent of
    its own. No network, address or host of a file may lie in them, and no network policy opens them."""
    dns: DnsSettings = DnsSettings()
    imports: ImportSettings = ImportSettings()
    as_of: Day | None = None
    """The day that exceptions are judged by; by default that of the checked-out commit."""
    posture: PostureOverrides = PostureOverrides()
    """Cells of the posture table to change, each with `value` and `reason`."""
    phases: dict[StrictStr, Literal["audit", "warn", "enforce"]] = Field(default_factory=dict)
    """The phase of each rule of the important tier, by default `audit`."""

    def decisions(self) -> Posture:
        """The posture of this stack. Raises `PostureError` for an override that the table does not allow."""
        return posture_for(self.environment, self.posture.by_layer())

    @property
    def layers(self) -> LayerNamespaces:
        """The namespaces of the layers."""
        return LayerNamespaces(
            self.kyverno.namespace or KYVERNO_NAMESPACE,
            self.mesh.namespace or MESH_NAMESPACE,
            self.ingress.cert_manager.namespace or CERT_MANAGER_NAMESPACE,
            self.vault.external_secrets.namespace or EXTERNAL_SECRETS_NAMESPACE,
            self.mesh.root_namespace or self.mesh.namespace or MESH_NAMESPACE,
        )

    @property
    def injected_images(self) -> tuple[str, ...]:
        """`platform_images`, and those that a layer adds to pods from a mirror of its own."""
        mirrored = (
            (PROXY, self.mesh.hub),
            (self.vault.distribution, self.vault.hub),
            (SOLVER, self.ingress.cert_manager.hub),
        )
        return (*self.platform_images, *(from_hub(image, hub) for image, hub in mirrored if hub))

    @property
    def approved_images(self) -> tuple[str, ...]:
        """The registries and images of which pods may be: those of services, and those that the platform adds."""
        return (*self.registries, *self.injected_images)

    def phase_actions(self) -> dict[str, Action]:
        """The action of each rule's phase; `enforce` becomes deny."""
        return {rule: PHASES[phase] for rule, phase in self.phases.items()}
