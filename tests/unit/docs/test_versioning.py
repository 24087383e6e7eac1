"""VERSIONING.md names each surface that the code has, and the changelog has the version of the project."""

import re
import tomllib
from typing import Any, get_args, get_type_hints

import pytest
from typer.main import get_command

from tests.support.stacks import ROOT
from zt.cli import app

pytestmark = pytest.mark.unit

TEXT = (ROOT / "VERSIONING.md").read_text(encoding="utf-8")
SOURCES = [
    path.read_text(encoding="utf-8") for path in (ROOT / "__main__.py", *sorted((ROOT / "components").rglob("*.py")))
]


def found(pattern: str) -> set[str]:
    """What a pattern finds in the program."""
    return {match for text in SOURCES for match in re.findall(pattern, text)}


def commands(group: Any, prefix: str = "zt") -> dict[str, Any]:
    """The commands by what a person types, those of groups among them."""
    made: dict[str, Any] = {}
    for name, command in group.commands.items():
        nested = hasattr(command, "commands")
        made |= commands(command, f"{prefix} {name}") if nested else {f"{prefix} {name}": command}
    return made


def with_json() -> set[str]:
    """The commands that write JSON."""
    return {
        name
        for name, command in commands(get_command(app)).items()
        if "json" in get_args(get_type_hints(command.callback).get("output_format"))
    }


def test_every_output_in_json_is_named() -> None:
    assert {"zt check", "zt new service", "zt vault restore"} <= with_json()
    section = TEXT.partition("## JSON\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(zt [a-z ]+)`", section)) >= with_json()


def test_every_stack_output_is_named() -> None:
    outputs = found(r'pulumi\.export\(\s*"(\w+)"')
    assert "summary" in outputs
    section = TEXT.partition("## Stack outputs\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(\w+)`", section)) == outputs


def test_every_type_of_component_is_named() -> None:
    types = found(r'"zero-trust:platform:(\w+)"')
    assert "SecureService" in types
    section = TEXT.partition("## Resources\n")[2].partition("\n## ")[0]
    named = section.partition("the types `zero-trust:platform:` with ")[2].partition(", their names")[0]
    assert set(re.findall(r"`(\w+)`", named)) == types


def test_the_changelog_has_the_version_of_the_project_below_what_is_not_released() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", headings[1])
