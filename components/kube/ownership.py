"""Who applied an object, by the marks that Pulumi and Helm leave on it.

They say who wrote it, and prove nothing: whoever may write the object may write them. They keep two programs from
changing one object by mistake.
"""

from hashlib import sha256

from components.kube.parts import Manifest, part, parts

_MANAGED_BY = "app.kubernetes.io/managed-by"
_RELEASE, _RELEASE_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
_PULUMI = "pulumi"
# What the provider calls itself for an object that names no manager, with a random end.
_PROVIDER = "pulumi-kubernetes"
_LONGEST_MANAGER = 128


def applied_by(project: str, stack: str) -> dict[str, str]:
    """The annotations by which the provider applies an object: as this stack, and over other managers of its fields.

    The provider takes a random manager for each object otherwise, and an update that is killed loses it: the next one
    would conflict with it, and what the program leaves out later would stay. Without force, whoever may write one field
    of an object ends every update of the stack.
    https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply/
    """
    return {"pulumi.com/patchFieldManager": manager_of(project, stack), "pulumi.com/patchForce": "true"}


def manager_of(project: str, stack: str) -> str:
    """The field manager of a stack's objects, which the API server takes up to 128 characters long."""
    name = f"{_PROVIDER}/{project}/{stack}"
    if len(name) <= _LONGEST_MANAGER:
        return name
    digest = sha256(name.encode()).hexdigest()[:16]
    return f"{name[: _LONGEST_MANAGER - len(digest) - 1]}-{digest}"


def by_pulumi(metadata: Manifest) -> bool:
    """Whether Pulumi applied an object, by its label or by the name of its field manager."""
    return part(metadata, "labels").get(_MANAGED_BY) == _PULUMI or any(
        manager.startswith(_PROVIDER) for manager in _managers(metadata)
    )


def by_stack(metadata: Manifest, manager: str) -> bool:
    """Whether the stack of that manager applied an object, or Pulumi did without saying for which stack."""
    said = [each for each in _managers(metadata) if each.startswith(f"{_PROVIDER}/")]
    return manager in said if said else by_pulumi(metadata)


def _managers(metadata: Manifest) -> list[str]:
    return [str(each.get("manager", "")) for each in parts(metadata, "managedFields")]


def release_of(metadata: Manifest) -> tuple[str, str]:
    """The name and namespace of an object's Helm release; empty without one."""
    annotations = part(metadata, "annotations")
    return str(annotations.get(_RELEASE, "")), str(annotations.get(_RELEASE_NAMESPACE, ""))
