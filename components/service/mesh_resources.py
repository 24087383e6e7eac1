"""The resources of a workload in the mesh."""

import pulumi

from components.kube.objects import KubernetesObject
from components.service.args.service import SecureServiceArgs
from components.service.file.network import peers_name
from components.service.manifests.network_policy import mesh_objects


def mesh_resources(name: str, args: SecureServiceArgs, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Create the objects of a workload for the mesh, without its AuthorizationPolicy."""
    resources: list[pulumi.Resource] = []
    for manifest in mesh_objects(args):
        # A workload has one ServiceEntry for each outside host, a DestinationRule for itself and one for its peers, and
        # one object of any other kind.
        suffix = f".{manifest['spec']['hosts'][0]}" if manifest["kind"] == "ServiceEntry" else ""
        if manifest["metadata"]["name"] == peers_name(args.name):
            suffix = ".peers"
        resources.append(KubernetesObject(f"{name}.{manifest['kind'].lower()}{suffix}", manifest, opts))
    return resources
