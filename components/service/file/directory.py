"""Reads the service files, and checks them against each other and against the stack."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from components.kube.service_ref import ServiceRef
from components.kyverno.library import REGISTRY_RULE
from components.schema.host_pattern import is_covered
from components.schema.problem import ConfigError, Key, Problem
from components.schema.public import ROUTE_SETTINGS
from components.schema.typed_file import problems_of
from components.service.file.ambient import ambient_findings
from components.service.file.checks import (
    Finding,
    delivery_findings,
    engine_findings,
    findings,
    job_calls,
    metadata_findings,
    placement_findings,
)
from components.service.file.conditions import Conditions
from components.service.file.edges import edge_problems
from components.service.file.exceptions import exceptions_problems
from components.service.file.folder import layers_in, name_of, unread_folders
from components.service.file.layers import DOMAIN, NO_STACK, LayeredFile, Layers, uses_domain, with_domain
from components.service.file.limits import limit_findings
from components.service.file.network import EgressSpec
from components.service.file.party import PartyFile
from components.service.file.public_hosts import Claim, host_findings, key_findings
from components.service.file.replicas import replica_findings
from components.service.file.routes import PathSpec
from components.service.file.secret_paths import secret_path_findings
from components.service.file.service import OF_THE_PLATFORM, ServiceSpec
from components.service.file.sharing import sharing_findings
from components.vault.terms import Delivery


class ServiceFile(LayeredFile[ServiceSpec]):
    """A service, and the file it was read from."""


@dataclass(frozen=True)
class Admission(Conditions):
    """The conditions of a stack for its own service files.

    `as_of` returns the day for the expiry of exceptions (`None`: they do not expire); it is only called when there are
    some. `consent` is whether a call without its callee's consent is a problem. `stack` is the stack's name, whose own
    files lie over those of the services, and `stacks` are all of them. `packages` are other people's charts, which
    services call and are called by.
    """

    as_of: Callable[[], date | None] = lambda: None
    consent: bool = True
    stack: str = ""
    stacks: Sequence[str] = ()
    packages: Sequence[PartyFile] = ()

    @property
    def all_in_secrets(self) -> bool:
        """Whether both the secrets of a service and the key of its host are Secrets in its namespace."""
        return self.delivery is Delivery.KUBERNETES_SECRET and not self.gateway_api


def parse_service(text: str, file: str, domain: str = NO_STACK) -> ServiceFile:
    """The service of a YAML text, by default as on no stack; `domain` is what `{domain}` stands for.

    Raises `ConfigError` with every problem, each with its line.
    """
    return _service(Layers(file, text), domain)


def _service(layers: Layers, domain: str) -> ServiceFile:
    if not domain and (key := uses_domain(layers.values)):
        where, line = layers.place_of((key,))
        message = f"the stack has no domain to put in place of {DOMAIN}: set its ingress.domain"
        raise ConfigError([Problem(where, key, message, line=line)])
    try:
        return ServiceFile(ServiceSpec.model_validate(with_domain(layers.values, domain)), layers)
    except ValidationError as error:
        raise ConfigError(problems_of(error, ServiceSpec, layers.file, place_of=layers.place_of)) from error


def read_services(directory: Path, admission: Admission) -> tuple[ServiceSpec, ...]:
    """Every service of a directory, sorted by namespace and name. Raises `ConfigError` for all files at once."""
    return specs_of(read_files(directory, admission))


def specs_of(files: Iterable[ServiceFile]) -> tuple[ServiceSpec, ...]:
    """The services of files, sorted by namespace and name."""
    return tuple(sorted((file.spec for file in files), key=lambda spec: spec.ref))


def read_files(directory: Path, admission: Admission) -> tuple[ServiceFile, ...]:
    """The services of a directory with their files. Raises `ConfigError` for all files at once."""
    layers, problems = layers_in(directory, admission.stack, admission.stacks)
    problems += [_folder(path) for path in unread_folders(directory)]
    files: list[ServiceFile] = []
    for each in layers:
        try:
            files.append(_service(each, admission.domain))
        except ConfigError as error:
            problems += error.problems
    # Only compared when every file is valid: calls to the service of an invalid file would look unknown.
    if problems := problems or check_services(files, admission):
        raise ConfigError(problems)
    return tuple(files)


def _folder(path: Path) -> Problem:
    return Problem(name_of(path), "folder", "service files stand beside each other, in no folder: move them up")


def check_services(files: Sequence[ServiceFile], admission: Admission) -> list[Problem]:
    """The problems of service files with each other and with the stack."""
    return [
        *_same_name(files),
        *edge_problems([*files, *admission.packages], consent=admission.consent, is_elsewhere=admission.is_elsewhere),
        *_outside_hosts(files),
        *_past_the_proxy(files, admission),
        *problems_at(files, host_findings([Claim(file.spec, file.file) for file in files])),
        *(problem for file in files for problem in _unsupported(file, admission.unsupported)),
        *problems_at(files, findings([file.spec for file in files])),
        *(problems_at(files, key_findings([file.spec for file in files])) if admission.all_in_secrets else ()),
        *problems_at(files, sharing_findings([file.spec for file in files])),
        *problems_at(files, delivery_findings([file.spec for file in files], admission.delivery)),
        *problems_at(files, secret_path_findings([file.spec for file in files])),
        *problems_at(files, limit_findings([file.spec for file in files], admission.limits)),
        *(problems_at(files, ambient_findings([file.spec for file in files])) if admission.ambient else []),
        *problems_at(files, metadata_findings([file.spec for file in files], admission.metadata)),
        *problems_at(files, replica_findings([file.spec for file in files])),
        *problems_at(files, placement_findings([file.spec for file in files], admission.placements)),
        *(problem for file in files for problem in _not_admitted(file, admission)),
        *(problem for file in files for problem in _not_signed(file, admission.pki_domains)),
        *_unreachable_databases(files, admission),
        *problems_at(files, engine_findings([file.spec for file in files], admission.databases or {})),
        *(problem for file in files if file.spec.timed for problem in _timed(file, admission.as_of())),
    ]


def problems_at(files: Sequence[ServiceFile], all_findings: Iterable[Finding]) -> list[Problem]:
    """The problems of findings, each in its file and at its line."""
    by_service = {file.spec.ref: file for file in reversed(files)}
    problems: list[Problem] = []
    for spec, key, message, value, legal in all_findings:
        problems.append(by_service[spec.ref].problem(key, message, value, legal))
    return problems


def _same_name(files: Sequence[ServiceFile]) -> list[Problem]:
    owners: dict[ServiceRef, str] = {}
    problems: list[Problem] = []
    for file in files:
        owner = owners.setdefault(file.spec.ref, file.file)
        if owner != file.file:
            problems.append(file.problem("name", f"{owner} already holds this service", f"{file.spec.name!r}"))
    return problems


def _past_the_proxy(files: Sequence[ServiceFile], admission: Admission) -> list[Problem]:
    """Connections to another than Vault at Vault's port, from pods that reach Vault there without their proxy."""
    port, parties = admission.bypassed_port, [*files, *admission.packages]
    ports = {party.spec.ref: party.spec.called_ports for party in parties}
    message = f"at port {port}, the pods of a service with secrets pass by the mesh for Vault: give it another port"
    problems: list[Problem] = []
    for file in files:
        spec = file.spec
        if not (port and (spec.secrets or spec.all_databases)):
            continue
        for number, (callee, call) in enumerate(spec.called()):
            if ports.get(callee, {}).get(call.port, (0, ""))[0] == port:
                problems.append(file.problem(("calls", number), message, repr(call.written)))
        for number, outside in enumerate(spec.egress):
            if outside.port == port:
                problems.append(file.problem(("egress", number, "port"), message, repr(port)))
    return problems


