"""How the replicas of a service reach each other: a headless Service, and what lets them through to each other alone.

Each pod has its own name there, `<pod>.<service>-peers.<namespace>.svc`, and has it before it is ready, since a cluster
has to form first.
https://kubernetes.io/docs/concepts/services-networking/service/#headless-services
"""

from components.kube.manifest import Manifest, pods, tcp_rule
from components.kube.mesh_labels import HBONE_PORT
from components.kube.names import NETWORKING_API
from components.kube.service_ref import ServiceRef
from components.service.args.service import SecureServiceArgs
from components.service.file.network import peers_name
from components.service.manifests.metadata import metadata, service_port


def peers_service(args: SecureServiceArgs) -> Manifest | None:
    """Metadata and spec of the headless Service; `None` without peers."""
    if not args.peers:
        return None
    # Two Services of one port have to agree on its protocol: the pod's proxy heeds one of them. What only replicas say
    # to each other is their own: the mesh forwards it as it is, with mutual TLS.
    spoken = {each.port: each.protocol for each in args.served_ports}
    protocols = {port: spoken.get(port, "tcp") for port in args.peers}
    ports = [service_port(f"{protocol}-{port}", port, protocol) for port, protocol in protocols.items()]
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": args.selector, "ports": ports}
    return {"metadata": _metadata(args), "spec": spec}


def peers_rules(args: SecureServiceArgs, direction: str) -> list[Manifest]:
    """The NetworkPolicy's rule for the other replicas, `from` or `to` them; none without peers."""
    if not args.peers:
        return []
    ports = [HBONE_PORT] if args.platform.mesh.ambient else list(args.peers)
    return [tcp_rule(direction, [pods(args.namespace, args.selector)], ports)]


def peers_destination_rule(args: SecureServiceArgs) -> Manifest | None:
    """The DestinationRule by which a replica accepts none but another one; `None` where none is needed.

    https://istio.io/latest/docs/reference/config/networking/destination-rule/
    """
    mesh = args.platform.mesh
    if not (args.peers and mesh.sidecars and mesh.strict):
        return None
    identity = ServiceRef(args.namespace, args.name).identity(mesh.trust_domain)
    tls = {"mode": "ISTIO_MUTUAL", "subjectAltNames": [identity]}
    spec: Manifest = {"host": peers_ref(args).host, "trafficPolicy": {"tls": tls}}
    return {"apiVersion": NETWORKING_API, "kind": "DestinationRule", "metadata": _metadata(args), "spec": spec}


def peers_ref(args: SecureServiceArgs) -> ServiceRef:
    """The headless Service, by namespace and name."""
    return peers_of(ServiceRef(args.namespace, args.name))


def peers_of(callee: ServiceRef) -> ServiceRef:
    """The headless Service of another service, by namespace and name."""
    return ServiceRef(callee.namespace, peers_name(callee.name))


def _metadata(args: SecureServiceArgs) -> Manifest:
    return {**metadata(args), "name": peers_name(args.name)}
