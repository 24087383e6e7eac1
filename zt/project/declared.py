"""What service and package files declare, as on no stack: no condition of one is asked, and no chart is rendered."""

from pathlib import Path

from components.package.file.chart import FOLDER as PACKAGES
from components.package.file.directory import PackageFile, read_packages
from components.schema.problem import ConfigError, Problem
from components.service.file.directory import Admission, read_services
from components.service.file.service import ServiceSpec

_OF_A_PROJECT = ("Pulumi.yaml", "services", PACKAGES)


def check_project(project: Path) -> None:
    """Raise `ConfigError` for a directory that is no project's: in it nothing would be found wrong."""
    if not any((project / name).exists() for name in _OF_A_PROJECT):
        message = f"there is none of {', '.join(_OF_A_PROJECT)} in it"
        raise ConfigError([Problem("zt", "--project", message, repr(str(project)))])


def declared_packages(project: Path) -> tuple[PackageFile, ...]:
    """The packages of a project. Raises `ConfigError`."""
    check_project(project)
    return read_packages(project, Admission((), api_server_reachable=True))


def declared_services(project: Path) -> tuple[ServiceSpec, ...]:
    """The services of a project. Raises `ConfigError`."""
    packages = declared_packages(project)
    # Which namespaces are other stacks' a stack file says, and this is for every one.
    admission = Admission((), api_server_reachable=True, packages=packages, elsewhere=None)
    return read_services(project / "services", admission)
