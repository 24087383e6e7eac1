"""The resource by which a service is public."""

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.networking.v1 import Ingress

from components.kube.in_force import once_in_force
from components.kube.manifest import as_inputs
from components.kube.names import GATEWAY_API, PUBLIC_HOSTS
from components.service.args.service import SecureServiceArgs
from components.service.manifests import route
from components.service.manifests.metadata import metadata


def route_resources(name: str, args: SecureServiceArgs, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Create the route from the public hosts to a service: none for one that is not public."""
    if not args.public:
        return []
    # A host of another namespace is no new one, so that even the deployer's route waits for the policy.
    opts = pulumi.ResourceOptions.merge(opts, once_in_force(f"{name}.route", [PUBLIC_HOSTS]))
    if args.platform.ingress.route == "ingress":
        return [Ingress(name, opts=opts, **route.ingress_manifest(args))]
    return [
        CustomResource(
            f"{name}.route",
            api_version=GATEWAY_API,
            kind=route.route_kind(args),
            metadata=as_inputs(metadata(args)),
            spec=route.route_spec(args),
            opts=opts,
        )
    ]
