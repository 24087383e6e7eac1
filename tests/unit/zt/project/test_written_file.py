"""What is written in a project, and that nothing is written beside it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.schema.problem import ConfigError
from tests.unit.service.test_directory import SMALL
from zt.cli import app
from zt.project.written_file import create_file, replace_file

pytestmark = pytest.mark.unit


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / "services").mkdir(parents=True)
    (project / "services/api.yaml").write_text(SMALL)
    (tmp_path / "elsewhere.yaml").write_text(SMALL)
    return project


def test_a_file_is_replaced_through_a_link_that_stays_inside(project: Path) -> None:
    (project / "services/web.yaml").symlink_to("api.yaml")
    replace_file(project, "services/web.yaml", "a: 1\n")
    assert (project / "services/api.yaml").read_text() == "a: 1\n"


@pytest.mark.parametrize("file", ["../elsewhere.yaml", "services/link.yaml", "/dev/null"])
def test_nothing_outside_is_replaced(file: str, project: Path) -> None:
    (project / "services/link.yaml").symlink_to("../../elsewhere.yaml")
    with pytest.raises(ConfigError, match="is not in the project"):
        replace_file(project, file, "a: 1\n")
    assert (project.parent / "elsewhere.yaml").read_text() == SMALL


@pytest.mark.parametrize("file", ["services/api.yaml", "services/link.yaml"])
def test_nothing_that_is_there_is_created(file: str, project: Path) -> None:
    (project / "services/link.yaml").symlink_to("../../new.yaml")
    with pytest.raises(ConfigError, match="cannot be written: File exists"):
        create_file(project, file, "a: 1\n")
    assert not (project.parent / "new.yaml").exists()


def test_half_a_file_does_not_stay(project: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        create_file(project, "services/new.yaml", "a: \udcff\n")
    assert not (project / "services/new.yaml").exists()


def test_a_callee_that_is_a_link_to_elsewhere_gets_no_caller(project: Path) -> None:
    (project / "services/link.yaml").symlink_to("../../elsewhere.yaml")
    (project / "services/web.yaml").write_text(f"{SMALL}calls: [link]\n")
    done = CliRunner().invoke(app, ["consent", "--write", "--project", str(project)], catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "services/link.yaml: file: is not in the project" in done.stderr
    assert (project.parent / "elsewhere.yaml").read_text() == SMALL


@pytest.mark.parametrize("file", ["../elsewhere.yaml", "link"])
@pytest.mark.parametrize("write", [[], ["--write"]])
def test_owners_that_are_elsewhere(file: str, write: list[str], project: Path) -> None:
    (project / "link").symlink_to("../elsewhere.yaml")
    typed = ["codeowners", "--file", file, *write, "--project", str(project)]
    done = CliRunner().invoke(app, typed, catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "there is no such file in the project" in done.stderr


@pytest.mark.parametrize(
    "name", ["../services/api", "../../elsewhere", "/elsewhere", "a/b", "api.staging", ".", "A", "a\n"]
)
def test_the_name_of_a_package_leads_nowhere(name: str, project: Path) -> None:
    typed = ["package", "init", "chart", "--namespace", "guests", "--team", "web", "--name", name]
    done = CliRunner().invoke(app, [*typed, "--project", str(project)], catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--name: not a DNS label" in done.stderr
