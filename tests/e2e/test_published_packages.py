"""The rules that Kyverno publishes as a chart, on the production stack: with the first file of `zt package init`.

What a person has to decide is in that file already, with a reason and a last day that the draft asks for.
"""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import yaml

from components.kyverno.library import load_library
from embedded.toolchain import ensure
from embedded.toolchain.gomodule import module_dir
from tests.e2e.admission import Admission
from tests.e2e.plane import Plane, copy_program
from zt.package.command import InitOptions, draft, problems

pytestmark = pytest.mark.e2e

STACK, NAME, TODAY = "production", "baseline", datetime.now(UTC).date()
PRIVILEGED = {"privileged": True}


@pytest.fixture(scope="module")
def helm() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{ensure(['helm'], progress=False)}{os.pathsep}{os.environ['PATH']}")
        yield


@pytest.fixture(scope="module")
def production(plane: Plane, helm: None, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    path = own.checkout / f"Pulumi.{STACK}.yaml"
    stack = yaml.safe_load(path.read_text())
    stack["config"]["zero-trust:asOf"] = TODAY.isoformat()
    path.write_text(yaml.safe_dump(stack, sort_keys=False))
    chart = module_dir("github.com/kyverno/kyverno") / "charts" / "kyverno-policies"
    shutil.copytree(chart, own.checkout / "packages" / NAME, copy_function=shutil.copyfile)
    options = InitOptions(NAME, NAME, NAME, "web", STACK, own.checkout, TODAY)
    text, _ = draft(options, lambda _: None)
    assert problems(options, text) == []
    (own.checkout / "packages" / f"{NAME}.yaml").write_text(text, encoding="utf-8")
    own.run("up", "--stack", STACK)
    return own


def test_they_stand_beside_the_platforms_own(production: Plane) -> None:
    """Some have the names of the platform's: none takes the place of one that denies."""
    granted = yaml.safe_load((production.checkout / "packages" / f"{NAME}.yaml").read_text())["grants"]
    names = {name for grant in granted for name in grant["names"]}
    there = production.objects.list_cluster_custom_object("policies.kyverno.io", "v1", "validatingpolicies")["items"]
    assert names
    assert names <= {each["metadata"]["name"] for each in there}
    container = {"name": "c", "image": "docker.io/istio/proxyv2:1", "securityContext": PRIVILEGED}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "privileged", "namespace": NAME},
        "spec": {"containers": [container]},
    }
    library = load_library().rules
    answer = Admission(production, library).dry_run("POST", pod, NAME)
    assert answer.rules & {rule.name for rule in library.values() if rule.tier == "critical"}


def test_a_second_run_changes_nothing(production: Plane) -> None:
    production.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes")
