"""The service file: what a team declares about one application. Everything else is derived from it."""

from typing import Self

from pydantic import model_validator
from pydantic.alias_generators import to_camel

from components.kube.names import DEFAULT_NAMESPACE, is_for_services
from components.schema.problem import UNREPEATED, Key
from components.schema.typed_file import misplaced
from components.service.file.containers import check_containers, check_copy_names
from components.service.file.database import SECRET_NAME
from components.service.file.jobs import NAME_LIMIT, check_jobs, job_name
from components.service.file.keys import ServiceKeys
from components.service.file.network import at_port, check_mixed_hosts, check_repeated, check_tokens, peers_name
from components.service.file.pod_limits import check_annotations, check_full_name, check_words
from components.service.file.ports import (
    NO_REQUESTS,
    REQUESTS,
    check_ports,
    check_probes,
    check_sticky,
    check_usual,
)
from components.service.file.probes import check_requested
from components.service.file.references import check_references
from components.service.file.reserved import not_a_service
from components.service.file.routes import check_paths, check_tokenless
from components.service.file.secret_env import check_secret_env
from components.service.file.storage import SHARED, Place, bundle_places, clash

_LABEL_LENGTH = 63
# What only a service has that listens, and only one whose pods stay.
_LISTENS = ("protocol", "ports", "sticky", "host", "paths", "callers", "health")
_STAYS = ("replicas", "autoscaling", "probes", "stop", "peers", "metrics", "leader_election", "sidecars", "jobs")


OF_THE_PLATFORM = "it is the platform's: write one of your own"


def not_a_service_namespace(namespace: str) -> str:
    """Why no service may have this namespace; empty if one may."""
    if is_for_services(namespace):
        return ""
    # It is there before the stack, which would take it over and delete it in the end.
    return "it is the cluster's own: write one of the team's" if namespace == DEFAULT_NAMESPACE else OF_THE_PLATFORM


