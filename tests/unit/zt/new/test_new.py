"""`zt new service`: what it writes, what it refuses, and what it says a file comes to."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from components.schema.typed_file import legal_keys
from components.service.file.directory import parse_service
from components.service.file.service import ServiceSpec
from tests.support.stacks import ROOT
from zt.cli import app
from zt.new.file import SCHEMA_LINE, required

pytestmark = pytest.mark.unit

IMAGE = "registry.example.org/shop/orders:v1"
FLAGS = ("orders", "--namespace", "shop", "--team", "commerce", "--image", IMAGE, "--port", "8080")

Run = Callable[..., Result]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for file in ROOT.glob("Pulumi.*.yaml"):
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "services").mkdir()
    for file in (ROOT / "services").glob("*.yaml"):
        (tmp_path / "services" / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.fixture
def run(project: Path) -> Run:
    def run(*arguments: str, answers: str | None = None) -> Result:
        command = ["new", "service", *arguments, "--project", str(project)]
        return CliRunner().invoke(app, command, input=answers, catch_exceptions=False)

    return run


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zt.new.command.at_terminal", lambda: True)


def written(project: Path, name: str = "orders") -> str:
    return (project / "services" / f"{name}.yaml").read_text()


def files(project: Path) -> list[str]:
    return sorted(path.name for path in (project / "services").iterdir())


class TestTheFile:
    def test_flags_make_a_file_that_the_program_reads(self, project: Path, run: Run) -> None:
        every = ("--protocol", "http", "--host", "orders.example.org", "--path", "/v1", "--path", "/v2")
        every += ("--calls", "postgres, redis", "--secret", "session:key,salt", "--replicas", "3")
        every += ("--health", "/healthz", "--run-as-user", "1500", "--writable", "/data", "--component", "backend")
        done = run(*FLAGS, *every, "--cost-center", "retail")
        assert done.exit_code == 0, done.stderr
        spec = parse_service(written(project), "services/orders.yaml").spec
        assert (spec.name, spec.namespace, spec.team, spec.image) == ("orders", "shop", "commerce", IMAGE)
        assert (spec.port, spec.host, spec.public_paths) == (8080, "orders.example.org", ("/v1", "/v2"))
        assert [call.service for call in spec.calls] == ["postgres", "redis"]
        assert spec.secrets["session"].generate == ("key", "salt")
        assert (spec.replicas, spec.health, spec.run_as_user, spec.writable) == (3, "/healthz", 1500, ("/data",))
        assert (spec.component, spec.cost_center) == ("backend", "retail")

    def test_what_listens_on_no_port_is_asked_for_none(self, project: Path, run: Run) -> None:
        portless = FLAGS[1:-2]
        done = run("night", *portless, "--schedule", "0 3 * * *")
        assert done.exit_code == 0, done.stderr
        assert written(project, "night").endswith(f"image: {IMAGE}\nrun: {{schedule: 0 3 * * *}}\n")
        done = run("worker", *portless, "--probe", "bin/well --now", "--calls", "redis")
        assert done.exit_code == 0, done.stderr
        spec = parse_service(written(project, "worker"), "services/worker.yaml").spec
        assert spec.port is None
        assert spec.probes is not None
        assert {one.command for one in (spec.probes.readiness, spec.probes.liveness) if one} == {("bin/well", "--now")}

    def test_further_ports_have_a_flag(self, project: Path, run: Run) -> None:
        done = run(*FLAGS, "--extra-port", "admin:9001", "--extra-port", "sync:9002:tcp")
        assert done.exit_code == 0, done.stderr
        assert "ports:\n  admin: 9001\n  sync: {port: 9002, protocol: tcp}\n" in written(project)
        assert "write NAME:PORT" in run("other", *FLAGS[1:], "--extra-port", "9001").stderr

    def test_it_has_what_was_given_in_the_order_of_the_model(self, project: Path, run: Run) -> None:
        run("orders", "--cost-center", "retail", "--calls", "redis", *FLAGS[1:])
        assert written(project) == (
            f"{SCHEMA_LINE}namespace: shop\nteam: commerce\nimage: {IMAGE}\nport: 8080\ncalls: [redis]\n"
            "costCenter: retail\n"
        )

    def test_the_schema_line_leads_to_the_schema(self) -> None:
        assert (ROOT / "services" / SCHEMA_LINE.strip().partition("$schema=")[2]).is_file()

    def test_every_required_key_has_a_flag(self, run: Run) -> None:
        assert "name" not in required()
        assert set(required()) < set(legal_keys(ServiceSpec, ()))
        values = dict(zip(FLAGS[1::2], FLAGS[2::2], strict=True))
        for key in required():
            rest = [word for flag, value in values.items() if flag != f"--{key}" for word in (flag, value)]
            done = run("orders", *rest)
            assert done.exit_code == 2
            assert f"--{key}: missing" in done.stderr

    def test_what_is_missing_is_said_at_once(self, project: Path, run: Run) -> None:
        before = files(project)
        done = run("--team", "commerce")
        assert done.exit_code == 2
        for flag in ("NAME", "--namespace", "--image", "--port"):
            assert f"zt new service: {flag}: missing" in done.stderr
        assert "--team" not in done.stderr
        assert files(project) == before


class TestRefused:
    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (("--calls", "nowhere"), "services/orders.yaml:6: calls: no such service, found 'nowhere'; legal: api"),
            (("--host", "api.example.org"), "services/api.yaml already claims / of the host api.example.org"),
            (("--host", "*.example.org"), "a wildcard host would claim other services' names"),
            (("--image", "elsewhere.example.net/x:v1"), "not from an approved registry"),
            (("--image", "registry.example.org/shop/x:latest"), "no fixed version"),
            (("--namespace", "kyverno"), "it is the platform's"),
            (("--protocol", "tcp", "--host", "o.example.org"), "host needs another"),
            (("--port", "15001"), "the mesh proxy's"),
            (("--secret", "session"), "write the secret's name, a colon and its fields"),
            (("--secret", "session:"), "write the secret's name, a colon and its fields"),
            (("--secret", "a:key", "--secret", "a:salt"), "named twice"),
            (("--secret", "Session:key"), "not a DNS label"),
            (("--stack", "prod"), "there is no such stack"),
        ],
    )
    def test_what_the_program_would_refuse_is_not_written(
        self, project: Path, run: Run, flags: tuple[str, ...], said: str
    ) -> None:
        before = files(project)
        done = run(*FLAGS, *flags)
        assert done.exit_code == 2
        assert said in done.stderr
        assert files(project) == before

    @pytest.mark.parametrize("name", ["../evil", "a/b", "Orders", "", "-x"])
    def test_a_name_is_a_label_and_no_path(self, project: Path, run: Run, name: str) -> None:
        done = run(*FLAGS[1:], "--", name)
        assert done.exit_code == 2
        assert "name" in done.stderr or "NAME" in done.stderr
        assert not list(project.parent.glob("*.yaml"))

    def test_a_file_that_is_there_is_left_alone(self, project: Path, run: Run) -> None:
        before = written(project, "api")
        done = run("api", *FLAGS[1:])
        assert done.exit_code == 2
        assert "services/api.yaml: it is there already" in done.stderr
        assert written(project, "api") == before

    def test_a_link_that_leads_nowhere_is_not_written_through(self, project: Path, run: Run) -> None:
        (project / "services" / "orders.yaml").symlink_to(project / "elsewhere.yaml")
        assert run(*FLAGS).exit_code == 2
        assert not (project / "elsewhere.yaml").exists()

    def test_another_file_with_the_same_service_is_named(self, project: Path, run: Run) -> None:
        (project / "services" / "a.yaml").write_text(
            f"name: orders\nnamespace: shop\nteam: x\nimage: {IMAGE}\nport: 1\n"
        )
        done = run(*FLAGS)
        assert done.exit_code == 2
        assert "services/a.yaml already holds this service" in done.stderr

    def test_a_neighbour_that_cannot_be_read_is_named(self, project: Path, run: Run) -> None:
        (project / "services" / "web.yaml").symlink_to(project / "elsewhere.yaml")
        done = run(*FLAGS)
        assert done.exit_code == 2
        assert "services/web.yaml: YAML: cannot be read" in done.stderr

    def test_a_broken_neighbour_is_named(self, project: Path, run: Run) -> None:
        (project / "services" / "web.yaml").write_text("namespace: shop\n")
        done = run(*FLAGS)
        assert done.exit_code == 2
        assert "services/web.yaml" in done.stderr
        assert "orders.yaml" not in files(project)


class TestWhatItShows:
    def test_a_dry_run_shows_everything_and_writes_nothing(self, project: Path, run: Run) -> None:
        done = run(*FLAGS, "--calls", "postgres", "--secret", "session:key", "--dry-run")
        assert done.exit_code == 0
        assert "orders may now reach postgres:5432" in done.stdout
        assert "secret  secret/data/shop/orders/session" in done.stdout
        assert "services/orders.yaml is not written (--dry-run)" in done.stdout
        assert "orders.yaml" not in files(project)

    def test_json_is_the_same_for_scripts(self, project: Path, run: Run) -> None:
        done = run(*FLAGS, "--host", "orders.example.org", "--secret", "session:key", "--format", "json")
        found = json.loads(done.stdout)
        assert (found["written"], found["text"]) == (True, written(project))
        assert {item["kind"] for item in found["objects"]} >= {"Deployment", "NetworkPolicy", "HTTPRoute"}
        assert {item["kind"]: item["name"] for item in found["vault"]} == {
            "policy": "shop.orders",
            "role": "auth/kubernetes/role/shop.orders",
            "secret": "secret/data/shop/orders/session",
        }
        assert {(change["class"], change["kind"]) for change in found["access"]} == {
            ("weaker", "public"),
            ("weaker", "vault-access"),
            ("neutral", "service"),
        }
        assert found["next"][-1] == "git add services/orders.yaml"

    def test_a_service_that_nobody_may_reach_is_said_so(self, run: Run) -> None:
        assert "nobody may reach it yet" in run(*FLAGS, "--dry-run").stdout
        assert "nobody may reach it yet" not in run(*FLAGS, "--dry-run", "--host", "o.example.org").stdout
        # Without network policies and authorization everything reaches it.
        done = run(*FLAGS, "--dry-run", "--stack", "dev")
        assert "anything in the cluster may now reach orders:8080" in done.stdout
        assert "nobody may reach it yet" not in done.stdout

    def test_a_new_namespace_is_one_of_the_objects(self, run: Run) -> None:
        assert "Namespace" not in run(*FLAGS, "--dry-run").stdout
        done = run("orders", "--namespace", "billing", *FLAGS[3:], "--dry-run", "--format", "json")
        assert {"kind": "Namespace", "name": "billing", "note": "new"} in json.loads(done.stdout)["objects"]

    def test_a_stack_without_vault_says_where_the_secret_is(self, run: Run) -> None:
        done = run(*FLAGS, "--secret", "session:key", "--stack", "local", "--dry-run", "--format", "json")
        found = json.loads(done.stdout)
        assert found["vault"] == []
        assert {item["kind"]: item["note"] for item in found["objects"]}["Secret"].startswith("marked insecure")


@pytest.mark.usefixtures("terminal")
class TestAtATerminal:
    def test_it_asks_for_everything_and_suggests_what_the_others_say(self, project: Path, run: Run) -> None:
        done = run(answers="orders\n" + "\n" * 9 + "y\n")
        assert done.exit_code == 0, done.stderr
        values = yaml.safe_load(written(project))
        assert values == {
            "namespace": "shop",
            "team": "commerce",
            "image": "registry.example.org/shop/orders:v0.1.0",
            "port": 8080,
            "costCenter": "retail",
        }
        assert "Namespace [shop]:" in done.stderr
        # Shown before the question, and only once.
        assert done.stderr.index("on production it creates") < done.stderr.index("Write services/orders.yaml?")
        assert "on production it creates" not in done.stdout
        assert "services/orders.yaml is written" in done.stdout

    def test_answers_are_kept(self, project: Path, run: Run) -> None:
        lines = ["billing", "finance", "registry.example.org/billing/orders:v2", "9000", "o.example.org", "/ready"]
        done = run("orders", answers="\n".join([*lines, "shop/api", "session:key,salt db:pass", "-", "y", ""]))
        # A cost center is a label: what is none is asked again, and the confirmation was taken for the answer.
        assert "not a DNS label" in done.stderr
        assert done.exit_code == 130
        done = run("orders", answers="\n".join([*lines, "shop/api", "session:key,salt db:pass", "money", "y", ""]))
        assert done.exit_code == 0, done.stderr
        spec = parse_service(written(project), "services/orders.yaml").spec
        assert (spec.port, spec.host, spec.health) == (9000, "o.example.org", "/ready")
        assert [call.service for call in spec.calls] == ["shop/api"]
        assert {name: secret.generate for name, secret in spec.secrets.items()} == {
            "session": ("key", "salt"),
            "db": ("pass",),
        }

    def test_a_wrong_answer_is_asked_again(self, project: Path, run: Run) -> None:
        lines = ["api", "Orders", "orders", "", "", "no-registry", "", "many", "0", "8080", "", "", "nowhere", "redis"]
        done = run(answers="\n".join([*lines, "session", "session:key", "", "y", ""]))
        assert done.exit_code == 0, done.stderr
        for said in (
            "it is there already",
            "not a DNS label",
            "no registry",
            "a whole number is expected",
            "no such service: nowhere",
        ):
            assert said in done.stderr
        assert yaml.safe_load(written(project))["calls"] == ["redis"]

    def test_only_what_is_missing_is_asked(self, run: Run) -> None:
        done = run(*FLAGS, "--protocol", "tcp", "--calls", "redis", answers="\n\ny\n")
        assert done.exit_code == 0, done.stderr
        for asked in ("Namespace", "Image", "Public host", "Path that answers", "Services it calls"):
            assert asked not in done.stderr
        assert "Cost center" in done.stderr

    def test_a_no_writes_nothing(self, project: Path, run: Run) -> None:
        done = run(*FLAGS, answers="\n\n\n\n\nn\n")
        assert done.exit_code == 1
        assert "orders.yaml" not in files(project)

    def test_yes_asks_nothing(self, project: Path, run: Run) -> None:
        done = run(*FLAGS, "--yes")
        assert done.exit_code == 0
        assert "?" not in done.stderr
        assert "costCenter" not in written(project)

    def test_json_alone_is_on_the_standard_output(self, run: Run) -> None:
        done = run(*FLAGS, "--format", "json", answers="\n\n\n\n\ny\n")
        # The runner echoes the answers; nothing of the command's own stands before the object.
        echoed, brace, rest = done.stdout.partition("{")
        assert not echoed.replace("y", "").strip()
        assert json.loads(brace + rest)["written"] is True
