"""The sections `volumes`, `config` and `caBundle` of a service file. None of them can mount a path of the node.

https://kubernetes.io/docs/concepts/storage/
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, StrictStr, model_validator

from components.schema.fields import LABEL, LABEL_SHAPE, ConfigFile, FileName, ObjectName, Size
from components.schema.problem import UNREPEATED, Key
from components.schema.shape import Shape
from components.schema.typed_file import TypedFile, dotted, misplaced
from components.service.file.environment import problem_with_text

AccessMode = Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]
SHARED = "ReadWriteMany"
# The API server's limit for an object is 1 MiB, its metadata included.
_CONFIG_LIMIT = 1_000_000

# Files that the kubelet writes into every container, and directories that the platform or the kernel fills.
# https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#volumes-1 has no colon in a path.
_NOT_IN_PATHS = re.compile(r"[:\x00-\x1f\x7f]")
_FILLED = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
_RESERVED = ("/proc", "/sys", "/dev", "/vault/secrets", "/var/run/secrets", "/run/secrets", *_FILLED)


# What the schema says of it; the validator says more.
_MOUNT_PATH = rf"(?!.*//|.*/$|(?:{'|'.join(_RESERVED)})(?:/|$))/[^:\x00-\x1f\x7f]+"


def _mount_path(value: str) -> str:
    path = PurePosixPath(value)
    usual = str(path) == value and not value.startswith("//") and not _NOT_IN_PATHS.search(value)
    if not path.is_absolute() or ".." in path.parts or not usual or path == PurePosixPath("/"):
        raise ValueError(
            "not a directory such as /var/lib/data: an absolute path without .., a colon or a control character, and "
            "without a slash at its end"
        )
    if reserved := next((name for name in _RESERVED if path.is_relative_to(name)), ""):
        raise ValueError(f"{reserved} is not the service's to fill")
    return value


def _read_only(path: str) -> str:
    # The runtime could not write them into a directory that is read-only (`create mountpoint for /etc/hosts`).
    if inside := next((name for name in (*_FILLED, *_RESERVED) if PurePosixPath(name).is_relative_to(path)), ""):
        raise ValueError(f"{inside} is in it, which could not be there: name a directory of its own")
    return path


MountPath = Annotated[StrictStr, AfterValidator(_mount_path), Shape(_MOUNT_PATH)]
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a mount of the pod's own
"""What every container of the runtime has, of 64 MiB: https://man7.org/linux/man-pages/man7/shm_overview.7.html"""
ScratchPath = Annotated[
    StrictStr,
    AfterValidator(lambda value: value if value == SHARED_MEMORY else _mount_path(value)),
    Shape(rf"{SHARED_MEMORY}|{_MOUNT_PATH}"),
]
ReadOnlyPath = Annotated[MountPath, AfterValidator(_read_only)]


# The name of the pod's volume is a label, too.
_LONGEST_NAME = 63 - len("volume-")
VolumeName = Annotated[StrictStr, Field(max_length=_LONGEST_NAME), LABEL, LABEL_SHAPE]


class VolumeSpec(TypedFile):
    """A volume that outlives its pod.

    With `ReadWriteOnce` or `ReadWriteOncePod` each replica has its own volume, and the service becomes a StatefulSet;
    with `ReadWriteMany` all replicas share one. The program never deletes a volume, even with fewer replicas.
    """

    path: MountPath
    """The directory at which it is mounted."""
    size: Size
    """Bytes, such as `10Gi`. To grow an existing volume, change its claim too: a StatefulSet only sizes new ones."""
    storage_class: ObjectName | None = None
    """The StorageClass; by default the cluster's default one."""
    access_mode: AccessMode = "ReadWriteOnce"
    """`ReadWriteOncePod` excludes even a second pod on the same node; `ReadWriteMany` needs a class with it."""


class ConfigSpec(TypedFile):
    """Files of a ConfigMap, read-only; a change of one restarts the pods."""

    path: ReadOnlyPath = "/etc/config"
    """The directory of the files, which contains nothing else."""
    files: dict[ConfigFile, StrictStr] = Field(min_length=1)
    """The text of each file, by name. No secrets: whoever may read ConfigMaps of the namespace can read them."""

    @model_validator(mode="after")
    def _public(self) -> Self:
        for name, text in self.files.items():
            if problem := problem_with_text(text):
                raise misplaced(["files", name], f"{problem}: move it to secrets", UNREPEATED)
        size = sum(len(text.encode()) for text in self.files.values())
        if size > _CONFIG_LIMIT:
            raise misplaced(["files"], f"{size} bytes: a ConfigMap holds {_CONFIG_LIMIT} at most", sorted(self.files))
        return self


class CaBundleSpec(TypedFile):
    """The certificate authorities that the service trusts, in place of those of its image.

    The program does not create the ConfigMap: an operator such as trust-manager writes it into each namespace
    (https://cert-manager.io/docs/trust/trust-manager/). It must include the public authorities if they are trusted too.
    """

    config_map: ObjectName
    """The ConfigMap, in the service's namespace."""
    key: FileName = "ca.crt"
    """The key of the PEM certificates in it."""
    path: MountPath = "/etc/ssl/certs/ca-certificates.crt"
    """The file that the application reads; its directory contains nothing else then."""

    @property
    def directory(self) -> str:
        """The directory of the file, which is mounted as a whole."""
        return str(PurePosixPath(self.path).parent)

    @model_validator(mode="after")
    def _below_a_directory(self) -> Self:
        directory = self.directory
        if directory == "/":
            raise misplaced(["path"], "a file of a directory is meant, which the bundle takes", self.path)
        try:
            _read_only(directory)
        except ValueError as error:
            raise misplaced(["path"], f"the bundle takes the directory {directory}: {error}", self.path) from error
        return self


class Place(NamedTuple):
    """A directory that is mounted in a container, and the key that says so."""

    key: Key
    path: str
    read_only: bool = False


def bundle_places(bundle: CaBundleSpec | None) -> list[Place]:
    """The directory of the trusted authorities, which every container of the pod has."""
    return [Place(("caBundle", "path"), bundle.directory, read_only=True)] if bundle else []


def clash(places: Sequence[Place]) -> tuple[Key, str, str] | None:
    """The key and the path of the first directory that cannot be where it is, and why; `None` without one."""
    owners = {"/tmp": "the platform, for every service"}  # noqa: S108 - the pod's own emptyDir
    for place in places:
        if place.path in owners:
            return place.key, place.path, f"the directory is that of {owners[place.path]} already"
        owners[place.path] = dotted(place.key)
    for inner in places:
        for outer in places:
            if outer.read_only and outer is not inner and PurePosixPath(inner.path).is_relative_to(outer.path):
                # The runtime could not make it there: a ConfigMap is mounted before it, and takes no directory.
                return inner.key, inner.path, f"it is below {outer.path} of {dotted(outer.key)}, which is read-only"
    return None


def claim_name(service: str, volume: str) -> str:
    """The name of the claim of a volume that all replicas share."""
    return f"{service}-{volume}"


def own_config_name(service: str, container: str) -> str:
    """The name of the ConfigMap of another container; neither part can contain a dot, so it is unique."""
    return f"{service}.{container}"


def pod_volume(volume: str) -> str:
    """The name of a volume in the pod, and of its claim template; the prefix keeps it apart from the platform's."""
    return f"volume-{volume}"


def replica_claim(service: str, volume: str) -> str:
    """The beginning of the names of the claims that a StatefulSet makes, a number behind it for each replica."""
    return f"{pod_volume(volume)}-{service}-"
