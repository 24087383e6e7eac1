"""Layers that others installed in namespaces of their own choice: read there, and nowhere else.

No controller runs in them here: their pods are simulated, and what is read of them is what their charts deployed.
"""

from pathlib import Path

import pytest
import yaml

from tests.e2e.installed_by_others import install, values_of_others
from tests.e2e.plane import Plane, copy_program
from tests.e2e.test_existing_layers import STACK, take_layers, unjudged_by
from tests.e2e.test_preflight import preflight

pytestmark = pytest.mark.e2e

ELSEWHERE = {"kyverno": "policy", "istio-system": "mesh-root", "cert-manager": "pki"}


def say(checkout: Path, elsewhere: dict[str, str]) -> None:
    """Write these namespaces into the stack file."""
    path = checkout / f"Pulumi.{STACK}.yaml"
    file = yaml.safe_load(path.read_text())
    config = file["config"]
    for section, own in ((config["zero-trust:kyverno"], "kyverno"), (config["zero-trust:mesh"], "istio-system")):
        section.pop("namespace", None)
        section.update({"namespace": elsewhere[own]} if own in elsewhere else {})
    certificates = config["zero-trust:ingress"]["certManager"]
    certificates.pop("namespace", None)
    certificates.update({"namespace": elsewhere["cert-manager"]} if elsewhere else {})
    path.write_text(yaml.safe_dump(file))


@pytest.fixture(scope="module")
def others(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    checkout = take_layers(copy_program(tmp_path_factory.mktemp("checkout")))
    say(checkout, ELSEWHERE)
    values = values_of_others(unjudged_by(checkout))
    values["kyverno"]["features"]["policyExceptions"]["namespace"] = ELSEWHERE["kyverno"]
    values["kyverno"]["config"]["resourceFiltersExclude"].append(f"[*/*,{ELSEWHERE['kyverno']},*]")
    # istiod itself closes this webhook once it serves.
    values["istiod"]["base"] = {"validationFailurePolicy": "Fail"}
    for chart in ("base", "cni", "istiod"):
        values[chart]["global"] = {**values[chart].get("global", {}), "istioNamespace": ELSEWHERE["istio-system"]}
    install(plane, values, ELSEWHERE)
    return Plane(plane.state, checkout)


def test_without_the_key_each_layer_is_missing_with_the_key_that_names_it(others: Plane) -> None:
    say(others.checkout, {})
    try:
        done = others.run("up", "--stack", STACK, check=False)
        assert done.returncode != 0
        for key in ("kyverno.namespace", "mesh.namespace", "ingress.certManager.namespace"):
            assert f"name its {key}" in done.stdout
    finally:
        say(others.checkout, ELSEWHERE)


def test_the_preflight_finds_them_and_lacks_nothing(others: Plane) -> None:
    found = preflight(others, "--embedded", "--project", str(others.checkout))
    lines = [line for line in found.lines if line["check"].startswith("existing-")]
    assert lines, found.errors
    assert {line["check"].removeprefix("existing-") for line in lines} == {
        *("kyverno", "cert-manager", "gateway-api", "istio")
    }
    assert not [line for line in lines if line["result"] == "fails"]
