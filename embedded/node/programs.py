"""The programs of the node and their flags. All but the first enter the namespaces that the first one made."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import urllib3

from embedded.data_plane.namespaces import NetworkNamespace
from embedded.node import configuration
from embedded.node.cgroups import hierarchies
from embedded.node.inside import READY
from embedded.node.names import (
    KUBELET_HEALTH_PORT,
    METRICS_PORT,
    METRICS_SERVICE,
    POLICY_HEALTH_PORT,
    PROXY_HEALTH_PORT,
    REAL,
    Host,
)
from embedded.paths import CHECKOUT
from embedded.supervisor import probes
from embedded.supervisor.layout import Layout
from embedded.supervisor.pki import CLUSTER, KUBE_PROXY, KUBE_ROUTER, KUBELET, SERVICE_RANGE
from embedded.supervisor.ports import LOOPBACK
from embedded.supervisor.process import Process, Program
from embedded.toolchain.iptables import iptables_environment

_INIT = "node"
_PROBE_SECONDS = 2.0
_COMMAND_SECONDS = 300
# Into the node's control groups first, so that the namespace begins there; user and time stay the machine's.
_BEGIN = 'for group in $1; do echo $$ > "$group/cgroup.procs"; done; shift; exec "$@"'
_NAMESPACES = ("--mount", "--pid", "--cgroup", "--uts", "--ipc")
_UNSHARE = ("unshare", *_NAMESPACES, "--fork", "--kill-child", "--mount-proc")


def init_program(layout: Layout, network: NetworkNamespace, groups: list[Path], directory: Path, host: Host) -> Program:
    """The first process: everything of the node ends with it, and it ends with the supervisor."""
    name = f"{_INIT}{host.suffix}"
    mounts = json.dumps([[str(hierarchy.place), hierarchy.options] for hierarchy in hierarchies()])
    words = (sys.executable, "-m", "embedded.node.inside", str(directory), mounts)
    places = " ".join(str(group) for group in groups)
    return Program(
        name=name,
        arguments=(*network.enter, "sh", "-euc", _BEGIN, "sh", places, *_UNSHARE, "--", *words),
        directory=CHECKOUT,
        log=layout.log(name),
        ready=lambda _started: True,
        environment=layout.environment(name),
        stop_signal=signal.SIGKILL,
    )


@dataclass(frozen=True, slots=True)
class Node:
    """The node's namespaces, by the process that holds them, and its files."""

    layout: Layout
    host: Host
    network: NetworkNamespace
    groups: tuple[Path, ...]
    directory: Path
    pid: int

    @classmethod
    def of(
        cls, init: Process, layout: Layout, host: Host, network: NetworkNamespace, groups: list[Path], directory: Path
    ) -> "Node | None":
        """The node whose first process has laid out its file system; None before that."""
        if init.pid is None:
            return None
        children = Path(f"/proc/{init.pid}/task/{init.pid}/children").read_text().split()
        if not children or not Path(f"/proc/{children[0]}/root{READY}").exists():
            return None
        return cls(layout, host, network, tuple(groups), directory, int(children[0]))

    @property
    def environment(self) -> dict[str, str]:
        """Where the node's programs find each other, and iptables."""
        found = iptables_environment()
        return {**found, "PATH": f"{self.layout.tools}:{found['PATH']}", "HOME": "/run"}

    def enter(self, *command: str) -> tuple[str, ...]:
        """A command line that runs inside, in the node's control groups."""
        places = " ".join(str(group / "node" if (group / "node").is_dir() else group) for group in self.groups)
        inside = ("nsenter", f"--target={self.pid}", *_NAMESPACES, "--net", "--wd=/", "--")
        return ("sh", "-euc", _BEGIN, "sh", places, *inside, *command)

    def run(self, *command: str) -> str:
        """What a command prints inside. Raises ``subprocess.CalledProcessError``."""
        return subprocess.run(
            self.enter(*command),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=True,
        ).stdout

    def program(self, name: str, arguments: tuple[str, ...], ready: Callable[[], bool]) -> Program:
        """One of the node's programs. It is killed: what it would do at its end, ends with the namespaces."""
        own = f"{name}{self.host.suffix}"
        return Program(
            name=own,
            arguments=self.enter(self.layout.tool(name), *arguments),
            directory=self.layout.directory(own),
            log=self.layout.log(own),
            ready=lambda _started: self.network.call(ready),
            environment=self.environment,
            stop_signal=signal.SIGKILL,
        )

    def file(self, name: str) -> Path:
        """A file of this node's configuration."""
        return self.directory / name

    def kubeconfig(self, user: str) -> Path:
        """Client configuration of one of the node's programs, written anew."""
        path = self.file(f"{user}.kubeconfig")
        configuration.write_kubeconfig(path, self.layout.pki.ca(CLUSTER), self.layout.pki.pair(user))
        return path


