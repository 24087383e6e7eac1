"""What a platform tells the programs of its teams: typed, versioned, and without a secret.

The platform's stack exports it as `platform`, and keeps it for each team in the cluster. Whoever may write it decides
where a service logs in, whom its proxy trusts and what its files may say: docs/adr/0017-teams.md says who may.
"""

import json
from dataclasses import dataclass
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from components.schema.problem import ConfigError, Problem
from components.service.args.platform import PlatformTerms
from components.service.file.conditions import Conditions
from components.service.file.team import TeamApprovals

VERSION = 1
"""The version of the document. Any change of a field, of its type or of its meaning raises it."""
_PACKAGE = "zero-trust"


@dataclass(frozen=True)
class VaultConnection:
    """Where a team's deployer logs in to Vault: address, authority in PEM (empty: a public one), mount and role."""

    address: str = ""
    authority: str = ""
    mount: str = ""
    role: str = ""


@dataclass(frozen=True)
class Platform:
    """What the services of a team need of the platform, and what their files are checked with."""

    terms: PlatformTerms
    conditions: Conditions
    replicas: int
    """The number of pods of a service whose file does not say it."""
    vault: VaultConnection
    team: TeamApprovals


_ADAPTER = TypeAdapter(Platform)


def document(platform: Platform) -> dict[str, Any]:
    """The platform as plain data, with the version of its shape."""
    return {"version": VERSION, **cast("dict[str, Any]", _ADAPTER.dump_python(platform, mode="json"))}


def schema() -> dict[str, Any]:
    """The JSON Schema of the document without its version: what a new version differs in."""
    return _ADAPTER.json_schema()


def read_document(text: str, source: str) -> Platform:
    """The platform of a document. `source` is where it came from.

    Raises `ConfigError` for another version, with what to upgrade, and for a document that is not one of this version
    to the letter: a field that is not read may be one that the platform relies on.
    """
    try:
        values: object = json.loads(text)
    except (json.JSONDecodeError, TypeError) as error:
        raise ConfigError([Problem(source, "document", "it is no JSON, so no platform wrote it")]) from error
    if not isinstance(values, dict):
        raise ConfigError([Problem(source, "document", "it is no mapping, so no platform wrote it")])
    known = cast("dict[str, object]", values)
    version = known.pop("version", None)
    if version != VERSION or isinstance(version, bool):
        raise ConfigError([Problem(source, "version", _upgrade(version), repr(version), (str(VERSION),))])
    try:
        platform = _ADAPTER.validate_python(known)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ConfigError([Problem(source, where, f"no document of version {VERSION} has this: {_UNTRUE}")]) from error
    if foreign := _difference(known, _ADAPTER.dump_python(platform, mode="json")):
        raise ConfigError([Problem(source, foreign, f"no document of version {VERSION} has this: {_UNTRUE}")])
    return platform


_UNTRUE = "ask the platform's team whether its stack wrote it"


def _upgrade(version: object) -> str:
    if isinstance(version, int) and not isinstance(version, bool) and version > VERSION:
        return (
            f"the platform is newer than the package {_PACKAGE} here: upgrade the package in this team's requirements"
        )
    if isinstance(version, int) and not isinstance(version, bool):
        return (
            f"the platform is older than the package {_PACKAGE} here: ask its team to upgrade it, "
            "or go back to the package's release that the platform has"
        )
    return f"no version of a platform: {_UNTRUE}"


def _difference(found: object, known: object, path: str = "") -> str:
    """The first place where a document has something else than what was read of it; empty if there is none."""
    if isinstance(found, dict) and isinstance(known, dict):
        left, right = cast("dict[str, object]", found), cast("dict[str, object]", known)
        for key in sorted(left.keys() | right.keys()):
            if key not in left or key not in right:
                return f"{path}{key}"
            if below := _difference(left[key], right[key], f"{path}{key}."):
                return below
        return ""
    return "" if found == known else path.rstrip(".")
