"""Who talks to whom: from variables and configuration that name a Service, from policies, and from the mesh's logs.

What is written is what may be; what is logged is what was. Neither is complete, so each edge has its evidence.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.kube.parts import Manifest, part, parts, texts
from components.kube.service_ref import ServiceRef
from zt.adopt.living import Living
from zt.adopt.model import Talk
from zt.adopt.workloads import Template, selects

# A host with a scheme or a port, or a variable that says by its name that it has a host.
_PLACE = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?:[^\s/@,;\"']*@)?"
    r"(?P<host>[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*)(?::(?P<port>\d{1,5}))?",
)
_TOKENS = re.compile(r"[\s,;\"'=<>()\[\]{}|]+")
_NAMED = re.compile(r"HOST|ADDR|URL|URI|SERVER|SERVICE|ENDPOINT|BROKER|DSN|UPSTREAM")
_PORTS = {"https": 443, "http": 80, "postgres": 5432, "postgresql": 5432, "mysql": 3306, "redis": 6379, "amqp": 5672}
_OUTBOUND = re.compile(r"outbound\|(\d+)\|[^|]*\|([^|]+)")
_PRINCIPAL = re.compile(r"(?:[^/]+)/ns/([^/]+)/sa/([^/]+)")


@dataclass(frozen=True)
class _Service:
    """A Service, its ports, and the workloads behind it."""

    ref: ServiceRef
    ports: tuple[int, ...]
    workloads: tuple[str, ...]


def talks(living: Living, templates: Sequence[Template]) -> tuple[Talk, ...]:
    """Every edge, once for each evidence."""
    services = _services(living, templates)
    return tuple(
        sorted(
            {
                *(talk for template in templates for talk in _written(living, template, services)),
                *_from_policies(living, templates),
                *_from_principals(living, templates),
                *_logged(living, templates, services),
            }
        )
    )


def _services(living: Living, templates: Sequence[Template]) -> dict[ServiceRef, _Service]:
    services: dict[ServiceRef, _Service] = {}
    for each in living.everywhere("Service"):
        ref = ServiceRef(each["metadata"]["namespace"], each["metadata"]["name"])
        selector = part(each, "spec", "selector")
        behind = tuple(
            template.key
            for template in templates
            if selector and template.namespace == ref.namespace and selector.items() <= template.labels.items()
        )
        ports = tuple(int(port["port"]) for port in parts(each, "spec", "ports"))
        services[ref] = _Service(ref, ports, behind)
    return services


def _written(living: Living, template: Template, services: Mapping[ServiceRef, _Service]) -> Iterator[Talk]:
    """The edges that the variables, arguments and configuration of a workload name."""
    for where, name, value in _texts(living, template):
        for token in _TOKENS.split(value):
            place = _PLACE.fullmatch(token.partition("?")[0].rstrip("/").lower()) or _PLACE.match(token.lower())
            if place is None:
                continue
            sure = bool(place["scheme"] or place["port"]) or bool(_NAMED.search(name.upper()))
            yield from _edges(template, place, services, sure, where)


def _edges(
    template: Template, place: re.Match[str], services: Mapping[ServiceRef, _Service], sure: bool, where: str
) -> Iterator[Talk]:
    host, scheme, written = place["host"], place["scheme"] or "", int(place["port"] or 0)
    ref = _service_of(host, template.namespace, services)
    if ref is None:
        known = written or _PORTS.get(scheme, 0)
        if known and _is_outside(host):
            yield Talk(template.key, host, known, where)
        return
    service = services[ref]
    # A word that is the name of a Service of the same namespace says nothing by itself.
    if not sure and "." not in host:
        return
    port = written or next(iter(service.ports), 0)
    for callee in service.workloads or (str(ref),):
        if callee != template.key:
            yield Talk(template.key, callee, port, where)


def _service_of(host: str, namespace: str, services: Mapping[ServiceRef, _Service]) -> ServiceRef | None:
    """The Service that a host is, as a pod of a namespace resolves it."""
    name, _, rest = host.partition(".")
    candidates = [ServiceRef(namespace, host), ServiceRef.of_host(host), ServiceRef(rest, name)]
    return next((ref for ref in candidates if ref is not None and ref in services), None)


def _is_outside(host: str) -> bool:
    last = host.rpartition(".")[2]
    return "." in host and last.isalpha() and last not in ("svc", "local", "internal")


def _texts(living: Living, template: Template) -> Iterator[tuple[str, str, str]]:
    """Evidence, name and value of each text of a workload that may name a host. Values of Secrets are not read."""
    maps = {
        each["metadata"]["name"]: part(each, "data")
        for each in living.of("ConfigMap")
        if each["metadata"]["namespace"] == template.namespace
    }
    for container in template.containers:
        for variable in parts(container, "env"):
            name = str(variable["name"])
            yield f"variable {name}", name, str(variable.get("value", ""))
            key = part(variable, "valueFrom", "configMapKeyRef")
            value = maps.get(str(key.get("name")), {}).get(str(key.get("key")), "")
            yield f"variable {name} of ConfigMap {key.get('name')}", name, str(value)
        for source in parts(container, "envFrom"):
            config = str(part(source, "configMapRef").get("name", ""))
            for name, value in maps.get(config, {}).items():
                yield f"variable {name} of ConfigMap {config}", str(name), str(value)
        for argument in (*texts(container, "command"), *texts(container, "args")):
            yield "an argument", argument.partition("=")[0], argument.partition("=")[2] or argument
    for volume in parts(template.spec, "volumes"):
        config = str(part(volume, "configMap").get("name", ""))
        for name, value in maps.get(config, {}).items():
            yield f"file {name} of ConfigMap {config}", "", str(value)


def _from_policies(living: Living, templates: Sequence[Template]) -> Iterator[Talk]:
    """The edges that NetworkPolicies open by labels; a rule for everybody names nobody."""
    for policy in living.of("NetworkPolicy"):
        namespace, name = policy["metadata"]["namespace"], policy["metadata"]["name"]
        chosen = [
            each.key
            for each in templates
            if each.namespace == namespace and selects(part(policy, "spec", "podSelector"), each.labels)
        ]
        evidence = f"NetworkPolicy {namespace}/{name}"
        for rule in parts(policy, "spec", "ingress"):
            for peer in _peers(living, templates, namespace, parts(rule, "from")):
                yield from (Talk(peer, own, port, evidence) for own in chosen for port in _numbers(rule) if own != peer)
        for rule in parts(policy, "spec", "egress"):
            for peer in _peers(living, templates, namespace, parts(rule, "to")):
                yield from (Talk(own, peer, port, evidence) for own in chosen for port in _numbers(rule) if own != peer)


def _numbers(rule: Manifest) -> list[int]:
    return [int(each["port"]) for each in parts(rule, "ports") if isinstance(each.get("port"), int)] or [0]


def _peers(
    living: Living, templates: Sequence[Template], namespace: str, peers: Iterable[Mapping[str, Any]]
) -> Iterator[str]:
    for peer in peers:
        # Without labels of pods it is about a whole namespace, which says nothing of who talks.
        if not part(peer, "podSelector"):
            continue
        for each in templates:
            own = each.namespace == namespace
            chosen = selects(part(peer, "namespaceSelector"), living.labels(each.namespace))
            if (chosen if "namespaceSelector" in peer else own) and selects(part(peer, "podSelector"), each.labels):
                yield each.key


def _from_principals(living: Living, templates: Sequence[Template]) -> Iterator[Talk]:
    """The edges that AuthorizationPolicies of Istio allow by identity."""
    for policy in living.of("AuthorizationPolicy"):
        namespace, name = policy["metadata"]["namespace"], policy["metadata"]["name"]
        selector = part(policy, "spec", "selector")
        chosen = [each.key for each in templates if each.namespace == namespace and selects(selector, each.labels)]
        for rule in parts(policy, "spec", "rules"):
            principals = [p for source in parts(rule, "from") for p in texts(source, "source", "principals")]
            accounts = {match.groups() for match in map(_PRINCIPAL.fullmatch, principals) if match}
            callers = [each.key for each in templates if (each.namespace, each.account) in accounts]
            evidence = f"AuthorizationPolicy {namespace}/{name}"
            yield from (Talk(caller, own, 0, evidence) for caller in callers for own in chosen if caller != own)


def _logged(living: Living, templates: Sequence[Template], services: Mapping[ServiceRef, _Service]) -> Iterator[Talk]:
    """The edges that the proxies logged, by the cluster that each request went to."""
    owners = {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": part(pod, "metadata", "labels")
        for pod in living.of("Pod")
    }
    for pod, lines in living.logs.items():
        namespace = pod.partition("/")[0]
        labels = owners.get(pod, {})
        callers = [
            t.key for t in templates if t.namespace == namespace and t.labels and t.labels.items() <= labels.items()
        ]
        for line in lines:
            sent = _OUTBOUND.fullmatch(str(line.get("upstream_cluster") or ""))
            if not sent:
                continue
            port, host = int(sent[1]), sent[2]
            ref = ServiceRef.of_host(host)
            callees = (services[ref].workloads or (str(ref),)) if ref and ref in services else (host,)
            yield from (
                Talk(own, callee, port, "logged by the mesh") for own in callers for callee in callees if own != callee
            )
