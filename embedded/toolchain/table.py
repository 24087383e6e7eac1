"""Every tool of the embedded stack: which pinned module it is built from, and how."""

from dataclasses import dataclass, replace
from pathlib import Path

TOOLS_DIRECTORY = Path(__file__).resolve().parent.parent / "tools"

# Debug information makes up about a sixth of the build time and is never used: a failing tool is read by its log.
BUILD_FLAGS = ("-trimpath", "-buildvcs=false", "-mod=readonly", "-gcflags=all=-dwarf=false")

_KUBERNETES = "k8s.io/component-base/version"
_PULUMI_SDK = "github.com/pulumi/pulumi/sdk/v3"
_PULUMI_CLI = "github.com/pulumi/pulumi/pkg/v3"
_CLOUD_STORES = "gocloud.dev"
_KUBERNETES_SDK = "github.com/pulumi/pulumi-kubernetes/sdk/v4"
_KUBERNETES_PROVIDER = "github.com/pulumi/pulumi-kubernetes/provider/v4"
_KYVERNO = "github.com/kyverno/kyverno/cmd"
_EXTERNAL_SECRETS = "github.com/external-secrets/external-secrets"

NODE_GROUP = "node"
# What only a machine with root can run, and what a single test runs.
_ASKED_FOR = (NODE_GROUP, "yaml")

# What the API server calls itself, and what charts are told they are rendered for.
KUBERNETES_VERSION = "v1.36.3"


@dataclass(frozen=True, slots=True)
class Generated:
    """A file that a module publishes, copied to ``target`` before its package is built: too large to keep here."""

    module: str
    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A file ``path`` of the Go module ``module``, and what takes its place: ``source``, below ``embedded/tools``."""

    module: str
    path: str
    source: str


@dataclass(frozen=True, slots=True)
class Module:
    """A ``go.mod`` under ``embedded/tools``. Tools of one module compile their shared packages once.

    ``replaced`` names the neighbours that its replace directives point at. ``variables`` are set by the linker; a tool
    that lacks one ignores it, so that all tools of a module link in one invocation. ``exchanged`` are files of other
    modules, which it is built with copies of. ``flags`` are further ones of ``go build``, ``libraries`` the Debian
    packages with the C headers that it needs. ``sums`` names a file beside ``go.sum`` that completes it: tools that few
    ask for are built with the versions, and from the compiled packages, of all others, whose key stays as it is.
    """

    name: str
    variables: tuple[tuple[str, str], ...] = ()
    replaced: tuple[str, ...] = ()
    exchanged: tuple[Exchanged, ...] = ()
    flags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    sums: str | None = None

    @property
    def directory(self) -> Path:
        """Where the ``go.mod`` is."""
        return TOOLS_DIRECTORY / self.name

    @property
    def ldflags(self) -> str:
        """The linker's flags: no symbol table, and the variables."""
        return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in self.variables)])


@dataclass(frozen=True, slots=True)
class Tool:
    """An executable.

    ``sources`` are the files of this repository, relative to ``embedded/tools``, that it is compiled from. With
    ``script`` there is nothing to compile: ``package`` is a file of the Go module ``script``.
    """

    name: str
    module: Module
    package: str
    group: str
    sources: tuple[str, ...] = ()
    generated: tuple[Generated, ...] = ()
    script: str | None = None

    @property
    def built_name(self) -> str:
        """The name ``go build -o directory/`` gives it: the last part of the package path that is no major version."""
        parts = self.package.rstrip("/").split("/")
        major = parts[-1].startswith("v") and parts[-1][1:].isdigit()
        return parts[-2] if major else parts[-1]


