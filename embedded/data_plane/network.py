"""The network of the pods: a node with a bridge, and one veth pair per pod, all in namespaces of their own."""

import ipaddress
import itertools
import socket

from embedded.data_plane.namespaces import NetworkNamespace
from embedded.supervisor.core_programs import POD_RANGE

# Link-local, as the first hop of a pod is in many networks: no pod and no Service can have the address.
NODE_ADDRESS = "169.254.1.1"
# Documentation addresses (RFC 5737) play the world outside of the cluster.
OUTSIDE_NETWORK = "203.0.113.0/24"
OUTSIDE_ADDRESS = "203.0.113.10"
_POD_NETWORK = ipaddress.ip_interface(POD_RANGE).network


class PodNetwork:
    """The node. It forwards between pods and the outside, and has no way to the networks of this machine."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._node = NetworkNamespace.new()
        self._node.ip(
            "link add pods type bridge",
            f"address add {NODE_ADDRESS}/32 dev pods",
            "link set pods up",
            f"route add {_POD_NETWORK} dev pods",
            f"route add {OUTSIDE_NETWORK} dev pods",
        )
        self._node.set_parameter("net.ipv4.ip_forward", "1")

    def listen(self, port: int) -> socket.socket:
        """A socket that listens on the node, where pods reach it and nothing else does."""
        return self._node.call(lambda: socket.create_server((NODE_ADDRESS, port)))

    def attach(self, address: str) -> NetworkNamespace:
        """A namespace with this address, for one pod. Raises ``DataPlaneError``."""
        pod = NetworkNamespace.new()
        device = f"pod{next(self._numbers)}"
        self._node.ip(
            f"link add {device} type veth peer name eth0 netns {pod.path}",
            f"link set {device} master pods",
            f"link set {device} up",
        )
        pod.ip(
            f"address add {address}/32 dev eth0",
            "link set eth0 up",
            f"route add {NODE_ADDRESS} dev eth0",
            f"route add {_POD_NETWORK} dev eth0",
            f"route add default via {NODE_ADDRESS}",
        )
        # As containerd sets it for every pod: a gateway listens on 80 and 443 without being root.
        pod.set_parameter("net.ipv4.ip_unprivileged_port_start", "0")
        return pod

    def close(self) -> None:
        """Remove the node; pods lose their network."""
        self._node.close()
