"""The command line as a whole: help costs nothing that help does not need."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

# typer itself takes pydantic as soon as a command has arguments to read.
TYPERS = {"pydantic"}
HEAVY = ("components", "embedded", "hvac", "jinja2", "kubernetes", "pulumi", "pydantic", "requests", "rich", "yaml")


@pytest.mark.parametrize(
    ("typed", "apart"),
    [("--help", set[str]()), *((typed, TYPERS) for typed in ("check --help", "new service --help", "vault", "chek"))],
)
def test_help_loads_nothing_heavy(typed: str, apart: set[str]) -> None:
    code = f"""
import sys
from zt.cli import main
sys.argv = ["zt", *{typed.split()}]
try:
    main()
except SystemExit:
    pass
print("loaded:", sorted({set(HEAVY) - apart} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    assert "Usage: zt" in done.stdout + done.stderr
    assert done.stdout.endswith("loaded: []\n")