PULUMI = Module(
    "pulumi",
    variables=((f"{_PULUMI_SDK}/go/common/version.Version", "v3.229.0"),),
    # Upstream's CLI compiles the SDKs of three clouds, its Kubernetes provider a Go type for each kind of each version.
    exchanged=tuple(
        Exchanged(module, path, f"pulumi/_exchanged/{source}.go")
        for module, path, source in (
            (_KUBERNETES_SDK, "go/kubernetes/yaml/v2/kinds.go", "kinds"),
            (_PULUMI_CLI, "authhelpers/gcpauth.go", "google_credentials"),
            (_PULUMI_CLI, "operations/operations_aws.go", "operations_aws"),
            (_PULUMI_CLI, "operations/operations_gcp.go", "operations_gcp"),
            (_PULUMI_CLI, "secrets/cloud/manager.go", "cloud_secrets"),
            (_CLOUD_STORES, "blob/azureblob/azureblob.go", "azureblob"),
            (_CLOUD_STORES, "blob/gcsblob/gcsblob.go", "gcsblob"),
            (_CLOUD_STORES, "blob/gcsblob/iam.go", "gcsblob_iam"),
            (_CLOUD_STORES, "blob/s3blob/s3blob.go", "s3blob"),
        )
    ),
)
LANGUAGE_PYTHON = Module("language-python")
LANGUAGE_YAML = Module("language-yaml")
CLUSTER = Module(
    "cluster",
    # Without a version the API server calls itself v0.0.0, and every chart with a kubeVersion is refused.
    variables=(
        (f"{_KUBERNETES}.gitVersion", KUBERNETES_VERSION),
        (f"{_KUBERNETES}.gitMajor", "1"),
        (f"{_KUBERNETES}.gitMinor", "36"),
        ("github.com/cert-manager/cert-manager/pkg/util.AppVersion", "v1.21.2"),
    ),
    replaced=("cert-manager",),
)
# The release lines before those of the cluster's, for their charts: what a cluster is upgraded from.
PREVIOUS = Module("previous")
CLUSTER_OF_NODE = replace(CLUSTER, sums="node.sum")
# Without the shared library beside its headers runc holds libseccomp itself.
CONTAINERS = Module("containers", flags=("-tags=seccomp",), libraries=("libseccomp-dev",))
COREDNS = Module("coredns")
IMAGES = Module("images")
KUBE_ROUTER = Module("kube-router")
METRICS_SERVER = Module("metrics-server")
ACTIONLINT = Module("actionlint")
PEBBLE = Module("pebble")
EXTERNAL_SECRETS = Module(
    "external-secrets",
    # Upstream registers some forty providers and generators, and so compiles the SDKs of as many services.
    exchanged=tuple(
        Exchanged(_EXTERNAL_SECRETS, f"pkg/{kind}/register/register.go", f"external-secrets/{kind}s/register.go")
        for kind in ("provider", "generator")
    ),
)


def _language_script(path: str) -> Tool:
    name = path.rsplit("/", maxsplit=1)[-1]
    return Tool(name, LANGUAGE_PYTHON, path, "pulumi", script=_PULUMI_SDK)


def _container_tool(path: str) -> Tool:
    return Tool(path.rsplit("/", maxsplit=1)[-1], CONTAINERS, path, NODE_GROUP)


_CONTAINER_TOOLS = (
    "github.com/containerd/containerd/v2/cmd/containerd",
    "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
    "github.com/containerd/containerd/v2/cmd/ctr",
    "github.com/containernetworking/plugins/plugins/ipam/host-local",
    "github.com/containernetworking/plugins/plugins/main/loopback",
    "github.com/containernetworking/plugins/plugins/main/ptp",
    "github.com/containernetworking/plugins/plugins/meta/portmap",
    "github.com/opencontainers/runc",
)

