"""`make test`: what runs, what is told, and what a suite may rely on."""

import ast
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from xdist.remote import Producer

from tests import __main__ as command
from tests import unchanged
from tests.e2e import planes
from tests.e2e.conftest import GroupScheduling
from tests.support.stacks import ROOT

NEEDS_ROOT = "test-node"
TARGETS = [target for lane in command.LANES for target in lane]
E2E = {path.stem.removeprefix("test_"): path for path in (ROOT / "tests" / "e2e").glob("test_*.py")}


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZERO_TRUST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "RESULTS", tmp_path)


class FakeMake:
    """Stands for make: which targets it was asked for, and which of them fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *failing: str, prints: str = "") -> None:
        self.asked: list[str] = []

        def make(_run: command.Run, target: str, _niceness: int, *_variables: str) -> int:
            self.asked.append(target)
            command.log(target).write_text(prints or f"what {target} printed")
            return int(target in failing)

        monkeypatch.setattr(command.Run, "_make", make)
        monkeypatch.setattr("sys.argv", ["tests"])


def test_every_suite_of_the_makefile_runs_once() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    suites = {name for name in re.findall(r"^([a-z0-9-]+):.*##", text, re.MULTILINE) if name.startswith("test-")}
    assert Counter(TARGETS) == Counter({"lint", "types", "tools", *suites - {NEEDS_ROOT}})
    # What a laptop need not have, a machine has every night.
    assert NEEDS_ROOT in suites
    assert f"make {NEEDS_ROOT}\n" in (ROOT / ".github" / "workflows" / "nightly.yml").read_text(encoding="utf-8")


def test_each_suite_is_told_and_all_of_them_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make = FakeMake(monkeypatch)
    assert command.main() == 0
    assert sorted(make.asked) == sorted(TARGETS)
    told = capsys.readouterr().out
    assert all(f"{target}: passed in" in told for target in TARGETS)


def test_a_failure_shows_its_output_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make = FakeMake(monkeypatch, "lint")
    assert command.main() == 1
    assert sorted(make.asked) == sorted(TARGETS)
    told = capsys.readouterr().out
    assert "lint: FAILED" in told
    assert "what lint printed" in told
    assert "what types printed" not in told
    assert told.endswith("failed: lint\n")


def test_what_failed_is_run_again_alone_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = {"test-e2e": 1, "test-unit": 2, "lint": 1}
    asked: list[tuple[str, ...]] = []

    def make(_run: command.Run, target: str, _niceness: int, *variables: str) -> int:
        asked.append((target, *variables))
        failing[target] = failing.get(target, 0) - 1
        failed = failing[target] >= 0
        command.log(target).write_text(f"FAILED tests/{target}.py::test_it[a b] - AssertionError: x\n" * failed)
        return int(failed)

    monkeypatch.setattr(command.Run, "_make", make)
    monkeypatch.setattr("sys.argv", ["tests"])
    assert command.main() == 1
    again = asked[len(TARGETS) :]
    assert sorted(again) == [("test-e2e", "AGAIN=1"), ("test-unit", "AGAIN=1")]
    told = capsys.readouterr().out
    assert "test-e2e: unsteady: tests/test-e2e.py::test_it[a b]\n" in told
    assert "unsteady: tests/test-unit.py" not in told
    assert sorted(told.rpartition("failed: ")[2].strip().split(", ")) == ["lint", "test-unit"]


def test_the_nightly_run_accepts_no_second_try(monkeypatch: pytest.MonkeyPatch) -> None:
    make = FakeMake(monkeypatch, "test-e2e", prints="FAILED tests/e2e/test_x.py::test_y - AssertionError")
    monkeypatch.setattr("sys.argv", ["tests", "--all"])
    assert command.main() == 1
    assert sorted(make.asked) == sorted(TARGETS)


def test_a_suite_is_left_out_only_when_it_passed_on_this_very_state(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make = FakeMake(monkeypatch)
    monkeypatch.setattr(unchanged, "state", lambda: "one")
    runs = []
    for state, arguments in (("one", []), ("one", []), ("one", ["--all"]), ("another", [])):
        make.asked.clear()
        monkeypatch.setattr(unchanged, "state", lambda state=state: state)
        monkeypatch.setattr("sys.argv", ["tests", *arguments])
        assert command.main() == 0
        runs.append(command.STAND_INS in make.asked)
    assert runs == [True, False, True, True]
    assert "test-stand-ins: not run. It passed at" in capsys.readouterr().out


def test_what_a_suite_did_not_do_again_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeMake(monkeypatch, prints="dots\nkept: 3 of 4 answers\n9 passed")
    assert command.main() == 0
    assert "test-policy: kept: 3 of 4 answers\n" in capsys.readouterr().out


def test_what_failed_is_not_relied_on(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeMake(monkeypatch, command.STAND_INS)
    assert command.main() == 1
    assert unchanged.passed(command.STAND_INS, unchanged.state()) is None


def test_a_record_that_is_no_record_is_none() -> None:
    unchanged.remember("suite", "state")
    found = unchanged.passed("suite", "state")
    assert found
    assert abs((datetime.now(UTC) - found).total_seconds()) < 60
    assert unchanged.passed("suite", "another") is None
    [file] = (unchanged.cache_dir() / "passed").iterdir()
    file.write_text("{")
    assert unchanged.passed("suite", "state") is None


def test_the_state_follows_everything_that_the_suite_reads() -> None:
    names = {str(path.relative_to(ROOT)) for path in unchanged.inputs()}
    assert names >= {
        "embedded/providers/bin/pulumi-resource-vault",
        "embedded/supervisor/state_service.py",
        "embedded/tools/pulumi/go.sum",
        "requirements-dev.txt",
        "embedded/tests/stand_ins/conftest.py",
        "embedded/tests/stand_ins/official_vault.json",
        "embedded/tests/stand_ins/test_state_service.py",
        "tests/support/offline_root.py",
        "tests/support/vault_server.py",
    }
    # What the program says is no input: then it would have to run with it.
    assert not [name for name in names if name.startswith(("components/", "zt/", "policies/", "services/"))]


def test_the_state_is_another_when_a_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = unchanged.state()
    assert unchanged.state() == before
    files = unchanged.inputs()
    monkeypatch.setattr(unchanged, "inputs", lambda: files[1:])
    assert unchanged.state() != before


def test_the_groups_are_modules_that_there_are_and_each_is_in_one() -> None:
    grouped = [module for modules in planes.GROUPS.values() for module in modules]
    assert set(grouped) <= set(E2E)
    assert len(grouped) == len(set(grouped))


def test_a_module_with_a_control_plane_is_in_a_group() -> None:
    grouped = {module for modules in planes.GROUPS.values() for module in modules}
    using = {
        name
        for name, path in E2E.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and {"plane", "reported"} & {argument.arg for argument in node.args.args}
        and any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
    }
    assert using == grouped


KILLED = """
import os, pathlib, signal, sys
from tests.e2e import plane, planes

