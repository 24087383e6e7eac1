"""Attack 11: answer for the public host name of another service, or have a certificate of it."""

from components.kube.names import CERT_MANAGER_API, GATEWAY, GATEWAY_API, GATEWAY_NAMESPACE
from zt.attack.attempt import Attempt
from zt.attack.evidence import Control
from zt.attack.namespace.requests import Request, Requests, create, targets, tries
from zt.attack.session import Session
from zt.attack.temporary_rights import NAME
from zt.cluster.manifest import Manifest, parts, word

_NETWORKING = "networking.k8s.io/v1"
_NOBODYS = "attacker.example.org"
_SERVICE = {"name": NAME, "port": {"number": 80}}


def _service_hosts(session: Session) -> list[str]:
    """The public hosts of the namespace's services; one that another namespace shares with them is that one's."""
    return list(dict.fromkeys(host for spec in targets(session) if not spec.owner_of_host for host in spec.hosts))


def _other_hosts(session: Session) -> list[str]:
    """The public hosts of other namespaces, and one that is nobody's."""
    others = [spec for spec in session.declared.services if spec.namespace != session.service.namespace]
    return [*dict.fromkeys(host for spec in others for host in spec.hosts), _NOBODYS]


def _hosts(session: Session) -> list[str]:
    return [*_service_hosts(session), *_other_hosts(session)]


def _ingress(session: Session, host: str, metadata: Manifest | None = None) -> Request:
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": _SERVICE}}
    rule = {"http": {"paths": [path]}, **({"host": host} if host else {})}
    tls = {"tls": [{"hosts": [host], "secretName": NAME}]} if metadata else {}
    content: Manifest = {"spec": {"rules": [rule], **tls}}
    return create(_NETWORKING, "Ingress", "ingresses", session.service.namespace, content, metadata)


def _ingress_hosts(session: Session) -> list[Request]:
    return [_ingress(session, host) for host in _other_hosts(session)]


def _ingress_of_service(session: Session) -> list[Request]:
    """The host of a service of the namespace, with the member's own Service behind it."""
    hosts = _service_hosts(session)
    annotations = [{"annotations": {"cert-manager.io/cluster-issuer": issuer}} for issuer in _issuers(session)]
    return [_ingress(session, host, metadata) for host in hosts for metadata in (None, *annotations)]


def _ingress_to_service(session: Session) -> list[Request]:
    """A way from outside to each service, public or not."""
    requests: list[Request] = []
    for spec, port in ((each, port) for each in targets(session) for port in each.open_ports):
        backend = {"service": {"name": spec.name, "port": {"number": port}}}
        path = {"path": "/", "pathType": "Prefix", "backend": backend}
        for host in _service_hosts(session) or [_NOBODYS]:
            content: Manifest = {"spec": {"rules": [{"host": host, "http": {"paths": [path]}}]}}
            requests.append(create(_NETWORKING, "Ingress", "ingresses", spec.namespace, content))
    return requests


def _ingress_without_host(session: Session) -> list[Request]:
    wildcards = dict.fromkeys(f"*.{host.partition('.')[2]}" for host in _hosts(session))
    default: Manifest = {"spec": {"defaultBackend": {"service": _SERVICE}}}
    return [
        _ingress(session, ""),
        *(_ingress(session, host) for host in wildcards),
        create(_NETWORKING, "Ingress", "ingresses", session.service.namespace, default),
    ]


def _issuers(session: Session) -> list[str]:
    live = [word(item, "metadata", "name") for item in session.admin.listed(f"/apis/{CERT_MANAGER_API}/clusterissuers")]
    return live or [NAME]


def _ingress_certificates(session: Session) -> list[Request]:
    return [
        _ingress(session, host, {"annotations": {"cert-manager.io/cluster-issuer": issuer}})
        for issuer in _issuers(session)
        for host in _other_hosts(session)
    ]


def _certificates(session: Session) -> list[Request]:
    return [
        create(
            CERT_MANAGER_API,
            "Certificate",
            "certificates",
            session.service.namespace,
            {"spec": {"secretName": NAME, "dnsNames": [host], "issuerRef": {"kind": "ClusterIssuer", "name": issuer}}},
        )
        for issuer in _issuers(session)
        for host in _hosts(session)
    ]


def _route(session: Session, hosts: list[str], listener: str = "") -> Request:
    parent = {"name": GATEWAY, "namespace": GATEWAY_NAMESPACE, **({"sectionName": listener} if listener else {})}
    backend = {"name": NAME, "port": 80}
    content: Manifest = {
        "spec": {"parentRefs": [parent], "hostnames": hosts, "rules": [{"backendRefs": [backend]}]},
    }
    return create(GATEWAY_API, "HTTPRoute", "httproutes", session.service.namespace, content)


def _routes(session: Session) -> list[Request]:
    return [_route(session, [host]) for host in _hosts(session)] + [_route(session, [])]


def _listeners(session: Session) -> list[Request]:
    """Routes to each listener of the gateway, without a host of their own: the listener's is taken."""
    gateways = session.admin.listed(f"/apis/{GATEWAY_API}/namespaces/{GATEWAY_NAMESPACE}/gateways")
    names = [word(listener, "name") for gateway in gateways for listener in parts(gateway, "spec", "listeners")]
    return [_route(session, [], name) for name in names]


_HOSTS = Control("critical", "SecureIngress: public-hosts")
_OBJECTS = Control("critical", "ServiceObjects: service-objects")
_RIGHTS = Control("identity", "the built-in roles: no right of the platform's API groups")


def _attempt(name: str, tried: str, control: Control, requests: Requests, nothing: str = "") -> Attempt:
    return Attempt(name, 11, tried, control, tries(requests, nothing or "nothing was asked for"))


ATTEMPTS = (
    _attempt(
        "ingress-host",
        "Create an Ingress for each public host of another namespace, and for one of nobody's.",
        _HOSTS,
        _ingress_hosts,
    ),
    _attempt(
        "ingress-any-host", "Create one for all hosts: without a host, with a wildcard.", _HOSTS, _ingress_without_host
    ),
    _attempt(
        "ingress-of-service",
        "Create one for the host of each service of the namespace, with a Service of its own behind it.",
        _OBJECTS,
        _ingress_of_service,
        "no service of the namespace is public",
    ),
    _attempt("ingress-to-service", "Create one that leads to each service.", _OBJECTS, _ingress_to_service),
    _attempt("ingress-certificate", "Have a certificate by an annotation of one.", _HOSTS, _ingress_certificates),
    _attempt("certificate", "Request a certificate for each host from the cluster's issuers.", _RIGHTS, _certificates),
    _attempt("route-host", "Create a route for each host at the platform's gateway.", _RIGHTS, _routes),
    _attempt(
        "route-listener",
        "Create one at each listener of the gateway.",
        _RIGHTS,
        _listeners,
        "the platform's gateway has no listener",
    ),
)
