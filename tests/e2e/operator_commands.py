"""`zt` as an operator of a running control plane types it."""

import os
import subprocess
import sys

from tests.e2e.plane import PROJECT, Plane


def zt(plane: Plane, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m zt` as a person would, with a stack of its own and nothing of the caller's Vault."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VAULT_")}
    own = {"ZERO_TRUST_EMBEDDED_DIR": str(plane.state), "NO_COLOR": "1", **environment}
    return subprocess.run(
        [sys.executable, "-m", "zt", *arguments],
        cwd=PROJECT,
        env={**kept, **own},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def embedded(plane: Plane, *arguments: str) -> str:
    """What a command on the embedded stack prints; it must succeed."""
    done = zt(plane, *arguments, "--embedded")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
