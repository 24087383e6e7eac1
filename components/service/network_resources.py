"""The resources that decide who a service may talk to, and who to it."""

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from components.kube.manifest import as_inputs
from components.kube.names import SECURITY_API
from components.service.args.service import SecureServiceArgs
from components.service.manifests.authorization import authorization_policy
from components.service.manifests.metadata import metadata
from components.service.manifests.network_policy import challenge_policy, network_policy_spec
from components.service.mesh_resources import mesh_resources


def network_resources(name: str, args: SecureServiceArgs, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Create the NetworkPolicies of a service, its objects for the mesh, and its AuthorizationPolicy."""
    resources: list[pulumi.Resource] = []
    if args.platform.network_policies:
        spec = as_inputs(network_policy_spec(args))
        resources.append(NetworkPolicy(name, metadata=as_inputs(metadata(args)), spec=spec, opts=opts))
        if challenge := challenge_policy(args):
            resources.append(NetworkPolicy(f"{name}.acme", opts=opts, **as_inputs(challenge)))
    resources += mesh_resources(name, args, opts)
    if policy := authorization_policy(args):
        resources.append(
            CustomResource(
                f"{name}.authorization", api_version=SECURITY_API, kind="AuthorizationPolicy", opts=opts, **policy
            )
        )
    return resources
