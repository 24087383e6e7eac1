"""The images of the containers that the platform adds to a service's pod, each in the one version that it adds.

Rules know such a container by its image, its name and how it is run; the last two are in the rules' files. An entry of
`platformImages` in the stack file without a tag stands for the version that the program installs. While another version
is injected too, such as that of a control plane before its upgrade, it is an entry of its own, with its tag.
"""

from collections.abc import Iterable, Mapping

from components.kube.charts import CERT_MANAGER, ISTIOD, OPENBAO_IMAGE, VAULT_IMAGE
from components.kube.images import PROXY

MESH, AGENT, SOLVER = "meshImages", "agentImages", "solverImages"
"""The parameters of rules: images of the mesh's proxy, of Vault's agent, and of cert-manager's solver of challenges."""

# Istio composes its images of a hub and this name. A mirror of the others may call them what it likes.
_SOLVER, _OPENBAO = "acmesolver", "openbao"


def images_by_parameter(references: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The references with their tags, by the parameter that holds them."""
    images: dict[str, tuple[str, ...]] = {MESH: (), AGENT: (), SOLVER: ()}
    for reference in references:
        parameter, version = _kind(reference.rpartition("/")[2])
        image = reference if ":" in reference.rpartition("/")[2] else f"{reference}:{version}"
        if image not in images[parameter]:
            images[parameter] += (image,)
    return images


def _kind(name: str) -> tuple[str, str]:
    """The parameter of an image with that last part of its name, and the version that the program installs."""
    repository = name.partition(":")[0]
    if repository == PROXY:
        return MESH, ISTIOD.version
    if _SOLVER in repository:
        return SOLVER, CERT_MANAGER.version
    image = OPENBAO_IMAGE if repository == _OPENBAO else VAULT_IMAGE
    return AGENT, image.rpartition(":")[2]
