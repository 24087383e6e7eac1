"""Writes a file in one step: whoever reads it sees the old text or the new one, and never a half."""

import os
from pathlib import Path


def write_atomically(target: Path, content: bytes) -> None:
    """Replace a file, which keeps the mode that it has; a new one gets what the umask leaves. Raises `OSError`."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o7777)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