def _outside_hosts(files: Sequence[ServiceFile]) -> list[Problem]:
    """Hosts that two files of a namespace declare differently: the proxies there can only know one of the two."""
    first: dict[tuple[object, ...], tuple[str, EgressSpec]] = {}
    problems: list[Problem] = []
    for file in files:
        for number, outside in enumerate(file.spec.egress):
            owner, same_host = first.setdefault((file.spec.namespace, outside.host), (file.file, outside))
            _, same_port = first.setdefault((file.spec.namespace, outside.host, outside.port), (file.file, outside))
            tcp = "tcp" in (outside.protocol, same_host.protocol)
            if same_port.protocol != outside.protocol or (tcp and _destination(same_host) != _destination(outside)):
                message = f"{owner} of the same namespace declares {outside.host} with another protocol or other cidrs"
                problems.append(file.problem(("egress", number), message))
    return problems


def _destination(outside: EgressSpec) -> tuple[bool, tuple[str, ...]]:
    return outside.protocol == "tcp", outside.cidrs


def _unsupported(file: ServiceFile, unsupported: Sequence[str]) -> list[Problem]:
    """The settings of the service's route that the stack's class of Ingress has no annotation for."""
    problems: list[Problem] = []
    for setting, attribute in ROUTE_SETTINGS.items():
        if setting in unsupported and getattr(file.spec, attribute) not in (None, "none"):
            message = "the stack's class of Ingress has no words for it: leave it out, or write none"
            problems.append(file.problem(to_camel(attribute), message))
    return problems


