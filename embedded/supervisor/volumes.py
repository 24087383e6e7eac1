"""The volumes of simulated pods: one for each claim, with nothing behind it.

No provisioner runs here, and without a volume a pod with a claim would wait for ever.
https://kubernetes.io/docs/concepts/storage/persistent-volumes/#binding
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from embedded.supervisor.https_api import ApiError
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest

VOLUMES = "/api/v1/persistentvolumes"
_CLAIMS = "/api/v1/persistentvolumeclaims"
_PREFIX = "simulated-"
_INTERVAL_SECONDS = 2.0
_LOG = logging.getLogger(__name__)


async def follow_claims(api: KubernetesApi, simulated: Callable[[], bool]) -> None:
    """Keep a volume for each claim while the pods of services are simulated, until cancelled."""
    while True:
        if simulated():
            try:
                await asyncio.to_thread(provide, api)
            except ApiError as error:
                _LOG.warning("volumes: %s", error)
        await asyncio.sleep(_INTERVAL_SECONDS)


def provide(api: KubernetesApi) -> None:
    """Make a volume for each claim that waits for one, and remove those whose claims are gone. Raises ``ApiError``."""
    for claim in waiting_claims(api):
        api.ensure(VOLUMES, volume_of(claim, _PREFIX, {"hostPath": {"path": "/simulated"}}))
    for volume in api.list(f"{VOLUMES}?resourceVersion=0"):
        name = volume["metadata"]["name"]
        if name.startswith(_PREFIX) and volume.get("status", {}).get("phase") == "Released":
            api.delete(f"{VOLUMES}/{name}")


def waiting_claims(api: KubernetesApi) -> list[Manifest]:
    """The claims that no volume is meant for yet. Raises ``ApiError``."""
    claims = api.list(f"{_CLAIMS}?resourceVersion=0")
    return [
        claim
        for claim in claims
        if claim.get("status", {}).get("phase") == "Pending" and not claim["spec"].get("volumeName")
    ]


def volume_of(claim: Manifest, prefix: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """The volume for a claim, and for no other, with a source of its own."""
    metadata, spec = claim["metadata"], claim["spec"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{prefix}{metadata['uid']}"},
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
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": spec.get("storageClassName") or "",
            "volumeMode": "Filesystem",
            **source,
        },
    }
