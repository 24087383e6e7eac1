"""The section `patch` of a service file: what no other key says of its pods, for a limited time.

It is merged into the pod's template (RFC 7386), which every rule then judges as it judges any other. It has what
decides neither who the pod is, nor what it reaches, nor how it is held: those fields have keys of their own, or are the
platform's. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
"""

import ipaddress
import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, Self, cast

from pydantic import AfterValidator, Field, StrictBool, StrictStr, model_validator

from components.kube.mesh_labels import MESH_DOMAIN
from components.schema.fields import AbsolutePath, Day, HostName, Label, Words
from components.schema.metadata_services import outside_host
from components.schema.reached import REACHED
from components.schema.timed_exception import CRITICAL_DAYS, TimedException
from components.schema.typed_file import TypedFile, misplaced

# What reads the annotations of these decides about identity, secrets, traffic or the cluster.
_RESERVED = (
    "amazonaws.com",
    "cilium.io",
    "cncf.io",
    "hashicorp.com",
    MESH_DOMAIN,
    "k8s.io",
    "kubernetes.io",
    "kyverno.io",
    "linkerd.io",
    "prometheus.io",
    "pulumi.com",
    "zero-trust.dev",
)
# Of the cluster's own, what says when a pod may be moved decides nothing of that.
_HARMLESS = ("cluster-autoscaler.kubernetes.io",)
# https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/core/validation/validation.go: MaxDNSSearchListChars
_SEARCHES = 2048
_ANNOTATION = re.compile(
    r"(?P<domain>[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)


def annotation_key(value: str) -> str:
    """The key of an annotation that nothing of the platform reads. Raises `ValueError`."""
    match = _ANNOTATION.fullmatch(value)
    if match is None:
        raise ValueError("not the key of an annotation with its domain, such as example.org/parser")
    domain = match["domain"]
    if domain not in _HARMLESS and any(domain == name or domain.endswith(f".{name}") for name in _RESERVED):
        raise ValueError("what reads it decides about identity, secrets, traffic or the cluster: no patch sets it")
    return value


def _address(value: str) -> str:
    try:
        # A zone is a node's, and Kubernetes takes none.
        address = str(ipaddress.ip_address("" if "%" in value else value))
    except ValueError as error:
        raise ValueError("not an address such as 10.20.0.7") from error
    return outside_host(address)


class HostAlias(TypedFile):
    """Names that the pods' own hosts file knows."""

    ip: Annotated[StrictStr, AfterValidator(_address), REACHED]
    """The address."""
    hostnames: tuple[Label | HostName, ...] = Field(min_length=1)
    """The names of it."""


class DnsOption(TypedFile):
    """An option of the resolver."""

    name: Annotated[StrictStr, Field(min_length=1)]
    """Such as `ndots`."""
    value: StrictStr | None = None
    """Its value."""


class DnsConfig(TypedFile):
    """How the pods look up names; the servers stay those of the cluster."""

    searches: tuple[HostName, ...] = Field(default=(), max_length=32)
    """Domains that are tried after a short name."""
    options: tuple[DnsOption, ...] = ()
    """Options of the resolver."""

    @model_validator(mode="after")
    def _short(self) -> Self:
        if len(" ".join(self.searches)) > _SEARCHES:
            raise misplaced(["searches"], f"more than {_SEARCHES} characters together", list(self.searches))
        return self


class PodPatch(TypedFile):
    """Fields of the pod."""

    dns_config: DnsConfig | None = None
    """How they look up names."""
    host_aliases: tuple[HostAlias, ...] | None = None
    """Names that their hosts file knows."""
    set_hostname_as_fqdn: StrictBool | None = Field(default=None, alias="setHostnameAsFQDN")
    """Whether the host name is the full one."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        addresses = [alias.ip for alias in self.host_aliases or ()]
        if twice := sorted({address for address in addresses if addresses.count(address) > 1}):
            raise misplaced(["hostAliases"], "an address stands there twice: give it all its names once", twice[0])
        return self


class ExecAction(TypedFile):
    """A program in the container."""

    command: Words = Field(min_length=1)
    """The program and its arguments."""


class PostStart(TypedFile):
    """What runs beside the container's start."""

    exec: ExecAction
    """A program in it."""


class LifecyclePatch(TypedFile):
    """Hooks of a container; its end has `stop`."""

    post_start: PostStart
    """What runs beside its start; when it fails, the container starts again."""


class ContainerPatch(TypedFile):
    """Fields of a container."""

    image_pull_policy: Literal["Always", "IfNotPresent"] | None = None
    """When its image is pulled."""
    lifecycle: LifecyclePatch | None = None
    """What runs beside its start."""
    stdin: StrictBool | None = None
    """Whether its standard input stays open."""
    termination_message_path: AbsolutePath | None = None
    """The file whose text Kubernetes shows at its end."""
    termination_message_policy: Literal["File", "FallbackToLogsOnError"] | None = None
    """Where that text comes from."""
    tty: StrictBool | None = None
    """Whether it has a terminal."""
    working_dir: AbsolutePath | None = None
    """The directory that it starts in; by default the image's own."""


class PatchSpec(TimedException):
    """What no other key says of the pods, for a limited time."""

    pod: PodPatch = PodPatch()
    """What the pod has beside its containers."""
    containers: dict[Label, ContainerPatch] = Field(default_factory=dict)
    """Fields of its containers, by name: that of the service, or one under `init` or `sidecars`."""
    annotations: dict[Annotated[StrictStr, AfterValidator(annotation_key)], StrictStr] = Field(default_factory=dict)
    """Annotations of the pod that nothing of the platform reads."""
    expires: Day
    """The first day without the patch; at most 90 days after `granted`."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.annotations or self.pod_fields or any(self.container_fields.values())):
            raise misplaced(["pod"], "it changes nothing: leave the patch out", "nothing")
        return self

    @property
    def pod_fields(self) -> Mapping[str, object]:
        """The fields of the pod, as Kubernetes writes them."""
        return _written(self.pod)

    @property
    def container_fields(self) -> Mapping[str, Mapping[str, object]]:
        """The fields of each container, as Kubernetes writes them."""
        return {name: _written(patch) for name, patch in self.containers.items()}

    def problem(self, as_of: date | None) -> tuple[str, str] | None:
        """The key and the message, if its days are wrong. Without `as_of` it does not expire."""
        if self.days > CRITICAL_DAYS:
            return "expires", f"{self.days} days, {CRITICAL_DAYS} at most after granted {self.granted}"
        return self.day_problem(as_of)


def _written(patch: TypedFile) -> Mapping[str, object]:
    return cast("Mapping[str, object]", patch.model_dump(mode="json", by_alias=True, exclude_none=True))
