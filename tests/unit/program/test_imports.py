"""What the program's own words cost to read: an SDK takes longer to load than most commands to run."""

import subprocess
import sys

import pytest

from zt.project.options import CHECKOUT

pytestmark = pytest.mark.unit

LIGHT = (
    "components.program.stack",
    "components.service.manifests.authorization",
    "components.service.manifests.network_policy",
    "zt.cli",
    "zt.rotate.command",
    "zt.revoke.command",
    "zt.cluster.vault",
    "zt.vault.snapshot",
)


# Clients that only a step of the bootstrap needs, and the models of files, which no provider reads.
HEAVY = ("hvac", "requests", "pydantic", "kubernetes")


def loaded(module: str, names: str) -> str:
    return said_by(f"import sys, {module}; print(sorted(name for name in sys.modules if {names}))")


def said_by(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    return done.stdout.strip()


@pytest.mark.parametrize("module", LIGHT)
def test_what_commands_read_loads_no_sdk_of_a_provider(module: str) -> None:
    assert loaded(module, "name.startswith('pulumi_')") == "[]"


def test_the_providers_of_the_bootstrap_load_what_they_do_when_they_do_it() -> None:
    """Pulumi loads them at each run, by this name."""
    assert loaded("components.vault_bootstrap_resources", f"name in {HEAVY}") == "[]"


def test_the_program_loads_no_client_of_vault() -> None:
    assert loaded("components.vault.platform", "name == 'hvac'") == "[]"


def test_the_program_leaves_the_definitions_of_the_gateway_api_as_they_are() -> None:
    """With Kubernetes' SDK loaded, Pulumi asks for each of them again and makes a typed resource of it."""
    program = str(CHECKOUT / "__main__.py")
    names = "name == 'pulumi_kubernetes'"
    code = f"import runpy, sys; runpy.run_path({program!r}); print([name for name in sys.modules if {names}])"
    assert said_by(code) == "[]"
