"""What is typed for each command of `zt`, made from its parser: a new command has its line here by itself."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tests.support.stacks import ROOT
from zt.cli import app

# Of the project that the tests have, by the name of an argument or an option. Anything else gets a word.
_KNOWN = {
    "service": "api",
    "stack": "production",
    "rule": "require-probes",
    "plan": "plan.json",
    "file": "audit.log",
    "token_file": "-",
    "namespace": "shop",
    "team": "commerce",
    "image": "registry.example.org/shop/web:v1",
    "port": "8080",
    "base_dir": "base",
    "vault_addr": "https://127.0.0.1:1",
}
_WORD = "word"
# To be told rather than asked, and every value instead of one.
_FLAGS = ("yes", "every")


def commands(group: Any = None, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that name it."""
    top: Any = group or get_command(app)
    for name, command in top.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*above, name))
        else:
            yield (*above, name), command


COMMANDS = {" ".join(words): command for words, command in commands()}


def line(name: str, **more: str) -> list[str]:
    """The words of a command with all that it needs, and with these of its options where it has them."""
    words = name.split()
    for parameter in COMMANDS[name].params:
        words += _words(parameter, more)
    return words


def _words(parameter: Any, more: dict[str, str]) -> list[str]:
    value = more.get(parameter.name, _KNOWN.get(parameter.name, _WORD))
    if parameter.param_type_name == "argument":
        return [value] if parameter.required or parameter.name in _KNOWN or parameter.name == "name" else []
    option = parameter.opts[0]
    if getattr(parameter, "is_flag", False):
        return [option] if parameter.name in (*_FLAGS, *more) else []
    if parameter.required or parameter.name in more or (parameter.default is None and parameter.name in _KNOWN):
        return [option, value]
    return []


def lone_project(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project here, with no cluster, no Vault and no login anywhere."""
    for path in ROOT.glob("Pulumi*.yaml"):
        shutil.copyfile(path, directory / path.name)
    for folder in ("services", ".github"):
        shutil.copytree(ROOT / folder, directory / folder)
    (directory / "policies").symlink_to(ROOT / "policies")
    (directory / "plan.json").write_text('{"steps": []}')
    (directory / "audit.log").write_text("")
    (directory / "home").mkdir()
    monkeypatch.chdir(directory)
    for name, value in {
        "HOME": str(directory / "home"),
        "KUBECONFIG": str(directory / "no-kubeconfig"),
        "VAULT_ADDR": "https://127.0.0.1:1",
        "VAULT_TOKEN": "word",
        # Of `zt diff`: a repository around it is none of its.
        "GIT_CEILING_DIRECTORIES": str(directory.parent),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    return directory
