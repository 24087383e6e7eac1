"""`zt consent`: the calls without consent, and the callers that it adds to files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from components.service.file.directory import parse_service
from tests.unit.service.test_directory import SMALL
from zt.cli import app
from zt.project.callers_text import with_callers

pytestmark = pytest.mark.unit

Run = Callable[..., Result]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "services").mkdir()
    texts = {"web": SMALL + "calls: [api, db]\n", "job": SMALL + "calls: [db]\n", "api": SMALL + "callers: [web]\n"}
    for name, text in {**texts, "db": f"# ours\n{SMALL}  # end\n"}.items():
        (tmp_path / "services" / f"{name}.yaml").write_text(text)
    return tmp_path


@pytest.fixture
def run(project: Path) -> Run:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["consent", "--project", str(project), *arguments], catch_exceptions=False)

    return run


def test_what_is_missing_is_listed(run: Run, project: Path) -> None:
    done = run()
    assert done.exit_code == 1
    rows = [line.split() for line in done.stdout.splitlines()[1:3]]
    assert rows == [["services/db.yaml", caller, f"services/{caller}.yaml:5"] for caller in ("job", "web")]
    assert "calls without consent: 2" in done.stdout
    assert "callers" not in (project / "services/db.yaml").read_text()


def test_as_data(run: Run) -> None:
    found = json.loads(run("--format", "json").stdout)
    assert (found["version"], found["written"]) == (1, False)
    assert found["missing"][0] == {
        "file": "services/db.yaml",
        "service": "shop/db",
        "caller": "job",
        "calledIn": "services/job.yaml:5",
    }


def test_they_are_written_once(run: Run, project: Path) -> None:
    assert run("--write").exit_code == 0
    text = (project / "services/db.yaml").read_text()
    assert text == f"# ours\n{SMALL}  # end\ncallers: [job, web]\n"
    done = run()
    assert (done.exit_code, done.stdout) == (0, "every call has its callee's consent\n")
    assert run("--write").exit_code == 0
    assert (project / "services/db.yaml").read_text() == text


def test_a_text_that_cannot_be_added_to_is_left_alone(run: Run, project: Path) -> None:
    text = "{" + ", ".join(SMALL.splitlines()) + "}\n"
    (project / "services/db.yaml").write_text(text)
    done = run("--write")
    assert done.exit_code == 2
    assert "error: services/db.yaml: callers: the file is written in a way that no command can add to" in done.stderr
    assert (project / "services/db.yaml").read_text() == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("callers: [a]\nport: 1\n", "callers: [a, x, y]\nport: 1\n"),
        ("callers: []\n", "callers: [x, y]\n"),
        ("callers: [a, b]  # who\n", "callers: [a, b, x, y]  # who\n"),
        ("callers: [\n  a,\n]\n", "callers: [\n  a, x, y,\n]\n"),
        ("callers:\n  - a  # one\nport: 1\n", "callers:\n  - a  # one\n  - x\n  - y\nport: 1\n"),
        ("callers:\n- a", "callers:\n- a\n- x\n- y\n"),
        ("calls: [b]  # why\nport: 1\n", "calls: [b]  # why\ncallers: [x, y]\nport: 1\n"),
        ("calls:\n  - b\nport: 1\n", "calls:\n  - b\ncallers: [x, y]\nport: 1\n"),
        ("port: 1", "port: 1\ncallers: [x, y]\n"),
        ("", "callers: [x, y]\n"),
    ],
)
def test_where_callers_are_added(before: str, after: str) -> None:
    assert with_callers(before, ["x", "y"]) == after


LAYOUTS = ("callers: [{0}]\n", "callers: [ {0}, ]\n", "callers:\n{1}", "callers:\n  # theirs\n{2}\n", "")
NAMES = st.lists(st.from_regex(r"[a-z]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True), min_size=1, max_size=4, unique=True)


@given(old=NAMES, new=NAMES, layout=st.sampled_from(LAYOUTS), end=st.sampled_from(["", "calls: [b]\n", "# end"]))
def test_nothing_else_of_a_file_changes(old: list[str], new: list[str], layout: str, end: str) -> None:
    # A service may be called `no` or `1`.
    block = "".join(f'- "{name}"\n' for name in old)
    indented = "".join(f"    - '{name}'  # why\n\n" for name in old)
    text = SMALL + layout.format(", ".join(f"'{name}'" for name in old), block, indented) + end
    added = with_callers(text, new)
    before, after = parse_service(text, "x.yaml").spec, yaml.safe_load(added)
    assert tuple(after.pop("callers")) == (*before.callers, *new)
    assert after == {key: value for key, value in yaml.safe_load(text).items() if key != "callers"}
    assert [line for line in text.splitlines() if "#" in line] == [line for line in added.splitlines() if "#" in line]
