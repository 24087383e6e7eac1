"""The section `charts` of the stack config."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.kube.charts import CHARTS, OCI, ChartSources, Digest, FileAddress, Repository
from components.schema.fields import AbsolutePath
from components.schema.typed_file import TypedFile, misplaced

Project = Literal["istio", "kyverno", "cert-manager", "external-secrets", "vault", "openbao"]
ChartName = Literal[
    "kyverno", "base", "cni", "istiod", "ztunnel", "cert-manager", "external-secrets", "vault", "openbao"
]


class ChartSettings(TypedFile):
    """Where the charts come from, for a mirror or a cluster without the internet. Versions are the program's."""

    repositories: dict[Project, Repository] = Field(default_factory=dict)
    """A project's repository of charts, if it is not the project's own: https:// or oci://."""
    digests: dict[ChartName, Digest] = Field(default_factory=dict)
    """The digest of a chart in an OCI registry, which Helm compares with what it downloads."""
    gateway_api: FileAddress | None = None
    """The address of the Gateway API's `standard-install.yaml`."""
    directory: AbsolutePath | None = None
    """A directory with every chart unpacked, each in a folder of its name, and `gateway-api.yaml`. Nothing is
    downloaded then."""

    @property
    def sources(self) -> ChartSources:
        """The places as the components take them."""
        repositories: dict[str, str] = {**self.repositories}
        digests: dict[str, str] = {**self.digests}
        return ChartSources(self.directory, repositories, digests, self.gateway_api or "")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.directory and (other := next((key for key in ("repositories", "digests") if getattr(self, key)), "")):
            raise misplaced([other], "nothing is downloaded with charts.directory: leave one of them out", "both")
        sources = self.sources
        for chart in CHARTS:
            repository = chart.repository(sources)
            if chart.name in sources.digests and not repository.startswith(OCI):
                message = f"Helm compares digests of OCI registries alone, and this chart comes from {repository}"
                raise misplaced(["digests", chart.name], message, sources.digests[chart.name])
        return self
