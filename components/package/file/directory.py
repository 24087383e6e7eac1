"""Reads the package files, and checks each of them with the stack."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from components.package.file.chart import FOLDER
from components.package.file.keys import PackageSpec
from components.schema.host_pattern import is_covered
from components.schema.problem import ConfigError, Problem
from components.schema.reached import of_own_metadata, own_metadata_message
from components.schema.typed_file import problems_of
from components.service.file.directory import Admission
from components.service.file.exceptions import exceptions_problems
from components.service.file.folder import layers_in
from components.service.file.layers import DOMAIN, NO_STACK, LayeredFile, Layers, uses_domain, with_domain
from components.service.file.service import OF_THE_PLATFORM, ServiceSpec
from components.vault.terms import Delivery


class PackageFile(LayeredFile[PackageSpec]):
    """A package, and the file it was read from."""


def parse_package(layers: Layers, domain: str = NO_STACK) -> PackageFile:
    """The package of a file. Raises `ConfigError` with every problem, each with its line."""
    try:
        return PackageFile(PackageSpec.model_validate(placed_hosts(layers, domain)), layers)
    except ValidationError as error:
        raise ConfigError(problems_of(error, PackageSpec, layers.file, place_of=layers.place_of)) from error


def read_packages(root: Path, admission: Admission) -> tuple[PackageFile, ...]:
    """The packages of a project, sorted by namespace and name. Raises `ConfigError` for all files at once."""
    layers, problems = layers_in(root / FOLDER, admission.stack, admission.stacks)
    files: list[PackageFile] = []
    for each in layers:
        try:
            files.append(parse_package(each, admission.domain))
        except ConfigError as error:
            problems += error.problems
    if problems := problems or _problems(files, admission):
        raise ConfigError(problems)
    return tuple(sorted(files, key=lambda file: file.spec.ref))


def placed_hosts(layers: Layers, domain: str) -> Mapping[str, object]:
    """The values with the stack's domain in the hosts of `expose`. Raises `ConfigError` if it has none."""
    expose = layers.values.get("expose")
    if not isinstance(expose, list):
        return layers.values
    entries = cast("list[object]", expose)
    nothing: Mapping[str, object] = {}
    written = [cast("Mapping[str, object]", entry) if isinstance(entry, dict) else nothing for entry in entries]
    used = next((number for number, entry in enumerate(written) if uses_domain(entry)), None)
    if used is not None and not domain:
        where, line = layers.place_of(("expose", used, "host"))
        message = f"the stack has no domain to put in place of {DOMAIN}: set its ingress.domain"
        raise ConfigError([Problem(where, f"expose[{used}].host", message, line=line)])
    placed = [with_domain(known, domain) if known else entry for known, entry in zip(written, entries, strict=True)]
    return {**layers.values, "expose": placed}


def _problems(files: Sequence[PackageFile], admission: Admission) -> list[Problem]:
    return [
        *_namespaces(files),
        *(problem for file in files for problem in _not_admitted(file, admission)),
        *(problem for file in files if file.spec.timed for problem in _timed(file, admission.as_of())),
    ]


def _namespaces(files: Sequence[PackageFile]) -> list[Problem]:
    """Namespaces that two packages would have: the objects of one could take the labels of the other's."""
    owners: dict[str, PackageFile] = {}
    problems: list[Problem] = []
    for file in files:
        owner = owners.setdefault(file.spec.namespace, file)
        if owner is not file:
            message = f"it is that of {owner.file}: each package has one of its own"
            problems.append(file.problem("namespace", message, repr(file.spec.namespace)))
    return problems


def shared_hosts(files: Sequence[PackageFile], services: Sequence[ServiceSpec]) -> list[Problem]:
    """The packages with a public host that a service or another package has."""
    owners = {host: f"the service {spec.ref}" for spec in services for host in spec.hosts}
    problems: list[Problem] = []
    for file in files:
        for host in file.spec.hosts:
            owner = owners.setdefault(host, file.file)
            if owner != file.file:
                problems.append(file.problem("expose", f"{owner} has this host already", repr(host)))
    return problems


def shared_namespaces(files: Sequence[PackageFile], services: Iterable[str]) -> list[Problem]:
    """The packages in a namespace that services have."""
    taken = {*services}
    message = "services have it, whose names and labels a chart could take: give the package one of its own"
    return [
        file.problem("namespace", message, repr(file.spec.namespace)) for file in files if file.spec.namespace in taken
    ]


def _not_admitted(file: PackageFile, admission: Admission) -> list[Problem]:
    problems = [
        file.problem(key, own_metadata_message(network), repr(value))
        for key, value, network in of_own_metadata(file.spec, admission.metadata)
    ]
    if file.spec.namespace in admission.reserved:
        problems.append(file.problem("namespace", OF_THE_PLATFORM, repr(file.spec.namespace)))
    if file.spec.kubernetes_api and not admission.api_server_reachable:
        message = "the stack's apiServerCidrs is empty, so no network policy can let it reach the API server"
        problems.append(file.problem("kubernetesApi", message))
    if file.spec.metrics and not admission.scraper:
        message = "the stack's mesh.scraper is not set, so nobody may read them"
        problems.append(file.problem("metrics", message))
    if file.spec.secrets and admission.delivery is not Delivery.AGENT:
        message = "Vault's agent brings them to the pods of a chart, and none runs on this stack"
        problems.append(file.problem("secrets", f"{message}: take them out in the package's file of this stack"))
    public = file.spec.public
    if public and public.protocol in ("http2", "grpc") and not admission.gateway_api:
        message = "an Ingress speaks HTTP/1.1: ingress.kind gateway-api of the stack file speaks HTTP/2"
        problems.append(file.problem("expose", message, repr(public.protocol), ("http",)))
    for host in file.spec.hosts if admission.pki_domains is not None else ():
        if not is_covered(host, admission.pki_domains or ()):
            message = "the stack's vault.pki.domains do not name it, so Vault would sign no certificate for it"
            problems.append(file.problem("expose", message, repr(host), admission.pki_domains or ()))
    return problems


def _timed(file: PackageFile, as_of: date | None) -> list[Problem]:
    """The problems of what has a last day: exceptions from rules, grants and plaintext ports."""
    return [
        *exceptions_problems(file, file.spec.exceptions, as_of),
        *file.timed_problems("grants", file.spec.grants, as_of),
        *file.timed_problems("plaintextPorts", file.spec.plaintext_ports, as_of),
    ]
