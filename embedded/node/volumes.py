"""The volumes of the node: a directory for each claim, which stays as long as the data of the control plane do.

As a local-path provisioner has it, with one node for all of them: https://kubernetes.io/docs/concepts/storage/volumes/#local
"""

from pathlib import Path
from typing import Any

from embedded.node.names import NODE, VOLUMES
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest

CLASS = "local"
_STORAGE = "/apis/storage.k8s.io/v1/storageclasses"


def ensure_class(api: KubernetesApi) -> None:
    """Make the class of the node's volumes the default one. Raises ``ApiError``."""
    api.apply(
        _STORAGE,
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "embedded.zero-trust.dev/local",
            "reclaimPolicy": "Retain",
        },
    )


def provide(api: KubernetesApi, directory: Path) -> None:
    """Make a volume for each claim that waits for one, below a directory that is ``VOLUMES`` there.

    Raises ``ApiError``.
    """
    for claim in api.list("/api/v1/persistentvolumeclaims"):
        spec, phase = claim["spec"], claim.get("status", {}).get("phase")
        if spec.get("storageClassName") == CLASS and phase == "Pending" and not spec.get("volumeName"):
            volume = volume_of(claim)
            (directory / volume["metadata"]["name"]).mkdir(exist_ok=True, mode=0o770)
            api.ensure("/api/v1/persistentvolumes", volume)


def volume_of(claim: Manifest) -> dict[str, Any]:
    """The volume for a claim, and for no other."""
    metadata, spec = claim["metadata"], claim["spec"]
    name = f"local-{metadata['uid']}"
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": spec["accessModes"],
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "local": {"path": f"{VOLUMES}/{name}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "volumeMode": "Filesystem",
        },
    }
