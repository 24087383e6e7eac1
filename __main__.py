"""The whole stack on one page: what was asked for, then the platform, then the services on it."""

from pathlib import Path

import pulumi
from pulumi_kubernetes import Provider
from pulumi_kubernetes.core.v1 import Namespace

from components import summary
from components.external_secrets import ExternalSecrets
from components.ingress_issuers import VaultIssuer
from components.kyverno_policy_set import KyvernoPolicySet
from components.mesh_security import MeshSecurity
from components.plan import Plan, plan
from components.policy_library import load_library
from components.secure_ingress import SecureIngress
from components.secure_service import SecureService
from components.service_identities import ServiceIdentities
from components.stack import Stack, load_stack
from components.typed_file import ConfigError
from components.vault_platform import VaultPlatform


def main() -> None:
    """Read everything, then create everything: a wrong file creates nothing."""
    try:
        stack = load_stack(Path(__file__).parent)
        wanted = plan(stack)
    except ConfigError as error:
        # Pulumi shows this error without a traceback.
        raise pulumi.RunError(str(error)) from error
    vault = create(stack, wanted)
    rows = summary.services(wanted.services)
    vault_settings = stack.settings.vault
    layers = summary.layers(
        stack.posture, vault_settings.mode, load_library(), vault_settings.delivery, ambient=stack.ambient
    )
    pulumi.export("summary", {"environment": stack.settings.environment, "layers": layers, "services": rows})
    pulumi.export("services", rows)
    pulumi.export("vault", summary.vault(vault_settings, stack.posture))
    pulumi.export("posture", summary.decisions(stack.posture))
    if vault and vault.pki_request is not None:
        pulumi.export("vaultPkiRequest", vault.pki_request)
    if vault and vault.recovery_keys is not None:
        pulumi.export("vaultRecoveryKeys", pulumi.Output.secret(vault.recovery_keys))


def create(stack: Stack, wanted: Plan) -> VaultPlatform | None:
    """Create the platform's layers, the namespaces once those stand, and the services in them."""
    cluster = Provider("cluster")
    on_cluster = pulumi.ResourceOptions(providers=[cluster])
    policies = KyvernoPolicySet("policies", wanted.policies, on_cluster) if wanted.policies else None
    vault = VaultPlatform("vault", wanted.vault, on_cluster) if wanted.vault else None
    copies = wanted.external_secrets
    operator = ExternalSecrets("external-secrets", copies, on_cluster) if copies else None
    mesh = MeshSecurity("mesh", wanted.mesh, on_cluster) if wanted.mesh else None
    signer = vault if isinstance(wanted.ingress.issuer, VaultIssuer) else None
    before_door = [resource for layer in (mesh, signer) if layer for resource in layer.ready]
    after_mesh = pulumi.ResourceOptions(providers=[cluster], depends_on=before_door)
    ingress = SecureIngress("ingress", wanted.ingress, after_mesh)
    identities = ServiceIdentities("identities", wanted.identities, on_cluster) if wanted.identities else None
    layers = (policies, vault, operator, mesh, ingress, identities)
    ready = [resource for layer in layers if layer for resource in layer.ready]
    # Rules, generation and injection work on what comes after them.
    after_platform = pulumi.ResourceOptions(provider=cluster, depends_on=ready)
    # A namespace takes the volumes in it along.
    holds_data = {args.namespace for args in wanted.services if args.volumes}
    kept = pulumi.ResourceOptions.merge(after_platform, pulumi.ResourceOptions(protect=True, retain_on_delete=True))
    namespaces = {
        name: Namespace(
            name,
            metadata={"name": name, "labels": stack.namespace_labels(name)},
            opts=kept if name in holds_data else after_platform,
        )
        for name in stack.namespaces
    }
    for args in wanted.services:
        in_namespace = pulumi.ResourceOptions(
            providers=[cluster, vault.provider] if vault else [cluster],
            depends_on=[namespaces[args.namespace]],
            deleted_with=vault.release if vault else None,
        )
        SecureService(args.key, args, in_namespace)
    return vault


main()
