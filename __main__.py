"""The whole program on one page: read the stack, create the platform, then the services on it."""

import gc
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import pulumi

from components import KyvernoPolicySet, MeshSecurity, Package, SecureIngress, SecureService, VaultPlatform
from components.external_secrets.operator import ExternalSecrets
from components.ingress.cert_manager import CertManager
from components.ingress.issuers import VaultIssuer
from components.ingress.public_hosts import PublicHosts
from components.kube.living import living_cluster
from components.kube.manifest import of_kind
from components.kube.objects import KubernetesObject, KubernetesProvider
from components.kube.service_ref import ServiceRef
from components.kyverno.library import load_library
from components.program import summary, within_namespaces
from components.program.core_dns import corefile
from components.program.debug_messages import leave_out_debug_messages
from components.program.existing import existing_layers, refuse_unfit
from components.program.objects_of_others import ObjectsOfOthers
from components.program.plan import Plan, plan
from components.program.plans.teams import text, told
from components.program.stack import Stack, load_stack
from components.program.stack_databases import servers
from components.schema.problem import ConfigError
from components.service.args.document import Platform
from components.service.file.sharing import owners_first
from components.service.identities import ServiceIdentities
from components.service.objects import ServiceObjects
from components.teams.grants import TeamGrants
from components.teams.team_access import TeamAccess, TeamAccessArgs

T = TypeVar("T")
# A run makes objects and throws few away. With Python's own threshold of 700, a third of it is a search for garbage.
_NEW_OBJECTS_BEFORE_COLLECTION = 50_000


def main() -> None:
    """Read and check everything, then create everything: an error in a file creates nothing.

    What others installed or made is read in the cluster: it is checked, and never taken over silently.
    """
    gc.set_threshold(_NEW_OBJECTS_BEFORE_COLLECTION)
    leave_out_debug_messages(os.environ)
    try:
        stack = load_stack(Path(__file__).parent)
        planned = plan(stack)
        preview = pulumi.runtime.is_dry_run()
        refuse_unfit(stack, existing_layers(stack, planned), living_cluster, preview, pulumi.log.warn)
        others = ObjectsOfOthers(stack, living_cluster, preview, pulumi.log.warn)
        others.refuse_namespaces(planned)
    except ConfigError as error:
        # Pulumi shows this error without a traceback.
        raise pulumi.RunError(str(error)) from error
    others.watch()
    vault = create(stack, planned)
    rows = summary.services(planned.services)
    vault_settings = stack.settings.vault
    layers = summary.layers(
        stack.posture, vault_settings.mode, load_library(), vault_settings.delivery, ambient=stack.ambient
    )
    pulumi.export("summary", {"environment": stack.settings.environment, "layers": layers, "services": rows})
    pulumi.export("services", rows)
    pulumi.export("vault", summary.vault(vault_settings, stack.posture))
    pulumi.export("posture", summary.decisions(stack.posture))
    pulumi.export("coreDns", corefile(stack))
    pulumi.export("platform", with_authority(told, planned.platform, vault))
    if vault and vault.authority is not None:
        pulumi.export("vaultAuthority", vault.authority)
    if vault and vault.pki_request is not None:
        pulumi.export("vaultPkiRequest", vault.pki_request)
    if vault and vault.recovery_keys is not None:
        pulumi.export("vaultRecoveryKeys", pulumi.Output.secret(vault.recovery_keys))


def with_authority(
    write: Callable[[Platform, str], T], platform: Platform, vault: VaultPlatform | None
) -> pulumi.Output[T]:
    """What is written of the platform, with the authority of Vault's certificate if the program has that issued."""
    authority = vault.authority if vault else None
    known = authority if authority is not None else pulumi.Output.from_input("")
    return known.apply(lambda pem: write(platform, pem))


