"""The network policies of the mesh's namespace."""

from collections.abc import Sequence

from components.kube.manifest import Manifest, pods, tcp_rule
from components.kube.names import MESH_NAMESPACE
from components.kube.platform_network import ClusterNetwork, default_deny, opening

ISTIOD = {"app": "istiod"}
ISTIOD_PORT = 15012
"""The port with TLS. No pod needs the one without, 15010."""
_CNI = {"k8s-app": "istio-cni-node"}
_ZTUNNEL = {"app": "ztunnel"}
_WEBHOOK_PORT = 15017
_CONTROL_METRICS, _PROXY_METRICS = 15014, 15020


def istiod_rule(namespace: str = MESH_NAMESPACE) -> Manifest:
    """The rule for connections of a proxy to its control plane in a namespace."""
    return tcp_rule("to", [pods(namespace, ISTIOD)], [ISTIOD_PORT])


def mesh_network(
    cluster: ClusterNetwork,
    key_ports: Sequence[int] = (),
    ambient: bool = False,
    further: Sequence[Manifest] = (),
) -> tuple[Manifest, ...]:
    """The policies: every pod of the cluster reaches istiod, and the API server its webhooks.

    `key_ports` are those of the issuers whose public keys istiod fetches for services with `jwt`. `further` are the
    rules for those issuers that no address outside has.
    """
    keys = [tcp_rule("to", cluster.anywhere(), key_ports)] if key_ports else []
    istiod = opening(
        MESH_NAMESPACE,
        "istiod",
        ISTIOD,
        ingress=[
            tcp_rule("from", [{"namespaceSelector": {}}], [ISTIOD_PORT]),
            cluster.webhook(_WEBHOOK_PORT),
            *cluster.metrics(_CONTROL_METRICS),
        ],
        egress=[cluster.dns.rule(), cluster.api_server(), *keys, *further],
    )
    cni = opening(
        MESH_NAMESPACE,
        "istio-cni",
        _CNI,
        ingress=cluster.metrics(_CONTROL_METRICS),
        egress=[cluster.dns.rule(), cluster.api_server()],
    )
    nodes = opening(
        MESH_NAMESPACE,
        "ztunnel",
        _ZTUNNEL,
        ingress=cluster.metrics(_PROXY_METRICS),
        egress=[cluster.dns.rule(), istiod_rule()],
    )
    return (default_deny(MESH_NAMESPACE), istiod, cni, *([nodes] if ambient else []))
