"""Attack 9: mount, copy or forestall the volumes of a service."""

from collections.abc import Iterator
from copy import deepcopy

from components.service.file.service import ServiceSpec
from components.service.file.storage import SHARED, claim_name, replica_claim
from zt.attack.attempt import Attempt
from zt.attack.evidence import Control
from zt.attack.namespace.requests import (
    Request,
    controllers,
    create,
    own_pod,
    path_of,
    pods_path,
    targets,
    tries,
    tries_pods,
)
from zt.attack.session import Session
from zt.attack.temporary_rights import NAME
from zt.cluster.manifest import Manifest, word

_OWNER = "app.kubernetes.io/name"
_CLAIM: Manifest = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
_REPLICA_TO_COME = 99


def _replica_claims(spec: ServiceSpec, replica: int) -> Iterator[str]:
    """The claims of one replica, where each has its own."""
    for name, volume in spec.volumes.items():
        if not spec.run and volume.access_mode != SHARED:
            yield f"{replica_claim(spec.name, name)}{replica}"


def _claims(session: Session, spec: ServiceSpec) -> list[str]:
    """The claims of a service: those that it declares, and those that live."""
    declared = [
        claim_name(spec.name, name) for name, volume in spec.volumes.items() if spec.run or volume.access_mode == SHARED
    ]
    collection = path_of("v1", "persistentvolumeclaims", spec.namespace)
    live = [
        item["metadata"]["name"]
        for item in session.admin.listed(collection)
        if word(item, "metadata", "labels", _OWNER) == spec.name
    ]
    return list(dict.fromkeys([*declared, *_replica_claims(spec, 0), *live]))


def _with_volume(session: Session, volume: Manifest) -> Manifest:
    body = deepcopy(own_pod(session))
    body["spec"]["volumes"] = [{"name": "data", **volume}]
    return body


def _mounting_pods(session: Session) -> list[Request]:
    requests: list[Request] = []
    for spec in targets(session):
        for claim in _claims(session, spec):
            body = _with_volume(session, {"persistentVolumeClaim": {"claimName": claim}})
            requests += [Request("POST", pods_path(session), body), *controllers(session, body)]
    return requests


def _copies(session: Session) -> list[Request]:
    """A claim of its own, and one for the life of a pod, with the data of each claim."""
    requests: list[Request] = []
    for spec in targets(session):
        for claim in _claims(session, spec):
            source: Manifest = {"kind": "PersistentVolumeClaim", "name": claim}
            for key in ("dataSource", "dataSourceRef"):
                copied: Manifest = {**_CLAIM, key: source}
                requests.append(_claim(session, copied))
                body = _with_volume(session, {"ephemeral": {"volumeClaimTemplate": {"spec": copied}}})
                requests += [Request("POST", pods_path(session), body), *controllers(session, body)]
    return requests


def _claim(session: Session, spec: Manifest, name: str = NAME) -> Request:
    metadata: Manifest = {"name": name}
    return create(
        "v1", "PersistentVolumeClaim", "persistentvolumeclaims", session.service.namespace, {"spec": spec}, metadata
    )


def _forestalled(session: Session) -> list[Request]:
    """A claim with the name that one of a replica to come will have, which takes it with all that is in it."""
    return [
        _claim(session, _CLAIM, claim) for spec in targets(session) for claim in _replica_claims(spec, _REPLICA_TO_COME)
    ]


_OBJECTS = Control("critical", "ServiceObjects: service-objects")
_NO_VOLUME = "no service of the namespace has a volume"

ATTEMPTS = (
    Attempt(
        "claim-of-service",
        9,
        "Mount the volume of each service in a pod of its own.",
        _OBJECTS,
        tries_pods(_mounting_pods, _NO_VOLUME),
    ),
    Attempt(
        "copy-of-claim",
        9,
        "Copy the volume of each service to one of its own.",
        _OBJECTS,
        tries_pods(_copies, _NO_VOLUME),
    ),
    Attempt(
        "claim-to-come",
        9,
        "Make the claim of a replica that is still to come.",
        _OBJECTS,
        tries(_forestalled, "no service of the namespace has a volume for each replica"),
    ),
)
