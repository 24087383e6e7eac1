"""The arguments of volumes, configuration files and trusted authorities."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from components.service.file.storage import SHARED, CaBundleSpec, ConfigSpec, VolumeSpec


@dataclass(frozen=True)
class VolumeArgs:
    """A persistent volume. An empty `storage_class` is the cluster's default.

    `claim` is that of the service whose job has the volume, and empty for whoever owns it.
    """

    name: str
    path: str
    size: str
    storage_class: str = ""
    access_mode: str = "ReadWriteOnce"
    claim: str = ""
    read_only: bool = False

    @property
    def shared(self) -> bool:
        """Whether all replicas share the volume."""
        return self.access_mode == SHARED


@dataclass(frozen=True)
class ConfigArgs:
    """Configuration files by name; without a `path` there are none."""

    path: str = ""
    files: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def digest(self) -> str:
        """A digest of the files: a change of it restarts the pods."""
        lines = (f"{name}\0{text}\0" for name, text in sorted(self.files.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class CaBundleArgs:
    """The file of trusted authorities; without a `config_map` the image's own is used."""

    config_map: str = ""
    key: str = ""
    path: str = ""


def volume_args(volumes: Mapping[str, VolumeSpec]) -> list[VolumeArgs]:
    """The arguments of the volumes in a service file."""
    return [
        VolumeArgs(name, spec.path, spec.size, spec.storage_class or "", spec.access_mode)
        for name, spec in sorted(volumes.items())
    ]


def config_args(spec: ConfigSpec | None) -> ConfigArgs:
    """The arguments of the configuration in a service file."""
    return ConfigArgs(spec.path, spec.files) if spec else ConfigArgs()


def ca_bundle_args(spec: CaBundleSpec | None) -> CaBundleArgs:
    """The arguments of the trusted authorities in a service file."""
    return CaBundleArgs(spec.config_map, spec.key, spec.path) if spec else CaBundleArgs()
