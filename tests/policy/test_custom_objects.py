"""Every custom object that the program writes is one for the definitions that its pinned charts bring."""

import re
import runpy
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from components.program.plan import plan
from components.schema.problem import ConfigError
from tests.support import stacks
from tests.support.combined_files import combined_files
from tests.support.custom_objects import Definitions, definitions, problems
from tests.support.examples import EXAMPLES, example_stack
from tests.support.installed import Living
from tests.support.monitor import record
from tests.support.service_files import PLACEMENT, File, planned, service_files
from tests.support.service_objects import made_of

pytestmark = pytest.mark.policy

SCRAPER = {"namespace": "monitoring", "serviceAccount": "prometheus"}
APPLICATIONS = sorted(path.parent for path in (stacks.ROOT / "tests/unit/examples/applications").glob("*/services"))
VARIANTS: dict[str, dict[str, Any]] = {
    "sidecars": {"mesh": {"scraper": SCRAPER}, "apiServerCidrs": ["10.0.0.1/32"]},
    "copies": {
        "vault": {
            **stacks.values("production")["vault"],
            "delivery": "external-secrets",
            "deliveryReason": "an operator of another company reads Secrets alone",
            "tlsSecret": "vault-tls",
        }
    },
}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    return definitions(tmp_path_factory.mktemp("values"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_those_of_any_service_file(known: Definitions, variant: str) -> None:
    kinds: set[str] = set()
    chosen = stacks.settings("production", None, placement=PLACEMENT, **VARIANTS[variant])

    def validated(name: str, file: File) -> None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                args = planned(Path(folder), name, file, chosen)
            except ConfigError:
                return
        objects = made_of(args)
        kinds.update(each["kind"] for each in objects)
        assert problems(objects, known) == []

    @settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(made=service_files())
    def each_key(made: tuple[str, File]) -> None:
        validated(*made)

    @settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(made=combined_files())
    def all_keys(made: tuple[str, File]) -> None:
        validated(*made)

    each_key()
    all_keys()
    assert kinds >= {"AuthorizationPolicy", "DestinationRule", "Sidecar", "ServiceEntry"}
    assert variant != "copies" or kinds >= {"SecretStore", "ExternalSecret"}


@pytest.mark.parametrize("folder", [*APPLICATIONS, *EXAMPLES], ids=lambda folder: folder.name)
def test_those_of_a_published_application(known: Definitions, folder: Path) -> None:
    for args in plan(example_stack(folder)).services:
        assert problems(made_of(args), known) == []


@pytest.mark.parametrize("environment", ["production", "staging", "dev"])
def test_those_of_the_whole_stack(known: Definitions, environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.kube.living.living_cluster", lambda: Living().cluster)
    config = stacks.pulumi_config(stacks.values(environment))
    made = record(
        lambda: runpy.run_path(str(stacks.ROOT / "__main__.py"), run_name="__main__") and None, environment, config
    )
    objects = [dict(each.inputs) for each in made.resources if "kind" in each.inputs and "apiVersion" in each.inputs]
    assert {"ClusterIssuer", "PeerAuthentication"} <= {each["kind"] for each in objects}
    assert problems(objects, known) == []


@pytest.mark.parametrize(
    ("kind", "spec", "error"),
    [
        ("AuthorizationPolicy", {"actoin": "ALLOW"}, r"\$\.spec: Additional properties .*actoin"),
        ("AuthorizationPolicy", {"action": "PERMIT"}, r"\$\.spec\.action: 'PERMIT' is not one of"),
        ("AuthorizationPolicy", {"rules": [{"to": None}]}, r"\$\.spec\.rules\[0\]\.to: None is not of type 'array'"),
        ("AuthorisationPolicy", {}, "no definition of security.istio.io/v1"),
    ],
)
def test_what_no_definition_has_is_found(known: Definitions, kind: str, spec: dict[str, Any], error: str) -> None:
    made = {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    [found] = problems([made], known)
    assert re.search(error, found)
