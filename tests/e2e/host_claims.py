"""Objects that name hosts: those of their own namespace, and those of another, of nobody or of everybody."""

from typing import Any

Manifest = dict[str, Any]

_GATEWAY_API = "gateway.networking.k8s.io/v1"
_ISTIO = "networking.istio.io/v1"
_CLUSTER_ISSUER = {"name": "letsencrypt-prod", "kind": "ClusterIssuer"}
_PUBLIC = {"name": "public", "namespace": "istio-ingress"}
_RULE = {"backendRefs": [{"name": "api", "port": 8080}]}


def _made(api: str, kind: str, spec: Manifest, annotations: dict[str, str] | None = None) -> Manifest:
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": "claim", **({"annotations": annotations} if annotations else {})},
        "spec": spec,
    }


def ingress(*hosts: str, annotations: dict[str, str] | None = None, **spec: Any) -> Manifest:
    """An Ingress with a rule for each host, the empty one without a host."""
    backend = {"service": {"name": "api", "port": {"number": 8080}}}
    http = {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}
    rules = [{**({"host": host} if host else {}), "http": http} for host in hosts]
    return _made("networking.k8s.io/v1", "Ingress", {"rules": rules, **spec}, annotations)


def route(kind: str, *hosts: str, parent: Manifest | None = None) -> Manifest:
    """A route to a service of its namespace."""
    hostnames = {"hostnames": list(hosts)} if hosts else {}
    return _made(_GATEWAY_API, kind, {"parentRefs": [parent or _PUBLIC], **hostnames, "rules": [_RULE]})


def gateway(host: str = "", **listener: Any) -> Manifest:
    """A Gateway with one listener."""
    one = {"name": "one", "port": 80, "protocol": "HTTP", **({"hostname": host} if host else {}), **listener}
    return _made(_GATEWAY_API, "Gateway", {"gatewayClassName": "istio", "listeners": [one]})


def listener_set(host: str = "") -> Manifest:
    """Listeners for the platform's Gateway."""
    one = {"name": "one", "port": 80, "protocol": "HTTP", **({"hostname": host} if host else {})}
    return _made(_GATEWAY_API, "ListenerSet", {"parentRef": {"kind": "Gateway", **_PUBLIC}, "listeners": [one]})


def certificate(*hosts: str, issuer: Manifest | None = None, **spec: Any) -> Manifest:
    """A Certificate, by default from the cluster's issuer."""
    names = {"dnsNames": list(hosts)} if hosts else {}
    return _made(
        "cert-manager.io/v1",
        "Certificate",
        {"secretName": "claim", "issuerRef": issuer or _CLUSTER_ISSUER, **names, **spec},
    )


def istio_gateway(host: str) -> Manifest:
    """A Gateway of Istio, bound to the platform's proxies."""
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [host]}
    selector = {"gateway.networking.k8s.io/gateway-name": "public"}
    return _made(_ISTIO, "Gateway", {"selector": selector, "servers": [server]})


def virtual_service(host: str, **spec: Any) -> Manifest:
    """A VirtualService that leads to a service of its namespace."""
    return _made(
        _ISTIO, "VirtualService", {"hosts": [host], "http": [{"route": [{"destination": {"host": "api"}}]}], **spec}
    )


def service_entry(host: str, **spec: Any) -> Manifest:
    """A ServiceEntry with an address of its own choice."""
    ports = [{"number": 443, "name": "tls-443", "protocol": "TLS"}]
    endpoints = [{"address": "203.0.113.9"}]
    return _made(
        _ISTIO,
        "ServiceEntry",
        {"hosts": [host], "ports": ports, "resolution": "STATIC", "endpoints": endpoints, **spec},
    )


def _order(kind: str, host: str) -> Manifest:
    spec: Manifest = {"issuerRef": _CLUSTER_ISSUER}
    if kind == "CertificateRequest":
        return _made("cert-manager.io/v1", kind, {**spec, "request": "bm9uZQ=="})
    if kind == "Order":
        return _made("acme.cert-manager.io/v1", kind, {**spec, "request": "bm9uZQ==", "dnsNames": [host]})
    challenge = {
        "authorizationURL": "https://acme.example.org/authz",
        "url": "https://acme.example.org/challenge",
        "dnsName": host,
        "key": "key",
        "token": "token",
        "type": "HTTP-01",
        "solver": {"http01": {"ingress": {}}},
    }
    return _made("acme.cert-manager.io/v1", kind, {**spec, **challenge})


def _service(annotation: str, host: str) -> Manifest:
    return _made("v1", "Service", {"ports": [{"port": 80}]}, {annotation: host})


