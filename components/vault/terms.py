"""What services need to know of Vault: its address and mounts, and how their secrets are delivered."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from components.config.engines import POSTGRESQL
from components.kube.names import AUTH_PATH, DATABASE_MOUNT, KV_MOUNT, VAULT_PORT
from components.kube.service_ref import ServiceRef


class Delivery(StrEnum):
    """How the pods of a service get its secrets."""

    AGENT = "agent"
    """Vault's agent, which is injected into the pod, writes them as files."""
    APPLICATION = "application"
    """The application logs in to Vault with a token of its pod, and reads them there."""
    EXTERNAL_SECRETS = "external-secrets"
    """The External Secrets Operator copies them from Vault into Kubernetes Secrets, which the pod mounts."""
    KUBERNETES_SECRET = "kubernetes-secret"  # noqa: S105 - a kind of delivery
    """A Kubernetes Secret holds them, with an annotation that says so: the stack has no Vault."""


@dataclass(frozen=True)
class DatabaseServer:
    """A database in which Vault creates users, and its server as services reach it."""

    name: str
    host: str
    port: int
    database: str
    """Its name; empty for an engine whose databases have none."""
    networks: Sequence[str] = ()
    """The networks of a server outside the cluster."""
    service: ServiceRef = field(default_factory=ServiceRef)
    """The service of the stack that it is, which Vault reaches; none for a server elsewhere."""
    engine: str = POSTGRESQL
    """One of `components.config.engines`."""
    tls: bool = True
    """Whether it speaks TLS."""

    @property
    def has_external_name(self) -> bool:
        """Whether its host is a name outside the cluster's DNS, and no address."""
        address = ":" in self.host or self.host.rpartition(".")[2].isdigit()
        return not address and ServiceRef.of_host(self.host) is None


@dataclass(frozen=True)
class StoreTerms:
    """Vault for the External Secrets Operator; `reason` is why secrets may be copied into the cluster."""

    server: str = ""
    """Vault's address as the operator reaches it."""
    authority: str = ""
    """PEM certificates of the authority of Vault's certificate; empty: a public one."""
    reason: str = ""


@dataclass(frozen=True)
class VaultTerms:
    """The decisions about Vault that services depend on. `store` is for delivery by External Secrets."""

    delivery: Delivery = Delivery.KUBERNETES_SECRET
    kv_mount: str = KV_MOUNT
    database_mount: str = DATABASE_MOUNT
    databases: Sequence[DatabaseServer] = ()
    auth_path: str = AUTH_PATH
    refresh: str = "5m"
    """How often secrets are read again from Vault."""
    store: StoreTerms = field(default_factory=StoreTerms)
    port: int = VAULT_PORT
    networks: Sequence[str] = ()
    """The networks of an external Vault; empty: Vault runs in namespace `vault`."""
    role: str = ""
    """The role that all services of a team log in to, each for its own paths; empty: each service has its own."""

    @property
    def on(self) -> bool:
        """Whether the stack has a Vault."""
        return self.delivery is not Delivery.KUBERNETES_SECRET
