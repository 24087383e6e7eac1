"""The volumes of a service's pods, with their mounts."""

from pathlib import PurePosixPath

from components.kube.manifest import Manifest
from components.service.args.service import SecureServiceArgs
from components.service.args.storage import CaBundleArgs, ConfigArgs, VolumeArgs
from components.service.file.storage import claim_name, pod_volume

_READ_FOR_ALL = 0o444


def claim_spec(args: VolumeArgs) -> Manifest:
    """The spec of a volume's claim."""
    storage_class = {"storageClassName": args.storage_class} if args.storage_class else {}
    requests = {"requests": {"storage": args.size}}
    return {"accessModes": [args.access_mode], "resources": requests, "volumeMode": "Filesystem", **storage_class}


def volume_mounts(args: SecureServiceArgs) -> list[tuple[Manifest, Manifest]]:
    """Each volume with its mount; the volume is empty where a claim template of the StatefulSet adds it to the pod."""
    mounts: list[tuple[Manifest, Manifest]] = []
    for each in args.volumes:
        name, read_only = volume_name(each), {"readOnly": True} if each.read_only else {}
        source = {"claimName": each.claim or claim_name(args.name, each.name), **read_only}
        volume = {} if each in args.replica_volumes else {"name": name, "persistentVolumeClaim": source}
        mounts.append((volume, {"name": name, "mountPath": each.path, **read_only}))
    return mounts


def volume_name(args: VolumeArgs) -> str:
    """The name of a volume in the pod; the prefix keeps it apart from the platform's volumes."""
    return pod_volume(args.name)


def config_mounts(service: str, args: ConfigArgs) -> list[tuple[Manifest, Manifest]]:
    """The volume of the service's configuration files with its mount; empty without any."""
    return config_volume("config", config_name(service), args)


def config_volume(name: str, config_map: str, args: ConfigArgs) -> list[tuple[Manifest, Manifest]]:
    """A volume of that name with the files of a ConfigMap, and its mount; empty without any files."""
    if not args.path:
        return []
    config = {"name": config_map, "defaultMode": _READ_FOR_ALL}
    return [({"name": name, "configMap": config}, {"name": name, "mountPath": args.path, "readOnly": True})]


def config_name(service: str) -> str:
    """The name of the ConfigMap of a service."""
    return f"{service}-config"


def ca_bundle_mounts(args: CaBundleArgs) -> list[tuple[Manifest, Manifest]]:
    """The volume of the trusted authorities with its mount; empty without any.

    It takes the whole directory, since a single mounted file is not updated when its ConfigMap changes.
    """
    if not args.config_map:
        return []
    path = PurePosixPath(args.path)
    items = [{"key": args.key, "path": path.name}]
    volume = {"name": "ca-bundle", "configMap": {"name": args.config_map, "defaultMode": _READ_FOR_ALL, "items": items}}
    return [(volume, {"name": "ca-bundle", "mountPath": str(path.parent), "readOnly": True})]
