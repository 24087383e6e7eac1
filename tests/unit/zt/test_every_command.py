"""Each command as its users meet it: the lines come from the parser, so a new command is held to this as well."""

import builtins
import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from tests.support.stacks import ROOT
from tests.unit.zt.typed import COMMANDS, line, lone_project
from zt.cli import app
from zt.project.errors import ExitCode

pytestmark = pytest.mark.unit

WITH_JSON = [
    name
    for name, command in COMMANDS.items()
    for parameter in command.params
    if parameter.name == "output_format" and "json" in parameter.type_descriptor.choices
]
ENDED = frozenset(ExitCode)
PRODUCTION, API = "Pulumi.production.yaml", "services/api.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return lone_project(tmp_path, monkeypatch)


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def run(name: str, project: Path, *words: str, **more: str) -> Ended:
    """Run a command, which must end with a message at most: any other exception is the test's failure."""
    typed = line(name, **{"project": str(project), **more})
    done = CliRunner().invoke(app, [*typed, *words], catch_exceptions=False)
    assert "Traceback" not in done.output
    assert "\x1b" not in done.output
    return Ended(done.exit_code, done.stdout, done.stderr)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help(name: str) -> None:
    began = time.process_time()
    done = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"})
    assert time.process_time() - began < 1
    assert (done.exit_code, done.stderr) == (0, "")
    assert "Exit codes: 0 " in done.stdout
    for parameter in COMMANDS[name].params:
        for option in parameter.opts if parameter.param_type_name == "option" else ():
            assert re.search(rf"(^|[ ,/]){re.escape(option)}\b", done.stdout, re.MULTILINE), option


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option(name: str) -> None:
    done = CliRunner().invoke(app, [*name.split(), "--projec", "x"])
    assert (done.exit_code, done.stdout) == (ExitCode.WRONG, "")
    assert f"Try 'zt {name} --help' for help." in done.stderr.replace("root", "zt")
    assert "No such option: --projec" in done.stderr
    assert "--project" in done.stderr or "project" not in {parameter.name for parameter in COMMANDS[name].params}


@pytest.mark.parametrize("name", WITH_JSON)
def test_json_is_one_document_with_a_version_or_nothing(name: str, project: Path) -> None:
    done = run(name, project, output_format="json", dry_run="")
    if done.code in (ExitCode.DONE, ExitCode.NO):
        document = json.loads(done.stdout)
        assert isinstance(document["version"], int)
        assert done.stderr == ""
    else:
        assert done.stdout == ""
        assert done.stderr.startswith("error: ")


def test_every_json_has_a_version() -> None:
    # A command that reaches no cluster here has its version all the same.
    packages = {name.split()[0] for name in WITH_JSON} - {"report"}
    for package in packages:
        texts = [path.read_text() for path in (ROOT / "zt" / package).glob("*.py")]
        assert any(re.search(r'"version": JSON_VERSION|"version": \{JSON_VERSION\}', text) for text in texts), package


def removed(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def replaced(path: str, content: bytes) -> Callable[[Path], None]:
    def change(project: Path) -> None:
        if (project / path).exists():
            removed(project / path)
        (project / path).write_bytes(content)

    return change


def directory(path: str) -> Callable[[Path], None]:
    def change(project: Path) -> None:
        removed(project / path)
        (project / path).mkdir()

    return change


def loop(path: str) -> Callable[[Path], None]:
    def change(project: Path) -> None:
        removed(project / path)
        (project / path).symlink_to(Path(path).name)

    return change


# What is wrong, and the file or option that a message about it names.
WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "no stack file": (lambda project: removed(project / PRODUCTION), "--stack"),
    "a broken stack file": (replaced(PRODUCTION, b"config: ["), PRODUCTION),
    "a stack file that is no text": (replaced(PRODUCTION, b"config: \xff"), PRODUCTION),
    "a stack file that is a directory": (directory(PRODUCTION), PRODUCTION),
    "a stack file that is a loop of links": (loop(PRODUCTION), PRODUCTION),
    "no services": (lambda project: removed(project / "services"), "services"),
    "services that are a file": (replaced("services", b""), "services"),
    "a broken service file": (replaced(API, b"namespace: ["), API),
    "a service file that is no text": (replaced(API, b"namespace: \xff"), API),
    "a service file that is a directory": (directory(API), API),
    "a service file that is a loop of links": (loop(API), API),
    "a service file that is nested deeply": (replaced(API, b"a: " + b"[" * 2000), API),
    "no rules": (lambda project: removed(project / "policies"), "policies"),
    "rules that are a file": (replaced("policies", b""), "policies"),
    "packages that are a file": (replaced("packages", b""), "packages"),
    "a package file that is no text": (
        lambda project: ((project / "packages").mkdir(), (project / "packages/a.yaml").write_bytes(b"\xff"))[0],
        "packages/a.yaml",
    ),
    "a plan that is nested deeply": (replaced("plan.json", b"[" * 100_000), "plan.json"),
    "a plan that is no text": (replaced("plan.json", b"\xff"), "plan.json"),
    "a plan that is a directory": (directory("plan.json"), "plan.json"),
    "a log that is no text": (replaced("audit.log", b"\xff\n"), "audit.log"),
    "a log that is a directory": (directory("audit.log"), "audit.log"),
    "owners that are no text": (replaced(".github/CODEOWNERS", b"\xff"), ".github/CODEOWNERS"),
    "owners that are a directory": (directory(".github/CODEOWNERS"), ".github/CODEOWNERS"),
}
# What stops a command whatever the project is like: no cluster, no Vault, no tool, or an argument of these lines.
ELSEWHERE = re.compile(
    r"kubeconfig|cannot be reached|--\w|CHART|NAME|KEY|a\.snap|audit\.log|git|not a snapshot|SERVICE"
)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_wrong_is_said(name: str, wrong: str, project: Path) -> None:
    change, place = WRONG[wrong]
    change(project)
    done = run(name, project, dry_run="")
    assert done.code in ENDED
    if done.code in (ExitCode.WRONG, ExitCode.NO_ANSWER):
        assert done.stdout == ""
        assert done.stderr.startswith("error: ")
        assert place in done.stderr or ELSEWHERE.search(done.stderr), done.stderr


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("made", [None, "file", "empty"])
def test_a_project_that_is_none(name: str, made: str | None, project: Path) -> None:
    if "project" not in {parameter.name for parameter in COMMANDS[name].params}:
        return
    other = project / "other"
    if made == "file":
        other.write_text("")
    elif made == "empty":
        other.mkdir()
    done = run(name, other, dry_run="")
    assert done.code in (ExitCode.WRONG, ExitCode.NO_ANSWER)
    assert done.stdout == ""
    if made != "empty":
        assert "--project" in done.stderr
        assert str(other) in done.stderr