def _not_admitted(file: ServiceFile, admission: Admission) -> list[Problem]:
    problems: list[Problem] = []
    if file.spec.namespace in admission.reserved:
        problems.append(file.problem("namespace", OF_THE_PLATFORM, repr(file.spec.namespace)))
    excepted = any(exception.rule == REGISTRY_RULE for exception in file.spec.exceptions)
    for key, image in file.spec.images if admission.registries and not excepted else ():
        if not any(image.startswith(f"{registry}/") for registry in admission.registries):
            problems.append(file.problem(key, "not from an approved registry", repr(image), admission.registries))
    if file.spec.api_rules and not admission.api_server_reachable:
        message = "the stack's apiServerCidrs is empty, so no network policy can let the service reach the API server"
        problems.append(file.problem("kubernetesApi" if file.spec.kubernetes_api else "leaderElection", message))
    if not admission.gateway_api:
        problems += _beyond_an_ingress(file)
    if file.spec.metrics and not admission.scraper:
        message = "the stack's mesh.scraper is not set, so nobody may read them"
        problems.append(file.problem("metrics", message))
    return problems


def _beyond_an_ingress(file: ServiceFile) -> list[Problem]:
    """What a Gateway does, and an Ingress cannot say."""
    spec, problems = file.spec, list[Problem]()
    spoken: list[tuple[Key, str]] = [(("protocol",), spec.protocol)] if spec.host else []
    spoken += [(("ports", name, "protocol"), spec.ports[name].protocol) for name in spec.port_hosts]
    message = "an Ingress speaks HTTP/1.1 to its services: ingress.kind gateway-api of the stack file speaks HTTP/2"
    problems += [
        file.problem(key, message, repr(protocol), ("http",)) for key, protocol in spoken if protocol != "http"
    ]
    public_at: list[tuple[Key, Sequence[PathSpec]]] = [((), spec.paths)]
    public_at += [(("ports", name), spec.ports[name].paths) for name in spec.port_hosts]
    keys: list[Key] = [
        (*port, "paths", number, public.settings[0])
        for port, paths in public_at
        for number, public in enumerate(paths)
        if public.settings
    ]
    keys += [("sticky",)] if spec.host and spec.sticky else []
    keys += [("ports", name, "sticky") for name in spec.port_hosts if spec.ports[name].sticky]
    message = "an Ingress has no words for it: leave it out, or set the stack's ingress.kind to gateway-api"
    problems += [file.problem(key, message) for key in keys]
    if spec.host_owner:
        message = "two Ingresses of two namespaces would each need the host's key: give the service a host of its own"
        problems.append(file.problem("hostOwner", message, repr(spec.host_owner)))
    return problems


def _not_signed(file: ServiceFile, domains: Sequence[str] | None) -> list[Problem]:
    if domains is None:
        return []
    message = "the stack's vault.pki.domains do not name it, so Vault would sign no certificate for it"
    return [
        file.problem(file.spec.key_of_host(host), message, repr(host), domains)
        for host in file.spec.hosts
        if not is_covered(host, domains)
    ]


def _unreachable_databases(files: Sequence[ServiceFile], admission: Admission) -> list[Problem]:
    services = {file.spec.ref for file in files}
    return [
        problem
        for file in files
        for name in file.spec.all_databases
        for problem in _unreachable_database(file, name, services, admission)
    ]


def _unreachable_database(
    file: ServiceFile, name: str, services: set[ServiceRef], admission: Admission
) -> list[Problem]:
    spec, known = file.spec, admission.databases
    key, connection = spec.database_key(name), spec.all_databases[name].connection
    if known is None:
        return []
    if not admission.vault:
        message = "this stack has no Vault to make its users: keep the service's credentials under secrets"
        return [file.problem(key, message)]
    if connection not in known:
        message = "no such database in the stack file"
        return [file.problem((*key, "connection"), message, repr(connection), sorted(known))]
    owner = ServiceRef.of_host(known[connection].host)
    if owner is None:
        return []
    call = owner.seen_from(spec.namespace)
    if owner in services - {*spec.callees(), spec.ref}:
        message = f"the database {connection} is the service {call}, which only its callers reach"
        calls = [call.written for call in spec.calls]
        found = file.problem("calls", message, repr(calls), (*calls, call))
        # Without calls the line of what asks for one.
        place = found if spec.calls else file.problem((*key, "connection"), message)
        return [replace(found, file=place.file, line=place.line)]
    return problems_at([file], job_calls(spec, name, owner, call)) if owner in spec.callees() else []


def _timed(file: ServiceFile, as_of: date | None) -> list[Problem]:
    """The problems of what has a last day: exceptions from rules, plaintext ports, a patch, rights that lead on."""
    problems: list[Problem] = []
    if file.spec.patch and (problem := file.spec.patch.problem(as_of)):
        problems.append(file.problem(("patch", problem[0]), problem[1]))
    if file.spec.secret_env and (problem := file.spec.secret_env.problem(as_of)):
        problems.append(file.problem(("secretEnv", problem[0]), problem[1]))
    return [
        *problems,
        *exceptions_problems(file, file.spec.exceptions, as_of),
        *file.timed_problems("plaintextPorts", file.spec.plaintext_ports, as_of),
        *file.timed_problems("kubernetesApi", file.spec.kubernetes_api, as_of),
    ]
