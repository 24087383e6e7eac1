"""`TeamAccess`: what each team needs to deploy from a stack of its own, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_vault import Policy
from pulumi_vault.kubernetes import AuthBackendRole

from components.kube.bound_role import bound_role
from components.kube.manifest import Manifest, account_subject, of_kind, pod_security, role_ref, user_subject
from components.kube.names import (
    CATALOGUE_KEY,
    TEAM_DEPLOYER,
    TEAM_SERVICES,
    TEAMS_NAMESPACE,
    TOKEN_AUDIENCE,
)
from components.kube.objects import KubernetesObject
from components.schema.problem import FieldError
from components.teams.rights import reader_rules, token_rules
from components.teams.vault_rights import deployer_policy, deployer_role, services_policy, services_role

_DEPLOYER_TOKEN_SECONDS = 1200
_DEPLOYER_LONGEST_SECONDS = 3600
_SERVICE_TOKEN_SECONDS = 3600
_SERVICE_LONGEST_SECONDS = 86400


@dataclass(frozen=True)
class TeamArgs:
    """A team: its name, which is that of its deployer's service account, its namespaces and its databases.

    `users` and `groups` of the API server get tokens of that account.
    """

    name: str
    namespaces: Sequence[str]
    databases: Sequence[str] = ()
    users: Sequence[str] = ()
    groups: Sequence[str] = ()


@dataclass(frozen=True)
class TeamAccessArgs:
    """The teams, and the rules of their deployers' role. Raises `FieldError` without a team or a namespace."""

    teams: Sequence[TeamArgs]
    rules: Sequence[Manifest] = field(default_factory=list[Manifest])

    def __post_init__(self) -> None:
        if not self.teams:
            raise FieldError("teams", "none creates nothing: leave the component out")
        if empty := next((team.name for team in self.teams if not team.namespaces), ""):
            raise FieldError(f"teams.{empty}.namespaces", "no namespace, so there is nothing to deploy to")


class TeamAccess(pulumi.ComponentResource):
    """The rights of the teams' deployers, and what the platform tells each of them.

    Creates the namespace of the deployers with a service account and a ConfigMap for each team, a ClusterRole that is
    bound in the team's namespaces alone, and the right to read the one ConfigMap; for those who deploy as the team, the
    right to request tokens of its account. With Vault, a policy and a role for
    the deployer, one policy for the services of all teams, and for each team the role that its services log in to.
    """

    ready: list[pulumi.Resource]

    def __init__(
        self,
        name: str,
        args: TeamAccessArgs,
        documents: Mapping[str, pulumi.Input[str]],
        namespaces: Mapping[str, pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`documents` has the text for each team, and `namespaces` the teams' namespaces."""
        super().__init__("zero-trust:platform:TeamAccess", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self, depends_on=opts.depends_on if opts else None)
        labels = pod_security("restricted")
        own = KubernetesObject(
            name, of_kind("Namespace", metadata={"name": TEAMS_NAMESPACE, "labels": labels}), self._child
        )
        rules = args.rules
        role = KubernetesObject(
            name, of_kind("ClusterRole", metadata={"name": TEAM_DEPLOYER}, rules=rules), self._child
        )
        self.ready = [own, role]
        for team in args.teams:
            self.ready += self._team(team, documents[team.name], own)
            self.ready += [self._bound(team, each, role, namespaces[each]) for each in team.namespaces]
        self.register_outputs({"teams": [team.name for team in args.teams]})

    def in_vault(
        self, args: TeamAccessArgs, auth_path: str, accessor: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> list[pulumi.Resource]:
        """Create the policies and roles in Vault. `opts` have its provider, and what has to be there first."""
        options = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(parent=self))
        text = pulumi.Output.from_input(accessor).apply(services_policy)
        services = Policy(TEAM_SERVICES, name=TEAM_SERVICES, policy=text, opts=options)
        created: list[pulumi.Resource] = [services]
        for team in args.teams:
            login = deployer_role(team.name)
            policy = Policy(login, name=login, policy=deployer_policy(team.namespaces, team.databases), opts=options)
            after = pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(depends_on=[policy, services]))
            deployer = AuthBackendRole(
                login,
                backend=auth_path,
                role_name=login,
                bound_service_account_names=[team.name],
                bound_service_account_namespaces=[TEAMS_NAMESPACE],
                audience=TOKEN_AUDIENCE,
                token_policies=[login],
                token_no_default_policy=True,
                token_ttl=_DEPLOYER_TOKEN_SECONDS,
                token_max_ttl=_DEPLOYER_LONGEST_SECONDS,
                opts=after,
            )
            role = AuthBackendRole(
                services_role(team.name),
                backend=auth_path,
                role_name=services_role(team.name),
                # Every account of the namespaces: the policy's paths have the name of the one that logs in.
                bound_service_account_names=["*"],
                bound_service_account_namespaces=sorted(team.namespaces),
                audience=TOKEN_AUDIENCE,
                token_policies=[TEAM_SERVICES],
                token_ttl=_SERVICE_TOKEN_SECONDS,
                token_max_ttl=_SERVICE_LONGEST_SECONDS,
                opts=after,
            )
            created += [policy, deployer, role]
        return created

    def _team(self, team: TeamArgs, document: pulumi.Input[str], own: pulumi.Resource) -> list[pulumi.Resource]:
        """The account of the deployer, and what it may read."""
        inside = pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=[own]))
        resource, metadata = f"{self._name}.{team.name}", {"name": team.name, "namespace": TEAMS_NAMESPACE}
        account = KubernetesObject(
            resource, of_kind("ServiceAccount", metadata=metadata, automountServiceAccountToken=False), inside
        )
        catalogue = KubernetesObject(
            resource, of_kind("ConfigMap", metadata=metadata, data={CATALOGUE_KEY: document}), inside
        )
        rules = reader_rules(team.name)
        deployer = account_subject(team.name, TEAMS_NAMESPACE)
        created = [account, catalogue, *bound_role(resource, metadata, rules, [deployer], inside)]
        pipelines = [
            *(user_subject("User", each) for each in team.users),
            *(user_subject("Group", each) for each in team.groups),
        ]
        if pipelines:
            # No team has a name with a dot.
            requests = {**metadata, "name": f"{team.name}.tokens"}
            created += bound_role(f"{resource}.tokens", requests, token_rules(team.name), pipelines, inside)
        return created

    def _bound(
        self, team: TeamArgs, namespace: str, role: pulumi.Resource, created: pulumi.Resource
    ) -> pulumi.Resource:
        """The role in one namespace of the team."""
        return KubernetesObject(
            f"{self._name}.{team.name}.{namespace}",
            of_kind(
                "RoleBinding",
                metadata={"name": TEAM_DEPLOYER, "namespace": namespace},
                roleRef=role_ref("ClusterRole", TEAM_DEPLOYER),
                subjects=[account_subject(team.name, TEAMS_NAMESPACE)],
            ),
            pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=[role, created])),
        )
