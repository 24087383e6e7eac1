"""Every `zt` and `make` command of the documentation: the command line takes it, and the target is there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.unit.documentation import PAGES
from tests.unit.stacks import ROOT
from zt.cli import app

pytestmark = pytest.mark.unit

_COMMAND = re.compile(r"^(?:.* && )?(?:\.venv/bin/)?(?P<line>(?:zt|make) .*)$")
_TARGET = re.compile(r"^([a-z0-9-]+):", re.MULTILINE)


def commands(page: Path) -> Iterator[str]:
    """The commands in the code blocks of a page, a line that goes on in the next one joined with it."""
    fenced = False
    for line in page.read_text().replace("\\\n", " ").splitlines():
        fenced ^= line.startswith("```")
        if (fenced or line.startswith("    ")) and (found := _COMMAND.match(line.strip())):
            yield found["line"]


EVERY = [(page.relative_to(ROOT), command) for page in PAGES for command in commands(page)]


@pytest.mark.parametrize(("page", "command"), EVERY, ids=str)
def test_the_command_line_takes_it(page: Path, command: str) -> None:
    program, *words = shlex.split(command, comments=True)
    if program == "make":
        targets = [word for word in words if "=" not in word]
        assert set(targets) <= set(_TARGET.findall((ROOT / "Makefile").read_text())), page
    else:
        assert taken(words) == 0, page


def taken(words: list[str]) -> int:
    """The exit code of the command line: `--help` ends it before the command runs, and after the words are parsed."""
    return CliRunner().invoke(app, [*words, "--help"]).exit_code


def test_a_command_that_is_not_there_is_found() -> None:
    assert taken(["check", "--stak", "production"]) == 2
    assert taken(["new", "servise"]) == 2
