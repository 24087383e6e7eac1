"""How Vault reaches a service that is a database of the stack, to make users in it.

Vault is outside the mesh, so that neither needs the other one to start. Where every connection to a pod has mutual TLS,
the pod's proxy listens on one port more, for Vault alone, and passes its connections on as they are. Vault speaks the
database's own TLS there, and verifies the server. The service's own port keeps to the mesh. The network policy lets
nothing but Vault's pods to that port.
https://istio.io/latest/docs/reference/config/networking/sidecar/#IstioIngressListener
"""

from components.kube.manifest import Manifest, pods, tcp_rule
from components.kube.names import VAULT_INBOUND, VAULT_NAMESPACE, VAULT_RELEASE
from components.kube.service_ref import ServiceRef
from components.service.args.service import SecureServiceArgs
from components.service.file.ports import VAULT_PORT_NAME

_SERVERS = {"app.kubernetes.io/name": VAULT_RELEASE, "component": "server"}
_PROTOCOLS = {"http": "HTTP", "http2": "HTTP2", "grpc": "GRPC", "tcp": "TCP"}


def serves_vault(args: SecureServiceArgs) -> bool:
    """Whether Vault makes users in it."""
    service = ServiceRef(args.namespace, args.name)
    vault = args.platform.vault
    return vault.on and not args.job_of and any(server.service == service for server in vault.databases)


def has_own_port(args: SecureServiceArgs) -> bool:
    """Whether Vault needs a port of its own."""
    return serves_vault(args) and args.platform.mesh.closed_to_vault


def vault_rules(args: SecureServiceArgs) -> list[Manifest]:
    """The NetworkPolicy's rule for Vault's servers; none for a service that is no database."""
    if not serves_vault(args):
        return []
    return [tcp_rule("from", [pods(VAULT_NAMESPACE, _SERVERS)], [VAULT_INBOUND if has_own_port(args) else args.port])]


def vault_service_port(args: SecureServiceArgs) -> list[Manifest]:
    """The port of the Service for Vault."""
    if not has_own_port(args):
        return []
    port = {
        "name": VAULT_PORT_NAME,
        "port": VAULT_INBOUND,
        "targetPort": VAULT_INBOUND,
        "protocol": "TCP",
        "appProtocol": "tcp",
    }
    return [port]


def vault_listeners(args: SecureServiceArgs) -> list[Manifest]:
    """All listeners of the Sidecar, since it takes these in place of those that the Service would give it."""
    if not has_own_port(args):
        return []
    listeners = [_listener(_PROTOCOLS[each.protocol], each.port, each.port) for each in args.served_ports]
    listeners += [_listener("TCP", port, port) for port in args.peers]
    return [*listeners, _listener("TCP", VAULT_INBOUND, args.port)]


def _listener(protocol: str, number: int, to: int) -> Manifest:
    port = {"number": number, "protocol": protocol, "name": f"{protocol.lower()}-{number}"}
    # The pod's own address, as without a Sidecar: the application need not listen on loopback.
    return {"port": port, "defaultEndpoint": f"0.0.0.0:{to}"}


def vault_mtls(args: SecureServiceArgs) -> dict[str, Manifest]:
    """The mode of the mesh at the port for Vault, by port: the server's own TLS, and none of the mesh's around it."""
    return {str(VAULT_INBOUND): {"mode": "DISABLE"}} if has_own_port(args) else {}


def vault_authorization(args: SecureServiceArgs) -> list[Manifest]:
    """The AuthorizationPolicy's rule for Vault, who has no identity there."""
    if not serves_vault(args):
        return []
    port = VAULT_INBOUND if has_own_port(args) else args.port
    return [{"from": [{"source": {"notPrincipals": ["*"]}}], "to": [{"operation": {"ports": [str(port)]}}]}]
