"""The arguments of `KyvernoPolicySet`, `ServiceIdentities` and `ServiceObjects`, from a stack."""

from collections.abc import Mapping, Sequence

from pydantic.alias_generators import to_camel

from components.config.action import Action
from components.config.checks import vault_networks
from components.config.kyverno import AccountException, ImageAttestor
from components.kube.cluster_dns import LABELS, NAMESPACE
from components.kube.names import MESH_NAMESPACE, TEAMS_NAMESPACE
from components.kyverno.exceptions import AccountExceptionArgs
from components.kyverno.image_signatures import PUBLIC_REKOR, Attestor, KeyAttestor, KeylessAttestor
from components.kyverno.policy_set import KyvernoPolicySetArgs
from components.package.args import PackageArgs, known_accounts
from components.program.plans.addresses import open_networks, port
from components.program.plans.network import kyverno_policies
from components.program.stack import Stack
from components.program.stack_exceptions import platform_namespaces
from components.program.stack_keys import stack_keys
from components.program.stack_parameters import ALLOW_RULE
from components.program.stack_teams import elsewhere
from components.schema.problem import keys_of
from components.service.args.service import SecureServiceArgs
from components.service.identities import ServiceIdentitiesArgs
from components.service.objects import ServiceObjectsArgs, objects_args


@stack_keys(
    approved_registries="registries",
    parameters="kyverno.parameters",
    replicas="kyverno.replicas",
    image_attestors="kyverno.imageSignatures",
    exceptions="kyverno.exceptions",
)
def policy_args(stack: Stack) -> KyvernoPolicySetArgs | None:
    """The arguments of `KyvernoPolicySet`; `None` when no tier, mutation or generation is on."""
    settings, posture = stack.settings, stack.posture
    tiers = {posture.critical, posture.important, posture.best_practice}
    if tiers == {Action.OFF} and not posture.mutate and not posture.generate:
        return None
    return KyvernoPolicySetArgs(
        charts=stack.charts,
        critical=posture.critical,
        important=posture.important,
        best_practice=posture.best_practice,
        phases=settings.phase_actions(),
        mutate=posture.mutate,
        generate=posture.generate,
        approved_registries=settings.registries,
        platform_images=settings.injected_images,
        hub=settings.kyverno.hub,
        platform_namespaces=platform_namespaces(settings),
        replicas=settings.kyverno.replicas,
        parameters=_parameters(stack),
        network_policies=kyverno_policies(stack),
        existing=settings.kyverno.mode == "existing",
        namespace=settings.layers.kyverno,
        image_attestors=tuple(_attestor(*each) for each in enumerate(settings.kyverno.image_signatures)),
        excluded_namespaces={
            name: excluded.expires.isoformat() for name, excluded in settings.kyverno.excluded_namespaces.items()
        },
        widened={name: agreed.expires.isoformat() for name, agreed in settings.kyverno.widened.items()},
        exceptions=tuple(map(_exception, settings.kyverno.exceptions)),
    )


def identities_args(stack: Stack) -> ServiceIdentitiesArgs | None:
    """The arguments of `ServiceIdentities`, with the action of the critical rules; `None` when these are off."""
    action = stack.posture.critical
    # A deployer of a team is an identity too: whoever could run as it, or have its token, would be that team.
    namespaces = (*stack.namespaces, *((TEAMS_NAMESPACE,) if stack.settings.teams else ()))
    return ServiceIdentitiesArgs(action, namespaces) if action is not Action.OFF and namespaces else None


def service_objects_args(
    stack: Stack, services: Sequence[SecureServiceArgs], packages: Sequence[PackageArgs] = ()
) -> ServiceObjectsArgs | None:
    """The arguments of `ServiceObjects`, with the action of the critical rules; `None` when these are off."""
    action, teams = stack.posture.critical, sorted(elsewhere(stack.settings))
    if action is Action.OFF or not (services or packages or teams):
        return None
    accounts = {package.namespace: known_accounts(package) for package in packages}
    return objects_args(action, services, accounts, teams, stack.settings.layers)


def _parameters(stack: Stack) -> Mapping[str, Mapping[str, object]]:
    """The rules' parameters from the stack file, with those of `allow-platform` that follow from the other settings."""
    vault, parameters = stack.settings.vault, stack.settings.kyverno.parameters
    derived: dict[str, object] = {}
    if vault.mode == "external" and stack.posture.vault:
        opened = open_networks(stack).without(vault_networks(vault))
        derived = {"vaultPort": port(vault.address), "vaultNetworks": list(opened)}
        if wide := {network: list(excepted) for network, excepted in opened.items() if excepted}:
            derived["vaultExceptions"] = wide
    if stack.ambient:
        # Only the nodes' proxies talk to istiod.
        derived["podsReachIstiod"] = False
    if (mesh := stack.settings.layers.mesh) != MESH_NAMESPACE:
        derived["meshNamespace"] = mesh
    settings = stack.settings.dns
    if settings.namespace != NAMESPACE:
        derived["dnsNamespace"] = settings.namespace
    if settings.labels != LABELS:
        derived["dnsLabels"] = dict(settings.labels)
    if settings.servers:
        derived["dnsNetworks"] = list(settings.servers)
    if not derived:
        return parameters
    return {**parameters, ALLOW_RULE: derived}


def _attestor(number: int, signer: ImageAttestor) -> Attestor:
    here = f"kyverno.imageSignatures[{number}]"
    fields = ("name", "public_key", "issuer", "subject", "rekor_url")
    with keys_of(**{field: f"{here}.{to_camel(field)}" for field in fields}):
        if signer.public_key is not None:
            return KeyAttestor(signer.name, signer.public_key)
        return KeylessAttestor(signer.name, signer.issuer or "", signer.subject or "", signer.rekor_url or PUBLIC_REKOR)


def _exception(exception: AccountException) -> AccountExceptionArgs:
    return AccountExceptionArgs(
        exception.rule,
        exception.namespace,
        exception.service_account,
        exception.reason,
        exception.owner,
        exception.expires.isoformat(),
    )
