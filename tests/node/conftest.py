"""The production stack on the node, once for all modules that try it."""

from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.plane import Plane, copy_program
from tests.node.cluster import Cluster


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Production, with certificates of the platform's own CA: Let's Encrypt cannot be reached from here."""
    state = tmp_path_factory.mktemp("plane") / "embedded"
    plane = Plane(state, copy_program(tmp_path_factory.mktemp("checkout")))
    file = plane.checkout / "Pulumi.production.yaml"
    stack = yaml.safe_load(file.read_text())
    stack["config"]["zero-trust:posture"] = {"issuer": {"value": "ca", "reason": "no way to Let's Encrypt"}}
    file.write_text(yaml.safe_dump(stack))
    plane.run("up", "--no-stack", "--node", timeout=3600)
    try:
        plane.run("up", "--stack", "production", "--node", timeout=3600)
        yield Cluster(plane)
    finally:
        plane.run("down", check=False)
