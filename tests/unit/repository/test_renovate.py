"""Renovate's configuration: it finds each version that is pinned, and merges nothing by itself."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.stacks import ROOT

pytestmark = pytest.mark.unit

CONFIG: dict[str, Any] = json.loads((ROOT / "renovate.json").read_text(encoding="utf-8"))
MODULES = sorted(ROOT.glob("embedded/tools/*/go.mod"))
LOCKED = ("requirements.txt", "requirements-zt.txt", "embedded/requirements.txt", "requirements-dev.txt")
# A version as a chart or an image has it; not an address on loopback.
VERSION = re.compile(r"\bv?\d+\.\d+\.\d+\b(?!\.)")


def patterns(manager: dict[str, Any]) -> list[re.Pattern[str]]:
    """Its file patterns: `/…/` around a regular expression."""
    return [re.compile(pattern[1:-1]) for pattern in manager["managerFilePatterns"]]


def matches(manager: dict[str, Any]) -> Iterator[re.Match[str]]:
    """What a manager by regular expressions finds; JavaScript writes `(?<name>` for Python's `(?P<name>`."""
    for path in sorted([*ROOT.glob("components/**/*.py"), *ROOT.glob("embedded/toolchain/*.py")]):
        if any(pattern.search(str(path.relative_to(ROOT))) for pattern in patterns(manager)):
            for expression in manager["matchStrings"]:
                yield from re.finditer(expression.replace("(?<", "(?P<"), path.read_text(encoding="utf-8"))


def settings(value: object, name: str) -> Iterator[object]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == name:
                yield inner
            yield from settings(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from settings(inner, name)


def test_nothing_is_merged_by_itself() -> None:
    assert set(settings(CONFIG, "automerge")) == {False}
    assert CONFIG["platformAutomerge"] is False
    assert not any("automerge" in preset.lower() for preset in CONFIG["extends"])


@pytest.mark.parametrize("manager", CONFIG["customManagers"], ids=lambda manager: manager["description"])
def test_every_expression_finds_a_version_and_says_of_what(manager: dict[str, Any]) -> None:
    found = list(matches(manager))
    assert found
    for match in found:
        assert VERSION.fullmatch(match["currentValue"])
        assert manager.get("depNameTemplate") or match["depName"]
    assert manager["datasourceTemplate"] in {"helm", "docker", "github-releases", "go"}


def test_every_version_beside_the_charts_is_found() -> None:
    charts = ROOT / "components" / "kube" / "charts.py"
    found = {match["currentValue"] for manager in CONFIG["customManagers"] for match in matches(manager)}
    assert set(VERSION.findall(charts.read_text(encoding="utf-8"))) <= found


def test_every_module_of_a_tool_is_found() -> None:
    assert MODULES
    for path in MODULES:
        assert any(pattern.search(str(path.relative_to(ROOT))) for pattern in patterns(CONFIG["gomod"])), path


def test_the_tools_that_are_listed_are_in_a_module() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in MODULES)
    [tools] = [rule for rule in CONFIG["packageRules"] if rule.get("matchDepTypes") == ["indirect"]]
    for name in tools["matchPackageNames"]:
        assert re.search(rf"^\t{re.escape(name)} v\S+ // indirect$", text, re.MULTILINE), name


@pytest.mark.parametrize("name", LOCKED)
def test_a_locked_file_says_how_it_is_made_as_renovate_reads_it(name: str) -> None:
    assert any(pattern.search(name) for pattern in patterns(CONFIG["pip-compile"]))
    command = (ROOT / name).read_text(encoding="utf-8").splitlines()[1].removeprefix("#    ")
    assert command.startswith("uv pip compile --generate-hashes pyproject.toml ")
    assert f"--output-file={name}" in command
    # An option that takes a value is read with an equals sign alone.
    options = [word for word in command.split() if word.startswith("--")]
    assert all("=" in option for option in options if option != "--generate-hashes")
    assert command.replace("compile", "compile --quiet") in (ROOT / "Makefile").read_text(encoding="utf-8")
