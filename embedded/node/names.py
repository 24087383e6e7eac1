"""Names and addresses of the node. None is one of this machine: its network ends where ``world`` does."""

NODE = "real-0"

# Benchmarking addresses (RFC 2544) are the network of the machines of this cluster.
NODE_ADDRESS = "198.18.0.10"
NODE_PREFIX = 24
# The other end of the node's only link: the API server, and the gateway to everything else.
WORLD_ADDRESS = "198.18.0.1"
VAULT_ADDRESS = "198.18.0.2"
# Documentation addresses (RFC 5737) play the world outside of the cluster.
OUTSIDE_ADDRESS = "203.0.113.10"
# What a cloud's load balancer would have: the addresses of Services that the world reaches.
BALANCED_NETWORK = "203.0.113.128/25"
# Where clouds have their metadata service. Here it is a host that a test can listen on.
METADATA_ADDRESS = "169.254.169.254"

# Beside the addresses of simulated pods, `POD_RANGE`.
POD_NETWORK = "10.245.0.0/24"
DNS_ADDRESS = "10.96.0.10"
CLUSTER_DOMAIN = "cluster.local"

API_PORT = 6443
KUBELET_PORT = 10250
KUBELET_HEALTH_PORT = 10248
PROXY_HEALTH_PORT = 10256
POLICY_HEALTH_PORT = 20244

# Where the node has the directories of volumes.
VOLUMES = "/var/lib/volumes"

# The label and the taint of the node: what runs here is chosen by `placement`, not by accident.
REAL = "embedded.zero-trust.dev/real"
# What a pod waits for before it is scheduled: its images.
IMAGES_GATE = "embedded.zero-trust.dev/images"