Opener = Callable[..., Any]


def failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[Path, bool], bool], number: int) -> None:
    """Have the operating system refuse to open the files that `fails` is true for, by path and whether to write."""

    def wrapped(opener: Opener, writes: Callable[[Any], bool], position: int) -> Opener:
        def opened(path: Any, *arguments: Any, **named: Any) -> Any:
            mode = arguments[position] if len(arguments) > position else named.get("mode", named.get("flags", "r"))
            if isinstance(path, str | Path) and fails(Path(path).absolute(), writes(mode)):
                raise OSError(number, os.strerror(number), str(path))
            return opener(path, *arguments, **named)

        return opened

    def in_text(mode: Any) -> bool:
        return isinstance(mode, str) and any(letter in mode for letter in "wax+")

    for module in (builtins, io):
        monkeypatch.setattr(module, "open", wrapped(builtins.open if module is builtins else io.open, in_text, 0))
    in_flags = lambda flags: isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))  # noqa: E731
    monkeypatch.setattr(os, "open", wrapped(os.open, in_flags, 0))


@pytest.mark.parametrize("path", [PRODUCTION, API, "plan.json", "audit.log", ".github/CODEOWNERS"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_that_may_not_be_read(name: str, path: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, lambda opened, _writes: opened == project / path, errno.EACCES)
    done = run(name, project, dry_run="")
    assert done.code in ENDED
    if "Permission denied" in done.stderr:
        assert path in done.stderr


WRITES = [
    name
    for name, command in COMMANDS.items()
    if {"write", "output", "dry_run", "overwrite"} & {parameter.name for parameter in command.params}
]


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
@pytest.mark.parametrize("name", WRITES)
def test_a_directory_in_which_nothing_can_be_written(
    name: str, number: int, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A change to write for the two commands that mend files.
    text = (project / API).read_text().replace("callers:", "exceptions: []\ncallers:")
    (project / API).write_text(re.sub(r"^callers:.*\n", "", text, flags=re.MULTILINE))
    (project / ".github/CODEOWNERS").write_text("* @example/platform\n")
    before = everything(project)
    failing(monkeypatch, lambda opened, writes: writes and opened.is_relative_to(project), number)
    done = run(name, project, write="out", output="out/report", to="audit")
    assert done.code in ENDED
    if os.strerror(number) in done.stderr:
        assert done.code == ExitCode.WRONG
        assert re.search(r"services/|CODEOWNERS|Pulumi|out|word|zero-trust", done.stderr)
    assert everything(project) == before


def everything(directory: Path) -> dict[str, bytes]:
    """Every file below a directory with its content."""
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_interrupt(name: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_asked: object, **_named: object) -> None:
        raise KeyboardInterrupt

    # Each command looks at some file, be it whether it is there.
    for function in ("exists", "is_file", "is_dir", "stat", "glob", "open"):
        monkeypatch.setattr(Path, function, interrupted)
    monkeypatch.setattr("zt.check.command.read_plan", interrupted)
    done = CliRunner().invoke(app, line(name), catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (128 + signal.SIGINT, "")


def test_an_interrupt_of_the_process() -> None:
    # What started the tests may ignore the signal, and what is ignored stays so in a child.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from zt.cli import main; main()"
    command = [sys.executable, "-c", code, "check", "--plan", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        # It reads the standard input when it has taken the first piece of it.
        assert process.stdin is not None
        process.stdin.write("{" * 200_000)
        process.stdin.flush()
        # Between two reads, Python sees the first one only after another.
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
        process.stdin.close()
        assert process.stdout is not None
        assert process.stderr is not None
        assert (process.returncode, process.stdout.read(), process.stderr.read()) == (130, "", "")
