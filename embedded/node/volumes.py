"""The volumes of the node: a directory for each claim, which stays as long as the data of the control plane do.

As a local-path provisioner has it, with one node for all of them: https://kubernetes.io/docs/concepts/storage/volumes/#local
"""

from pathlib import Path

from embedded.node.names import NODE, VOLUMES
from embedded.supervisor.kubernetes_api import KubernetesApi
from embedded.supervisor.volumes import CLAIMS, volume_of, waiting

CLASS = "local"
_PREFIX = "local-"
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
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}}
    for claim in waiting(api.list(f"{CLAIMS}?resourceVersion=0")):
        if claim["spec"].get("storageClassName") == CLASS:
            name = f"{_PREFIX}{claim['metadata']['uid']}"
            (directory / name).mkdir(exist_ok=True, mode=0o770)
            source = {"local": {"path": f"{VOLUMES}/{name}"}, "nodeAffinity": affinity}
            api.ensure("/api/v1/persistentvolumes", volume_of(claim, _PREFIX, source))
