"""The names of replicas that a program is told of: each is one that `peers` makes, and that it may connect to.

Nothing else answers at such a name, and the program only says so when it runs.
https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#stable-network-id
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from components.kube.service_ref import ServiceRef
from components.schema.fields import DNS_LABEL
from components.schema.problem import Key
from components.service.file.checks import Finding
from components.service.file.network import peers_name
from components.service.file.service import ServiceSpec
from components.service.file.texts import texts_of, words

# What stands behind the service of a name, and what before it: apart, since a file may have a million characters.
_BEHIND = re.compile(
    rf"{peers_name('')}\.(?P<namespace>{DNS_LABEL})\.svc\b(?:\.cluster\.local)?(?::(?P<port>[0-9]{{1,5}}))?"
)
_BEFORE = re.compile(rf"(?:(?P<pod>[^\s./,:;@\"'=<>\[\]]{{1,63}})\.)?(?P<service>{DNS_LABEL})$")
_LONGEST_BEFORE = 2 * 63 + 1
_NUMBERED = re.compile(rf"(?P<name>{DNS_LABEL})-(?P<number>[0-9]+)")
_ANY = "*"


class _Name(NamedTuple):
    """The name of a replica, or of all of them, in a text."""

    written: str
    pod: str
    service: str
    namespace: str
    port: str


def _names(text: str) -> Iterator[_Name]:
    for behind in _BEHIND.finditer(text):
        start = max(0, behind.start() - _LONGEST_BEFORE)
        if before := _BEFORE.search(text[start : behind.start()]):
            written = before[0] + behind[0]
            yield _Name(written, before["pod"] or _ANY, before["service"], behind["namespace"], behind["port"] or "")


def replica_findings(specs: Sequence[ServiceSpec]) -> Iterator[Finding]:
    """The names that no replica has, or none that the service may connect to; one for each text of a file."""
    services = {spec.ref: spec for spec in specs}
    for spec in specs:
        for key, text in _texts(spec):
            for name in _names(text):
                if wrong := _problem(spec, name, services, key):
                    message, legal = wrong
                    yield spec, key, message, repr(name.written), legal
                    break


def _texts(spec: ServiceSpec) -> Iterator[tuple[Key, str]]:
    yield from texts_of((), spec)
    for place, container in spec.containers:
        yield from texts_of(place, container)
    for name, job in spec.jobs.items():
        yield from words(("jobs", name), job.command, job.args)
    for name, secret in spec.secrets.items():
        yield ("secrets", name, "template"), secret.template or ""
        yield from ((("secrets", name, "values", field), value) for field, value in secret.values.items())
    for name, database in spec.all_databases.items():
        yield from (((*spec.database_key(name), *key), text) for key, text in database.templates.items())


def _problem(
    spec: ServiceSpec, name: _Name, services: Mapping[ServiceRef, ServiceSpec], key: Key
) -> tuple[str, tuple[str, ...]] | None:
    namespace, service = name.namespace, name.service
    known = any(ref.namespace == namespace for ref in services)
    if not known or ServiceRef(namespace, peers_name(service)) in services:
        return None
    callee = services.get(ServiceRef(namespace, service))
    if callee is None:
        with_peers = (str(ref) for ref, each in services.items() if each.peers)
        return f"no service {service} is in {namespace}", tuple(sorted(with_peers))
    if not callee.peers:
        return f"no replica of {callee.ref} has a name: the port is not under peers of its file", ()
    if callee is spec and key[0] == "jobs":
        return "a job is none of the replicas, which let each other in alone", ()
    return _no_such_pod(callee, name.pod) or _no_way(spec, callee, name.port)


def _no_such_pod(callee: ServiceSpec, pod: str) -> tuple[str, tuple[str, ...]] | None:
    if pod == _ANY:
        return None
    if not callee.stateful:
        return f"the pods of {callee.ref} have no names of their own: each would need a volume of its own", ()
    numbered = _NUMBERED.fullmatch(pod)
    if numbered is None:
        return None
    if numbered["name"] != callee.name:
        return f"the pods of {callee.ref} are called otherwise", (f"{callee.name}-0",)
    most = callee.autoscaling.max if callee.autoscaling else callee.replicas
    if most is not None and int(numbered["number"]) >= most:
        return f"{callee.ref} has {most} of them at most", tuple(f"{callee.name}-{number}" for number in range(most))
    return None


def _no_way(spec: ServiceSpec, callee: ServiceSpec, port: str) -> tuple[str, tuple[str, ...]] | None:
    ports = {*callee.peers}
    if callee is not spec:
        ports &= {callee.called_ports[call.port][0] for ref, call in spec.called() if ref == callee.ref}
    legal = tuple(str(number) for number in sorted(ports))
    if not ports:
        return f"it calls no port that {callee.ref} has under peers, so it reaches no replica by its name", ()
    if port and int(port) not in ports:
        return f"not a port at which it reaches a replica of {callee.ref}", legal
    return None
