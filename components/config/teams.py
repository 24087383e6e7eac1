"""The section `teams` of the stack config: who deploys in which namespaces from a repository and a stack of its own."""

from collections.abc import Mapping

from pydantic import Field

from components.config.database import DatabaseSettings
from components.config.problem_sink import ProblemSink
from components.schema.fields import Cidr, HostName, Label, PublicHost
from components.schema.typed_file import TypedFile


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
    owners: dict[str, str] = {}
    for name, team in teams.items():
        for number, namespace in enumerate(team.namespaces):
            owner = owners.setdefault(namespace, f"team {name}")
            if owner != f"team {name}" or namespace in team.namespaces[:number]:
                problem(f"teams.{name}.namespaces[{number}]", f"it is that of {owner} already", namespace)
        for namespace in sorted({*team.hosts} - {*team.namespaces}):
            message = "no namespace of the team"
            problem(f"teams.{name}.hosts.{namespace}", message, namespace, sorted(team.namespaces))
    _hosts_claimed_twice(teams, problem)
    if teams and delivery != "injector":
        message = "a team's services log in by themselves, and the operator would need rights of each team's"
        problem("vault.delivery", message, delivery, ["injector"])


def _hosts_claimed_twice(teams: Mapping[str, TeamSettings], problem: ProblemSink) -> None:
    claims: dict[str, str] = {}
    for name, team in teams.items():
        for namespace, hosts in team.hosts.items():
            for number, host in enumerate(hosts):
                owner = claims.setdefault(host, f"{name} in {namespace}")
                if owner != f"{name} in {namespace}":
                    problem(f"teams.{name}.hosts.{namespace}[{number}]", f"it is a host of team {owner} already", host)
