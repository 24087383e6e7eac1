"""The YAML files of a folder of declarations, each with that of a stack over it."""

from collections.abc import Sequence
from pathlib import Path

from components.schema.problem import ConfigError, Problem
from components.schema.yaml_text import read_text, read_yaml
from components.service.file.layers import Layers, is_of_a_stack, misnamed


def layers_in(directory: Path, stack: str, stacks: Sequence[str]) -> tuple[list[Layers], list[Problem]]:
    """The files of a folder with those of a stack over them, by name, and what cannot be read of them.

    Without a `stack` no file lies over another. Empty `stacks` are not known.
    """
    paths = sorted(directory.iterdir()) if directory.is_dir() else []
    problems = [_misspelt(path) for path in paths if path.suffix == ".yml"]
    own = {path.stem: path for path in paths if path.suffix == ".yaml" and not is_of_a_stack(path)}
    layers: list[Layers] = []
    for path in (path for path in paths if path.suffix == ".yaml"):
        try:
            if is_of_a_stack(path):
                _check_layer(path, sorted(own), stacks)
            else:
                above = directory / f"{path.stem}.{stack}.yaml"
                over = (name_of(above), read_text(above, name_of(above))) if stack and above.exists() else ()
                layers.append(Layers(name_of(path), read_text(path, name_of(path)), *over))
        except ConfigError as error:
            # A stack's own file is read by itself, and over the one that it lies over.
            problems += [problem for problem in error.problems if problem not in problems]
    return layers, problems


def unread_folders(directory: Path) -> list[Path]:
    """The folders in it with YAML files, which would be left out without a word."""
    paths = sorted(directory.iterdir()) if directory.is_dir() else []
    return [path for path in paths if path.is_dir() and any(path.rglob("*.y*ml"))]


def name_of(path: Path) -> str:
    """The name of a file as problems have it, such as `services/api.yaml`."""
    return f"{path.parent.name}/{path.name}"


def _check_layer(path: Path, names: Sequence[str], stacks: Sequence[str]) -> None:
    """Raise `ConfigError` for a stack's file that lies over nothing, or is no YAML. Its own stack checks its keys."""
    if problem := misnamed(path, names, stacks):
        raise ConfigError([problem])
    read_yaml(read_text(path, name_of(path)), name_of(path))


def _misspelt(path: Path) -> Problem:
    kind = path.parent.name.removesuffix("s")
    return Problem(name_of(path), "file name", f"a {kind} file ends with .yaml: rename it", path.suffix, (".yaml",))
