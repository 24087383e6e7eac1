"""The applications of `examples/`, with what the stack file needs for each."""

from pathlib import Path
from typing import Any

import yaml

from components.program.stack import Stack, read_stack
from tests.support import stacks

EXAMPLES = sorted(path.parent for path in (stacks.ROOT / "examples").glob("*/services"))


def example_stack(folder: Path, environment: str = "production", **changes: Any) -> Stack:
    """An environment's stack with the services of one example."""
    file = folder / "stack.yaml"
    own: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
    keys = {key.removeprefix("zero-trust:"): value for key, value in own.items()}
    settings = stacks.settings(environment, None, **{**keys, **changes})
    return read_stack(folder, f"Pulumi.{environment}.yaml", settings)
