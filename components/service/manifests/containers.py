"""The containers of a service's pods: what each has, whichever it is, and those beside the service's own.

None of them has a field left to the mutations of admission. One beside the service's own has no token of any kind.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from components.kube.manifest import Manifest
from components.service.args.containers import ContainerArgs, ScratchArgs
from components.service.args.scaling import ResourceArgs
from components.service.args.service import SecureServiceArgs
from components.service.file.containers import copy_name
from components.service.file.storage import own_config_name
from components.service.manifests.environment import environment
from components.service.manifests.probes import probe_manifests
from components.service.manifests.secret_files import secret_files
from components.service.manifests.security_context import container_security_context
from components.service.manifests.storage import ca_bundle_mounts, config_volume, volume_name

Mounts = list[tuple[Manifest, Manifest]]
"""Volumes of the pod, each with its mount in a container; either may be empty."""

_SCRATCH_LIMIT = "256Mi"


def init_containers(args: SecureServiceArgs) -> list[Manifest]:
    """The containers that end before the service's own starts, in their order."""
    return [_container(args, each) for each in args.init]


def copy_containers(args: SecureServiceArgs) -> list[Manifest]:
    """The containers that end first of all: each fills one directory with what the image of its container has there.

    They have what that container may use, so that the pod asks for no more than with it.
    """
    copying = [(args, own_directories(args)), *((each, _own_directories(each)) for each in args.containers)]
    copies = [
        (each, mount) for each, mounts in copying for _, mount in mounts if mount["mountPath"] in each.writable_copies
    ]
    return [
        container(
            copy_name(number),
            each.image,
            each.run_as_user,
            resources(each),
            [{**mount, "mountPath": (aside := _aside(mount["mountPath"]))}],
            command=["cp", "-RP", f"{mount['mountPath']}/.", aside],
        )
        for number, (each, mount) in enumerate(copies)
    ]


def _aside(path: str) -> str:
    """Where an empty directory stands beside the one of the image that is copied into it."""
    return "/copy" if PurePosixPath(path).parts[1] != "copy" else "/copied"


def own_directories(args: SecureServiceArgs) -> Mounts:
    """The directories that the service's own container alone may write to."""
    return _directories("scratch", args)


def _own_directories(each: ContainerArgs) -> Mounts:
    return _directories(f"own-{each.name}", each)


def sidecar_containers(args: SecureServiceArgs, lasting: Manifest) -> list[Manifest]:
    """The containers that run beside the service's own; `lasting` are the fields that all of them end by."""
    return [
        {
            **_container(args, each),
            **({"ports": [{"containerPort": each.port, "protocol": "TCP"}]} if each.port else {}),
            **probe_manifests(each.probes, each.health, each.port),
            **lasting,
        }
        for each in args.sidecars
    ]


def container_volumes(args: SecureServiceArgs) -> list[Manifest]:
    """The volumes of the pod that are there for these containers alone."""
    return [volume for each in args.containers for volume, _ in _own_mounts(args, each)]


def _directories(prefix: str, each: SecureServiceArgs | ContainerArgs) -> Mounts:
    """An empty directory for /tmp, and for each that it may write to.

    What a directory may hold is part of the disk space that the container may have, so a smaller limit of its own would
    end the pod below what its file says.
    """
    places = enumerate(dict.fromkeys(["/tmp", *each.writable, *each.writable_copies]))  # noqa: S108 - an emptyDir
    limit = each.disk_limit or _SCRATCH_LIMIT
    return [
        (_empty(f"{prefix}-{number}", limit), {"name": f"{prefix}-{number}", "mountPath": path})
        for number, path in places
    ]


def shared_mounts(args: SecureServiceArgs) -> Mounts:
    """The directories that containers share, as the service's own has them."""
    return [(_shared(each), {"name": _shared_name(each.name), "mountPath": each.path}) for each in args.scratch]


def _shared(scratch: ScratchArgs) -> Manifest:
    volume = _empty(_shared_name(scratch.name), scratch.size)
    return {**volume, "emptyDir": {"medium": "Memory", **volume["emptyDir"]}} if scratch.memory else volume


def _empty(name: str, limit: str) -> Manifest:
    return {"name": name, "emptyDir": {"sizeLimit": limit}}


def _shared_name(name: str) -> str:
    return f"shared-{name}"


def resources(args: ResourceArgs) -> Manifest:
    """The requests and limits of a container; without an amount of disk space there is none of either."""
    requests = {"cpu": args.cpu_request, "memory": args.memory_request, "ephemeral-storage": args.disk_request}
    limits = {"cpu": args.cpu_limit, "memory": args.memory_limit, "ephemeral-storage": args.disk_limit}
    named = (("requests", requests), ("limits", limits))
    return {kind: {name: amount for name, amount in amounts.items() if amount} for kind, amounts in named}


def container(
    name: str,
    image: str,
    user: int,
    resources: Manifest,
    mounts: Sequence[Manifest],
    **optional: list[str] | list[Manifest],
) -> Manifest:
    """A hardened container with these fields; the optional ones are left out where they are empty."""
    required: Manifest = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": resources,
        "securityContext": container_security_context(user),
        "volumeMounts": list(mounts),
    }
    return {**required, **{key: value for key, value in optional.items() if value}}


def _container(args: SecureServiceArgs, each: ContainerArgs) -> Manifest:
    shared = [
        *(
            mount
            for scratch, (_, mount) in zip(args.scratch, shared_mounts(args), strict=True)
            if scratch.name in each.scratch
        ),
        *({"name": volume_name(v), "mountPath": v.path} for v in args.volumes if v.name in each.volumes),
        *(mount for _, mount in ca_bundle_mounts(args.ca_bundle)),
    ]
    return container(
        each.name,
        each.image,
        each.run_as_user,
        resources(each),
        [*(mount for _, mount in _own_mounts(args, each)), *shared],
        command=list(each.command),
        args=list(each.arguments),
        env=environment(each.name, each.env, each.pod_env),
    )


def _own_mounts(args: SecureServiceArgs, each: ContainerArgs) -> Mounts:
    name = f"config-{each.name}"
    return [
        *_own_directories(each),
        *config_volume(name, own_config_name(args.name, each.name), each.config),
        *secret_files(args, each),
    ]
