"""The standard streams of every command: what is written, and what happens where it cannot be."""

import ast
import errno
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.table import Table
from rich.text import Text

from components.schema.printable import one_line, printable
from tests.support.stacks import ROOT
from tests.unit.zt.typed import line, lone_project
from zt.cli import main
from zt.project.console import plain_console, table_console
from zt.project.errors import ExitCode

pytestmark = pytest.mark.unit

API = "services/api.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return lone_project(tmp_path, monkeypatch)


class Streams(NamedTuple):
    """How a whole process ended, and what is on its standard error."""

    code: object
    stderr: str


def whole(typed: list[str], output: int, monkeypatch: pytest.MonkeyPatch) -> Streams:
    """Run `main` with a standard output of its own."""
    monkeypatch.setattr(sys, "argv", ["zt", *typed])
    errors = io.StringIO()
    with os.fdopen(output, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", errors)
        with pytest.raises(SystemExit) as end:
            main()
        # As the interpreter does at its end.
        stream.flush()
    return Streams(end.value.code, errors.getvalue())


PRINTS = ("show", "exceptions", "consent", "codeowners", "audit", "secret list", "new service")


@pytest.mark.parametrize("name", PRINTS)
def test_a_reader_that_is_gone(name: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = whole(line(name, project=str(project), dry_run=""), writer, monkeypatch)
    assert done == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("name", PRINTS)
def test_an_output_that_is_full(name: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = whole(line(name, project=str(project), dry_run=""), os.open("/dev/full", os.O_WRONLY), monkeypatch)
    assert done == (ExitCode.NO_ANSWER, f"error: {os.strerror(errno.ENOSPC)}\n")


def test_an_output_that_is_closed(project: Path) -> None:
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-m", "zt", "exceptions"]
    done = subprocess.run([*command, "--project", str(project)], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_an_output_with_few_characters(project: Path) -> None:
    text = (project / API).read_text()
    (project / API).write_text(text.replace("team: commerce", "team: commerce\ncomponent: api # ä"))
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "zt", "exceptions", "--project", str(project), "--stack", "prodüction"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'prod\\xfcction'" in done.stderr


HOSTILE = "a\x1b[2J\x9b31m\u202eb\x07\rc\x7f"


def test_text_of_others_is_shown_and_not_obeyed() -> None:
    assert printable(f"{HOSTILE}\n\tok é\r\n") == "a\\x1b[2J\\x9b31m\\u202eb\\x07\\rc\\x7f\n\tok é\r\n"
    assert one_line("a\nb\t\udcff") == "a\\nb\\t\\udcff"


@pytest.mark.parametrize("made", [plain_console, table_console])
def test_a_console_shows_no_control_character(made: Callable[[], Any], capsys: pytest.CaptureFixture[str]) -> None:
    console = made()
    console.print(HOSTILE, soft_wrap=True)
    console.print(Text(f"[red]:lock:{HOSTILE}"), soft_wrap=True)
    table = Table("column", box=None)
    table.add_row(Text(HOSTILE))
    console.print(table)
    shown = capsys.readouterr().out
    assert "[red]:lock:a\\x1b[2J" in shown
    assert all(text.isprintable() for text in shown.split("\n"))


def test_every_command_writes_through_one_place() -> None:
    # The facts are JSON for `zt diff`, which writes what the worker says on its standard error through that place.
    apart = {"zt/project/streams.py", "zt/project/console.py", "zt/facts/worker.py"}
    for path in sorted((ROOT / "zt").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if name in apart:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"print", "Console", "typer.echo", "typer.secho"}, f"{name}:{node.lineno}"
                assert not re.search(r"std(out|err)(\.buffer)?\.write", called), f"{name}:{node.lineno}"
