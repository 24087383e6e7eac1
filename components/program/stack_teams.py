"""The teams of a stack file, checked against the service files, the platform's namespaces and the exceptions."""

from collections.abc import Iterator, Sequence

from components.config.settings import Settings
from components.config.stack_source import StackSource
from components.package.file.keys import PackageSpec
from components.program.stack_exceptions import platform_namespaces
from components.schema.problem import Problem
from components.service.file.service import ServiceSpec, not_a_service_namespace


def elsewhere(settings: Settings) -> dict[str, str]:
    """The namespaces of the teams, each with its team."""
    return {namespace: name for name, team in settings.teams.items() for namespace in team.namespaces}


def team_hosts(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The public hosts of the teams, by namespace."""
    return {namespace: hosts for team in settings.teams.values() for namespace, hosts in team.hosts.items()}


def team_problems(
    settings: Settings, services: Sequence[ServiceSpec | PackageSpec], source: StackSource
) -> Iterator[Problem]:
    """The problems of namespaces and hosts that a team has, and somebody else too."""
    tenants = {spec.namespace: spec for spec in reversed(services)}
    hosts = {host: spec for spec in reversed(services) for host in spec.hosts}
    for name, team in settings.teams.items():
        for number, namespace in enumerate(team.namespaces):
            key = f"teams.{name}.namespaces[{number}]"
            reason = not_a_service_namespace(namespace)
            if namespace in platform_namespaces(settings) or reason:
                yield source.problem(key, reason or "it is the platform's: write one of the team's", namespace)
            elif namespace in tenants:
                message = f"the service {tenants[namespace].ref} of this stack runs there: one stack has a namespace"
                yield source.problem(key, message, namespace)
            elif namespace in settings.kyverno.excluded_namespaces:
                message = "kyverno.excludedNamespaces has it: the rules hold where a team deploys"
                yield source.problem(key, message, namespace)
        for namespace, claimed in team.hosts.items():
            for number, host in enumerate(claimed):
                if host in hosts:
                    message = f"it is a host of the service {hosts[host].ref}"
                    yield source.problem(f"teams.{name}.hosts.{namespace}[{number}]", message, host)
