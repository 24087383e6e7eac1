"""Writes a file atomically: a reader gets the old text or the new one, and never a part."""

import os
import threading
from pathlib import Path


def write_atomically(target: Path, content: bytes, mode: int = 0o666) -> None:
    """Replace a file and keep its mode. A new file gets `mode` without the umask. Raises `OSError`."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with open(temporary, "xb", opener=lambda path, flags: os.open(path, flags, mode)) as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o7777)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
