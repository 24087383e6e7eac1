"""The section `teams` of the stack config: who deploys in which namespaces from a repository and a stack of its own."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

from components.config.accounts import checked_account
from components.config.database import DatabaseSettings
from components.config.problem_sink import ProblemSink
from components.schema.fields import Cidr, ExactText, HostName, Label, PublicHost
from components.schema.typed_file import TypedFile

Claim: TypeAlias = tuple[str, str, str]
"""A key of the stack file, what it claims, and the team that does."""

_SYSTEM = "system:"
_ACCOUNT = re.compile(r"system:serviceaccount:[a-z0-9-]+:(?P<name>[a-z0-9.-]+)")


def _user(value: str) -> str:
    account = _ACCOUNT.fullmatch(value)
    if value.startswith(_SYSTEM) and not account:
        raise ValueError("a user of the cluster's own; a service account is system:serviceaccount:NAMESPACE:NAME")
    if account:
        checked_account(account["name"], "the pipeline")
    return value


def _group(value: str) -> str:
    if value.startswith(_SYSTEM):
        raise ValueError("a group of the cluster's own, with members that nobody chose for this team")
    return value


class DeployedBy(TypedFile):
    """Who gets tokens of the team's deployer, by the names that the API server knows them by."""

    users: tuple[Annotated[ExactText, AfterValidator(_user)], ...] = ()
    """Users, such as the subject of a pipeline's OIDC token with the API server's prefix before it; or service
    accounts, as `system:serviceaccount:NAMESPACE:NAME`."""
    groups: tuple[Annotated[ExactText, AfterValidator(_group)], ...] = ()
    """Groups, such as one of the provider of identities. Each member is a deployer of the team."""


class ApprovedGrants(TypedFile):
    """What the platform approved of what a team may not grant itself (`components/config/approvals.py`)."""

    egress: tuple[HostName, ...] = ()
    """The hosts outside the cluster that its services may reach."""
    networks: tuple[Cidr, ...] = ()
    """The networks outside the cluster that its services may reach."""
    patch: tuple[Label, ...] = ()
    """The services whose files may have a `patch`."""


class TeamSettings(TypedFile):
    """A team that deploys its services itself, with rights on its namespaces and its paths in Vault alone."""

    namespaces: tuple[Label, ...] = Field(min_length=1)
    """Its namespaces, which the platform creates. No service of this stack is in one of them."""
    hosts: dict[Label, tuple[PublicHost, ...]] = Field(default_factory=dict)
    """The public hosts that its services may have, by namespace: each gets a listener and a certificate here."""
    deployed_by: DeployedBy = DeployedBy()
    """Who gets tokens of its deployer."""
    approved: ApprovedGrants = ApprovedGrants()
    """What else the platform approved. Exceptions from rules are under `kyverno.exceptions`, by service account; a
    class of nodes names the namespaces that may choose it."""


def team_problems(
    teams: Mapping[str, TeamSettings], databases: Mapping[str, DatabaseSettings], delivery: str, problem: ProblemSink
) -> None:
    """Report what several teams claim, a database of no team, and a delivery of secrets that teams cannot have."""
    for name, database in databases.items():
        if database.team is not None and database.team not in teams:
            problem(f"databases.{name}.team", "no team of the stack", database.team, sorted(teams))
    for name, team in teams.items():
        for namespace in sorted({*team.hosts} - {*team.namespaces}):
            message = "no namespace of the team"
            problem(f"teams.{name}.hosts.{namespace}", message, namespace, sorted(team.namespaces))
    _claimed_twice("that", _namespaces(teams), problem)
    _claimed_twice("a host", _hosts(teams), problem)
    for kind in ("users", "groups"):
        _claimed_twice("a deployer", _deployers(teams, kind), problem)
    if teams and delivery != "injector":
        message = "a team's services log in by themselves, and the operator would need rights of each team's"
        problem("vault.delivery", message, delivery, ["injector"])


def _namespaces(teams: Mapping[str, TeamSettings]) -> Iterator[Claim]:
    for name, team in teams.items():
        for number, namespace in enumerate(team.namespaces):
            yield f"teams.{name}.namespaces[{number}]", namespace, f"team {name}"


def _hosts(teams: Mapping[str, TeamSettings]) -> Iterator[Claim]:
    for name, team in teams.items():
        for namespace, hosts in team.hosts.items():
            for number, host in enumerate(hosts):
                yield f"teams.{name}.hosts.{namespace}[{number}]", host, f"team {name} in {namespace}"


def _deployers(teams: Mapping[str, TeamSettings], kind: str) -> Iterator[Claim]:
    for name, team in teams.items():
        for number, subject in enumerate(getattr(team.deployed_by, kind)):
            yield f"teams.{name}.deployedBy.{kind}[{number}]", subject, f"team {name}"


def _claimed_twice(what: str, claims: Iterable[Claim], problem: ProblemSink) -> None:
    owners: dict[str, str] = {}
    for key, value, owner in claims:
        if value in owners:
            problem(key, f"it is {what} of {owners[value]} already", value)
        owners.setdefault(value, owner)
