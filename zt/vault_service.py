"""Which service a command is about, and what Vault calls it."""

import re
from dataclasses import dataclass
from pathlib import Path

from components.service_files import Admission, read_services
from components.service_spec import ServiceSpec
from components.typed_file import ConfigError, Problem

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class ServiceName:
    """Namespace and name: of the service, and of its service account."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """As a person writes it."""
        return f"{self.namespace}/{self.name}"

    @property
    def key(self) -> str:
        """Its role and policy in Vault, as `SecureServiceArgs.key`."""
        return f"{self.namespace}.{self.name}"

    def secret_path(self, secret: str) -> str:
        """The path of one of its secrets below the KV mount, as `SecureServiceArgs.secret_path`."""
        return f"{self.namespace}/{self.name}/{secret}"


def service_name(project: Path, written: str) -> ServiceName:
    """The service that somebody means by `namespace/name`, or by a name that only one namespace has.

    A full name is taken as it is, so that a broken service file, or one that is gone, stands in no one's way after
    an incident. Raises `ConfigError`.
    """
    namespace, slash, name = written.rpartition("/")
    if not all(_LABEL.fullmatch(part) for part in ((namespace, name) if slash else (name,))):
        raise _wrong("not a service: write its name, or namespace/name", written)
    if slash:
        return ServiceName(namespace, name)
    return _name_of(_find(_services(project), written))


def service_spec(project: Path, written: str) -> ServiceSpec:
    """The declaration of a service. Raises `ConfigError` when it has none, or its name is another one's as well."""
    return _find(_services(project), written)


def _services(project: Path) -> tuple[ServiceSpec, ...]:
    if not (project / "services").is_dir():
        raise ConfigError([Problem("zt", "--project", "there is no services/ in it", repr(str(project)))])
    return read_services(project / "services", Admission(registries=(), api_server_reachable=True))


def _find(services: tuple[ServiceSpec, ...], written: str) -> ServiceSpec:
    found = [spec for spec in services if written in (spec.name, str(_name_of(spec)))]
    if len(found) == 1:
        return found[0]
    if found:
        raise _wrong("several namespaces have one", written, [str(_name_of(spec)) for spec in found])
    raise _wrong("no service file declares it", written, [str(_name_of(spec)) for spec in services])


def _name_of(spec: ServiceSpec) -> ServiceName:
    return ServiceName(spec.namespace, spec.name)


def _wrong(message: str, found: str, legal: list[str] | None = None) -> ConfigError:
    return ConfigError([Problem("zt", "SERVICE", message, repr(found), tuple(legal or ()))])
