"""The StorageClasses of the volumes that the stack claims."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from zt.cluster.manifest import part, parts
from zt.preflight.line import Check, Line, Theme, fails, ok
from zt.preflight.session import Session

_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def claims(session: Session) -> dict[str, list[str]]:
    """Who claims volumes, by StorageClass; the empty one is the cluster's default."""
    users: dict[str, list[str]] = defaultdict(list)
    for name, user in _claims(session):
        if user not in users[name]:
            users[name].append(user)
    return users


def _claims(session: Session) -> Iterator[tuple[str, str]]:
    vault = session.planned.vault
    if vault and vault.server:
        yield vault.server.storage_class or "", "Vault's servers"
    for claim in session.created.of("PersistentVolumeClaim"):
        yield _class_of(claim.manifest), f"{claim.namespace}/{claim.name}"
    for each in session.created.of("StatefulSet"):
        for template in parts(part(each.manifest, "spec"), "volumeClaimTemplates"):
            yield _class_of(template), f"{each.namespace}/{each.name}"


def _class_of(claim: Mapping[str, Any]) -> str:
    return str(part(claim, "spec").get("storageClassName") or "")


def _storage(session: Session) -> Iterable[Line]:
    classes = {each["name"]: each for each in session.cluster.metadata(_CLASSES)}
    defaults = sorted(name for name, each in classes.items() if part(each, "annotations").get(_DEFAULT) == "true")
    for name, users in sorted(claims(session).items()):
        about = f"StorageClass {name}" if name else "default StorageClass"
        needed = f"for {', '.join(users)}"
        if name and name not in classes:
            fix = f"create it, or name one of {', '.join(sorted(classes)) or 'those you create'} ({_keys(session)})"
            yield fails(about, f"there is none of this name, {needed}", fix)
        elif not name and not defaults:
            mark = f'kubectl annotate storageclass NAME {_DEFAULT}="true"'
            fix = f"{mark}, or name one: {_keys(session)}"
            yield fails(about, f"there is none, {needed}", fix)
        else:
            yield ok(about, f"{name or ', '.join(defaults)}, {needed}")


def _keys(session: Session) -> str:
    keys = ["vault.storage.storageClass", "vault.snapshots.storageClass"] if session.in_cluster_vault else []
    if any(service.volumes for service in session.planned.services):
        keys.append("volumes.<name>.storageClass of the service file")
    return ", ".join(keys)


THEME = Theme("storage", (Check("storage-class", "StorageClasses", _storage, lambda session: bool(claims(session))),))
