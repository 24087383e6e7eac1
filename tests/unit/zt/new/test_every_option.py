"""What `zt new service` writes with each of its options: every stack reads it, and it has no line too many."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from components.program.plan import plan
from tests.support.stacks import ROOT
from tests.unit.zt.typed import COMMANDS
from zt.cli import app
from zt.facts.read import stack_of
from zt.new.file import SCHEMA_LINE

pytestmark = pytest.mark.unit

IMAGE = "registry.example.org/shop/web:v1"
NEEDED = {"namespace": "shop", "team": "commerce", "image": IMAGE, "port": 8080}
FLAGS = ["--namespace", "shop", "--team", "commerce", "--image", IMAGE, "--port", "8080"]
PROBE = {"command": ["sh", "-c", "a b"]}
# A value of each option, and the keys that it makes.
OPTIONS: dict[str, tuple[list[str], dict[str, object]]] = {
    "namespace": (["--namespace", "null"], {"namespace": "null"}),
    "team": (["--team", "no"], {"team": "no"}),
    "image": (["--image", f"{IMAGE}@sha256:{'a' * 64}"], {"image": f"{IMAGE}@sha256:{'a' * 64}"}),
    "port": (["--port", "80"], {"port": 80}),
    "protocol": (["--protocol", "grpc"], {"protocol": "grpc"}),
    "extra_port": (
        ["--extra-port", "admin:9001", "--extra-port", "m:9002:tcp"],
        {"ports": {"admin": 9001, "m": {"port": 9002, "protocol": "tcp"}}},
    ),
    "host": (["--host", "web.example.org"], {"host": "web.example.org"}),
    "path": (["--host", "web.example.org", "--path", "/a"], {"host": "web.example.org", "paths": ["/a"]}),
    "calls": (["--calls", "postgres,redis"], {"calls": ["postgres", "redis"]}),
    "callers": (["--callers", "api"], {"callers": ["api"]}),
    "secret": (["--secret", "session:key,salt"], {"secrets": {"session": {"generate": ["key", "salt"]}}}),
    "replicas": (["--replicas", "3"], {"replicas": 3}),
    "autoscaling": (["--autoscaling", "2:6:80"], {"autoscaling": {"min": 2, "max": 6, "cpu": 80}}),
    "requests": (["--requests", "100m,64Mi"], {"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}),
    "limits": (["--limits", "1,1Gi"], {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}),
    "env": (
        ["--env", "NO=yes", "--env", "ONE=1", "--env", "NONE=", "--env", "ODD=\x1b[2J#: é\u202e"],
        {"env": {"NO": "yes", "ONE": "1", "NONE": "", "ODD": "\x1b[2J#: é\u202e"}},
    ),
    "volume": (["--volume", "data:/data:10Gi"], {"volumes": {"data": {"path": "/data", "size": "10Gi"}}}),
    "health": (["--health", "/healthz"], {"health": "/healthz"}),
    "probe": (["--probe", "sh -c 'a b'"], {"probes": {"readiness": PROBE, "liveness": PROBE}}),
    "run_as_user": (["--run-as-user", "1001"], {"runAsUser": 1001}),
    "writable": (["--writable", "/var/lib/web"], {"writable": ["/var/lib/web"]}),
    "component": (["--component", "cache"], {"component": "cache"}),
    "cost_center": (["--cost-center", "4711"], {"costCenter": "4711"}),
}
# Those of what ends, or that a stack has to allow first, and those that are no key.
APART = {"schedule", "database", "grant", "kubernetes_api", "exception"}
NO_KEY = {"name", "stack", "yes", "dry_run", "output_format", "project"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for path in ROOT.glob("Pulumi*.yaml"):
        shutil.copyfile(path, tmp_path / path.name)
    shutil.copytree(ROOT / "services", tmp_path / "services")
    (tmp_path / "policies").symlink_to(ROOT / "policies")
    return tmp_path


def new(project: Path, *flags: str) -> Result:
    typed = ["new", "service", "web", *flags, "--yes", "--project", str(project)]
    return CliRunner().invoke(app, typed, catch_exceptions=False)


def consent(project: Path) -> Result:
    return CliRunner().invoke(app, ["consent", "--project", str(project), "--format", "json"], catch_exceptions=False)


def test_the_table_has_every_option() -> None:
    options = {parameter.name for parameter in COMMANDS["new service"].params}
    assert options == {*OPTIONS, *APART, *NO_KEY}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_stack_reads_it(option: str, project: Path) -> None:
    flags, keys = OPTIONS[option]
    done = new(project, *FLAGS, *flags)
    assert done.exit_code == 0, done.stderr
    text = (project / "services/web.yaml").read_text()
    assert yaml.safe_load(text) == {**NEEDED, **keys}
    assert text.startswith(f"{SCHEMA_LINE}namespace: ")
    assert text.count("#") == 1 + ("ODD" in text)
    assert "&" not in text
    for stack in ("production", "staging", "dev", "local"):
        planned = plan(stack_of(project, stack))
        assert "web" in {each.name for each in planned.services}
    assert json.loads(consent(project).stdout)["missing"] == []


def test_the_schema_that_it_names_is_there(project: Path) -> None:
    path = SCHEMA_LINE.partition("$schema=")[2].strip()
    assert (ROOT / "services" / path).is_file()


def test_a_program_that_ends(project: Path) -> None:
    done = new(project, *FLAGS[:-2], "--schedule", "0 3 * * *", "--calls", "postgres")
    assert done.exit_code == 0, done.stderr
    text = (project / "services/web.yaml").read_text()
    assert text.endswith("calls: [postgres]\nrun: {schedule: 0 3 * * *}\n")


def test_another_service_can_call_what_it_wrote(project: Path) -> None:
    assert new(project, *FLAGS).exit_code == 0
    typed = ["new", "service", "other", *FLAGS, "--calls", "web", "--yes", "--project", str(project)]
    done = CliRunner().invoke(app, typed, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert (project / "services/web.yaml").read_text().endswith("port: 8080\ncallers: [other]\n")


@pytest.mark.parametrize(
    "flags",
    [
        ["--env", "A=1", "--env", "A=2"],
        ["--extra-port", "a:9001", "--extra-port", "a:9002"],
        ["--volume", "a:/a:1Gi", "--volume", "a:/b:1Gi"],
        ["--secret", "a:b", "--secret", "a:c"],
    ],
)
def test_a_name_that_is_given_twice(flags: list[str], project: Path) -> None:
    done = new(project, *FLAGS, *flags)
    assert done.exit_code == 2
    assert f"error: zt new service: {flags[0]}: named twice" in done.stderr


def test_a_file_that_another_stack_refuses_is_not_written(project: Path) -> None:
    staging = project / "Pulumi.staging.yaml"
    domain = "  zero-trust:ingress:\n    domain: staging.example.org\n"
    staging.write_text(staging.read_text().replace("  zero-trust:ingress:\n", domain))
    flags = [*FLAGS, "--host", "web.{domain}", "--stack", "staging"]
    done = new(project, *flags)
    assert done.exit_code == 2
    assert "services/web.yaml:6: host: on stack dev: the stack has no domain" in done.stderr
    assert not (project / "services/web.yaml").exists()
    # What is wrong without the file is not its fault.
    for stack in ("production", "dev", "local"):
        (project / f"Pulumi.{stack}.yaml").write_text("config: [")
    assert new(project, *flags).exit_code == 0


@pytest.mark.parametrize("name", ["../web", "a/b", ".web", "web.staging", "Web", "web\n", "-web", "", "w" * 64])
def test_a_name_that_is_none(name: str, project: Path) -> None:
    before = sorted(project.rglob("*"))
    typed = ["new", "service", *FLAGS, "--yes", "--project", str(project), "--", name]
    done = CliRunner().invoke(app, typed, catch_exceptions=False)
    assert done.exit_code == 2
    assert "name: " in done.stderr
    assert sorted(project.rglob("*")) == before
