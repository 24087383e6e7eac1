"""The sections `volumes`, `config` and `caBundle` of a service file. None of them can mount a path of the node.

https://kubernetes.io/docs/concepts/storage/
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictStr, model_validator

from components.schema.fields import LABEL, ConfigFile, FileName, Label, Size
from components.schema.problem import UNREPEATED
from components.schema.typed_file import TypedFile, misplaced
from components.service.file.environment import problem_with_value

AccessMode = Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]
SHARED = "ReadWriteMany"
# The API server's limit for an object is 1 MiB, its metadata included.
_CONFIG_LIMIT = 1_000_000

# Directories that the platform or the kernel fills.
_RESERVED = ("/proc", "/sys", "/dev", "/vault/secrets", "/var/run/secrets", "/run/secrets")


def _mount_path(value: str) -> str:
    path = PurePosixPath(value)
    if not path.is_absolute() or ".." in path.parts or str(path) != value or path == PurePosixPath("/"):
        raise ValueError("not a directory such as /var/lib/data: absolute, without .. and without a slash at its end")
    if reserved := next((name for name in _RESERVED if path.is_relative_to(name)), ""):
        raise ValueError(f"{reserved} is not the service's to fill")
    return value


MountPath = Annotated[StrictStr, AfterValidator(_mount_path)]


# The name of the pod's volume is a label, too.
_LONGEST_NAME = 63 - len("volume-")
VolumeName = Annotated[StrictStr, Field(max_length=_LONGEST_NAME), LABEL]


class VolumeSpec(TypedFile):
    """A volume that outlives its pod.

    With `ReadWriteOnce` or `ReadWriteOncePod` each replica has its own volume, and the service becomes a StatefulSet;
    with `ReadWriteMany` all replicas share one. The program never deletes a volume, even with fewer replicas.
    """

    path: MountPath
    """The directory at which it is mounted."""
    size: Size
    """Bytes, such as `10Gi`. To grow an existing volume, change its claim too: a StatefulSet only sizes new ones."""
    storage_class: Label | None = None
    """The StorageClass; by default the cluster's default one."""
    access_mode: AccessMode = "ReadWriteOnce"
    """`ReadWriteOncePod` excludes even a second pod on the same node; `ReadWriteMany` needs a class with it."""


class ConfigSpec(TypedFile):
    """Files of a ConfigMap, read-only; a change of one restarts the pods."""

    path: MountPath = "/etc/config"
    """The directory of the files, which contains nothing else."""
    files: dict[ConfigFile, StrictStr] = Field(min_length=1)
    """The text of each file, by name. No secrets: whoever may read ConfigMaps of the namespace can read them."""

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
    """The certificate authorities that the service trusts, in place of those of its image.

    The program does not create the ConfigMap: an operator such as trust-manager writes it into each namespace
    (https://cert-manager.io/docs/trust/trust-manager/). It must include the public authorities if they are trusted too.
    """

    config_map: Label
    """The ConfigMap, in the service's namespace."""
    key: FileName = "ca.crt"
    """The key of the PEM certificates in it."""
    path: MountPath = "/etc/ssl/certs/ca-certificates.crt"
    """The file that the application reads; its directory contains nothing else then."""

    @model_validator(mode="after")
    def _below_a_directory(self) -> Self:
        if PurePosixPath(self.path).parent == PurePosixPath("/"):
            raise misplaced(["path"], "a file of a directory is meant, which the bundle takes", self.path)
        return self


def clash(places: Sequence[tuple[tuple[int | str, ...], str]]) -> tuple[tuple[int | str, ...], str, str] | None:
    """The first directory that two keys share: the second key, the path, and the first key; `None` without one."""
    owners = {"/tmp": "the platform, for every service"}  # noqa: S108 - the pod's own emptyDir
    for key, path in places:
        if path in owners:
            return key, path, owners[path]
        owners[path] = ".".join(str(part) for part in key)
    return None


def claim_name(service: str, volume: str) -> str:
    """The name of the claim of a volume that all replicas share."""
    return f"{service}-{volume}"
