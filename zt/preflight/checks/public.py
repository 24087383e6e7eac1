"""What public hosts need beside the cluster: an issuer, names that lead to the gateway, an address."""

from collections.abc import Iterable

from components.ingress.issuers import AcmeIssuer
from components.kube.names import ACME_SERVERS
from zt.cluster.manifest import Manifest, part, parts
from zt.preflight.line import Check, Line, Theme, fails, not_checked, ok, warns
from zt.preflight.session import Session
from zt.preflight.web import Request, UnreachedError, UntrustedError

_AUTOSCALER = "HorizontalPodAutoscaler"
_SERVICES = "/api/v1/services"
_DAEMON_SETS = "/apis/apps/v1/daemonsets"
_METRICS = "metrics.k8s.io/v1beta1"
# The Service that a DaemonSet of k3s' load balancer is for.
_K3S_SERVICE, _K3S_NAMESPACE = "svccontroller.k3s.cattle.io/svcname", "svccontroller.k3s.cattle.io/svcnamespace"
_PUBLIC = {80, 443}
# Domains that stand for others in documents, and that no issuer takes an address of.
_PLACEHOLDERS = ("example.com", "example.net", "example.org")


def _acme(session: Session) -> AcmeIssuer | None:
    issuer = session.planned.ingress.issuer
    return issuer if isinstance(issuer, AcmeIssuer) else None


def _directory(session: Session) -> Iterable[Line]:
    issuer = _acme(session)
    address = (issuer.directory or ACME_SERVERS[issuer.name]) if issuer else ""
    about = "directory of the ACME server"
    server = session.stack.settings.ingress.acme_server
    fix = "open the way to it from the cluster's nodes, too"
    fix += f", or correct ingress.acmeServer in {session.file}" if server else ""
    authority = (server.ca_bundle_file or "") if server else ""
    try:
        reply = session.outside.web(Request(address, authority=authority))
    except UntrustedError as error:
        found = f"the certificate of {address} is not trusted: {error}"
        yield fails(about, found, f"set ingress.acmeServer.caBundleFile in {session.file}")
        return
    except UnreachedError as error:
        yield fails(about, f"{address} does not answer: {error}", fix)
        return
    if "newAccount" in reply.json:
        yield ok(about, f"{address} answers here; cert-manager asks it from the cluster")
    else:
        yield fails(about, f"{address} is no ACME directory: {reply.status}", fix)


def _email(session: Session) -> Iterable[Line]:
    issuer = _acme(session)
    email = issuer.email if issuer else ""
    domain = email.rpartition("@")[2].lower()
    about = "mail address of the ACME account"
    if domain in _PLACEHOLDERS and session.stack.settings.ingress.acme_server is None:
        found = f"{email}: Let's Encrypt refuses {domain}, so no certificate is issued"
        yield fails(about, found, f"set ingress.acmeEmail in {session.file} to your own")
    else:
        yield ok(about, email)


def _hosts(session: Session) -> Iterable[Line]:
    for host in dict.fromkeys(host for spec in session.stack.public for host in spec.hosts):
        about = f"DNS name {host}"
        if addresses := session.outside.resolve(host):
            yield ok(about, f"leads to {', '.join(addresses)}")
        else:
            fix = "let it lead to the gateway's address, once `pulumi up` has made that"
            yield warns(about, "leads nowhere yet: the issuer cannot prove it", fix)


def _load_balancer(session: Session) -> Iterable[Line]:
    """Whether the gateway's Service, or any other of that type, got an address."""
    namespace = session.planned.ingress.gateway_namespace
    about = "an address for the gateway's Service of type LoadBalancer"
    services = [each for each in session.cluster.objects(_SERVICES) if part(each, "spec").get("type") == "LoadBalancer"]
    own = [each for each in services if each["metadata"]["namespace"] == namespace]
    waiting = [_place(each) for each in own or services if not parts(each, "status", "loadBalancer", "ingress")]
    given = [_place(each) for each in own or services if parts(each, "status", "loadBalancer", "ingress")]
    if given:
        yield ok(about, f"{', '.join(given)} {'has' if own else 'got'} one")
    elif waiting:
        space, _, name = waiting[0].partition("/")
        fix = f"see why: kubectl describe service {name} --namespace {space}; kind needs cloud-provider-kind"
        yield (fails if own else warns)(about, f"{', '.join(waiting)} waits for one", fix)
    else:
        fix = f"after `pulumi up`: kubectl get service --namespace {namespace}; kind needs cloud-provider-kind"
        yield not_checked(about, "only a Service shows whether it gets an address, and there is none", fix)


