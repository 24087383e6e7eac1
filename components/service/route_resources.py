"""The resource by which a service is public."""

import pulumi

from components.kube.manifest import of_kind
from components.kube.names import GATEWAY_API
from components.kube.objects import KubernetesObject
from components.service.args.service import SecureServiceArgs
from components.service.manifests import route
from components.service.manifests.metadata import metadata


def route_resources(name: str, args: SecureServiceArgs, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Create the route from the public hosts to each port of a service: none for one that is not public."""
    if not args.public:
        return []
    if args.platform.ingress.route == "ingress":
        return [KubernetesObject(name, of_kind("Ingress", **route.ingress_manifest(args)), opts)]
    routes: list[pulumi.Resource] = []
    for public in args.public_ports:
        manifest = {
            "apiVersion": GATEWAY_API,
            "kind": route.route_kind(public),
            "metadata": {**metadata(args), "name": route.route_name(args, public)},
            "spec": route.route_spec(args, public),
        }
        routes.append(
            KubernetesObject(f"{name}.{public.name}.route" if public.name else f"{name}.route", manifest, opts)
        )
    return routes
