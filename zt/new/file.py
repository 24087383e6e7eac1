"""A new service file: its keys, its text and its path."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError
from pydantic.alias_generators import to_snake

from components.schema.problem import ConfigError, Problem
from components.schema.typed_file import legal_keys, problems_of
from components.service.file.layers import NO_STACK, with_domain
from components.service.file.service import ServiceSpec

COMMAND = "zt new service"
SCHEMA_LINE = "# yaml-language-server: $schema=../docs/reference/service.schema.json\n"
_LINE_WIDTH = 120

Values = Mapping[str, object]
"""The keys of a service file, as the file writes them, and their values."""


@dataclass(frozen=True)
class Request:
    """The options. `values` come from the flags; `yes` asks nothing, `dry_run` writes nothing."""

    name: str | None
    values: Values
    project: Path
    stack: str = "production"
    yes: bool = False
    dry_run: bool = False
    output_format: str = "text"


def required() -> tuple[str, ...]:
    """The keys that every file must have, besides the name, which the file's name gives, and the port."""
    fields = zip(legal_keys(ServiceSpec, ()), ServiceSpec.model_fields.values(), strict=True)
    return (*(key for key, field in fields if field.is_required() and key != "name"), "port")


def missing(values: Values) -> tuple[str, ...]:
    """The required keys that have no value. What ends needs no port, and neither does what has probes of its own."""
    portless = {"port"} if values.keys() & {"run", "probes"} else set[str]()
    return tuple(key for key in required() if key not in {*values, *portless})


def flag(key: str) -> str:
    """The flag of a key."""
    return f"--{to_snake(key).replace('_', '-')}"


def problem_with(key: str, value: object) -> Problem | None:
    """The problem with the value of one key, checked alone."""
    try:
        ServiceSpec.model_validate(with_domain({key: value}, NO_STACK))
    except ValidationError as error:
        wrong = (
            p for p in problems_of(error, ServiceSpec, COMMAND) if p.key.partition(".")[0].partition("[")[0] == key
        )
        return next(wrong, None)
    return None


def free_path(project: Path, name: str) -> Path:
    """The path of a service's new file. Raises `ConfigError` for a wrong name and for a file that exists."""
    # Checked first, because a name with a slash would lead out of services/.
    if problem := problem_with("name", name):
        raise ConfigError([problem])
    path = project / "services" / f"{name}.yaml"
    if path.exists() or path.is_symlink():
        raise ConfigError([Problem(COMMAND, f"services/{path.name}", "it is there already, and is not overwritten")])
    return path


def service_text(values: Values) -> str:
    """The text of a service file: the keys that have a value, in the model's order."""
    ordered = {key: values[key] for key in legal_keys(ServiceSpec, ()) if key in values}
    return SCHEMA_LINE + "".join(_key_text(key, value) for key, value in ordered.items())


def _key_text(key: str, value: object) -> str:
    """A key on a line of its own, and below it what has several lines."""
    # With `None` a mapping of scalars is one line, which of a single key would be {key: value}.
    flow = None if isinstance(value, dict | list) else False
    # The stubs of yaml do not type the stream, and so not the result.
    dumped: str = yaml.safe_dump(  # pyright: ignore[reportUnknownMemberType]
        {key: value}, sort_keys=False, default_flow_style=flow, allow_unicode=True, width=_LINE_WIDTH
    )
    return dumped


def split(texts: Sequence[str]) -> list[str]:
    """The parts of comma-separated texts."""
    return [word for text in texts for part in text.split(",") if (word := part.strip())]


def secrets_of(texts: Sequence[str]) -> dict[str, object]:
    """The secrets in texts such as `session:key,salt`; every field is generated. Raises `ConfigError`."""
    secrets: dict[str, object] = {}
    for text in texts:
        name, colon, fields = text.partition(":")
        names = split([fields])
        if not colon or not names:
            message = "write the secret's name, a colon and its fields, as session:key"
            raise ConfigError([Problem(COMMAND, "--secret", message, repr(text))])
        if name.strip() in secrets:
            raise ConfigError([Problem(COMMAND, "--secret", "named twice: write its fields together", repr(text))])
        secrets[name.strip()] = {"generate": names}
    return secrets