def right(own: str, namespace: str) -> dict[str, Manifest]:
    """What a namespace with the host `own` may create."""
    inside = f"webhook.{namespace}.svc"
    own_issuer = {"name": "own", "kind": "Issuer"}
    issuing = {"cert-manager.io/cluster-issuer": "letsencrypt-prod", "cert-manager.io/common-name": own}
    return {
        "an Ingress": ingress(own),
        "an Ingress with a certificate": ingress(own, annotations=issuing, tls=[{"hosts": [own], "secretName": "tls"}]),
        **{f"a route {kind}": route(kind, own) for kind in ("HTTPRoute", "GRPCRoute", "TLSRoute")},
        "a route within the mesh": route("HTTPRoute", parent={"group": "", "kind": "Service", "name": "api"}),
        "a Gateway": gateway(own),
        "a waypoint": gateway(protocol="HBONE", port=15008),
        "a ListenerSet": listener_set(own),
        "a Certificate": certificate(own, commonName=own),
        "a Certificate for a Service": certificate(inside, f"{inside}.cluster.local"),
        "a Certificate of its own issuer": certificate(
            inside, issuer=own_issuer, commonName="own authority", isCA=True, ipAddresses=["127.0.0.1"]
        ),
        "a Gateway of Istio": istio_gateway(f"./{own}"),
        "a VirtualService": virtual_service("api"),
        "a ServiceEntry of its own": service_entry("api.payments.example.com", exportTo=["."]),
        "a Service with a name": _service("external-dns.alpha.kubernetes.io/hostname", own),
    }


def wrong(own: str, other: str) -> dict[str, Manifest]:
    """What a namespace with the host `own` may not create; `other` is the host of another namespace."""
    server_alias = {"nginx.ingress.kubernetes.io/server-alias": f"{own},{other}"}
    acme = {"kubernetes.io/tls-acme": "true"}
    alt_names = {"cert-manager.io/cluster-issuer": "letsencrypt-prod", "cert-manager.io/alt-names": f"{own}, {other}"}
    addresses = {"cert-manager.io/cluster-issuer": "letsencrypt-prod", "cert-manager.io/ip-sans": "203.0.113.9"}
    backend = {"service": {"name": "api", "port": {"number": 8080}}}
    return {
        "an Ingress for another's host": ingress(other),
        "an Ingress for its own host and another's": ingress(own, other),
        "an Ingress for all hosts below a domain": ingress(f"*.{other.partition('.')[2]}"),
        "an Ingress without a host": ingress(""),
        "an Ingress with a default backend": ingress(own, defaultBackend=backend),
        "an Ingress with a certificate for another's host": ingress(
            own, annotations=acme, tls=[{"hosts": [own, other], "secretName": "tls"}]
        ),
        "an Ingress with a certificate for every host": ingress(own, tls=[{"secretName": "tls"}]),
        "an Ingress with a certificate of further names": ingress(own, annotations=alt_names),
        "an Ingress with a certificate of an address": ingress(own, annotations=addresses),
        "an Ingress with an alias": ingress(own, annotations=server_alias),
        **{f"a route {kind}": route(kind, other) for kind in ("HTTPRoute", "GRPCRoute", "TLSRoute")},
        "a route without a host": route("HTTPRoute"),
        "a Gateway": gateway(other),
        "a Gateway without a host": gateway(),
        "a ListenerSet": listener_set(other),
        "a ListenerSet without a host": listener_set(),
        "a Certificate": certificate(other),
        "a Certificate for its own host and another's": certificate(own, other),
        "a Certificate for a common name": certificate(commonName=other),
        "a Certificate for an address": certificate(own, ipAddresses=["203.0.113.9"]),
        "a Certificate for a mesh identity": certificate(own, uris=["spiffe://cluster.local/ns/shop/sa/api"]),
        "a Certificate for a mail address": certificate(own, emailAddresses=["ops@example.org"]),
        "a Certificate for a subject": certificate(own, literalSubject=f"CN={other}"),
        "a Certificate for an authority": certificate(own, isCA=True),
        "a Certificate for another's Service": certificate("api.shop-of-others.svc"),
        "a Certificate of its own issuer": certificate(other, issuer={"name": "own", "kind": "Issuer"}),
        **{f"a {kind}": _order(kind, other) for kind in ("CertificateRequest", "Order", "Challenge")},
        "a Gateway of Istio": istio_gateway(f"*/{other}"),
        "a Gateway of Istio for all hosts": istio_gateway("*"),
        "a VirtualService": virtual_service(other),
        "a VirtualService for another's Service": virtual_service("api.shop-of-others.svc.cluster.local"),
        "a ServiceEntry": service_entry(other),
        "a Service with another's name": _service("external-dns.alpha.kubernetes.io/hostname", other),
    }
