"""What the program's own words cost to read: an SDK takes longer to load than most commands to run."""

import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("module", LIGHT)
def test_what_commands_read_loads_no_sdk_of_a_provider(module: str) -> None:
    code = f"import sys, {module}; print(sorted(name for name in sys.modules if name.startswith('pulumi_')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.strip() == "[]"
