"""What a cluster or a Vault answers that is broken, or another server in its place: each command ends with a message.

The commands are those of the parser that ask one of the two, so that a new one is held to this as well.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from typer.testing import CliRunner, Result

from tests.support.hostile_server import HostileServer, Wrong, hostile_server, of_json
from tests.unit.pending_operations.test_state import creating
from tests.unit.zt.resume.test_resume import ISTIOD, Backend, state
from tests.unit.zt.typed import COMMANDS, line, lone_project
from zt.cli import app
from zt.preflight.command import Connections
from zt.preflight.created import Created
from zt.preflight.session import Outside
from zt.preflight.web import Reply, Request, UnreachedError, Web, web
from zt.project.errors import ExitCode

pytestmark = pytest.mark.unit

TOKEN, BEARER, ISSUED = "hvs.the-operators-token", "the-users-bearer-token", "a-token-that-the-cluster-issued"
HEALTHY = of_json({"initialized": True, "sealed": False, "standby": False, "version": "1.21.0"})
NAMED = {"name": "a\x1b[31mb\nc", "namespace": "shop", "uid": "1"}
# What a list of objects, a Vault's envelope, or a review may have in place of what it should.
SHAPES: dict[str, Any] = {
    "a null": None,
    "a text": "text",
    "a number": 7,
    "a list": [],
    "an empty object": {},
    "nulls": {"items": None, "metadata": None, "data": None, "status": None, "auth": None, "resources": None},
    "texts": {"items": "x", "metadata": "x", "data": "x", "status": "x", "auth": "x", "resources": "x"},
    "null items": {"items": [None], "metadata": {}, "data": {"keys": [None]}, "resources": [None]},
    "items of another kind": {"items": ["x", 7, []], "data": {"keys": {"a": 1}}, "resources": ["x"]},
    "items without metadata": {"items": [{}, {"metadata": None}, {"metadata": {}}], "data": {}, "resources": [{}]},
    "items of nulls": {
        "items": [{"metadata": NAMED, "spec": None, "status": None, "data": None}],
        "data": {"keys": ["a\x1b[31m"], "metadata": None, "current_version": None, "subkeys": None},
        "status": {},
        "auth": {},
    },
    "items of texts": {
        "items": [{"metadata": {**NAMED, "labels": "x", "ownerReferences": "x"}, "spec": "x", "status": "x"}],
        "data": {"keys": ["a"], "metadata": "x", "current_version": "x", "subkeys": "x", "version": "x"},
    },
    "a continue that never ends": {"items": [], "metadata": {"continue": "again"}, "data": {"keys": []}},
}
HTML = b"<html><body>Sign in to the network \x1b[31m</body></html>"
ANSWERS: dict[str, Wrong] = {
    **{what: of_json(shape) for what, shape in SHAPES.items()},
    **{
        str(status): of_json({"message": "no \x1b[31m", "errors": ["no \x1b[31m\nerror: x"]}, status)
        for status in (400, 401, 403, 404, 500, 502, 503)
    },
    "429": Wrong(429, b"", {"Retry-After": "3600"}),
    "403 without a body": Wrong(403),
    "500 of HTML": Wrong(500, HTML, {"Content-Type": "text/html"}),
    "HTML": Wrong(200, HTML, {"Content-Type": "text/html"}),
    "nothing": Wrong(200),
    "no content": Wrong(204),
    "no text": Wrong(200, b"\xff\xfe\x00", {"Content-Type": "application/json"}),
    "deep lists": Wrong(200, b"[" * 100_000, {"Content-Type": "application/json"}),
    "half an answer": Wrong(200, b'{"items": [', {"Content-Type": "application/json"}, promised=4000),
    "no answer": Wrong(silent=True),
}
ASKS = {
    # What is typed beside what the parser demands.
    "secret set": {},
    "secret list": {},
    "rotate": {},
    "revoke": {},
    "vault snapshot": {"file": "new.snap"},
    "preflight": {},
    "adopt": {},
    "promote": {},
    "report": {},
    "resume": {},
    "attack": {},
}
BY_KUBERNETES = ("secret set", "secret list", "rotate", "revoke", "vault snapshot")
VALUE = "a value of a secret"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server(authority: trustme.CA) -> Iterator[HostileServer]:
    with hostile_server(authority) as made:
        yield made


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA) -> Path:
    made = lone_project(tmp_path, monkeypatch)
    authority.cert_pem.write_to_path(made / "ca.pem")
    api = made / "services/api.yaml"
    api.write_text(api.read_text().replace("secrets:\n", "secrets:\n  word: {external: [key]}\n", 1))
    # Rendered by helm, and no matter here.
    monkeypatch.setattr("zt.preflight.command.created_by", lambda *_: Created((), (), ()))
    # A killed update that was installing a release.
    monkeypatch.setattr("zt.resume.command.on_path", lambda *_: Backend(state(*creating(ISTIOD))))
    for place in (
        "zt.cluster.access.SECONDS",
        "components.kube.connection._SECONDS",
        "zt.attack.kubernetes_api._SECONDS",
    ):
        monkeypatch.setattr(place, (0.5, 0.5))
    for place in ("zt.cluster.vault._SECONDS", "zt.attack.vault_api._SECONDS", "zt.preflight.web.SECONDS"):
        monkeypatch.setattr(place, 0.5)
    return made


def run(name: str, project: Path, address: str, monkeypatch: pytest.MonkeyPatch, **more: str) -> Result:
    """Run a command with the cluster and the Vault at this address, both with a credential."""
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": address, "certificate-authority": str(project / "ca.pem")}}],
        "users": [{"name": "u", "user": {"token": BEARER}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }
    (project / "kubeconfig").write_text(json.dumps(kubeconfig))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(project / "kubeconfig"))
    places = {"VAULT_ADDR": address, "VAULT_CACERT": str(project / "ca.pem"), "VAULT_TOKEN": TOKEN}
    for variable, value in places.items():
        monkeypatch.setenv(variable, value)
    stack = project / "Pulumi.production.yaml"
    own = f"{address}\n    caCertFile: {project}/ca.pem\n    tlsSecret: own"
    stack.write_text(stack.read_text().replace("https://vault.example.org:8200", own))
    typed = line(
        name,
        **{
            "project": str(project),
            "kubeconfig": str(project / "kubeconfig"),
            "vault_addr": address,
            "vault_cacert": str(project / "ca.pem"),
            **ASKS[name],
            **more,
        },
    )
    connections = Connections(outside=Outside(near(address), lambda _: (), environment=os.environ))
    obj = connections if name == "preflight" else None
    return CliRunner().invoke(app, typed, obj=obj, catch_exceptions=False, input=VALUE)


def near(address: str) -> Web:
    """Requests to this server and to no other at once, as from a network without the internet."""

    def asked(request: Request) -> Reply:
        if not request.url.startswith(address):
            raise UnreachedError("no network here")
        return web(request)

    return asked


def check(done: Result, address: str) -> None:
    """A command that gets no answer that it can use ends with one line that names the server, and shows no secret."""
    assert done.exit_code in frozenset(ExitCode), done.output
    assert "\x1b" not in done.output
    assert not [secret for secret in (TOKEN, BEARER, VALUE, ISSUED) if secret in done.output]
    if done.exit_code in (ExitCode.WRONG, ExitCode.NO_ANSWER):
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert address in done.stderr


def test_every_command_that_asks_a_server_is_here() -> None:
    asking = {"kubeconfig", "login", "vault_addr"}
    due = {name for name, command in COMMANDS.items() if asking & {each.name for each in command.params}}
    assert due == {*ASKS}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("name", ASKS)
def test_a_wrong_answer(
    name: str, answer: str, project: Path, server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In two ways: to all, and behind a first answer that is right.
    for first in ({}, {"/v1/sys/health": HEALTHY, "/version": of_json({"major": "1", "minor": "36"})}):
        server.answer(ANSWERS[answer], first)
        check(run(name, project, server.address, monkeypatch), server.address)
    assert server.given_up == []


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_wrong_answer_to_a_login(
    answer: str, project: Path, server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = of_json({"kind": "TokenRequest", "status": {"token": ISSUED, "expirationTimestamp": None}, "spec": {}})
    for first in ({"/v1/sys/health": HEALTHY}, {"/v1/sys/health": HEALTHY, "/api/": issued}):
        server.answer(ANSWERS[answer], first)
        done = run("revoke", project, server.address, monkeypatch, login="kubernetes")
        check(done, server.address)
        assert done.exit_code == ExitCode.NO_ANSWER
    assert server.given_up == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("name", ASKS)
def test_no_other_server_gets_what_was_for_this_one(
    name: str, status: int, project: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hostile_server(authority) as server, hostile_server(authority) as other:
        there = Wrong(status, headers={"Location": f"{other.address}/v1/x"})
        for first in ({}, {"/v1/sys/health": HEALTHY, "/version": of_json({"major": "1", "minor": "36"})}):
            server.answer(there, first)
            check(run(name, project, server.address, monkeypatch), server.address)
        assert server.heard
        assert [heard for heard in other.heard if any(secret in heard for secret in (TOKEN, BEARER, VALUE))] == []


@pytest.mark.parametrize("name", ASKS)
def test_a_certificate_of_another_name(
    name: str, project: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hostile_server(authority, "other.example.org") as server:
        done = run(name, project, server.address, monkeypatch)
        check(done, server.address)
        assert server.heard == []
        assert done.exit_code == ExitCode.NO_ANSWER
