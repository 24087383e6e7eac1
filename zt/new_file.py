"""A service file that is not there yet: its keys, its text, and the place that it is written to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError
from pydantic.alias_generators import to_snake

from components.service_files import ServiceFile, parse_service
from components.service_spec import ServiceSpec
from components.typed_file import ConfigError, Problem, legal_keys, problems_of

COMMAND = "zt new service"
SCHEMA_LINE = "# yaml-language-server: $schema=../docs/reference/service.schema.json\n"
_LINE_WIDTH = 120

Values = Mapping[str, object]
"""Keys of a service file, in its spelling, and what they are to hold."""


@dataclass(frozen=True)
class Request:
    """What was asked for. `values` has what the flags say; `yes` asks nothing, `dry_run` writes nothing."""

    name: str | None
    values: Values
    project: Path
    stack: str = "production"
    yes: bool = False
    dry_run: bool = False
    output_format: str = "text"


def read_others(project: Path) -> tuple[ServiceFile, ...]:
    """The services that are there. Raises `ConfigError` for a file that the program would refuse."""
    paths = sorted((project / "services").glob("*.yaml"))
    return tuple(parse_service(_read(path), f"services/{path.name}") for path in paths)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise ConfigError([Problem(COMMAND, f"services/{path.name}", message)]) from error


def required() -> tuple[str, ...]:
    """The keys that every file must have; the name is the file's own."""
    fields = zip(legal_keys(ServiceSpec, ()), ServiceSpec.model_fields.values(), strict=True)
    return tuple(key for key, field in fields if field.is_required() and key != "name")


def missing(values: Values) -> tuple[str, ...]:
    """The required keys that have no value."""
    return tuple(key for key in required() if key not in values)


def flag(key: str) -> str:
    """The flag of a key."""
    return f"--{to_snake(key).replace('_', '-')}"


def problem_with(key: str, value: object) -> Problem | None:
    """What is wrong with the value of one key, whatever the others hold."""
    try:
        ServiceSpec.model_validate({key: value})
    except ValidationError as error:
        wrong = (
            p for p in problems_of(error, ServiceSpec, COMMAND) if p.key.partition(".")[0].partition("[")[0] == key
        )
        return next(wrong, None)
    return None


def free_path(project: Path, name: str) -> Path:
    """Where the file of a service goes. Raises `ConfigError` for a wrong name, and when there is one already."""
    # Judged first: a name with a slash would lead out of services/.
    if problem := problem_with("name", name):
        raise ConfigError([problem])
    path = project / "services" / f"{name}.yaml"
    if path.exists() or path.is_symlink():
        raise ConfigError([Problem(COMMAND, f"services/{path.name}", "it is there already, and is not overwritten")])
    return path


def service_text(values: Values) -> str:
    """The text of a service file: the keys in the model's order, and only those that have a value."""
    ordered = {key: values[key] for key in legal_keys(ServiceSpec, ()) if key in values}
    # The stubs of yaml leave the stream's type open, and with it the result's.
    dumped: str = yaml.safe_dump(  # pyright: ignore[reportUnknownMemberType]
        ordered, sort_keys=False, default_flow_style=None, allow_unicode=True, width=_LINE_WIDTH
    )
    return SCHEMA_LINE + dumped


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet. Raises `ConfigError`."""
    try:
        path.parent.mkdir(exist_ok=True)
        # Exclusive: one that appeared since is left alone.
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        message = f"cannot be written: {error.strerror or error}"
        raise ConfigError([Problem(COMMAND, f"services/{path.name}", message)]) from error


def split(texts: Sequence[str]) -> list[str]:
    """The words of comma-separated texts."""
    return [word for text in texts for part in text.split(",") if (word := part.strip())]


def secrets_of(texts: Sequence[str]) -> dict[str, object]:
    """The secrets that texts like `session:key,salt` declare; every field is generated. Raises `ConfigError`."""
    found: dict[str, object] = {}
    for text in texts:
        name, colon, fields = text.partition(":")
        names = split([fields])
        if not colon or not names:
            message = "write the secret's name, a colon and its fields, as session:key"
            raise ConfigError([Problem(COMMAND, "--secret", message, repr(text))])
        if name.strip() in found:
            raise ConfigError([Problem(COMMAND, "--secret", "named twice: write its fields together", repr(text))])
        found[name.strip()] = {"generate": names}
    return found