TOOLS: tuple[Tool, ...] = (
    Tool("kubectl-kyverno", CLUSTER, f"{_KYVERNO}/cli/kubectl-kyverno", "policy"),
    Tool("etcd", CLUSTER, "go.etcd.io/etcd/server/v3", "cluster"),
    Tool("kube-apiserver", CLUSTER, "k8s.io/kubernetes/cmd/kube-apiserver", "cluster"),
    Tool("kube-controller-manager", CLUSTER, "k8s.io/kubernetes/cmd/kube-controller-manager", "cluster"),
    Tool("kube-scheduler", CLUSTER, "k8s.io/kubernetes/cmd/kube-scheduler", "cluster"),
    Tool("kwok", CLUSTER, "sigs.k8s.io/kwok/cmd/kwok", "cluster"),
    Tool("kyverno", CLUSTER, f"{_KYVERNO}/kyverno", "controllers"),
    Tool("background-controller", CLUSTER, f"{_KYVERNO}/background-controller", "controllers"),
    Tool("reports-controller", CLUSTER, f"{_KYVERNO}/reports-controller", "controllers"),
    Tool("cleanup-controller", CLUSTER, f"{_KYVERNO}/cleanup-controller", "controllers"),
    Tool("pilot-discovery", CLUSTER, "istio.io/istio/pilot/cmd/pilot-discovery", "controllers"),
    Tool(
        "cert-manager",
        CLUSTER,
        "github.com/cert-manager/cert-manager/embedded",
        "controllers",
        sources=("cert-manager/*.go",),
    ),
    # The proxies of the data plane, which is there on request.
    Tool("pilot-agent", CLUSTER, "istio.io/istio/pilot/cmd/pilot-agent", "data-plane"),
    # What the program is measured against, and what a person uses on the node.
    Tool("kubectl", CLUSTER, "k8s.io/kubernetes/cmd/kubectl", "bench"),
    # The real node, which is there on request.
    Tool("kubelet", CLUSTER_OF_NODE, "k8s.io/kubernetes/cmd/kubelet", NODE_GROUP),
    Tool("kube-proxy", CLUSTER_OF_NODE, "k8s.io/kubernetes/cmd/kube-proxy", NODE_GROUP),
    Tool("istio-cni", CLUSTER_OF_NODE, "istio.io/istio/cni/cmd/istio-cni", NODE_GROUP),
    Tool("install-cni", CLUSTER_OF_NODE, "istio.io/istio/cni/cmd/install-cni", NODE_GROUP),
    *(_container_tool(path) for path in _CONTAINER_TOOLS),
    Tool("coredns", COREDNS, "zero-trust/embedded/tools/coredns", NODE_GROUP, sources=("coredns/main.go",)),
    *(
        Tool(f"image-{name}", IMAGES, f"zero-trust/embedded/tools/images/{name}", NODE_GROUP, (f"images/{name}/*.go",))
        for name in ("api", "pause")
    ),
    Tool("kube-router", KUBE_ROUTER, "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router", NODE_GROUP),
    Tool("metrics-server", METRICS_SERVER, "sigs.k8s.io/metrics-server/cmd/metrics-server", NODE_GROUP),
    Tool("pulumi", PULUMI, "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", "pulumi"),
    Tool(
        "pulumi-resource-kubernetes",
        PULUMI,
        "zero-trust/embedded/tools/pulumi/pulumi-resource-kubernetes",
        "pulumi",
        sources=("pulumi/pulumi-resource-kubernetes/main.go",),
        generated=tuple(
            Generated(
                _KUBERNETES_PROVIDER,
                f"cmd/pulumi-resource-kubernetes/{name}",
                f"pulumi-resource-kubernetes/{name}",
            )
            for name in ("schema.json", "terraform-mapping.json")
        ),
    ),
    Tool(
        "state-service",
        PULUMI,
        "zero-trust/embedded/tools/pulumi/state-service",
        "pulumi",
        sources=("pulumi/state-service/*.go",),
    ),
    # The Kubernetes provider installs releases with this very version.
    Tool("helm", PULUMI, "helm.sh/helm/v3/cmd/helm", "check"),
    Tool(
        "pulumi-language-python",
        LANGUAGE_PYTHON,
        f"{_PULUMI_SDK}/python/cmd/pulumi-language-python",
        "pulumi",
    ),
    _language_script("python/cmd/pulumi-language-python-exec"),
    _language_script("python/dist/pulumi-resource-pulumi-python"),
    # Only the test of the package for other languages runs it.
    Tool("pulumi-language-yaml", LANGUAGE_YAML, "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml", "yaml"),
    # Only a control plane that is asked for an ACME server runs them.
    Tool("pebble", PEBBLE, "github.com/letsencrypt/pebble/v2/cmd/pebble", "acme"),
    Tool("pebble-challtestsrv", PEBBLE, "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv", "acme"),
    # Only a control plane that is asked for it runs it.
    Tool(
        "external-secrets",
        EXTERNAL_SECRETS,
        "zero-trust/embedded/tools/external-secrets",
        "external-secrets",
        sources=("external-secrets/*.go",),
    ),
    # Only the tests of the workflow files run it.
    Tool("actionlint", ACTIONLINT, "github.com/rhysd/actionlint/cmd/actionlint", "lint"),
)


def select(names: list[str] | None) -> tuple[Tool, ...]:
    """The tools of these names, in the table's order. A group's name stands for its tools.

    ``None`` means all but those of the node, which only a machine with root can run, and the YAML language host.

    Raises ``ValueError`` for a name that is neither.
    """
    if names is None:
        return tuple(tool for tool in TOOLS if tool.group not in _ASKED_FOR)
    known = {tool.name for tool in TOOLS} | {tool.group for tool in TOOLS}
    if unknown := sorted(set(names) - known):
        raise ValueError(f"unknown tool {unknown[0]!r}: want one of {', '.join(sorted(known))}")
    return tuple(tool for tool in TOOLS if tool.name in names or tool.group in names)
