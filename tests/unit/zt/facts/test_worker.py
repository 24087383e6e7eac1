"""What `zt diff` of every later checkout relies on: `python -B -m zt.facts <stack>`."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.support.stacks import ROOT
from zt.facts import worker
from zt.facts.model import SIDE, Fact, PlatformSetting, Side


def test_a_stack(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    assert worker.main("staging") == 0
    out, err = capsys.readouterr()
    assert (out.isascii(), err) == (True, "")
    written = json.loads(out)
    assert sorted(written) == ["side", "version"]
    assert written["version"] == worker.VERSION == 5
    assert PlatformSetting("environment", "staging") in SIDE.validate_python(written["side"]).facts


def test_what_the_program_refuses(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    assert worker.main("nowhere") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "there is no such stack in" in err


def test_a_version_has_its_kinds_and_fields(snapshot: SnapshotAssertion) -> None:
    """Where they differ, a reader of the version before cannot read them: raise `VERSION`, and delete its snapshot."""
    kinds = {kind.kind: [field.name for field in fields(kind)] for kind in get_args(Fact)}
    assert {"side": [field.name for field in fields(Side)], **kinds} == snapshot(name=f"version {worker.VERSION}")


@pytest.mark.parametrize("arguments", [(), ("staging", "dev")])
def test_bad_usage_is_no_refusal(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-B", "-m", "zt.facts", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("usage: ")


def test_another_checkout_than_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert worker.main("staging") == 1
    assert capsys.readouterr().err == f"this zt.facts is the one of {ROOT}, and not of {tmp_path.resolve()}\n"
