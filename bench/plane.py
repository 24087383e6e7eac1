"""The control plane that a bench boots for itself."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.workload import PROJECT
from embedded.paths import STATE_VARIABLE, State


@contextmanager
def plane(scratch: Path) -> Iterator[State]:
    """A control plane of its own, without any stack on it."""
    root = scratch / "embedded"
    own = os.environ | {STATE_VARIABLE: str(root)}
    subprocess.run([sys.executable, "-m", "embedded", "up", "--no-stack"], cwd=PROJECT, env=own, check=True)
    state = State(root)
    state.passphrase_file.write_text("bench")
    try:
        yield state
    finally:
        subprocess.run([sys.executable, "-m", "embedded", "down"], cwd=PROJECT, env=own, check=True)
