"""The arguments of `TeamAccess`, and what the platform tells each team, from a stack."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from components.config.action import Action
from components.config.approvals import Approver, decided_by
from components.config.pem_file import read_pem
from components.kube.mesh_labels import pod_label
from components.kube.names import AUTH_PATH
from components.program.stack import Stack, conditions
from components.program.stack_databases import databases_of
from components.program.stack_keys import stack_keys
from components.program.stack_teams import elsewhere
from components.service.args.document import Platform, VaultConnection, document
from components.service.args.platform import PlatformTerms
from components.service.args.resolve import egress_host
from components.service.file.team import TeamApprovals
from components.service.manifests.vault import vault_bypass
from components.teams.grants import Granted, TeamGrantsArgs
from components.teams.rights import deployer_rules
from components.teams.team_access import TeamAccessArgs, TeamArgs
from components.teams.vault_rights import deployer_role, services_role


def team_access_args(stack: Stack, terms: PlatformTerms) -> TeamAccessArgs | None:
    """The arguments of `TeamAccess`; `None` without teams."""
    if not stack.settings.teams:
        return None
    teams = [
        TeamArgs(
            name,
            team.namespaces,
            sorted(databases_of(stack.settings, name)),
            team.deployed_by.users,
            team.deployed_by.groups,
        )
        for name, team in sorted(stack.settings.teams.items())
    ]
    return TeamAccessArgs(teams, deployer_rules(terms))


@stack_keys()
def team_grants_args(stack: Stack, terms: PlatformTerms) -> TeamGrantsArgs | None:
    """The arguments of `TeamGrants`, with the action of the critical rules; `None` without teams, or when it is off."""
    if not stack.settings.teams or stack.posture.critical is Action.OFF:
        return None
    granted = {
        namespace: _granted(stack, terms, name, namespace)
        for name, team in sorted(stack.settings.teams.items())
        for namespace in sorted(team.namespaces)
    }
    return TeamGrantsArgs(
        stack.posture.critical,
        granted,
        _of_mesh(terms),
        decided_by(stack.settings.environment, Approver.TEAM),
        stack.settings.layers.kyverno,
        terms.networks,
    )


def _granted(stack: Stack, terms: PlatformTerms, name: str, namespace: str) -> Granted:
    approved = stack.settings.teams[name].approved
    spaces = {each: made.namespaces for each, made in stack.settings.placement.items()}
    classes = [made for each, made in terms.placements.items() if not spaces[each] or namespace in spaces[each]]
    databases = [server for server in terms.vault.databases if server.name in databases_of(stack.settings, name)]
    return Granted(
        team=name,
        hosts=[*approved.egress, *(egress_host(server) for server in databases if server.networks)],
        networks=[*approved.networks, *terms.vault.networks, *(n for server in databases for n in server.networks)],
        nodes=sorted({f"{key}={value}" for made in classes for key, value in made.node_selector.items()}),
        tolerations=sorted({f"{t.key}={t.value}:{t.effect}" for made in classes for t in made.tolerations}),
        classes=sorted({each for made in classes for each in (made.priority_class, made.runtime_class) if each}),
        patched=approved.patch,
    )


def _of_mesh(terms: PlatformTerms) -> dict[str, str]:
    """The labels and annotations of the mesh that the pods of a `SecureService` have on this platform."""
    return {**pod_label(terms.mesh.revision, terms.mesh.ambient), **vault_bypass(terms)} if terms.mesh.on else {}


def platforms(stack: Stack, terms: PlatformTerms) -> Mapping[str, Platform]:
    """What the platform tells each team, by the team's name."""
    return {name: _platform(stack, terms, name) for name in sorted(stack.settings.teams)}


def common(stack: Stack, terms: PlatformTerms) -> Platform:
    """What the platform tells all teams alike."""
    settings = stack.settings
    # The services of this stack, and those of every team, which may come from several stacks.
    others = {spec.namespace: spec.team for spec in stack.tenants} | elsewhere(settings)
    login = VaultConnection(
        address=settings.vault.address or "",
        # Nobody else needs the file where Vault is external, and it may be on another machine.
        authority=read_pem(settings.vault.ca_cert_file, "vault.caCertFile") if settings.teams else "",
        mount=AUTH_PATH,
    )
    return Platform(
        # The exceptions are made here, so no rule has one that a team's program would make.
        terms=replace(
            terms, vault=replace(terms.vault, databases=()), ingress=replace(terms.ingress, hosts=()), rules=()
        ),
        conditions=replace(conditions(settings, stack.posture), databases={}, elsewhere=others),
        replicas=settings.services.replicas,
        vault=login if stack.posture.vault else VaultConnection(),
        team=TeamApprovals(),
    )


def _platform(stack: Stack, terms: PlatformTerms, name: str) -> Platform:
    team, settings, shared = stack.settings.teams[name], stack.settings, common(stack, terms)
    approved: dict[str, list[str]] = {}
    for exception in settings.kyverno.exceptions:
        approved.setdefault(exception.rule, []).append(exception.workload)
    approvals = TeamApprovals(
        name=name,
        namespaces=team.namespaces,
        hosts=team.hosts,
        egress=team.approved.egress,
        networks=team.approved.networks,
        patches=team.approved.patch,
        decides=decided_by(settings.environment, Approver.TEAM),
        exceptions={
            rule: own
            for rule, accounts in sorted(approved.items())
            if (own := sorted(account for account in accounts if account.partition("/")[0] in team.namespaces))
        },
    )
    # Which other hosts lead to the gateway says who else has one.
    named = {*team.approved.egress, *(host for hosts in team.hosts.values() for host in hosts)}
    hosts = sorted(host for host in named if terms.ingress.leads_to(host))
    shared = replace(shared, terms=replace(shared.terms, ingress=replace(terms.ingress, hosts=hosts)))
    if not stack.posture.vault:
        return replace(shared, team=approvals)
    databases = databases_of(settings, name)
    own = [server for server in terms.vault.databases if server.name in databases]
    return replace(
        shared,
        terms=replace(shared.terms, vault=replace(shared.terms.vault, role=services_role(name), databases=own)),
        conditions=replace(shared.conditions, databases=databases),
        vault=replace(shared.vault, role=deployer_role(name)),
        team=approvals,
    )


def told(platform: Platform, authority: str = "") -> dict[str, Any]:
    """The document of a team, with the authority of Vault's certificate if the program has that issued."""
    vault = replace(platform.vault, authority=authority) if authority else platform.vault
    return document(replace(platform, vault=vault))


def text(platform: Platform, authority: str = "") -> str:
    """The document as it stands in the cluster."""
    return json.dumps(told(platform, authority), sort_keys=True)
