"""The resources that decide who a service may talk to, and who to it."""

import pulumi

from components.kube.manifest import of_kind
from components.kube.names import SECURITY_API
from components.kube.objects import KubernetesObject
from components.service.args.service import SecureServiceArgs
from components.service.manifests.authorization import authorization_policy
from components.service.manifests.metadata import metadata
from components.service.manifests.network_policy import challenge_policy, network_policy_spec
from components.service.mesh_resources import mesh_resources


def network_resources(name: str, args: SecureServiceArgs, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Create the NetworkPolicies of a service, its objects for the mesh, and its AuthorizationPolicy."""
    resources: list[pulumi.Resource] = []
    if args.platform.network_policies:
        spec = network_policy_spec(args)
        resources.append(KubernetesObject(name, of_kind("NetworkPolicy", metadata=metadata(args), spec=spec), opts))
        if challenge := challenge_policy(args):
            resources.append(KubernetesObject(f"{name}.acme", of_kind("NetworkPolicy", **challenge), opts))
    resources += mesh_resources(name, args, opts)
    if policy := authorization_policy(args):
        manifest = {"apiVersion": SECURITY_API, "kind": "AuthorizationPolicy", **policy}
        resources.append(KubernetesObject(f"{name}.authorization", manifest, opts))
    return resources
