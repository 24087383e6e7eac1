"""The workflow files through actionlint: syntax, contexts, what an expression may use where, and cron lines."""

import subprocess
from pathlib import Path

import pytest

from embedded.toolchain import ensure

pytestmark = pytest.mark.policy

WORKFLOWS = Path(__file__).parents[2] / ".github" / "workflows"
# Without these a run would depend on what else a machine has.
ALONE = ("-shellcheck=", "-pyflakes=", "-no-color")


def lint(*files: Path) -> tuple[int, str]:
    executable = ensure(["actionlint"], progress=False) / "actionlint"
    done = subprocess.run(
        [executable, *ALONE, *files], cwd=WORKFLOWS.parent.parent, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_every_workflow_is_clean() -> None:
    files = sorted(WORKFLOWS.glob("*.yml"))
    assert len(files) >= 5
    status, said = lint(*files)
    assert (status, said) == (0, "")


def test_the_linter_finds_what_is_wrong(tmp_path: Path) -> None:
    text = (WORKFLOWS / "pull-request.yml").read_text(encoding="utf-8")
    wrong = tmp_path / "pull-request.yml"
    wrong.write_text(text.replace("matrix.stack }}/", "matrix.none }}/").replace("needs: diff", "needs: dif"))
    status, said = lint(wrong)
    assert status == 1
    assert 'job "dif"' in said
