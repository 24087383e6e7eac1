"""The claims of persistent volumes that a service, or one of its jobs, owns by name."""

import pulumi

from components.kube.manifest import of_kind
from components.kube.objects import KubernetesObject
from components.service.args.service import SecureServiceArgs
from components.service.file.storage import claim_name
from components.service.manifests.metadata import metadata
from components.service.manifests.storage import claim_spec


def claims(name: str, args: SecureServiceArgs, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Create the claims, which outlive the stack.

    The run does not wait for the volume, which may only be created for the first pod.
    """
    kept = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(retain_on_delete=True))
    made: list[pulumi.Resource] = []
    for volume in args.claimed_volumes:
        meta = {
            **metadata(args),
            "name": claim_name(args.name, volume.name),
            "annotations": {"pulumi.com/skipAwait": "true"},
        }
        manifest = of_kind("PersistentVolumeClaim", metadata=meta, spec=claim_spec(volume))
        made.append(KubernetesObject(f"{name}.{volume.name}", manifest, kept))
    return made