def _node_ports(session: Session) -> Iterable[Line]:
    """Whether k3s' own load balancer, by a DaemonSet for each Service, has given the public ports of every node away.

    https://docs.k3s.io/networking/networking-services#service-load-balancer
    """
    gateway = session.planned.ingress.gateway_namespace
    about = "ports 80 and 443 of the nodes, by k3s' load balancer"
    for each in session.cluster.objects(_DAEMON_SETS):
        labels = part(each, "metadata", "labels")
        name, namespace = labels.get(_K3S_SERVICE), labels.get(_K3S_NAMESPACE)
        if name and namespace != gateway and (taken := _PUBLIC & _host_ports(each)):
            found = f"{namespace}/{name} has {' and '.join(map(str, sorted(taken)))}: the gateway's Service gets none"
            fix = (
                "start the servers of k3s with --disable=traefik" if name == "traefik" else f"delete the Service {name}"
            )
            yield fails(about, found, f"{fix}, or with --disable=servicelb and another load balancer")
            return
    yield ok(about, "nobody else has them")


def _host_ports(daemon_set: Manifest) -> set[int]:
    containers = parts(daemon_set, "spec", "template", "spec", "containers")
    return {port["hostPort"] for each in containers for port in parts(each, "ports") if "hostPort" in port}


def _place(service: Manifest) -> str:
    return f"{service['metadata']['namespace']}/{service['metadata']['name']}"


def _metrics(session: Session) -> Iterable[Line]:
    about = f"metrics for autoscaling ({_METRICS})"
    users = [f"{each.namespace}/{each.name}" for each in session.created.of(_AUTOSCALER)]
    users += ["istiod"] if session.planned.mesh and session.planned.mesh.autoscaling else []
    if session.cluster.kinds(_METRICS):
        yield ok(about, f"served, for {', '.join(users)}")
    else:
        fix = (
            "install the metrics server: helm install metrics-server metrics-server --namespace kube-system "
            "--repo https://kubernetes-sigs.github.io/metrics-server/"
        )
        yield fails(about, f"not served: {', '.join(users)} would keep the least number of pods", fix)


def _scales(session: Session) -> bool:
    mesh = session.planned.mesh
    return bool(session.created.of(_AUTOSCALER)) or bool(mesh and mesh.autoscaling)


def _ca(session: Session) -> Iterable[Line]:
    settings = session.stack.settings.ingress.ca
    name = settings.key_pair if settings else ""
    place = session.stack.settings.layers.cert_manager
    about = f"Secret {place}/{name} with the authority of the issuer"
    secret = session.cluster.found(f"/api/v1/namespaces/{place}/secrets/{name}")
    absent = [key for key in ("tls.crt", "tls.key") if key not in part(secret or {}, "data")]
    if absent:
        found = f"it has no {', '.join(absent)}" if secret else "there is none: the issuer signs nothing"
        create = f"kubectl create secret tls {name} --namespace {place} --cert=ca.crt --key=ca.key"
        yield (fails if secret else warns)(about, found, f"{create}, once the namespace is there")
    else:
        yield ok(about, "it has tls.crt and tls.key")


def _balances_by_k3s(session: Session) -> bool:
    return bool(session.created.of("Gateway")) and "+k3s" in session.cluster_version


THEME = Theme(
    "public hosts",
    (
        Check("acme-directory", "directory of the ACME server", _directory, lambda s: _acme(s) is not None),
        Check("acme-email", "mail address of the ACME account", _email, lambda s: _acme(s) is not None),
        Check("issuer-ca", "authority of the issuer", _ca, lambda s: s.stack.settings.ingress.ca is not None),
        Check("dns", "DNS names of public hosts", _hosts, lambda s: bool(s.stack.public)),
        Check("load-balancer", "an address for the gateway", _load_balancer, lambda s: bool(s.created.of("Gateway"))),
        Check("node-ports", "public ports of the nodes", _node_ports, _balances_by_k3s),
        Check("metrics", "metrics for autoscaling", _metrics, _scales),
    ),
)
