"""Turns a stack's Pulumi config into its settings, and reports all problems of the file."""

import json
from collections.abc import Callable, Mapping
from typing import cast

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from components.config.charts import ChartSettings
from components.config.checks import cross_problems
from components.config.overlay import Overlay
from components.config.posture import TABLE, PostureError, posture_for
from components.config.settings import PostureOverrides, Settings
from components.config.stack_source import StackSource
from components.kube.names import PROJECT, SECRETS
from components.schema.problem import UNREPEATED, ConfigError, LineOf, Problem, no_line, shown_value
from components.schema.renamed import with_new_names
from components.schema.typed_file import legal_keys, problems_of

# The suffix that the Pulumi CLI adds to a day without quotes in the stack file.
_MIDNIGHT = " 00:00:00 +0000 UTC"


def parse_settings(
    values: Mapping[str, object],
    file: str,
    overlay: Overlay | None = None,
    line_of: LineOf = no_line,
    warn: Callable[[Problem], None] = lambda _: None,
) -> Settings:
    """The settings from a stack file's decoded values, with the addresses of the overlay.

    `line_of` is that of a `StackSource`; `warn` receives what the next release will refuse. Raises `ConfigError` with
    all problems of the file.
    """
    source, prefix = StackSource(file, line_of), f"{PROJECT}:"
    values, warnings = with_new_names(Settings, values, file, prefix, source.line_of_own)
    for warning in warnings:
        warn(warning)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems = problems_of(error, Settings, file, prefix, source.line_of_own)
        raise ConfigError([*problems, *_posture_problems(values, source)]) from error
    if overlay is not None:
        charts = ChartSettings(directory=overlay.charts) if overlay.charts else settings.charts
        places = {
            "vault": overlay.place(settings.vault),
            "ingress": settings.ingress.at(overlay.acme),
            "charts": charts,
        }
        settings = settings.model_copy(update=places)
    if problems := [*_posture_problems(values, source), *cross_problems(settings, source)]:
        raise ConfigError(problems)
    return settings


def decode_config(
    config: Mapping[str, object], secret_keys: frozenset[str], file: str, line_of: LineOf = no_line
) -> dict[str, object]:
    """The decoded keys of this project in a Pulumi config, where objects are JSON text.

    Raises `ConfigError` for a secret, since this model is stored in plain text, and for a value of the wrong type.
    """
    values: dict[str, object] = {}
    problems: list[Problem] = []
    texts = {"environment", "trustDomain", "asOf"}
    for key in sorted(key for key in config if key.startswith(f"{PROJECT}:")):
        name, value = key.removeprefix(f"{PROJECT}:"), config[key]
        if key in secret_keys:
            message = "a secret does not belong here: services generate theirs"
            problems.append(Problem(file, key, message, "a secret", line=line_of((key,))))
        elif name in texts or name not in legal_keys(Settings, ()) or not isinstance(value, str):
            values[name] = _without_midnight(value)
        else:
            try:
                values[name] = _without_midnight(json.loads(value))
            except json.JSONDecodeError:
                shown = shown_value(value)
                problems.append(Problem(file, key, "a mapping or a list is expected", shown, line=line_of((key,))))
    if problems := [*problems, *_secret_problems(values, config, secret_keys, StackSource(file, line_of))]:
        raise ConfigError(problems)
    return values


def _without_midnight(value: object) -> object:
    """A value whose days are written as in the stack file."""
    if isinstance(value, str):
        return value.removesuffix(_MIDNIGHT)
    if isinstance(value, list):
        return [_without_midnight(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: _without_midnight(item) for key, item in cast("dict[str, object]", value).items()}
    return value


def _secret_problems(
    values: Mapping[str, object], config: Mapping[str, object], secret_keys: frozenset[str], source: StackSource
) -> list[Problem]:
    """The problems with the secrets of the config: one is in plaintext, or one that a key names does not exist."""
    written = sorted(key for key in config if key.startswith(f"{SECRETS}:"))
    problems = [
        Problem(
            source.file,
            key,
            f"in plaintext: set it with `pulumi config set --secret {key}`",
            UNREPEATED,
            line=source.line_of((key,)),
        )
        for key in written
        if key not in secret_keys
    ]
    databases = values.get("databases")
    for name, database in cast("Mapping[str, object]", databases if isinstance(databases, dict) else {}).items():
        secret = cast("Mapping[str, object]", database).get("adminSecret") if isinstance(database, dict) else None
        if isinstance(secret, str) and f"{SECRETS}:{secret}" not in written:
            legal = tuple(key.removeprefix(f"{SECRETS}:") for key in written)
            problems.append(source.problem(f"databases.{name}.adminSecret", "no such secret", secret, legal))
    return problems


def _posture_problems(values: Mapping[str, object], source: StackSource) -> list[Problem]:
    environment = values.get("environment")
    if not isinstance(environment, str) or environment not in TABLE:
        return []
    try:
        overrides = PostureOverrides.model_validate(values.get("posture", {}))
    except ValidationError:
        return []
    try:
        posture_for(environment, overrides.by_layer())
    except PostureError as error:
        return [
            source.problem(f"posture.{to_camel(p.layer)}", p.message, p.found, tuple(_yaml(v) for v in p.legal))
            for p in error.problems
        ]
    return []


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
