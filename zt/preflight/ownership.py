"""Whether an object in the cluster is this stack's: by the marks of Helm and of Pulumi on it."""

from zt.cluster.manifest import Manifest, part, parts
from zt.preflight.created import Created

_MANAGED_BY = "app.kubernetes.io/managed-by"
_RELEASE, _RELEASE_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
_PULUMI = "pulumi"
# Another revision of the mesh has another release while services move to it.
_REVISED = "istiod"


def is_own(metadata: Manifest, created: Created) -> bool:
    """Whether Pulumi applied an object, or Helm installed it for a release of this stack.

    Pulumi does not write into an object of which stack it is: one of another stack counts as own.
    """
    if by_pulumi(metadata):
        return True
    name, namespace = release_of(metadata)
    return any(
        namespace == release.namespace
        and (name == release.name or (name.startswith(_REVISED) and release.name.startswith(_REVISED)))
        for release in created.releases
    )


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
