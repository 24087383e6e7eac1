"""The network policies of Vault's namespace."""

from collections.abc import Sequence

from components.kube.manifest import Manifest, ip_blocks, tcp_rule
from components.kube.names import VAULT_NAMESPACE, VAULT_PORT, VAULT_RELEASE
from components.kube.platform_network import ClusterNetwork, default_deny, everybody, opening

SERVERS = {"app.kubernetes.io/name": VAULT_RELEASE, "component": "server"}
"""The labels of Vault's servers, the same with both charts."""
_INJECTOR = {"component": "webhook"}
_WEBHOOK_PORT = 8080
_CLUSTER_PORT = VAULT_PORT + 1


def vault_network(
    cluster: ClusterNetwork,
    servers: bool,
    client_networks: Sequence[str] = (),
    outside: Sequence[Manifest] = (),
) -> tuple[Manifest, ...]:
    """The policies: everybody reaches Vault's port, which asks for TLS and a login, and the API server the injector.

    With `client_networks` only the cluster's pods and these networks reach Vault. `outside` are the rules for what the
    `servers` need beside the API server: databases, the seal's key service, an issuer of tokens.
    """
    injector = opening(
        VAULT_NAMESPACE,
        "injector",
        _INJECTOR,
        ingress=[cluster.webhook(_WEBHOOK_PORT)],
        egress=[cluster.dns.rule(), cluster.api_server()],
    )
    if not servers:
        return (default_deny(VAULT_NAMESPACE), injector)
    every_pod: list[Manifest] = [{"namespaceSelector": {}}]
    clients = (
        tcp_rule("from", [*every_pod, *ip_blocks(client_networks)], [VAULT_PORT])
        if client_networks
        else everybody(VAULT_PORT)
    )
    siblings: list[Manifest] = [{"podSelector": {"matchLabels": SERVERS}}]
    server = opening(
        VAULT_NAMESPACE,
        "servers",
        SERVERS,
        ingress=[clients, tcp_rule("from", siblings, [_CLUSTER_PORT])],
        egress=[
            cluster.dns.rule(),
            cluster.api_server(),
            tcp_rule("to", siblings, [VAULT_PORT, _CLUSTER_PORT]),
            *outside,
        ],
    )
    return (default_deny(VAULT_NAMESPACE), server, injector)
