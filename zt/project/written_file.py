"""Writes the files of a project, and nothing beside it: a name or a link of others may lead elsewhere."""

from pathlib import Path

from components.schema.problem import ConfigError, Problem
from zt.project.atomic_write import write_atomically


def replace_file(project: Path, file: str, text: str) -> None:
    """Replace a file of a project, whole or not at all.

    Raises `ConfigError` for one that is outside of the project, perhaps by a link, or that cannot be written.
    """
    path = (project / file).resolve()
    if not path.is_relative_to(project.resolve()):
        raise ConfigError([Problem(file, "file", "is not in the project, and is not written", repr(str(path)))])
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise ConfigError([Problem(file, "file", f"cannot be written: {error.strerror or error}")]) from error


def create_file(project: Path, file: str, text: str) -> None:
    """Write a new file of a project, whole or not at all. Raises `ConfigError` if it exists or cannot be written."""
    path = project / file
    try:
        path.parent.mkdir(exist_ok=True)
        # Exclusive, so that a file that was created since is not overwritten, and a link leads nowhere.
        with path.open("x", encoding="utf-8") as stream:
            try:
                stream.write(text)
                stream.flush()
            except BaseException:
                path.unlink()
                raise
    except OSError as error:
        raise ConfigError([Problem(file, "file", f"cannot be written: {error.strerror or error}")]) from error
