"""What a service keeps and what it is given to read: volumes that stay, configuration files, an authority to trust.

None of it is a place of the node: there is no key for a hostPath. https://kubernetes.io/docs/concepts/storage/
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StrictStr, model_validator

from components.service_environment import problem_with_value
from components.typed_file import UNREPEATED, FileName, Label, Quantity, TypedFile, misplaced

AccessMode = Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]
SHARED = "ReadWriteMany"
# The API server's limit for an object is 1 MiB, its metadata included.
_CONFIG_LIMIT = 1_000_000
_READ_FOR_ALL = 0o444
# What the platform itself or the kernel puts there.
_RESERVED = ("/proc", "/sys", "/dev", "/vault/secrets", "/var/run/secrets", "/run/secrets")

Manifest = dict[str, Any]


def _mount_path(value: str) -> str:
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or str(path) != value or path == PurePosixPath("/"):
        raise ValueError("not a directory such as /var/lib/data: absolute, without .. and without a slash at its end")
    if reserved := next((name for name in _RESERVED if path.is_relative_to(name)), ""):
        raise ValueError(f"{reserved} is not the service's to fill")
    return value


MountPath = Annotated[StrictStr, AfterValidator(_mount_path)]


class VolumeSpec(TypedFile):
    """A volume that stays when its pod goes.

    With `ReadWriteOnce` or `ReadWriteOncePod` each replica has one of its own, and the service becomes a StatefulSet;
    with `ReadWriteMany` all replicas share one. Neither the program nor a smaller number of replicas ever deletes one.
    """

    path: MountPath
    """The directory at which the application finds it."""
    size: Quantity
    """Bytes, such as `10Gi`. To grow one that is there, change its claim too: a StatefulSet only makes new ones."""
    storage_class: Label | None = None
    """The cluster's StorageClass; its default one without it."""
    access_mode: AccessMode = "ReadWriteOnce"
    """`ReadWriteOncePod` holds where two pods meet on a node, too; `ReadWriteMany` needs a class that shares."""


class ConfigSpec(TypedFile):
    """Files of a ConfigMap, read-only; a change of one restarts the pods."""

    path: MountPath = "/etc/config"
    """The directory that holds them, and nothing else."""
    files: dict[FileName, StrictStr] = Field(min_length=1)
    """The text of each file by its name. No secret: whoever reads the namespace's ConfigMaps reads them."""

    @model_validator(mode="after")
    def _public(self) -> Self:
        for name, text in self.files.items():
            if problem := problem_with_value(text):
                raise misplaced(["files", name], f"{problem}: move it to secrets", UNREPEATED)
        size = sum(len(text.encode()) for text in self.files.values())
        if size > _CONFIG_LIMIT:
            raise misplaced(["files"], f"{size} bytes: a ConfigMap holds {_CONFIG_LIMIT} at most", sorted(self.files))
        return self


class CaBundleSpec(TypedFile):
    """The authorities that the service trusts, in place of those of its image.

    The ConfigMap is not the program's: an operator such as trust-manager writes it into each namespace
    (https://cert-manager.io/docs/trust/trust-manager/), with the public authorities in it if they are to count.
    """

    config_map: Label
    """The ConfigMap, in the service's namespace."""
    key: FileName = "ca.crt"
    """Its key with the PEM certificates."""
    path: MountPath = "/etc/ssl/certs/ca-certificates.crt"
    """The file that the application reads; the directory holds nothing else then."""

    @model_validator(mode="after")
    def _below_a_directory(self) -> Self:
        if PurePosixPath(self.path).parent == PurePosixPath("/"):
            raise misplaced(["path"], "a file of a directory is meant, which the bundle takes", self.path)
        return self


@dataclass(frozen=True)
class VolumeArgs:
    """A persistent volume. An empty `storage_class` is the cluster's default."""

    name: str
    path: str
    size: str
    storage_class: str = ""
    access_mode: str = "ReadWriteOnce"

    @property
    def shared(self) -> bool:
        """Whether all replicas have the same one."""
        return self.access_mode == SHARED