class ServiceSpec(ServiceKeys):
    """One application."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if reason := not_a_service_namespace(self.namespace):
            raise misplaced(["namespace"], reason, self.namespace)
        if reason := not_a_service(self.name):
            raise misplaced(["name"], reason, self.name)
        if self.start_in_order and not (self.peers and self.stateful):
            message = "replicas with peers and volumes of their own start together, and others do not: leave it out"
            raise misplaced(["startInOrder"], message, self.start_in_order)
        if self.peers and len(self.name) > (longest := _LABEL_LENGTH - len(peers_name(""))):
            message = f"longer than {longest} characters, which the name of the Service of its peers leaves"
            raise misplaced(["name"], message, self.name)
        self._kind()
        self._consistent_network()
        self._check_public()
        files = [secret.file or name for name, secret in self.secrets.items()]
        files += [file for name, database in self.all_databases.items() for file in database.file_names(name)]
        if self.database is not None and SECRET_NAME in self.databases:
            message = "the name of what stands under database: rename one of the two"
            raise misplaced(["databases", SECRET_NAME], message, SECRET_NAME)
        if twice := sorted(self.all_databases.keys() & self.secrets.keys()):
            message = f"the name of the credentials of {'database' if twice[0] == SECRET_NAME else 'a database'}"
            raise misplaced(["secrets", twice[0]], f"{message}: rename the secret", twice[0])
        if twice := sorted(self.env.keys() & self.pod_env.keys()):
            raise misplaced(["podEnv", twice[0]], "env has a variable of that name: keep one", twice[0])
        if twice := sorted({name for name in files if files.count(name) > 1}):
            raise misplaced(["secrets"], f"two of them write the file {twice[0]}", UNREPEATED)
        rules = [exception.rule for exception in self.exceptions]
        if twice := sorted({rule for rule in rules if rules.count(rule) > 1}):
            raise misplaced(["exceptions"], "two are from one rule: keep one", ", ".join(twice))
        return self

    @model_validator(mode="after")
    def _named(self) -> Self:
        own = next((name for name, volume in self.volumes.items() if volume.access_mode != SHARED), "")
        if own and self.stateful and len(self.name) > NAME_LIMIT:
            message = (
                f"longer than {NAME_LIMIT} characters, which a StatefulSet's name may have at most: volumes.{own} is "
                "one for each replica"
            )
            raise misplaced(["name"], message, self.name)
        return self

    @model_validator(mode="after")
    def _places(self) -> Self:
        if self.replicas is not None and self.autoscaling is not None:
            raise misplaced(["replicas"], "autoscaling decides how many there are: keep one of the two", self.replicas)
        places = [Place(("scratch", name, "path"), scratch.path) for name, scratch in self.scratch.items()]
        places += [Place(("volumes", name, "path"), volume.path) for name, volume in self.volumes.items()]
        if wrong := clash([*self._of_its_image(), *places]):
            key, path, message = wrong
            raise misplaced(key, message, path)
        return self

    def _of_its_image(self) -> list[Place]:
        """The directories of the service's own container that its jobs have, too."""
        places = [Place(("writable", number), path) for number, path in enumerate(self.writable)]
        places += [Place(("writableCopies", number), path) for number, path in enumerate(self.writable_copies)]
        places += [Place(("config", "path"), self.config.path, read_only=True)] if self.config else []
        return [*places, *bundle_places(self.ca_bundle)]

    @model_validator(mode="after")
    def _jobs(self) -> Self:
        hosts = tuple(outside.host for outside in self.egress)
        for name, database in self.all_databases.items():
            if database.owns and not self.has_owner(name):
                message = "no job owns anything there: write owner under its database, or leave this out"
                raise misplaced([*self.database_key(name), "owns"], message, ", ".join(database.owns))
        check_secret_env(self)
        check_jobs(
            *(self.jobs, self.ref, self.callees(), tuple(self.secrets), hosts, self.all_databases),
            *(self.volumes, self._of_its_image()),
        )
        return self

    @model_validator(mode="after")
    def _containers(self) -> Self:
        secrets, databases = tuple(self.secrets), tuple(self.all_databases)
        check_containers(
            *(self.containers, self.name, self.run_as_user, secrets, databases, self.scratch, self.volumes),
            bundle_places(self.ca_bundle),
        )
        copies = len(self.writable_copies) + sum(len(each.writable_copies) for _, each in self.containers)
        named: list[tuple[Key, str]] = [(("name",), self.name), *((key, key[1]) for key, _ in self.containers)]
        named += [(("jobs", job), job_name(self.name, job)) for job in self.jobs]
        check_copy_names(named, copies)
        names = [self.name, *(name for (_, name), _ in self.containers)]
        if unknown := next(
            (name for name in self.patch.containers if name not in names) if self.patch else iter(()), ""
        ):
            raise misplaced(["patch", "containers", unknown], "no container of the pod", unknown, names)
        check_annotations(self)
        check_words(self)
        check_full_name(self)
        check_references(self)
        return self

    def _kind(self) -> None:
        """Refuse what a worker, or a program that ends, cannot have."""
        written = self.model_fields_set
        if self.run is not None:
            if unused := next((key for key in ("port", *_STAYS) if key in written), ""):
                raise misplaced([to_camel(unused)], "run says that its program ends: keep one of the two", UNREPEATED)
            if len(self.name) > NAME_LIMIT:
                message = f"longer than {NAME_LIMIT} characters, which the name of a CronJob may have at most"
                raise misplaced(["name"], message, self.name)
        if self.port is not None:
            check_ports(self.port, self.protocol, self.ports, self.metrics)
            check_requested(self.probes, dict(self.called_ports.values()), self.port)
            return
        if unused := next((key for key in _LISTENS if key in written), ""):
            raise misplaced([to_camel(unused)], "it needs port: without one nobody can call it", UNREPEATED)
        if self.run is None and self.metrics is None:
            check_probes(self.probes)

    def _check_public(self) -> None:
        if self.host is None:
            public = ["aliases", "host_owner", "host_users"]
            public += [] if self.hosts else ["security_headers", "rate_limit", "max_request_bytes"]
            if unused := next((name for name in public if getattr(self, name)), ""):
                raise misplaced([to_camel(unused)], "it needs host: nothing else is public", UNREPEATED)
        if twice := sorted({host for host in self.hosts if self.hosts.count(host) > 1}):
            if twice[0] not in self.port_hosts.values():
                raise misplaced(["aliases"], "under host and aliases it stands twice: keep one", ", ".join(twice))
            name = next(name for name, host in self.port_hosts.items() if host == twice[0])
            raise misplaced(["ports", name, "host"], "it leads to another port already: write another", twice[0])
        if self.host_owner and self.port_hosts:
            message = f"{self.host_owner} has the host of this service: a port with one of its own is another service's"
            name, host = next(iter(self.port_hosts.items()))
            raise misplaced(["ports", name, "host"], message, host)

    def _consistent_network(self) -> None:
        if self.port is not None and "protocol" not in self.model_fields_set:
            check_usual(self.port)
        if self.host is not None and self.protocol == "tcp":
            raise misplaced(["protocol"], NO_REQUESTS, "tcp", REQUESTS)
        if self.protocol == "grpc":
            self._consistent_grpc()
        check_sticky(self.sticky, self.protocol)
        check_paths(self.paths, grpc=self.protocol == "grpc")
        check_tokenless([], self.paths, jwt=self.jwt is not None)
        for name, port in self.ports.items():
            check_tokenless(["ports", name], port.paths, jwt=self.jwt is not None)
        if self.jwt is not None and not self.hosts:
            raise misplaced(["jwt"], "it needs host: it holds for the requests that come from there", UNREPEATED)
        check_tokens(self.tokens)
        repeated = (
            ("calls", [at_port(str(ref), call.port) for ref, call in self.called()]),
            ("callers", [at_port(str(ref), port) for ref, port in self.allowed_callers()]),
            ("egress", [f"{outside.host}:{outside.port}" for outside in self.egress]),
            ("plaintextPorts", [str(plaintext.port) for plaintext in self.plaintext_ports]),
        )
        check_repeated(repeated)
        check_mixed_hosts(self.egress)
        listening = {*self.open_ports, *([self.metrics.port] if self.metrics else [])}
        if foreign := sorted({plaintext.port for plaintext in self.plaintext_ports} - listening):
            legal = [str(port) for port in sorted(listening)]
            raise misplaced(["plaintextPorts"], "the service does not listen on it", foreign[0], legal)

    def _consistent_grpc(self) -> None:
        if self.health is not None:
            message = (
                "gRPC has no paths to probe: leave it out, or write grpc under probes.readiness and probes.liveness"
            )
            raise misplaced(["health"], message, self.health)
