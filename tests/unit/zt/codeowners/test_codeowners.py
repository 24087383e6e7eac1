"""`zt codeowners`: a file's owner is its team, until it says what the platform has to approve."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.stacks import ROOT
from zt.cli import app
from zt.codeowners.owners import BEGIN, END

pytestmark = pytest.mark.unit

HEAD = "*   @acme/platform @acme/security # all\n"
SERVICE = "namespace: shop\nteam: commerce\nimage: registry.example.org/shop/web:v1\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "services").mkdir()
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github/CODEOWNERS").write_text(HEAD)
    for name in ("production", "staging"):
        shutil.copy(ROOT / f"Pulumi.{name}.yaml", tmp_path)
    (tmp_path / "policies").symlink_to(ROOT / "policies")
    return tmp_path


def run(project: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["codeowners", "--project", str(project), *options])


def written(project: Path) -> list[str]:
    text = (project / ".github/CODEOWNERS").read_text()
    return [" ".join(line.split()) for line in text.partition(BEGIN)[2].partition(END)[0].splitlines() if line]


def test_the_file_of_this_repository_is_right() -> None:
    assert run(ROOT).exit_code == 0


@pytest.mark.parametrize(
    "asks",
    [
        "egress: [{host: api.example.com, port: 443}]",
        "host: web.example.org",
        "patch: {}",
        "placement: {class: gpu}",
        "jobs: {clean: {command: [x], placement: {class: gpu}}}",
        "exceptions: [{rule: disallow-latest-tag}]",
        "exceptions: [{rule: no-such-rule}]",
    ],
)
def test_what_the_platform_approves_makes_it_the_owner(project: Path, asks: str) -> None:
    path = project / "services/web.yaml"
    path.write_text(SERVICE)
    assert run(project, "--write").exit_code == 0
    assert written(project) == ["/services/web.yaml @acme/commerce"]
    path.write_text(f"{SERVICE}{asks}\n")
    found = run(project)
    assert found.exit_code == 1
    assert "+/services/web.yaml" in found.stdout
    assert run(project, "--write").exit_code == 0
    assert written(project) == ["/services/web.yaml @acme/platform @acme/security"]
    assert run(project).exit_code == 0


def test_a_stack_s_own_file_is_judged_by_its_environment(project: Path) -> None:
    (project / "services/web.yaml").write_text(SERVICE)
    egress = "egress: [{host: api.example.com, port: 443}]\n"
    for stack in ("production", "staging"):
        (project / f"services/web.{stack}.yaml").write_text(egress)
    run(project, "--write")
    assert written(project) == [
        "/services/web.production.yaml @acme/platform @acme/security",
        "/services/web.staging.yaml @acme/commerce",
        "/services/web.yaml @acme/commerce",
    ]


def test_the_rest_of_the_file_stays(project: Path) -> None:
    (project / "services/web.yaml").write_text(SERVICE)
    path = project / ".github/CODEOWNERS"
    path.write_text(f"{HEAD}{BEGIN}\n/services/gone.yaml @acme/x\n{END}\n# the end\n")
    run(project, "--write")
    text = path.read_text()
    assert text.startswith(HEAD)
    assert text.endswith("# the end\n")
    assert "gone" not in text


@pytest.mark.parametrize(
    ("name", "team", "key"),
    [
        ("web", "x @acme/others", "team"),
        ("web", "x\\n* @acme/others", "team"),
        ("web", "x # all", "team"),
        ("w*", "x", "file name"),
        ("web x", "x", "file name"),
        ("web.*", "x", "file name"),
    ],
)
def test_what_would_own_more_than_the_file_is_refused(project: Path, name: str, team: str, key: str) -> None:
    text = SERVICE.replace("commerce", f'"{team}"')
    (project / f"services/{name}.yaml").write_text(text)
    for option in ([], ["--write"]):
        found = run(project, *option)
        assert (found.exit_code, found.stdout) == (2, "")
        assert f"services/{name}.yaml: {key}: not a DNS label" in found.stderr
    assert (project / ".github/CODEOWNERS").read_text() == HEAD


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("/services/ @acme/platform\n", "no line says who owns everything"),
        (f"{HEAD}{BEGIN}\n", "the line that ends it is not there"),
    ],
)
def test_a_file_that_does_not_say_who_the_platform_is(project: Path, text: str, error: str) -> None:
    (project / "services/web.yaml").write_text(SERVICE)
    (project / ".github/CODEOWNERS").write_text(text)
    found = run(project)
    assert found.exit_code == 2
    assert error in found.stderr


def test_a_service_of_no_team_is_refused(project: Path) -> None:
    (project / "services/web.yaml").write_text("namespace: shop\n")
    assert run(project).exit_code == 2
    assert run(project, "--file", "CODEOWNERS").exit_code == 2
