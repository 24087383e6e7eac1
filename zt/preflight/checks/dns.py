"""Where the cluster answers names, and whether the network policies lead there: without names nothing works.

https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/ and
https://cloud.google.com/kubernetes-engine/docs/how-to/cloud-dns
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator

from components.kube.parts import part, parts, texts
from components.program.plans.addresses import cluster_dns
from components.schema.metadata_services import ANSWERING_NAMES, METADATA_SERVICES
from zt.preflight.line import Check, Line, Theme, fails, ok, warns
from zt.preflight.session import Session

_PODS, _DAEMON_SETS = "/api/v1/pods", "/apis/apps/v1/daemonsets"
_SERVICE = "/api/v1/namespaces/kube-system/services/kube-dns"
_CACHE = "node-local-dns"
_PROVIDERS = "169.254.169.254/32"
_ADDRESSES = re.compile(r"[\s,=]+")


def _dns(session: Session) -> Iterable[Line]:
    dns, about = cluster_dns(session.stack), "pods that answer names"
    answering = [
        each
        for each in session.cluster.objects(_PODS)
        if dns.labels
        and each["metadata"]["namespace"] == dns.namespace
        and dns.labels.items() <= part(each, "metadata", "labels").items()
    ]
    if answering:
        yield ok(about, f"{len(answering)} in {dns.namespace}")
    elif dns.labels:
        fix = (
            f"name theirs in {session.file}: dns.namespace and dns.labels; where the provider answers itself, "
            f"dns.labels: {{}} and dns.servers, such as {_PROVIDERS} of Cloud DNS on GKE"
        )
        labels = ", ".join(f"{key}={value}" for key, value in dns.labels.items())
        yield fails(about, f"none in {dns.namespace} with {labels}: no pod of the stack resolves a name", fix)
    else:
        yield ok(about, f"none are due: {', '.join(dns.networks)} answers")
    yield _cache(session, set(dns.networks))


def _cache(session: Session, open_networks: set[str]) -> Line:
    about = "cache of names on the nodes"
    addresses = list(_cached_at(session))
    if not addresses:
        return ok(about, "none")
    networks = [f"{address}/{ipaddress.ip_address(address).max_prefixlen}" for address in addresses]
    if missing := [network for network in networks if network not in open_networks]:
        fix = f"dns.servers: [{', '.join(missing)}] in {session.file}"
        return fails(about, "NodeLocal DNSCache answers at addresses that the network policies close", fix, *missing)
    return ok(about, f"NodeLocal DNSCache at {', '.join(addresses)}")


def _cached_at(session: Session) -> Iterator[str]:
    """The addresses of the cache, without that of the Service, which policies know by its pods."""
    service = str(part(session.cluster.found(_SERVICE) or {}, "spec").get("clusterIP", ""))
    for each in session.cluster.objects(_DAEMON_SETS):
        if each["metadata"]["name"] != _CACHE:
            continue
        for container in parts(each, "spec", "template", "spec", "containers"):
            words = [word for argument in texts(container, "args") for word in _ADDRESSES.split(argument)]
            yield from (word for word in words if _is_address(word) and word != service)


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True


def _metadata(session: Session) -> Iterable[Line]:
    """A server of names at a metadata address: only port 53 of it is open, and that has to be said."""
    servers = [each for each in cluster_dns(session.stack).networks if each in ANSWERING_NAMES]
    if servers:
        fix = f"dns.servers without it in {session.file}, where pods answer names: Cloud DNS on GKE answers there"
        yield warns("metadata service", f"{', '.join(servers)} is open at port 53, and closed at every other", fix)
    else:
        own = session.stack.settings.metadata_cidrs
        closed = [each.network for each in METADATA_SERVICES if each.address]
        found = f"{len(closed)} of clouds, {len(own)} of this cluster's own, and all link-local addresses"
        yield ok("metadata service", f"closed to every pod of the stack, but for Vault's seal: {found}", *closed, *own)


THEME = Theme(
    "names",
    (
        Check("cluster-dns", "DNS of the cluster", _dns, lambda session: session.stack.posture.network_policies),
        Check("metadata", "metadata service", _metadata, lambda session: session.stack.posture.network_policies),
    ),
)
