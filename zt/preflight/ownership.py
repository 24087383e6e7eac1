"""Whether an object in the cluster is this stack's: by the marks of Helm and of Pulumi on it."""

from components.kube.ownership import by_stack, release_of
from zt.cluster.manifest import Manifest
from zt.preflight.created import Created

__all__ = ["is_own", "release_of"]

# Another revision of the mesh has another release while services move to it.
_REVISED = "istiod"


def is_own(metadata: Manifest, created: Created, manager: str) -> bool:
    """Whether the stack of that field manager applied an object, or Helm installed it for a release of the stack."""
    if by_stack(metadata, manager):
        return True
    name, namespace = release_of(metadata)
    return any(
        namespace == release.namespace
        and (name == release.name or (name.startswith(_REVISED) and release.name.startswith(_REVISED)))
        for release in created.releases
    )