def create(stack: Stack, planned: Plan) -> VaultPlatform | None:
    """Create the platform's layers, then the namespaces, then the services in them. Returns Vault, if there is one."""
    cluster = KubernetesProvider("cluster")
    on_cluster = pulumi.ResourceOptions(providers=[cluster])
    policies = KyvernoPolicySet("policies", planned.policies, on_cluster) if planned.policies else None
    # Under the name that its resources have in the state of older stacks.
    certificates = CertManager("ingress", planned.certificates, on_cluster) if planned.certificates else None
    issued = pulumi.ResourceOptions(providers=[cluster], depends_on=certificates.ready if certificates else [])
    with_certificate = issued if planned.vault and planned.vault.certificate else on_cluster
    vault = VaultPlatform("vault", planned.vault, with_certificate) if planned.vault else None
    secrets_args = planned.external_secrets
    # A rule makes policies in namespaces that it does not know as the platform's, under the names of the stack's own.
    known = pulumi.ResourceOptions(providers=[cluster], depends_on=policies.ready if policies else [])
    operator = ExternalSecrets("external-secrets", secrets_args, known) if secrets_args else None
    mesh = MeshSecurity("mesh", planned.mesh, on_cluster) if planned.mesh else None
    signer = vault if isinstance(planned.ingress.issuer, VaultIssuer) else None
    before_gateway = [resource for layer in (certificates, mesh, signer) if layer for resource in layer.ready]
    after_mesh = pulumi.ResourceOptions(providers=[cluster], depends_on=before_gateway)
    ingress = SecureIngress("ingress", planned.ingress, after_mesh, vault.authority if vault else None)
    identities = ServiceIdentities("identities", planned.identities, on_cluster) if planned.identities else None
    hosts = PublicHosts("public-hosts", planned.hosts, on_cluster) if planned.hosts else None
    objects = ServiceObjects("objects", planned.objects, on_cluster) if planned.objects else None
    grants = TeamGrants("grants", planned.grants, on_cluster) if planned.grants else None
    layers = (policies, certificates, vault, operator, mesh, ingress, identities, hosts, objects, grants)
    ready = [resource for layer in layers if layer for resource in layer.ready]
    # Rules, generated objects and injection only affect what is created after them.
    after_platform = pulumi.ResourceOptions(provider=cluster, depends_on=ready)
    # Deleting a namespace deletes the volumes in it.
    with_volumes = {
        *(args.namespace for args in planned.services if args.keeps_data),
        *(package.namespace for package in planned.packages if package.keeps_data),
    }
    kept = pulumi.ResourceOptions.merge(after_platform, pulumi.ResourceOptions(protect=True, retain_on_delete=True))
    namespaces = {
        name: KubernetesObject(
            name,
            of_kind("Namespace", metadata={"name": name, "labels": stack.namespace_labels(name)}),
            kept if name in with_volumes else after_platform,
        )
        for name in stack.namespaces
    }
    within_namespaces.delete_with({name: each for name, each in namespaces.items() if name not in with_volumes})
    if planned.teams:
        create_teams(planned.teams, planned, vault, namespaces, after_platform)
    made: dict[ServiceRef, SecureService] = {}
    connected: dict[str, list[pulumi.Resource]] = {}
    later = [database for database in planned.vault.databases if database.service] if planned.vault else []
    planned_services = {ServiceRef(args.namespace, args.name): args for args in planned.services}
    for ref in owners_first(stack.services, servers(stack.settings)):
        args = planned_services[ref]
        in_namespace = pulumi.ResourceOptions(
            providers=[cluster, vault.provider] if vault else [cluster],
            # Users are only made in a database that Vault is connected to.
            depends_on=[
                namespaces[args.namespace],
                *(resource for database in args.databases for resource in connected.get(database.connection, [])),
            ],
            deleted_with=vault.release if vault else None,
        )
        owners = [made[owner] for owner in sorted({secret.owner for secret in args.secrets if secret.owner})]
        made[ref] = SecureService(args.key, args, in_namespace, owners)
        for database in later:
            if vault and database.service == ref:
                password = made[ref].value(database.password_path, database.password_field)
                connected[database.name] = vault.connect(database, password, made[ref].ready)
    for package in planned.packages:
        in_namespace = pulumi.ResourceOptions(
            providers=[cluster, vault.provider] if vault else [cluster],
            depends_on=[namespaces[package.namespace]],
            deleted_with=vault.release if vault else None,
        )
        Package(package.ref.key, package, in_namespace)
    return vault


def create_teams(
    args: TeamAccessArgs,
    planned: Plan,
    vault: VaultPlatform | None,
    namespaces: Mapping[str, pulumi.Resource],
    opts: pulumi.ResourceOptions,
) -> None:
    """Create the rights of the teams' deployers, and what each of them is told."""
    documents = {name: with_authority(text, platform, vault) for name, platform in planned.platforms.items()}
    access = TeamAccess("teams", args, documents, namespaces, opts)
    if vault:
        in_vault = pulumi.ResourceOptions(provider=vault.provider, depends_on=vault.ready, deleted_with=vault.release)
        access.in_vault(args, vault.auth_path, vault.accessor, in_vault)


if __name__ == "__main__":
    main()
