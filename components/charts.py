"""Every chart, version and place it comes from. A new version is a change of one line here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Chart:
    """A pinned Helm chart of a repository."""

    name: str
    version: str
    repository: str

    def source(self, charts_dir: str | None) -> dict[str, object]:
        """Keyword arguments for `helm.v3.ReleaseArgs`: the chart's repository, or its folder below `charts_dir`.

        A folder carries its own version, so none is passed with it.
        """
        if charts_dir is not None:
            return {"chart": f"{charts_dir}/{self.name}"}
        return {"chart": self.name, "version": self.version, "repository_opts": {"repo": self.repository}}


@dataclass(frozen=True)
class Manifest:
    """A pinned file of Kubernetes objects that a project releases beside no chart."""

    name: str
    version: str
    url: str

    def source(self, charts_dir: str | None) -> str:
        """The address of the file, or its path below `charts_dir`."""
        return self.url if charts_dir is None else f"{charts_dir}/{self.name}.yaml"


_ISTIO = "https://istio-release.storage.googleapis.com/charts"
_ISTIO_VERSION = "1.31.0"
_GATEWAY_API_VERSION = "v1.6.0"

KYVERNO = Chart("kyverno", "3.9.1", "https://kyverno.github.io/kyverno")
ISTIO_BASE = Chart("base", _ISTIO_VERSION, _ISTIO)
ISTIO_CNI = Chart("cni", _ISTIO_VERSION, _ISTIO)
ISTIOD = Chart("istiod", _ISTIO_VERSION, _ISTIO)
ZTUNNEL = Chart("ztunnel", _ISTIO_VERSION, _ISTIO)
CERT_MANAGER = Chart("cert-manager", "v1.21.2", "https://charts.jetstack.io")
EXTERNAL_SECRETS = Chart("external-secrets", "0.16.2", "https://charts.external-secrets.io")
VAULT = Chart("vault", "0.32.0", "https://helm.releases.hashicorp.com")
OPENBAO = Chart("openbao", "0.16.2", "https://openbao.github.io/openbao-helm")

# What the snapshots are taken with. A server of a neighbouring version answers it as well.
VAULT_IMAGE = "docker.io/hashicorp/vault:1.21.2"
OPENBAO_IMAGE = "quay.io/openbao/openbao:2.5.3"

GATEWAY_API_CRDS = Manifest(
    # The version that this Istio is built against: a newer channel may hold fields it ignores.
    "gateway-api",
    _GATEWAY_API_VERSION,
    f"https://github.com/kubernetes-sigs/gateway-api/releases/download/{_GATEWAY_API_VERSION}/standard-install.yaml",
)
