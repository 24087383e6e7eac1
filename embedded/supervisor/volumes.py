"""The volumes of simulated pods: one for each claim, with nothing behind it.

No provisioner runs here, and without a volume a pod with a claim would wait for ever.
https://kubernetes.io/docs/concepts/storage/persistent-volumes/#binding
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from embedded.supervisor.https_api import ApiError
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest
from embedded.supervisor.watched import Changes, Watched

VOLUMES = "/api/v1/persistentvolumes"
CLAIMS = "/api/v1/persistentvolumeclaims"
_PREFIX = "simulated-"
_RETRY_SECONDS, _AT_REST_SECONDS = 2.0, 60.0
_LOG = logging.getLogger(__name__)


async def follow_claims(api: KubernetesApi, simulated: Callable[[], bool]) -> None:
    """Keep a volume for each claim while the pods of services are simulated, until cancelled."""
    changes = Changes()
    claims, volumes = Watched(api, CLAIMS, changes.tell), Watched(api, VOLUMES, changes.tell)
    claims.start()
    volumes.start()
    while True:
        at_rest = True
        if simulated() and claims.listed and volumes.listed:
            try:
                await asyncio.to_thread(provide, api, claims.items(), volumes.items())
            except ApiError as error:
                _LOG.warning("volumes: %s", error)
                at_rest = False
        await changes.wait(_AT_REST_SECONDS if at_rest else _RETRY_SECONDS)


def provide(api: KubernetesApi, claims: Iterable[Manifest], volumes: Iterable[Manifest]) -> None:
    """Make a volume for each claim that waits for one, and remove those whose claims are gone. Raises ``ApiError``."""
    for claim in waiting(claims):
        api.ensure(VOLUMES, volume_of(claim, _PREFIX, {"hostPath": {"path": "/simulated"}}))
    for volume in volumes:
        name = volume["metadata"]["name"]
        if name.startswith(_PREFIX) and volume.get("status", {}).get("phase") == "Released":
            api.delete(f"{VOLUMES}/{name}")


def waiting(claims: Iterable[Manifest]) -> list[Manifest]:
    """Those of the claims that no volume is meant for yet."""
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
