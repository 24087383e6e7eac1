"""The command `zt preflight`: what it asks, its exit codes and formats, and that it changes nothing."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Done

from tests.support.stacks import ROOT
from tests.unit.zt.preflight.stack import CREATED, NOW, FakeCluster, FakeWeb, lines, node, planned_of, session
from zt.cli import app
from zt.cluster.access import Access, ClusterError
from zt.preflight import command
from zt.preflight.ask import ask
from zt.preflight.checks import THEMES
from zt.preflight.cluster import Cluster
from zt.preflight.command import Connections
from zt.preflight.line import Check, Line, Preflight, Result, Row, Theme, fails, not_checked, ok, warns
from zt.preflight.output import as_json, text
from zt.preflight.session import Outside, Session, addresses
from zt.preflight.web import Request, UnreachedError, web

Asked = list[tuple[Access, str, Sequence[str]]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for path in ROOT.glob("Pulumi*.yaml"):
        shutil.copyfile(path, tmp_path / path.name)
    shutil.copytree(ROOT / "services", tmp_path / "services")
    return tmp_path


@pytest.fixture
def run(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    monkeypatch.setattr(command, "created_by", lambda *_: CREATED)

    def typed(*arguments: str, cluster: FakeCluster | Exception | None = None, asked: Asked | None = None) -> Done:
        def connect(access: Access, user: str, groups: Sequence[str]) -> Cluster:
            if asked is not None:
                asked.append((access, user, groups))
            if isinstance(cluster, Exception):
                raise cluster
            return Cluster((cluster or FakeCluster()).send, "context test (https://test)")

        outside = Outside(FakeWeb(), lambda _: (), lambda: NOW, {"HOME": str(project)})
        line = ["preflight", "--stack", "production", "--project", str(project), *arguments]
        return CliRunner().invoke(app, line, obj=Connections(connect, outside))

    return typed


def test_it_changes_nothing(run: Callable[..., Done]) -> None:
    cluster = FakeCluster(denied=lambda right: right["verb"] == "*")
    run(cluster=cluster)
    posted = {call.path for call in cluster.calls if call.method != "GET"}
    assert posted == {
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    }


def test_something_fails(run: Callable[..., Done]) -> None:
    done = run("--format", "json")
    document = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (document["version"], document["stack"], document["cluster"]) == (
        1,
        "production",
        "context test (https://test)",
    )
    assert document["vault"] == "https://vault.example.org:8200"
    counted = dict.fromkeys(document["summary"], 0)
    for line in document["lines"]:
        counted[line["result"]] += 1
        assert set(line) == {"theme", "check", "result", "about", "found", "fix", "details"}
        assert line["fix"] or line["result"] in ("ok", "not checked")
    assert counted == document["summary"]


def test_nothing_fails(run: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    theme = Theme("a", (Check("b", "c", lambda _: [ok("c", "d"), warns("e", "f", "g"), not_checked("h", "i")]),))
    monkeypatch.setattr(command, "ask", lambda of, stack, say: ask(of, stack, say, (theme,)))
    done = run()
    assert done.exit_code == 0
    assert done.stdout.endswith(
        "production on context test (https://test): 3 lines: 1 ok, 0 fails, 1 warns, 1 not checked\n"
    )


def test_the_result_in_a_file(run: Callable[..., Done], tmp_path: Path) -> None:
    done = run("--format", "json", "--output", str(tmp_path / "preflight.json"))
    assert done.stdout == ""
    assert "written to" in done.stderr
    assert json.loads((tmp_path / "preflight.json").read_text())["version"] == 1


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        (ClusterError("context test cannot be reached: Connection refused"), "cannot be reached"),
        (FakeCluster(status={"/version": 401}), "refuses the credentials"),
        (FakeCluster(status={"/version": 503}), "does not say its version: 503"),
    ],
)
def test_a_cluster_that_is_not_reached(run: Callable[..., Done], cluster: FakeCluster | Exception, said: str) -> None:
    done = run(cluster=cluster)
    assert (done.exit_code, done.stdout) == (3, "")
    assert said in done.stderr


def test_wrong_arguments(run: Callable[..., Done], project: Path) -> None:
    assert run("--as-group", "ops").exit_code == 2
    assert run("--embedded", "--context", "other").exit_code == 2


def test_a_project_without_a_service(run: Callable[..., Done], project: Path) -> None:
    shutil.rmtree(project / "services")
    assert run().exit_code in (0, 1)


def test_another_identity_and_another_cluster(run: Callable[..., Done], tmp_path: Path) -> None:
    asked: Asked = []
    file = tmp_path / "kubeconfig"
    run("--as", "ci", "--as-group", "a", "--as-group", "b", "--kubeconfig", str(file), "--context", "c", asked=asked)
    assert asked == [(Access(file, "c"), "ci", ("a", "b"))]


def test_the_embedded_control_plane_before_its_first_start(
    run: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZERO_TRUST_EMBEDDED_DIR", str(tmp_path / "nowhere"))
    done = run("--embedded")
    assert (done.exit_code, done.stdout) == (3, "")
    assert "start the control plane" in done.stderr


def test_what_cannot_be_read_is_not_checked() -> None:
    hidden = FakeCluster(status={"/api/v1/nodes": 403})
    result = ask(session(cluster=hidden), "production", lambda _: None)
    rows = {row.check: row.line for row in result.rows if row.theme == "nodes"}
    assert {line.result for line in rows.values()} == {Result.NOT_CHECKED}
    assert "403 /api/v1/nodes is forbidden" in rows["nodes"].found


def test_every_check_has_a_name_of_its_own() -> None:
    names = [check.name for theme in THEMES for check in theme.checks]
    assert len(names) == len(set(names))


def test_the_lines_stand_in_the_order_of_the_themes() -> None:
    result = ask(session(), "production", lambda _: None)
    shown = list(dict.fromkeys(row.theme for row in result.rows))
    assert shown == [theme.title for theme in THEMES if theme.title in shown]


@pytest.mark.parametrize("make", [fails, warns])
def test_a_line_that_objects_says_what_to_do(make: Callable[[str, str, str], Line]) -> None:
    with pytest.raises(ValueError, match="says what to do"):
        make("about", "found", "")


def test_a_list_is_asked_for_once() -> None:
    cluster = FakeCluster({"/api/v1/nodes": [node("a")]})
    of = session(cluster=cluster)
    for theme in THEMES:
        lines(theme, of)
    assert [call.path for call in cluster.calls].count("/api/v1/nodes") == 1


RESULT = Preflight(
    "production",
    "context test",
    "",
    (
        Row("API server", "version", ok("version", "v1.36.3")),
        Row("rights", "kubernetes-rights", fails("rights", "[red] not all", "kubectl create " + "x" * 120, "a: b")),
        Row("rights", "more", not_checked("more", "nobody knows")),
    ),
)


def test_the_text() -> None:
    shown = text(RESULT).splitlines()
    assert shown[:3] == ["API server", "  ok           version", "               v1.36.3"]
    assert "  fails        rights" in shown
    assert "               [red] not all" in shown
    assert "                 a: b" in shown
    # A command stays on one line, to be copied.
    assert f"               fix: kubectl create {'x' * 120}" in shown
    assert shown[-1] == "production on context test: 3 lines: 1 ok, 1 fails, 0 warns, 1 not checked"


def test_the_json() -> None:
    (first, second, _) = json.loads(as_json(RESULT))["lines"]
    assert first == {
        "theme": "API server",
        "check": "version",
        "result": "ok",
        "about": "version",
        "found": "v1.36.3",
        "fix": "",
        "details": [],
    }
    assert second["details"] == ["a: b"]


def test_a_resolver_that_does_not_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    waiting = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: waiting.wait() and [])
    assert addresses("api.example.org", 0.05) == ()
    waiting.set()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("192.0.2.1", 443))] * 2)
    assert addresses("api.example.org") == ("192.0.2.1",)


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(UnreachedError, match="Connection refused"):
        web(Request("https://127.0.0.1:1/x"))


def test_the_session_knows_whose_vault_it_is() -> None:
    made, planned = planned_of("production")
    external = session(vault={"mode": "external", "address": "https://v.example.org", "cidrs": ["10.0.0.0/8"]})
    assert Session(made, planned, CREATED, external.cluster, external.outside, external.project).in_cluster_vault
    assert not external.in_cluster_vault
