"""The arguments of every component, from a stack: all are validated before the first resource is created."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.config.placement import PlacementClass
from components.external_secrets.operator import ExternalSecretsArgs
from components.ingress.cert_manager import CertManagerArgs
from components.ingress.public_hosts import PublicHostsArgs
from components.ingress.secure_ingress import SecureIngressArgs
from components.kyverno.policy_set import KyvernoPolicySetArgs, rules_on
from components.mesh.security import MeshSecurityArgs
from components.package.args import PackageArgs, neighbours, packages_args
from components.program.plans.addresses import cluster_dns, open_networks
from components.program.plans.ingress import cert_manager_args, hosts_args, ingress_args, ingress_terms
from components.program.plans.kyverno import identities_args, policy_args, service_objects_args
from components.program.plans.mesh import mesh_args, mesh_terms
from components.program.plans.teams import common, platforms, team_access_args, team_grants_args
from components.program.plans.vault import external_secrets_args, vault_args, vault_terms
from components.program.stack import Stack
from components.program.stack_keys import stack_keys
from components.program.stack_teams import elsewhere
from components.service.args.document import Platform
from components.service.args.placement import PlacementArgs, TolerationArgs
from components.service.args.platform import PlatformTerms
from components.service.args.resolve import services_args
from components.service.args.service import SecureServiceArgs
from components.service.file.fields import at_keys_of
from components.service.identities import ServiceIdentitiesArgs
from components.service.objects import ServiceObjectsArgs
from components.teams.grants import TeamGrantsArgs
from components.teams.team_access import TeamAccessArgs
from components.vault.platform import VaultPlatformArgs


@dataclass(frozen=True)
class Plan:
    """The arguments of each component; `None` where the posture switches the layer off."""

    vault: VaultPlatformArgs | None
    external_secrets: ExternalSecretsArgs | None
    mesh: MeshSecurityArgs | None
    certificates: CertManagerArgs | None
    ingress: SecureIngressArgs
    policies: KyvernoPolicySetArgs | None
    identities: ServiceIdentitiesArgs | None
    hosts: PublicHostsArgs | None
    objects: ServiceObjectsArgs | None
    services: list[SecureServiceArgs]
    teams: TeamAccessArgs | None
    grants: TeamGrantsArgs | None
    platforms: Mapping[str, Platform]
    """What the platform tells each team."""
    platform: Platform
    """The same for all of them, which the stack exports."""
    packages: list[PackageArgs] = field(default_factory=list[PackageArgs])

    @property
    def workloads(self) -> list[SecureServiceArgs]:
        """The services, and the workloads that packages bring."""
        return [*self.services, *(workload for package in self.packages for workload in package.workloads)]

    @property
    def public(self) -> list[SecureServiceArgs]:
        """Those with a route: one for each public host of a package."""
        routed = [*self.services, *(workload for package in self.packages for workload in package.public)]
        return [args for args in routed if args.public]


@stack_keys()
def plan(stack: Stack) -> Plan:
    """The plan of a stack. Raises `ConfigError` for what only a component checks, such as the name of a rule."""
    policies = policy_args(stack)
    platform = platform_terms(stack, rules_on(policies) if policies else ())
    beside = neighbours(stack.packages, stack.services)
    replicas, others = stack.settings.services.replicas, elsewhere(stack.settings)
    with at_keys_of(stack.files):
        packages = packages_args(stack.packages, stack.services, platform)
        services = services_args(stack.services, platform, replicas, beside, others)
    return Plan(
        vault=vault_args(stack) if stack.posture.vault else None,
        external_secrets=external_secrets_args(stack),
        mesh=mesh_args(stack),
        certificates=cert_manager_args(stack),
        ingress=ingress_args(stack, [*services, *(public for package in packages for public in package.public)]),
        policies=policies,
        identities=identities_args(stack),
        hosts=hosts_args(stack),
        objects=service_objects_args(stack, services, packages),
        services=services,
        teams=team_access_args(stack, platform),
        grants=team_grants_args(stack, platform),
        platforms=platforms(stack, platform),
        platform=common(stack, platform),
        packages=packages,
    )


@stack_keys()
def platform_terms(stack: Stack, rules: tuple[str, ...]) -> PlatformTerms:
    """The terms of the platform, the same for every service of the stack; `rules` are the rules that are on."""
    return PlatformTerms(
        vault=vault_terms(stack),
        mesh=mesh_terms(stack),
        ingress=ingress_terms(stack),
        network_policies=stack.posture.network_policies,
        dns=cluster_dns(stack),
        networks=open_networks(stack),
        api_server_networks=stack.settings.api_server_cidrs,
        api_server_ports=stack.settings.api_server_ports,
        placements={name: _placement(name, made) for name, made in stack.settings.placement.items()},
        pull_secrets=stack.settings.pull_secrets,
        layers=stack.settings.layers,
        rules=rules,
    )


def _placement(name: str, made: PlacementClass) -> PlacementArgs:
    return PlacementArgs(
        name=name,
        node_selector=made.node_selector,
        tolerations=[TolerationArgs(each.key, each.value or "", each.effect or "") for each in made.tolerations],
        priority_class=made.priority_class or "",
        runtime_class=made.runtime_class or "",
        resources=made.resources,
        spread=made.spread,
    )