def install_network(node: Node) -> None:
    """Put the network plugins and their configuration where containerd looks for them."""
    plugins = Path(f"/proc/{node.pid}/root{configuration.PLUGINS_DIRECTORY}")
    for name in configuration.NETWORK_PLUGINS:
        (plugins / name).write_bytes((node.layout.tools / name).read_bytes())
        (plugins / name).chmod(0o755)
    networks = Path(f"/proc/{node.pid}/root{configuration.NETWORK_DIRECTORY}")
    (networks / "10-pods.conflist").write_text(json.dumps(configuration.network(node.host)))


def containerd(node: Node) -> Program:
    """The runtime."""
    config = node.file("containerd.toml")
    configuration.write_containerd(config, node.layout.tool("runc"))
    return node.program("containerd", (f"--config={config}",), lambda: _accepts(node, configuration.SOCKET))


def kubelet(node: Node) -> Program:
    """The kubelet, which registers the node."""
    config = node.file("kubelet.yaml")
    pki, user = node.layout.pki, f"{KUBELET}{node.host.suffix}"
    configuration.write_kubelet(config, node.host, pki.pair(user), pki.ca(CLUSTER), node.file("resolv.conf"))
    labels = (
        f"{REAL}=true",
        "topology.kubernetes.io/region=local",
        f"topology.kubernetes.io/zone={node.host.zone}",
    )
    arguments = (
        f"--config={config}",
        f"--kubeconfig={node.kubeconfig(user)}",
        f"--hostname-override={node.host.name}",
        f"--node-ip={node.host.address}",
        f"--node-labels={','.join(labels)}",
    )
    return node.program("kubelet", arguments, lambda: _answers(KUBELET_HEALTH_PORT, "/healthz"))


def kube_proxy(node: Node) -> Program:
    """What makes a Service's address lead to its pods."""
    config = node.file("kube-proxy.yaml")
    configuration.write_proxy(config, node.host, node.kubeconfig(KUBE_PROXY))
    return node.program("kube-proxy", (f"--config={config}",), lambda: _answers(PROXY_HEALTH_PORT, "/healthz"))


def kube_router(node: Node) -> Program:
    """What enforces network policies."""
    arguments = (
        f"--kubeconfig={node.kubeconfig(KUBE_ROUTER)}",
        f"--hostname-override={node.host.name}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        f"--health-port={POLICY_HEALTH_PORT}",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
    )
    return node.program("kube-router", arguments, lambda: _answers(POLICY_HEALTH_PORT, "/healthz"))


def metrics_server(node: Node) -> Program:
    """What the autoscaler asks: the processor and memory of the pods, as the kubelets measure them."""
    pair, kubeconfig = node.layout.pki.pair(METRICS_SERVICE), node.kubeconfig(METRICS_SERVICE)
    arguments = (
        f"--bind-address={node.host.address}",
        f"--secure-port={METRICS_PORT}",
        f"--tls-cert-file={pair.certificate}",
        f"--tls-private-key-file={pair.key}",
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--kubelet-certificate-authority={node.layout.pki.ca(CLUSTER)}",
        "--kubelet-preferred-address-types=InternalIP",
        # Nobody measures the pods of the simulated nodes.
        f"--node-selector={REAL}=true",
        "--metric-resolution=10s",
        "--kubelet-request-timeout=5s",
    )
    ready = probes.listens(METRICS_PORT, node.host.address)
    return node.program(METRICS_SERVICE, arguments, lambda: ready(0.0))


def _accepts(node: Node, path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(f"/proc/{node.pid}/root{path}")
        except OSError:
            return False
    return True


def _answers(port: int, path: str) -> bool:
    # No pool: its connections would belong to the thread's network namespace.
    try:
        with urllib3.HTTPConnectionPool(LOOPBACK, port, timeout=_PROBE_SECONDS, retries=False) as pool:
            return pool.request("GET", path).status < 400
    except urllib3.exceptions.HTTPError:
        return False
