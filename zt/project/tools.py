"""The pinned tools of the embedded control plane, for commands that run one."""

import sys
from pathlib import Path

from zt.project.errors import ToolError


def pinned_tool(name: str) -> Path:
    """A tool, built when it is missing. Raises `ToolError` when it cannot be."""
    from embedded.access import EmbeddedPlane, EmbeddedPlaneError

    try:
        return EmbeddedPlane.tool(name, progress=sys.stderr.isatty())
    except EmbeddedPlaneError as error:
        raise ToolError(str(error)) from error
