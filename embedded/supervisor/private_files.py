"""Files that only their owner may read: keys, tokens, client configurations."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

_OWNER_ONLY = 0o600


def write_private(path: Path, content: str | bytes) -> None:
    """Replace ``path`` with ``content`` in one step, mode 0600. A reader sees the old file or the new one, whole."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    data = content.encode() if isinstance(content, str) else content
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    staged.replace(path)


def write_private_json(path: Path, content: Mapping[str, object]) -> None:
    """Replace ``path`` with ``content`` as indented JSON, mode 0600."""
    write_private(path, json.dumps(content, indent=2) + "\n")
