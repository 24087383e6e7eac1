"""The volumes of the nodes: a directory for each claim, which stays as long as the data of the control plane do.

As a local-path provisioner has it, a volume is on the node that the scheduler chose for the first pod that claims it:
https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode
"""

from pathlib import Path

from embedded.node.names import VOLUMES
from embedded.supervisor.kubernetes_api import KubernetesApi
from embedded.supervisor.volumes import CLAIMS, volume_of, waiting

CLASS = "local"
_PREFIX = "local-"
_STORAGE = "/apis/storage.k8s.io/v1/storageclasses"
_BINDING = "WaitForFirstConsumer"
_CHOSEN = "volume.kubernetes.io/selected-node"


def ensure_class(api: KubernetesApi) -> None:
    """Make the class of the nodes' volumes the default one. Raises ``ApiError``."""
    found = api.find(f"{_STORAGE}/{CLASS}")
    if found and found["volumeBindingMode"] != _BINDING:
        # Nobody may change it.
        api.delete(f"{_STORAGE}/{CLASS}")
    api.apply(
        _STORAGE,
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "embedded.zero-trust.dev/local",
            "reclaimPolicy": "Retain",
            "volumeBindingMode": _BINDING,
        },
    )


def provide(api: KubernetesApi, directory: Path) -> None:
    """Make a volume for each claim whose node is chosen, below a directory that is ``VOLUMES`` there.

    Raises ``ApiError``.
    """
    for claim in waiting(api.list(f"{CLAIMS}?resourceVersion=0")):
        chosen = (claim["metadata"].get("annotations") or {}).get(_CHOSEN)
        if chosen and claim["spec"].get("storageClassName") == CLASS:
            on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [chosen]}
            affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}}
            name = f"{_PREFIX}{claim['metadata']['uid']}"
            (directory / name).mkdir(exist_ok=True, mode=0o770)
            source = {"local": {"path": f"{VOLUMES}/{name}"}, "nodeAffinity": affinity}
            api.ensure("/api/v1/persistentvolumes", volume_of(claim, _PREFIX, source))
