"""A service by namespace and name, and the forms in which files, the mesh and DNS write it."""

from dataclasses import dataclass
from typing import Self

_CLUSTER_DOMAIN = "svc.cluster.local"


@dataclass(frozen=True, order=True)
class ServiceRef:
    """A service and its service account, which have the same name. Without a `name` it stands for none."""

    namespace: str = ""
    name: str = ""

    @classmethod
    def parse(cls, text: str, namespace: str) -> Self:
        """The service that a file of a namespace writes as `name` or as `namespace/name`."""
        other_namespace, _, name = text.rpartition("/")
        return cls(other_namespace or namespace, name)

    @classmethod
    def of_host(cls, host: str) -> Self | None:
        """The service behind a host name of the cluster's DNS; `None` for any other host."""
        name, _, rest = host.partition(".")
        namespace, _, tail = rest.partition(".")
        return cls(namespace, name) if tail in ("svc", _CLUSTER_DOMAIN) else None

    def __str__(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    def __bool__(self) -> bool:
        """Whether it stands for a service."""
        return bool(self.name)

    @property
    def key(self) -> str:
        """`namespace.name`; neither part can contain a dot, so no two services have the same."""
        return f"{self.namespace}.{self.name}"

    def seen_from(self, namespace: str) -> str:
        """Its name as a file of a namespace writes it: without the namespace where that is the same."""
        return self.name if self.namespace == namespace else str(self)

    def principal(self, trust_domain: str) -> str:
        """The principal of its service account in an AuthorizationPolicy."""
        return f"{trust_domain}/ns/{self.namespace}/sa/{self.name}"

    def identity(self, trust_domain: str) -> str:
        """The name of its service account in the certificates of the mesh."""
        return f"spiffe://{self.principal(trust_domain)}"

    @property
    def host(self) -> str:
        """Its full name in the cluster's DNS, by which the mesh knows it."""
        return f"{self.name}.{self.namespace}.{_CLUSTER_DOMAIN}"

    @property
    def sidecar_host(self) -> str:
        """Its host in a Sidecar of the mesh (https://istio.io/latest/docs/reference/config/networking/sidecar/)."""
        return f"{self.namespace}/{self.host}"
