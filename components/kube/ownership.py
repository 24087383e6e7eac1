"""Who applied an object, by the marks that Pulumi and Helm leave on it.

They say who wrote it, and prove nothing: whoever may write the object may write them. They keep two programs from
changing one object by mistake.
"""

from components.kube.parts import Manifest, part, parts

_MANAGED_BY = "app.kubernetes.io/managed-by"
_RELEASE, _RELEASE_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
_PULUMI = "pulumi"


def by_pulumi(metadata: Manifest) -> bool:
    """Whether Pulumi applied an object, by its label or by the name of its field manager."""
    managers = [str(each.get("manager", "")) for each in parts(metadata, "managedFields")]
    return part(metadata, "labels").get(_MANAGED_BY) == _PULUMI or any(
        manager.startswith("pulumi-kubernetes") for manager in managers
    )


def release_of(metadata: Manifest) -> tuple[str, str]:
    """The name and namespace of an object's Helm release; empty without one."""
    annotations = part(metadata, "annotations")
    return str(annotations.get(_RELEASE, "")), str(annotations.get(_RELEASE_NAMESPACE, ""))
