"""Reads the certificate files that a stack file names."""

from pathlib import Path


def read_pem(path: str | None, key: str) -> str:
    """The text of the file; empty without one. Raises `ValueError` that names the key of a file that cannot be read."""
    if path is None:
        return ""
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError as error:
        raise ValueError(f"{key}: {path!r}: {error.strerror}") from error
