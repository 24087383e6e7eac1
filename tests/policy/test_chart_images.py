"""The images in the real charts: those that the program says, and from a mirror no other place."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.external_secrets.operator import external_secrets_values
from components.ingress.cert_manager import cert_manager_values
from components.kube.charts import PUBLISHED
from components.kube.images import IMAGES, INJECTOR, PROXY, from_hub
from components.kyverno.policy_set import kyverno_values
from components.mesh.security import MeshSecurityArgs, base_values, cni_values, istiod_values, ztunnel_values
from components.vault.values import InjectorArgs, chart_values
from embedded.toolchain import ensure
from embedded.toolchain.charts import stage_charts
from embedded.toolchain.table import KUBERNETES_VERSION
from tests.node.vault_pods import OFFICIAL_CHART
from tests.support.vault_chart import sealed
from zt.check.charts import documents

pytestmark = pytest.mark.policy

MIRROR = "mirror.example.org:5000/platform"
# The chart of Vault is in no Go module: with the official one at hand it is rendered, too.
VAULT = os.environ.get(OFFICIAL_CHART)
# An argument, or a variable, that names an image for pods of others.
_NAMED = re.compile(r"(?:^--[-a-z0-9]*image=|^)([a-z0-9.:-]+/[a-z0-9]+[a-z0-9./_-]*:[A-Za-z0-9._-]+)$")


def values(chart: str, hub: str | None, replicas: int = 3) -> dict[str, Any]:
    mesh = MeshSecurityArgs(PUBLISHED, "STRICT", "enforce", hub=hub, ambient=True)
    made = {
        "kyverno": lambda: kyverno_values(replicas, ["kube-system"], hub),
        "base": base_values,
        "istiod": lambda: istiod_values(mesh),
        "cni": lambda: cni_values(mesh),
        "ztunnel": lambda: ztunnel_values(mesh),
        "cert-manager": lambda: cert_manager_values(replicas, True, hub),
        "external-secrets": lambda: external_secrets_values(min(replicas, 2), hub),
        "vault": lambda: chart_values(
            sealed(3, image=from_hub(IMAGES["vault"][0], hub)), InjectorArgs(2), False, None, hub
        ),
    }
    return made[chart]()


def rendered(folder: Path, chart: str, hub: str | None, replicas: int = 3) -> list[dict[str, Any]]:
    """The objects of the chart without definitions, but for the pods of `helm test`, which nobody runs."""
    return [made for made in documents(upgraded(folder, chart, hub, replicas)) if "test" not in hooks(made)]


def upgraded(folder: Path, chart: str, hub: str | None = None, replicas: int = 3) -> str:
    """What Helm makes of the chart for an upgrade."""
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values(chart, hub, replicas)))
    place = VAULT if chart == "vault" else stage_charts() / chart
    # What the chart makes of an upgrade has hooks of its own.
    command = [str(ensure(["helm"]) / "helm"), "template", "x", str(place), "--is-upgrade", "--values", str(file)]
    options = ["--namespace", "x", "--kube-version", KUBERNETES_VERSION]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=True, timeout=600).stdout


def hooks(made: dict[str, Any]) -> str:
    return str((made["metadata"].get("annotations") or {}).get("helm.sh/hook", ""))


def images(made: Any, key: str = "") -> Iterator[str]:
    """Every image that an object names: of its containers, in their arguments and in their variables."""
    if isinstance(made, dict):
        for name, value in made.items():
            yield from images(value, str(name))
    elif isinstance(made, list):
        for value in made:
            yield from images(value, key)
    elif isinstance(made, str) and key == "image":
        yield made
    elif isinstance(made, str) and key in ("args", "value") and (found := _NAMED.search(made)):
        yield found[1]


def found(folder: Path, chart: str, hub: str | None) -> set[str]:
    every = rendered(folder, chart, hub)
    names = {name for made in every if made["kind"] != "CustomResourceDefinition" for name in images(made)}
    if chart == "istiod":
        # The templates of the proxy are a text, and istiod composes the image of these two.
        [injector] = [m for m in every if m["kind"] == "ConfigMap" and "injector" in m["metadata"]["name"]]
        of_values = yaml.safe_load(injector["data"]["values"])["global"]
        names.add(f"{of_values['hub']}/{of_values['proxy']['image']}:{of_values['tag']}")
    return names


CHARTS = [name for name in IMAGES if name not in ("vault", "openbao")] + (["vault"] if VAULT else [])


@pytest.mark.parametrize("chart", CHARTS)
def test_the_images_of_a_chart_are_those_that_the_program_says(tmp_path: Path, chart: str) -> None:
    assert found(tmp_path, chart, None) == set(IMAGES[chart])


@pytest.mark.parametrize("chart", CHARTS)
def test_from_a_mirror_comes_every_image(tmp_path: Path, chart: str) -> None:
    names = found(tmp_path, chart, MIRROR)
    assert names == {from_hub(name, MIRROR) for name in IMAGES[chart]}
    assert all(name.startswith(f"{MIRROR}/") for name in names)


def test_vaults_charts_take_every_image_from_a_mirror() -> None:
    """Each of both charts has three images, by these values: https://github.com/hashicorp/vault-helm and OpenBao's."""
    for openbao in (False, True):
        made = chart_values(sealed(3), InjectorArgs(2), openbao, None, MIRROR)
        named = [made["server"]["image"], made["injector"]["agentImage"], made["injector"]["image"]]
        places = ["/".join(each[key] for key in ("registry", "repository") if key in each) for each in named]
        own = "openbao" if openbao else "vault"
        assert places == [f"{MIRROR}/{own}", f"{MIRROR}/{own}", f"{MIRROR}/{INJECTOR}"]


def test_the_proxy_is_among_the_images_of_the_control_plane() -> None:
    assert any(f"/{PROXY}:" in name for name in IMAGES["istiod"])
