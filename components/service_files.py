"""Reading the service files and what only shows when they are read together: unknown callees, claimed hosts, grants."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from components.network_spec import EgressSpec
from components.policy_exceptions import problem_with
from components.policy_library import REGISTRY_RULE, load_library
from components.service_ambient import ambient_findings
from components.service_checks import Finding, findings, job_calls
from components.service_database import service_of
from components.service_jobs import call_name
from components.service_spec import ServiceSpec
from components.settings_ingress import ROUTE_SETTINGS
from components.typed_file import ConfigError, Problem, dotted, line_finder, problems_of, read_yaml


@dataclass(frozen=True)
class ServiceFile:
    """A service and the file it was read from."""

    file: str
    spec: ServiceSpec
    line_of: Callable[[tuple[int | str, ...]], int]

    def problem(self, key: str, message: str, found: str = "", legal: Iterable[str] = ()) -> Problem:
        """A problem of one of its keys."""
        return Problem(self.file, key, message, found, tuple(legal), self.line_of((key,)))


@dataclass(frozen=True)
class Admission:
    """What a service file must keep to on this stack; empty registries admit every image.

    `as_of` gives the day that exceptions are judged on; it is asked only when there is one. `None`: none expires.
    `databases` has the host of each database; `None`: they are not judged. `unsaid` are the settings of a public route
    that the stack's door has no words for. `scraper` says whether somebody may read metrics. `signed` are the names
    that the stack's own PKI signs; `None`: another authority does. `ambient` says that no pod has a proxy of its own.
    """

    registries: Sequence[str]
    api_server_reachable: bool
    as_of: Callable[[], date | None] = lambda: None
    vault: bool = True
    databases: Mapping[str, str] | None = None
    unsaid: Sequence[str] = ()
    scraper: bool = True
    signed: Sequence[str] | None = None
    ambient: bool = False


def parse_service(text: str, file: str) -> ServiceFile:
    """The service of a YAML text. Raises `ConfigError` with every problem, each with its line."""
    values = {"name": Path(file).stem, **read_yaml(text, file)}
    line_of = line_finder(text)
    try:
        return ServiceFile(file, ServiceSpec.model_validate(values), line_of)
    except ValidationError as error:
        raise ConfigError(problems_of(error, ServiceSpec, file, line_of=line_of)) from error


def read_services(directory: Path, admission: Admission) -> tuple[ServiceSpec, ...]:
    """Every service of a directory, sorted by namespace and name. Raises `ConfigError` for all files at once."""
    files: list[ServiceFile] = []
    problems: list[Problem] = []
    for path in sorted(directory.glob("*.yaml")):
        try:
            files.append(parse_service(path.read_text(encoding="utf-8"), f"{directory.name}/{path.name}"))
        except ConfigError as error:
            problems += error.problems
    # A broken file would make its callers' calls look unknown: the files are compared once each one stands.
    if problems := problems or check_services(files, admission):
        raise ConfigError(problems)
    return tuple(sorted((file.spec for file in files), key=lambda spec: (spec.namespace, spec.name)))


def check_services(files: Sequence[ServiceFile], admission: Admission) -> list[Problem]:
    """The problems between service files, and between them and the stack."""
    return [
        *_twice(files),
        *_unknown_calls(files),
        *_requests_to_tcp(files),
        *_outside_hosts(files),
        *_claimed_hosts(files),
        *(problem for file in files for problem in _unsaid(file, admission.unsaid)),
        *_problems(files, findings([file.spec for file in files])),
        *(_problems(files, ambient_findings([file.spec for file in files])) if admission.ambient else []),
        *(problem for file in files for problem in _not_admitted(file, admission)),
        *(problem for file in files for problem in _not_signed(file, admission.signed)),
        *_unreachable_databases(files, admission),
        *(problem for file in files if file.spec.timed for problem in _timed(file, admission.as_of())),
    ]


def _problems(files: Sequence[ServiceFile], found: Iterable[Finding]) -> list[Problem]:
    places = {(file.spec.namespace, file.spec.name): file for file in reversed(files)}
    made: list[Problem] = []
    for spec, key, message, shown, legal in found:
        file = places[spec.namespace, spec.name]
        made.append(Problem(file.file, dotted(key), message, shown, legal, file.line_of(key)))
    return made


def _twice(files: Sequence[ServiceFile]) -> list[Problem]:
    owners: dict[tuple[str, str], str] = {}
    found: list[Problem] = []
    for file in files:
        owner = owners.setdefault((file.spec.namespace, file.spec.name), file.file)
        if owner != file.file:
            found.append(file.problem("name", f"{owner} already holds this service", f"{file.spec.name!r}"))
    return found


def _unknown_calls(files: Sequence[ServiceFile]) -> list[Problem]:
    known = {(file.spec.namespace, file.spec.name) for file in files}
    found: list[Problem] = []
    for file in files:
        spec = file.spec
        legal = sorted(
            name if namespace == spec.namespace else f"{namespace}/{name}"
            for namespace, name in known - {(spec.namespace, spec.name)}
        )
        for call, callee in zip(spec.calls, spec.callees(), strict=True):
            if callee == (spec.namespace, spec.name):
                found.append(
                    file.problem("calls", "a service needs no leave to call itself", repr(call.service), legal)
                )
            elif callee not in known:
                found.append(file.problem("calls", "no such service", repr(call.service), legal))
    return found


def _requests_to_tcp(files: Sequence[ServiceFile]) -> list[Problem]:
    tcp = {(file.spec.namespace, file.spec.name) for file in files if file.spec.protocol == "tcp"}
    found: list[Problem] = []
    for file in files:
        for number, (call, callee) in enumerate(zip(file.spec.calls, file.spec.callees(), strict=True)):
            if call.http and callee in tcp:
                key = "methods" if call.methods else "paths"
                line = file.line_of(("calls", number, key))
                message = f"{call.service} speaks tcp, which has neither methods nor paths: leave them out"
                found.append(Problem(file.file, f"calls[{number}].{key}", message, line=line))
    return found


def _outside_hosts(files: Sequence[ServiceFile]) -> list[Problem]:
    """A host that two files of a namespace declare in two ways: its proxies would know it in one of them."""
    first: dict[tuple[object, ...], tuple[str, EgressSpec]] = {}
    found: list[Problem] = []
    for file in files:
        for number, outside in enumerate(file.spec.egress):
            owner, other = first.setdefault((file.spec.namespace, outside.host), (file.file, outside))
            _, same_port = first.setdefault((file.spec.namespace, outside.host, outside.port), (file.file, outside))
            tcp = "tcp" in (outside.protocol, other.protocol)
            if same_port.protocol != outside.protocol or (tcp and _place(other) != _place(outside)):
                message = f"{owner} of the same namespace declares {outside.host} with another protocol or other cidrs"
                line = file.line_of(("egress", number, "host"))
                found.append(Problem(file.file, f"egress[{number}]", message, line=line))
    return found


def _place(outside: EgressSpec) -> tuple[bool, tuple[str, ...]]:
    return outside.protocol == "tcp", outside.cidrs


def _claimed_hosts(files: Sequence[ServiceFile]) -> list[Problem]:
    owners: dict[str, str] = {}
    found: list[Problem] = []
    for file in files:
        for host in file.spec.hosts:
            if (owner := owners.setdefault(host, file.file)) != file.file:
                key = "host" if host == file.spec.host else "aliases"
                found.append(file.problem(key, f"{owner} already claims this host", repr(host)))
    return found


def _unsaid(file: ServiceFile, unsaid: Sequence[str]) -> list[Problem]:
    """What the service asks of its route and the stack's class of Ingress has no words for."""
    found: list[Problem] = []
    for setting, field in ROUTE_SETTINGS.items():
        if setting in unsaid and getattr(file.spec, field) not in (None, "none"):
            message = "the stack's class of Ingress has no words for it: leave it out, or write none"
            found.append(file.problem(to_camel(field), message))
    return found


