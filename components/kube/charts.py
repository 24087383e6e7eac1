"""Every chart with its version and where it comes from. A new version changes one line here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator, StrictStr

from components.schema.checked import check_fields
from components.schema.fields import HTTPS_ORIGIN, AbsolutePath, https_address
from components.schema.reached import REACHED

OCI = "oci://"
OLDEST_KUBERNETES = (1, 30)
"""The oldest version that the platform takes: from here on ValidatingAdmissionPolicies are served as v1."""
_ADDRESS = rf"{HTTPS_ORIGIN}(/[^\s@?#]*)?"


def _repository(value: str) -> str:
    message = "not a repository such as https://charts.example.org/istio or oci://registry.example.org/charts"
    https_address(value.replace(OCI, "https://", 1) if value.startswith(OCI) else value, _ADDRESS, message)
    return value.rstrip("/")


def _file(value: str) -> str:
    message = "not the address of a file, such as https://files.example.org/gateway-api.yaml"
    return https_address(value, rf"{HTTPS_ORIGIN}/[^\s@?#]+", message)


def _digest(value: str) -> str:
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", value):
        raise ValueError("not a digest: sha256: and 64 hexadecimal digits, as `helm pull` prints it")
    return value


Repository = Annotated[StrictStr, AfterValidator(_repository), REACHED]
FileAddress = Annotated[StrictStr, AfterValidator(_file), REACHED]
Digest = Annotated[StrictStr, AfterValidator(_digest)]


@dataclass(frozen=True)
class ChartSources:
    """Where a stack takes its charts from.

    `directory` holds all of them, unpacked, and the CRDs of the Gateway API as `gateway-api.yaml`. Without it each
    project's `repositories` entry, an address that begins with https:// or oci://, replaces the project's own, and
    `gateway_api` that of the CRDs. Helm compares a chart of an OCI registry with its entry in `digests`, by chart.
    Raises `FieldError` for what a stack file may not say of them.
    """

    directory: AbsolutePath | None = None
    repositories: Mapping[str, Repository] = field(default_factory=dict[str, str])
    digests: Mapping[str, Digest] = field(default_factory=dict[str, str])
    gateway_api: FileAddress = ""

    def __post_init__(self) -> None:
        check_fields(self)


PUBLISHED = ChartSources()
"""Each chart from where its project publishes it."""


@dataclass(frozen=True)
class Chart:
    """A pinned Helm chart of a project's repository."""

    name: str
    version: str
    project: str

    def repository(self, sources: ChartSources) -> str:
        """The address of the repository."""
        return sources.repositories.get(self.project, REPOSITORIES[self.project]).rstrip("/")

    def source(self, sources: ChartSources) -> dict[str, object]:
        """The fields of a `Release` that name its chart: the chart in its repository, or its folder in the directory.

        For a folder no version is passed: the chart in it has one.
        """
        if sources.directory is not None:
            return {"chart": f"{sources.directory}/{self.name}"}
        repository = self.repository(sources)
        if not repository.startswith(OCI):
            return {"chart": self.name, "version": self.version, "repositoryOpts": {"repo": repository}}
        digest = sources.digests.get(self.name)
        return {"chart": f"{repository}/{self.name}{f'@{digest}' if digest else ''}", "version": self.version}


@dataclass(frozen=True)
class ReleasedFile:
    """A pinned file of Kubernetes objects, of a project that releases no chart."""

    name: str
    version: str
    url: str

    def source(self, sources: ChartSources) -> str:
        """The address of the file, or its path in the directory."""
        return sources.gateway_api or self.url if sources.directory is None else f"{sources.directory}/{self.name}.yaml"


REPOSITORIES: Mapping[str, str] = {
    "istio": "https://blob.istio.io/istio-release/charts",
    "kyverno": "https://kyverno.github.io/kyverno",
    "cert-manager": "oci://quay.io/jetstack/charts",
    "external-secrets": "https://charts.external-secrets.io",
    "vault": "https://helm.releases.hashicorp.com",
    "openbao": "https://openbao.github.io/openbao-helm",
}
"""Where each project publishes its charts."""

_ISTIO_VERSION = "1.31.0"
_GATEWAY_API_VERSION = "v1.6.0"

KYVERNO = Chart("kyverno", "3.9.1", "kyverno")
ISTIO_BASE = Chart("base", _ISTIO_VERSION, "istio")
ISTIO_CNI = Chart("cni", _ISTIO_VERSION, "istio")
ISTIOD = Chart("istiod", _ISTIO_VERSION, "istio")
ZTUNNEL = Chart("ztunnel", _ISTIO_VERSION, "istio")
CERT_MANAGER = Chart("cert-manager", "v1.21.2", "cert-manager")
EXTERNAL_SECRETS = Chart("external-secrets", "0.16.2", "external-secrets")
VAULT = Chart("vault", "0.34.1", "vault")
OPENBAO = Chart("openbao", "0.29.2", "openbao")
CHARTS = (KYVERNO, ISTIO_BASE, ISTIO_CNI, ISTIOD, ZTUNNEL, CERT_MANAGER, EXTERNAL_SECRETS, VAULT, OPENBAO)
"""All of them."""

# The image whose client takes the snapshots. It works with servers of neighbouring versions too.
VAULT_IMAGE = "docker.io/hashicorp/vault:2.0.4"
OPENBAO_IMAGE = "quay.io/openbao/openbao:2.6.2"

GATEWAY_API_CRDS = ReleasedFile(
    # The version that this Istio is built against: it may ignore fields of a newer one.
    "gateway-api",
    _GATEWAY_API_VERSION,
    f"https://github.com/kubernetes-sigs/gateway-api/releases/download/{_GATEWAY_API_VERSION}/standard-install.yaml",
)
