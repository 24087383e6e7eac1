"""Finds the service that a command is about, and its names in Vault."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from components.package.file.directory import PackageFile
from components.package.file.keys import PackageSpec
from components.schema.fields import DNS_LABEL
from components.schema.problem import ConfigError, Problem
from components.schema.yaml_text import read_text
from components.service.file.directory import ServiceFile, parse_service
from components.service.file.layers import is_of_a_stack
from components.service.file.service import ServiceSpec
from zt.project.declared import check_project, declared_packages, declared_services

_LABEL = re.compile(DNS_LABEL)


@dataclass(frozen=True)
class ServiceName:
    """The namespace and the name of a service, which its service account has too."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """The name as `namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def key(self) -> str:
        """The name of its role and policy in Vault, as `SecureServiceArgs.key`."""
        return f"{self.namespace}.{self.name}"

    def secret_path(self, secret: str) -> str:
        """The path of one of its secrets below the KV mount, as `SecureServiceArgs.secret_path`."""
        return f"{self.namespace}/{self.name}/{secret}"


def service_name(project: Path, written: str) -> ServiceName:
    """The service of `namespace/name`, or of a name that only one namespace has.

    For a full name no file is read, so that a broken or missing service file does not block a command after an
    incident. Raises `ConfigError`.
    """
    namespace, slash, name = written.rpartition("/")
    if not all(_LABEL.fullmatch(part) for part in ((namespace, name) if slash else (name,))):
        raise _wrong("not a service: write its name, or namespace/name", written)
    if slash:
        return ServiceName(namespace, name)
    return _name_of(_find(declared_services(project), written))


def service_spec(project: Path, written: str) -> ServiceSpec:
    """The declaration of a service. Raises `ConfigError` if there is none, or if its name is ambiguous."""
    return _find(declared_services(project), written)


def declared_file(project: Path, written: str) -> ServiceFile | PackageFile:
    """The file of a service or a package. Raises `ConfigError` as `service_spec` does."""
    files = [*service_files(project), *declared_packages(project)]
    spec = _find([file.spec for file in files], written, "no service or package file declares it")
    return next(file for file in files if file.spec is spec)


def service_files(project: Path) -> tuple[ServiceFile, ...]:
    """All service files, each checked by itself and as on no stack. Raises `ConfigError` for one that is no service."""
    check_project(project)
    paths = [path for path in sorted((project / "services").glob("*.yaml")) if not is_of_a_stack(path)]
    names = [(path, f"services/{path.name}") for path in paths]
    return tuple(parse_service(read_text(path, name), name) for path, name in names)


_Spec = TypeVar("_Spec", bound=ServiceSpec | PackageSpec)


def _find(specs: Sequence[_Spec], written: str, nowhere: str = "no service file declares it") -> _Spec:
    matches = [spec for spec in specs if written in (spec.name, str(_name_of(spec)))]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise _wrong("several namespaces have one", written, [str(_name_of(spec)) for spec in matches])
    raise _wrong(nowhere, written, [str(_name_of(spec)) for spec in specs])


def _name_of(spec: ServiceSpec | PackageSpec) -> ServiceName:
    return ServiceName(spec.namespace, spec.name)


def _wrong(message: str, value: str, legal: list[str] | None = None) -> ConfigError:
    return ConfigError([Problem("zt", "SERVICE", message, repr(value), tuple(legal or ()))])