def _not_admitted(file: ServiceFile, admission: Admission) -> list[Problem]:
    found: list[Problem] = []
    image = file.spec.image
    excepted = any(exception.rule == REGISTRY_RULE for exception in file.spec.exceptions)
    if (
        admission.registries
        and not excepted
        and not any(image.startswith(f"{registry}/") for registry in admission.registries)
    ):
        found.append(file.problem("image", "not from an approved registry", repr(image), admission.registries))
    if file.spec.kubernetes_api and not admission.api_server_reachable:
        message = "the stack's apiServerCidrs is empty, so no network policy can let the service reach the API server"
        found.append(file.problem("kubernetesApi", message))
    if file.spec.metrics and not admission.scraper:
        message = "the stack's mesh.scraper is not set, so nobody may read them"
        found.append(file.problem("metrics", message))
    return found


def _not_signed(file: ServiceFile, signed: Sequence[str] | None) -> list[Problem]:
    if signed is None:
        return []
    message = "the stack's vault.pki.domains do not name it, so Vault would sign no certificate for it"
    return [
        file.problem("host" if host == file.spec.host else "aliases", message, repr(host), signed)
        for host in file.spec.hosts
        if not any(host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in signed)
    ]


def _unreachable_databases(files: Sequence[ServiceFile], admission: Admission) -> list[Problem]:
    services = {(file.spec.namespace, file.spec.name) for file in files}
    found: list[Problem] = []
    for file in files:
        database, known = file.spec.database, admission.databases
        if database is None or known is None:
            continue
        line = file.line_of(("database", "connection"))
        if not admission.vault:
            message = "this stack has no Vault to make its users: keep the service's credentials under secrets"
            found.append(file.problem("database", message))
        elif database.connection not in known:
            key, shown = "database.connection", repr(database.connection)
            message = "no such database in the stack file"
            found.append(Problem(file.file, key, message, shown, tuple(sorted(known)), line))
        else:
            owner = service_of(known[database.connection])
            if owner in services - {*file.spec.callees(), (file.spec.namespace, file.spec.name)}:
                call = call_name(file.spec.namespace, owner)
                message = f"the database {database.connection} is the service {call}, which only its callers reach"
                place = file.line_of(("calls",)) if file.spec.calls else line
                written = [call.service for call in file.spec.calls]
                found.append(Problem(file.file, "calls", message, repr(written), (*written, call), place))
            elif owner in file.spec.callees():
                call = call_name(file.spec.namespace, owner)
                found += _problems([file], job_calls(file.spec, owner, call))
    return found


def _timed(file: ServiceFile, as_of: date | None) -> list[Problem]:
    """What is wrong with what holds for a while: the exceptions from rules, and the ports that take clear text."""
    found: list[Problem] = []
    for number, exception in enumerate(file.spec.exceptions):
        if problem := problem_with(exception, load_library(), as_of):
            key, message, legal = problem
            line = file.line_of(("exceptions", number, key))
            found.append(Problem(file.file, f"exceptions[{number}].{key}", message, legal=legal, line=line))
    for number, clear in enumerate(file.spec.plaintext_ports):
        if problem := clear.problem(as_of):
            key, message = problem
            line = file.line_of(("plaintextPorts", number, key))
            found.append(Problem(file.file, f"plaintextPorts[{number}].{key}", message, line=line))
    return found
