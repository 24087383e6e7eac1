"""The images that the node has, and the pods that wait for theirs."""

import logging
import subprocess
from collections.abc import Sequence

from embedded.node.images.assemble import archive_of
from embedded.node.images.table import image_of
from embedded.node.names import IMAGES_GATE
from embedded.node.programs import Node
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest
from embedded.toolchain import ToolchainError

_LOG = logging.getLogger(__name__)


class ImageStore:
    """Imports what pods ask for."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._present: set[str] = set()
        self.missing: dict[str, str] = {}
        """Why an image is not there, by its name."""

    def provide(self, reference: str) -> bool:
        """Import an image unless it is there; False when there is none, which ``missing`` then says."""
        if reference in self._present:
            return True
        image = image_of(reference)
        if image is None:
            self._miss(reference, f"no image {reference}: add a row for it in embedded/node/images/table.py")
            return False
        try:
            archive = archive_of(image, in_full(reference), self._node.layout.tools)
            self._node.run("ctr", "--namespace=k8s.io", "images", "import", "--no-unpack=false", str(archive))
        except subprocess.CalledProcessError as error:
            self._miss(reference, f"image {reference}: ctr ended with {error.returncode}: {error.stdout}")
            return False
        except (OSError, ToolchainError) as error:
            self._miss(reference, f"image {reference}: {error}")
            return False
        self._present.add(reference)
        self.missing.pop(reference, None)
        return True

    def _miss(self, reference: str, reason: str) -> None:
        if self.missing.get(reference) != reason:
            _LOG.warning("%s", reason)
        self.missing[reference] = reason

    def provide_again(self, pods: list[Manifest]) -> None:
        """Import the images of the pods that are on the node already: an earlier start of it had them."""
        for pod in pods:
            if pod["spec"].get("nodeName") == self._node.host.name:
                for reference in sorted(images_of(pod)):
                    self.provide(reference)


def let_go(api: KubernetesApi, pods: list[Manifest], stores: Sequence[ImageStore]) -> None:
    """Let each pod be scheduled once all of its images are on each node. Raises ``ApiError``."""
    for pod in pods:
        gates = [gate for gate in pod["spec"].get("schedulingGates") or [] if gate["name"] != IMAGES_GATE]
        if len(gates) == len(pod["spec"].get("schedulingGates") or []):
            continue
        # Each of them, so that all that is missing is said at once.
        provided = [store.provide(reference) for store in stores for reference in sorted(images_of(pod))]
        if all(provided):
            metadata = pod["metadata"]
            path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
            api.patch(path, {"spec": {"schedulingGates": gates or None}})


def in_full(reference: str) -> str:
    """A name with its registry, as the runtime looks for it: without one it is that of docker.io.

    https://pkg.go.dev/github.com/distribution/reference#ParseNormalizedNamed
    """
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return reference
    return f"docker.io/{reference}" if slash else f"docker.io/library/{reference}"


def images_of(pod: Manifest) -> set[str]:
    """The images of all of the pod's containers."""
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return {container["image"] for kind in kinds for container in pod["spec"].get(kind) or []}