@dataclass(frozen=True)
class ConfigArgs:
    """Configuration files by name; without a `path` there are none."""

    path: str = ""
    files: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def digest(self) -> str:
        """A digest of the files, so that a pod can name the ones it started with."""
        lines = (f"{name}\0{text}\0" for name, text in sorted(self.files.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class CaBundleArgs:
    """The file of trusted authorities; without a `config_map` it is the image's own."""

    config_map: str = ""
    key: str = ""
    path: str = ""


def volume_args(volumes: Mapping[str, VolumeSpec]) -> list[VolumeArgs]:
    """The arguments that a service file's volumes make."""
    return [
        VolumeArgs(name, spec.path, spec.size, spec.storage_class or "", spec.access_mode)
        for name, spec in sorted(volumes.items())
    ]


def config_args(spec: ConfigSpec | None) -> ConfigArgs:
    """The arguments that a service file's configuration makes."""
    return ConfigArgs(spec.path, spec.files) if spec else ConfigArgs()


def ca_bundle_args(spec: CaBundleSpec | None) -> CaBundleArgs:
    """The arguments that a service file's bundle makes."""
    return CaBundleArgs(spec.config_map, spec.key, spec.path) if spec else CaBundleArgs()


def clash(places: Sequence[tuple[tuple[int | str, ...], str]]) -> tuple[tuple[int | str, ...], str, str] | None:
    """The key of the first directory that another key has already, its path, and the other key; `None`: none has."""
    seen = {"/tmp": "the platform, for every service"}  # noqa: S108 - the pod's own emptyDir
    for key, path in places:
        if path in seen:
            return key, path, seen[path]
        seen[path] = ".".join(str(part) for part in key)
    return None


def claim_spec(args: VolumeArgs) -> Manifest:
    """The spec of the claim of a volume."""
    storage_class = {"storageClassName": args.storage_class} if args.storage_class else {}
    requests = {"requests": {"storage": args.size}}
    return {"accessModes": [args.access_mode], "resources": requests, "volumeMode": "Filesystem", **storage_class}


def claim_name(service: str, volume: str) -> str:
    """The name of the claim of a volume that all replicas of a service share."""
    return f"{service}-{volume}"


def volume_mounts(service: str, volumes: Sequence[VolumeArgs]) -> list[tuple[Manifest, Manifest]]:
    """Each volume of the pod with its mount; the claim templates of a StatefulSet bring their volumes themselves."""
    found: list[tuple[Manifest, Manifest]] = []
    for args in volumes:
        name = volume_name(args)
        claim = {"name": name, "persistentVolumeClaim": {"claimName": claim_name(service, args.name)}}
        found.append((claim if args.shared else {}, {"name": name, "mountPath": args.path}))
    return found


def volume_name(args: VolumeArgs) -> str:
    """The name of a volume in the pod, apart from those of the platform."""
    return f"volume-{args.name}"


def config_mounts(service: str, args: ConfigArgs) -> list[tuple[Manifest, Manifest]]:
    """The volume of the configuration with its mount."""
    if not args.path:
        return []
    config = {"name": config_name(service), "defaultMode": _READ_FOR_ALL}
    return [({"name": "config", "configMap": config}, {"name": "config", "mountPath": args.path, "readOnly": True})]


def config_name(service: str) -> str:
    """The name of the ConfigMap of a service."""
    return f"{service}-config"


def ca_bundle_mounts(args: CaBundleArgs) -> list[tuple[Manifest, Manifest]]:
    """The volume of the trusted authorities with its mount.

    The whole directory, since a file that is mounted by itself never follows its ConfigMap.
    """
    if not args.config_map:
        return []
    path = PurePosixPath(args.path)
    items = [{"key": args.key, "path": path.name}]
    volume = {"name": "ca-bundle", "configMap": {"name": args.config_map, "defaultMode": _READ_FOR_ALL, "items": items}}
    return [(volume, {"name": "ca-bundle", "mountPath": str(path.parent), "readOnly": True})]
