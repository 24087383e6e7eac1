"""The network policies of the namespaces of cert-manager and of the gateway."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.kube.manifest import Manifest, pods, tcp_rule
from components.kube.names import CERT_MANAGER_NAMESPACE, GATEWAY, GATEWAY_LABEL
from components.kube.platform_network import ClusterNetwork, default_deny, everybody, opening
from components.kube.service_ref import ServiceRef

_COMPONENT = "app.kubernetes.io/component"
_GATEWAY_PODS = {GATEWAY_LABEL: GATEWAY}
_SOLVER_PODS = {"acme.cert-manager.io/http01-solver": "true"}
_SOLVER_PORT = 8089
_WEBHOOK_PORT = 10250
_METRICS_PORT = 9402
_HTTP = 80
# HTTP, HTTPS, and the port that a load balancer asks whether the proxy is ready.
_PUBLIC_PORTS = (_HTTP, 443, 15021)
_PROXY_METRICS = (15020, 15090)


@dataclass(frozen=True)
class PublicBackend:
    """A public service, and the port at which the gateway's connections arrive at its pods."""

    service: ServiceRef
    port: int
    label: str = "app"
    """The label of its pods that has the name of the service."""


def cert_manager_network(
    cluster: ClusterNetwork,
    acme_port: int = 0,
    front: Sequence[Manifest] = (),
    signer: Manifest | None = None,
) -> tuple[Manifest, ...]:
    """The policies: the API server calls the webhook, and the controller its issuer.

    With an ACME server at `acme_port` the controller looks at each challenge as that server will: at the public port
    80, and behind it at the gateway itself, by the rules `front`. `signer` is the rule for a Vault that signs.
    """
    acme = [
        tcp_rule("to", cluster.anywhere(), sorted({acme_port, _HTTP})),
        *front,
    ]
    controllers = opening(
        CERT_MANAGER_NAMESPACE,
        "controllers",
        {},
        ingress=cluster.metrics(_METRICS_PORT),
        egress=[cluster.dns.rule(), cluster.api_server()],
    )
    issuer = [*(acme if acme_port else []), *([signer] if signer else [])]
    return (
        default_deny(CERT_MANAGER_NAMESPACE),
        controllers,
        *([opening(CERT_MANAGER_NAMESPACE, "issuer", {_COMPONENT: "controller"}, egress=issuer)] if issuer else []),
        opening(CERT_MANAGER_NAMESPACE, "webhook", {_COMPONENT: "webhook"}, ingress=[cluster.webhook(_WEBHOOK_PORT)]),
    )


def gateway_network(
    cluster: ClusterNetwork,
    namespace: str,
    backends: Sequence[PublicBackend],
    control_plane: Manifest,
    acme: bool = False,
    further: Sequence[Manifest] = (),
) -> tuple[Manifest, ...]:
    """The policies: the internet reaches the gateway, and the gateway its public services and its control plane.

    With `acme` also the pods that answer a challenge, which have no way out. `further` are the rules for a collector of
    spans and for the registry of a firewall's module.
    """
    services = [
        tcp_rule("to", [pods(backend.service.namespace, {backend.label: backend.service.name})], [backend.port])
        for backend in sorted(set(backends), key=lambda each: (each.service, each.port))
    ]
    solver = {"podSelector": {"matchLabels": _SOLVER_PODS}}
    public = opening(
        namespace,
        "gateway",
        _GATEWAY_PODS,
        ingress=[*(everybody(port) for port in _PUBLIC_PORTS), *cluster.metrics(*_PROXY_METRICS)],
        egress=[
            cluster.dns.rule(),
            control_plane,
            *services,
            *([tcp_rule("to", [solver], [_SOLVER_PORT])] if acme else []),
            *further,
        ],
    )
    challenge = opening(
        namespace,
        "acme",
        _SOLVER_PODS,
        ingress=[tcp_rule("from", [{"podSelector": {"matchLabels": _GATEWAY_PODS}}], [_SOLVER_PORT])],
    )
    return (default_deny(namespace), public, *([challenge] if acme else []))