here = pathlib.Path(sys.argv[1])
plane.Plane.run = lambda self, *arguments, **_: (here / "booted").touch()
plane.Plane.command = lambda self, *arguments: ["touch", str(here / arguments[0])]
made = planes.Planes(lambda: here)
assert made.of("group") is made.of("group")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_no_control_plane_outlives_a_killed_run(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, check=False, timeout=600)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "booted").exists()
    deadline = time.monotonic() + 10
    while not (tmp_path / "down").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (tmp_path / "down").exists()


def test_another_group_has_another_control_plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    booted: list[Path] = []
    monkeypatch.setattr(planes.Plane, "run", lambda self, *_arguments, **_options: booted.append(self.state))
    monkeypatch.setattr(planes.Plane, "command", lambda self, *_arguments: ["touch", f"{self.state}.down"])
    places = iter([tmp_path / "one", tmp_path / "two"])
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
    made = planes.Planes(lambda: next(places))
    first = made.of("first")
    assert made.of("first") is first
    assert made.of("second") is not first
    made.wait()
    assert booted == [tmp_path / "one" / "embedded", tmp_path / "two" / "embedded"]
    assert all(Path(f"{state}.down").exists() for state in booted)


def test_later_groups_begin_with_what_the_first_one_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, str]] = []
    places = iter(["first", "saved", "bare"])

    def run(plane: planes.Plane, *arguments: str, **_options: Any) -> None:
        plane.state.mkdir(exist_ok=True)
        done.append((plane.state.parent.name, arguments[0]))

    def new() -> Path:
        place = tmp_path / next(places)
        place.mkdir()
        return place

    def stand(plane: planes.Plane, stack: str) -> None:
        (plane.state / "stack").write_text(stack)

    monkeypatch.setattr(planes.Plane, "run", run)
    monkeypatch.setattr(planes.Plane, "stand", stand)
    monkeypatch.setattr(planes.Plane, "command", lambda *_arguments: ["true"])
    made = planes.Planes(new, saves=True)
    first = made.of("operated")
    (first.state / "left").touch()
    assert not (made.of("reported").state / "stack").exists()
    second = made.of("spared")
    assert second.state == first.state
    assert [path.name for path in second.state.iterdir()] == ["stack"]
    assert done == [("first", "up"), ("first", "down"), ("first", "up"), ("bare", "up"), ("first", "up")]


def test_a_control_plane_that_does_not_end_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planes.Plane, "run", lambda *_arguments, **_options: None)
    monkeypatch.setattr(planes.Plane, "command", lambda *_arguments: ["false"])
    made = planes.Planes(lambda: tmp_path)
    made.of("group")
    with pytest.raises(AssertionError, match="`down` ended with"):
        made.wait()


def test_a_worker_gets_a_whole_group() -> None:
    config: Any = SimpleNamespace(option=SimpleNamespace(loadscopereorder=True), getvalue=lambda _: ["2*popen"])
    scheduling = GroupScheduling(config, Producer("test", enabled=False))
    scopes = {scheduling._split_scope(f"tests/e2e/test_{name}.py::TestX::test_y[a::b]") for name in ("dev", "staging")}
    assert scopes == {"grown", "reported"}
    assert scheduling._split_scope("tests/e2e/test_provider_random.py::test_y") == "provider_random"
    assert config.option.loadscopereorder is False
