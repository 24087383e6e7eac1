"""`zt show`: what a stack makes of a service, and from where."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.packages import FILE, objects, write
from tests.support.stacks import ROOT
from tests.unit.service.test_directory import SMALL
from zt.cli import app

pytestmark = pytest.mark.unit

Run = Callable[..., Result]
TEXT = SMALL.replace("r.example.org", "registry.example.org") + 'host: "api.{domain}"\nenv: {LOG: info, REGION: eu}\n'


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "policies").symlink_to(ROOT / "policies")
    for name in ("production", "staging"):
        text = (ROOT / f"Pulumi.{name}.yaml").read_text()
        head = "  zero-trust:ingress:\n"
        assert head in text
        (tmp_path / f"Pulumi.{name}.yaml").write_text(text.replace(head, f"{head}    domain: {name}.example.org\n"))
    services = tmp_path / "services"
    services.mkdir()
    (services / "api.yaml").write_text(TEXT)
    (services / "api.staging.yaml").write_text("# fewer\nreplicas: 1\nenv: {LOG: debug}\n")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["show", *arguments, "--project", str(tmp_path)], catch_exceptions=False)

    return run


def test_each_key_says_where_it_comes_from(run: Run) -> None:
    done = run("api", "--stack", "staging")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    said = {line: before for before, line in pairwise(lines)}
    assert said["replicas: 1"] == "# services/api.staging.yaml:2"
    assert said["host: api.staging.example.org"] == "# services/api.yaml:5"
    assert said["env:"] == "# services/api.staging.yaml:3, services/api.yaml:6"


def test_as_data(run: Run) -> None:
    found = json.loads(run("shop/api", "--format", "json").stdout)
    assert (found["version"], found["service"], found["stack"]) == (1, "shop/api", "production")
    assert found["values"]["host"] == "api.production.example.org"
    assert "replicas" not in found["values"]
    assert found["places"]["env.LOG"] == "services/api.yaml:6"


PACKAGE = """\
namespace: guests
team: web
manifests: packages/guestbook
expose:
  - {service: web, port: 80, host: "guests.{domain}"}
"""


@pytest.mark.parametrize("name", ["guests/guestbook", "guestbook"])
def test_a_package_is_shown_as_a_service_is(run: Run, tmp_path: Path, name: str) -> None:
    write(tmp_path, objects(), FILE)
    packages = tmp_path / "packages"
    (packages / "guestbook.yaml").write_text(PACKAGE)
    (packages / "guestbook.staging.yaml").write_text("team: trial\n")
    done = run(name, "--stack", "staging")
    said = {line: before for before, line in pairwise(done.stdout.splitlines())}
    assert done.exit_code == 0, done.stderr
    assert said["team: trial"] == "# packages/guestbook.staging.yaml:1"
    assert said["expose:"] == "# packages/guestbook.yaml:4"
    assert "  host: guests.staging.example.org" in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("tea",), "SERVICE: no service or package file declares it, found 'tea'"),
        (("api", "--stack", "nowhere"), "nowhere"),
    ],
)
def test_what_is_not_there(run: Run, arguments: tuple[str, ...], told: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert told in done.stderr
