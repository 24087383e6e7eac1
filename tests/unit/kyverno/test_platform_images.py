"""The images of the platform's containers, from what a stack file lists."""

import pytest

from components.kube.charts import CERT_MANAGER, ISTIOD, OPENBAO_IMAGE, VAULT_IMAGE
from components.kyverno.platform_images import images_by_parameter
from components.vault.values import InjectorArgs, injector_values

pytestmark = pytest.mark.unit

VAULT, OPENBAO = (image.rpartition(":")[2] for image in (VAULT_IMAGE, OPENBAO_IMAGE))


@pytest.mark.parametrize(
    ("reference", "parameter", "image"),
    [
        ("docker.io/istio/proxyv2", "meshImages", f"docker.io/istio/proxyv2:{ISTIOD.version}"),
        ("mirror.example.org:5000/proxyv2", "meshImages", f"mirror.example.org:5000/proxyv2:{ISTIOD.version}"),
        ("mirror.example.org/istio/proxyv2:1.30.2", "meshImages", "mirror.example.org/istio/proxyv2:1.30.2"),
        ("docker.io/hashicorp/vault", "agentImages", f"docker.io/hashicorp/vault:{VAULT}"),
        ("mirror.example.org/agent", "agentImages", f"mirror.example.org/agent:{VAULT}"),
        ("quay.io/openbao/openbao", "agentImages", f"quay.io/openbao/openbao:{OPENBAO}"),
        (
            "quay.io/jetstack/cert-manager-acmesolver",
            "solverImages",
            f"quay.io/jetstack/cert-manager-acmesolver:{CERT_MANAGER.version}",
        ),
    ],
)
def test_an_entry_is_the_image_of_one_injector_in_one_version(reference: str, parameter: str, image: str) -> None:
    images = images_by_parameter([reference])
    assert images[parameter] == (image,)
    assert sum(len(each) for each in images.values()) == 1


def test_the_proxys_former_version_is_listed_beside_the_installed_one() -> None:
    repository = "docker.io/istio/proxyv2"
    images = images_by_parameter([repository, f"{repository}:1.30.2", repository])
    assert images["meshImages"] == (f"{repository}:{ISTIOD.version}", f"{repository}:1.30.2")


def test_the_injector_adds_the_image_that_the_rules_know() -> None:
    agent = injector_values(InjectorArgs(replicas=1, fail_closed=True), False)["agentImage"]
    assert images_by_parameter([agent["repository"]])["agentImages"] == (f"{agent['repository']}:{agent['tag']}",)


def test_the_injector_of_openbao_has_a_registry_before_the_repository() -> None:
    agent = injector_values(InjectorArgs(replicas=1, fail_closed=True), True)["agentImage"]
    assert agent == {"registry": "quay.io", "repository": "openbao/openbao", "tag": OPENBAO}
    assert images_by_parameter(["quay.io/openbao/openbao"])["agentImages"] == (f"quay.io/openbao/openbao:{OPENBAO}",)
