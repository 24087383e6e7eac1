"""Names and addresses of the nodes. None is one of this machine: their network ends where ``world`` does."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Host:
    """A node: its name and address, the network of its pods, its zone, and what ends the names of its programs."""

    name: str
    address: str
    pods: str
    zone: str
    suffix: str = ""


# Benchmarking addresses (RFC 2544) are the network of the machines of this cluster. Beside the addresses of simulated
# pods, `POD_RANGE`, are those of the pods.
HOSTS = (
    Host("real-0", "198.18.0.10", "10.245.0.0/24", "zone-a"),
    # On request.
    Host("real-1", "198.18.0.11", "10.245.1.0/24", "zone-b", "-1"),
)
NODE, NODE_ADDRESS = HOSTS[0].name, HOSTS[0].address
NODE_PREFIX = 24
POD_NETWORK = "10.245.0.0/16"
# The other end of a node's only link: the API server, and the gateway to everything else.
WORLD_ADDRESS = "198.18.0.1"
VAULT_ADDRESS = "198.18.0.2"
# The Service of the injector of a release of Vault, which the API server asks.
INJECTOR_SERVICE = "vault-agent-injector-svc.vault.svc"
# Documentation addresses (RFC 5737) play the world outside of the cluster.
OUTSIDE_ADDRESS = "203.0.113.10"
# What a cloud's load balancer would have: the addresses of Services that the world reaches.
BALANCED_NETWORK = "203.0.113.128/25"
# Where clouds have their metadata service. Here it is a host that a test can listen on.
METADATA_ADDRESS = "169.254.169.254"

DNS_ADDRESS = "10.96.0.10"
# The Service of the metrics server, which the API server asks.
METRICS_ADDRESS = "10.96.0.11"
METRICS_SERVICE = "metrics-server"
CLUSTER_DOMAIN = "cluster.local"

API_PORT = 6443
KUBELET_PORT = 10250
KUBELET_HEALTH_PORT = 10248
PROXY_HEALTH_PORT = 10256
POLICY_HEALTH_PORT = 20244
METRICS_PORT = 4443

# Where the node has the directories of volumes.
VOLUMES = "/var/lib/volumes"

# The label and the taint of the node: what runs here is chosen by `placement`, not by accident.
REAL = "embedded.zero-trust.dev/real"
# What a pod waits for before it is scheduled: its images.
IMAGES_GATE = "embedded.zero-trust.dev/images"
