"""The configuration files of the node's programs."""

from pathlib import Path
from typing import Any

import yaml

from embedded.node.names import (
    API_PORT,
    CLUSTER_DOMAIN,
    DNS_ADDRESS,
    KUBELET_HEALTH_PORT,
    POD_NETWORK,
    PROXY_HEALTH_PORT,
    REAL,
    WORLD_ADDRESS,
    Host,
)
from embedded.supervisor.pki import KeyPair
from embedded.supervisor.private_files import write_private, write_private_json

SOCKET = "/run/containerd/containerd.sock"
SANDBOX_IMAGE = "registry.k8s.io/pause:3.10"
NETWORK_DIRECTORY, PLUGINS_DIRECTORY = "/etc/cni/net.d", "/opt/cni/bin"
NETWORK_PLUGINS = ("host-local", "loopback", "portmap", "ptp")

_CONTAINERD = """\
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
address = "{socket}"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{sandbox}"

[plugins."io.containerd.cri.v1.runtime"]
# Nobody here may give a process a better score than its own (CAP_SYS_RESOURCE).
restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{plugins}"]
conf_dir = "{network}"

[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = false
"""


def write_containerd(path: Path, runc: str) -> None:
    """containerd's: https://github.com/containerd/containerd/blob/main/docs/cri/config.md."""
    text = _CONTAINERD.format(
        socket=SOCKET, sandbox=SANDBOX_IMAGE, plugins=PLUGINS_DIRECTORY, network=NETWORK_DIRECTORY, runc=runc
    )
    write_private(path, text)


def network(host: Host) -> dict[str, Any]:
    """The network of a pod: an address of the node's range, on a link of its own, without a bridge to its neighbours.

    https://www.cni.dev/plugins/current/main/ptp/
    """
    ipam = {"type": "host-local", "ranges": [[{"subnet": host.pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}


def write_kubelet(path: Path, host: Host, pair: KeyPair, authority: Path, resolver: Path) -> None:
    """The kubelet's: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/."""
    write_private(resolver, f"nameserver {WORLD_ADDRESS}\n")
    content = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": host.address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": CLUSTER_DOMAIN,
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        # No image comes back once it is removed: nothing is pulled here.
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageMaximumGCAge": "0s",
        "failCgroupV1": False,
        "failSwapOn": False,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": KUBELET_HEALTH_PORT,
        # It can't find the file system of a root device in a mount namespace.
        "localStorageCapacityIsolation": False,
        "oomScoreAdj": 0,
        # A kernel parameter that differs is an error: it would be this machine's.
        "protectKernelDefaults": True,
        "readOnlyPort": 0,
        "registerWithTaints": [{"key": REAL, "value": "true", "effect": "NoSchedule"}],
        "resolvConf": str(resolver),
        "rotateCertificates": False,
        "tlsCertFile": str(pair.certificate),
        "tlsPrivateKeyFile": str(pair.key),
    }
    write_private(path, yaml.safe_dump(content, sort_keys=False))


def write_proxy(path: Path, host: Host, kubeconfig: Path) -> None:
    """kube-proxy's: https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/."""
    content = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": host.address,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": POD_NETWORK,
        # The tables of connections are the whole machine's: their limits stay.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": f"127.0.0.1:{PROXY_HEALTH_PORT}",
        "hostnameOverride": host.name,
        "metricsBindAddress": "127.0.0.1:10249",
        "mode": "iptables",
    }
    write_private(path, yaml.safe_dump(content, sort_keys=False))


def write_kubeconfig(path: Path, authority: Path, pair: KeyPair) -> None:
    """Client configuration of a program on the node."""
    cluster = {"server": f"https://{WORLD_ADDRESS}:{API_PORT}", "certificate-authority": str(authority)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "embedded", "cluster": cluster}],
        "users": [{"name": "node", "user": {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}}],
        "contexts": [{"name": "node", "context": {"cluster": "embedded", "user": "node"}}],
        "current-context": "node",
    }
    write_private_json(path, content)
