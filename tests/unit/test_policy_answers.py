"""An answer of a program is kept for the very same files, arguments and executable, and for no other."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.policy import answers
from tests.policy.answers import Answer, answer

FILES = {"rules.yaml": "a", "resources.yaml": "b"}


class Program:
    """Counts how often it is asked."""

    def __init__(self, executable: Path) -> None:
        self.executable, self.asked = executable, 0

    def ask(self) -> Answer:
        self.asked += 1
        return Answer(f"answer {self.asked}", {"made.yaml": "c"})

    def answer(self, *arguments: str, files: dict[str, str] | None = None) -> Answer:
        return answer(self.executable, arguments or ("apply",), files or FILES, self.ask)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.setenv("ZERO_TRUST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ALL", "")
    monkeypatch.setattr(answers, "COUNT", answers.Count())
    return Program(tmp_path / "version-1" / "cli")


def test_the_same_question_is_asked_once_and_counted(program: Program) -> None:
    first = program.answer()
    assert program.answer() == first == Answer("answer 1", {"made.yaml": "c"})
    assert (program.asked, answers.COUNT) == (1, answers.Count(needed=2, kept=1))


@pytest.mark.parametrize(
    "change",
    [
        {"files": {**FILES, "rules.yaml": "another"}},
        {"files": {"rules.yam": "la", "resources.yaml": "b"}},
        {"files": {**FILES, "context.yaml": ""}},
        {"arguments": ("apply", "--cluster")},
    ],
)
def test_another_question_is_asked(program: Program, change: dict[str, Any]) -> None:
    program.answer()
    program.answer(*change.get("arguments", ()), files=change.get("files"))
    assert program.asked == 2


def test_another_version_of_the_program_is_asked(program: Program, tmp_path: Path) -> None:
    program.answer()
    program.executable = tmp_path / "version-2" / "cli"
    program.answer()
    assert program.asked == 2


def test_everything_is_asked_when_somebody_wants_all(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program.answer()
    monkeypatch.setenv("ALL", "1")
    assert program.answer().stdout == "answer 2"
    monkeypatch.setenv("ALL", "")
    assert program.answer().stdout == "answer 2"


def test_what_fails_is_not_kept(program: Program) -> None:
    def broken() -> Answer:
        raise OSError("no such program")

    for _ in range(2):
        with pytest.raises(OSError, match="no such program"):
            answer(program.executable, ("apply",), FILES, broken)
    assert answers.COUNT.kept == 0


def test_what_nobody_asks_for_goes(program: Program) -> None:
    program.answer()
    program.answer("recent")
    directory = answers.cache_dir() / "answers"
    old = min(directory.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    os.utime(old, (0, 0))
    answers.forget_old()
    assert old not in list(directory.iterdir())
    assert len(list(directory.iterdir())) == 1
