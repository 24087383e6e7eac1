"""`zt resume`: what it does with a state that a killed update left, in which order, and what it refuses."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.unit.pending_operations.test_state import AUDIT, MOUNT, POLICY, SECRET, SPACE, creating, resource
from zt.cli import app
from zt.cluster.access import ClusterError, LiveCluster
from zt.project.errors import ToolError
from zt.resume.command import Connections
from zt.resume.pulumi import LockedError

Run = Callable[..., Result]

STACK = "urn:pulumi:production::zero-trust::pulumi:pulumi:Stack::zero-trust-production"
ISTIOD = resource("kubernetes:helm.sh/v3:Release", "istiod", name="istiod", namespace="istio-system")
RECORDS = "/api/v1/namespaces/istio-system/secrets"
UID = "7b1f"


class KilledError(Exception):
    """The command ends here, as a signal ends it."""


def stands(made: Mapping[str, Any], **outputs: Any) -> dict[str, Any]:
    return {**made, "id": "there", "outputs": outputs}


def state(*pending: dict[str, Any], resources: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    root = {"urn": STACK, "type": "pulumi:pulumi:Stack", "custom": False}
    space = stands(SPACE, metadata={"name": "shop", "uid": UID})
    return {"version": 3, "deployment": {"resources": [root, space, *resources], "pending_operations": list(pending)}}


@dataclass
class Backend:
    """A stack's state, and what the CLI does with it. `gone` are the URNs of what a refresh does not find."""

    state: dict[str, Any]
    gone: frozenset[str] = frozenset()
    locked: bool = False
    killed_at: str = ""
    done: list[str] = field(default_factory=list[str])
    stack: str = "production"

    def export(self) -> dict[str, Any]:
        return copy.deepcopy(self.state)

    def put(self, state: Mapping[str, Any]) -> None:
        self._begin("put")
        self.state = copy.deepcopy({**state})

    def refresh(self, urns: Sequence[str]) -> None:
        self._begin("refresh " + " ".join(urn.rpartition("::")[2] for urn in urns))
        deployment = self.state["deployment"]
        # The engine carries over what is being created, and nothing else.
        kept = [each for each in deployment["pending_operations"] if each["type"] == "creating"]
        deployment["pending_operations"] = kept
        resources = [each for each in deployment["resources"] if each["urn"] not in {*urns} & self.gone]
        deployment["resources"] = [
            {**each, "outputs": {"read": True}, "initErrors": []} if each["urn"] in urns else each for each in resources
        ]

    def _begin(self, step: str) -> None:
        if self.locked:
            raise LockedError(f"another run holds the stack: `pulumi cancel {self.stack}` removes its lock")
        if self.killed_at and step.startswith(self.killed_at):
            self.killed_at = ""
            raise KilledError
        self.done.append(step)

    def urns(self) -> set[str]:
        return {each["urn"] for each in self.state["deployment"]["resources"]}


class Answer:
    def __init__(self, status: int, body: object) -> None:
        self.status, self.body = status, body

    def read(self) -> bytes:
        return json.dumps(self.body).encode()


class Api:
    """An API server with the records of releases: name and status of each. What is deleted goes by its version."""

    def __init__(self, records: Mapping[str, str], uid: str = UID) -> None:
        self.records, self.uid = dict(records), uid
        self.deleted: list[tuple[str, Any]] = []

    def param_serialize(self, method: str, path: str, **told: Any) -> tuple[Any, ...]:
        return method, path, told, told.get("body"), []

    def call_api(self, method: str, path: str, told: Mapping[str, Any], *_: Any, _request_timeout: object) -> Answer:
        if method == "DELETE":
            self.deleted.append((path, told["body"]))
            del self.records[path.rpartition("/")[2]]
            return Answer(200, {})
        if path == "/api/v1":
            return Answer(200, {"resources": [{"name": "namespaces", "kind": "Namespace"}]})
        if path == "/api/v1/namespaces":
            return Answer(200, {"items": [{"metadata": {"name": "shop", "uid": self.uid}}]})
        assert path == RECORDS
        assert "PartialObjectMetadataList" in told["header_params"]["Accept"], "no value of a Secret is asked for"
        assert ("labelSelector", "owner=helm,name=istiod") in told["query_params"]
        return Answer(200, {"items": [self._record(name, status) for name, status in self.records.items()]})

    @staticmethod
    def _record(name: str, status: str) -> dict[str, Any]:
        labels = {"owner": "helm", "name": "istiod", "status": status}
        place = {"name": name, "namespace": "istio-system", "uid": f"uid-{name}", "resourceVersion": "7"}
        return {"metadata": {**place, "labels": labels}}


class Vault:
    def __init__(self, *secrets: str) -> None:
        self.secrets, self.where = secrets, "https://vault.example.org:8200"

    @contextmanager
    def connect(self, _access: object) -> Iterator["Vault"]:
        yield self

    def read(self, path: str) -> dict[str, Any] | None:
        assert path.startswith("secret/metadata/"), "no value is read"
        return {"data": {"current_version": 1}} if path in self.secrets else None


def nobody(_access: object) -> Any:
    raise AssertionError("nobody has to be asked for this")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(backend: Backend, *options: str, api: Api | None = None, vault: Vault | None = None, **more: Any) -> Result:
        connections = Connections(
            pulumi=lambda _request: backend,  # type: ignore[arg-type, return-value]
            cluster=(lambda _access: LiveCluster(api, "context here")) if api else nobody,
            vault=vault.connect if vault else nobody,
        )
        command = ["resume", "--stack", "production", "--project", str(tmp_path), *options]
        return CliRunner().invoke(app, command, obj=connections, catch_exceptions=False, **more)

    return run


class TestVault:
    def test_what_it_makes_once_becomes_the_stack_s_where_it_is_there(self, run: Run) -> None:
        backend = Backend(state(*creating(AUDIT, MOUNT, POLICY)), gone=frozenset({MOUNT["urn"]}))
        done = run(backend, "--yes")
        assert (done.exit_code, done.stdout) == (
            0,
            "production: nothing is pending any more: `pulumi up --stack production` goes on\n",
        )
        assert backend.urns() == {STACK, SPACE["urn"], AUDIT["urn"]}
        assert backend.done == ["refresh zero-trust-production", "put", "refresh audit-1 secret"]
        assert backend.state["deployment"]["pending_operations"] == []

    @pytest.mark.parametrize("there", [True, False])
    def test_a_secret_is_the_stack_s_where_vault_has_a_version(self, run: Run, there: bool) -> None:
        backend = Backend(state(*creating(SECRET)))
        vault = Vault("secret/metadata/shop/api/db") if there else Vault()
        assert run(backend, "--yes", vault=vault).exit_code == 0
        assert (SECRET["urn"] in backend.urns()) is there
        assert backend.done == ["refresh zero-trust-production", "put"]

    def test_what_was_being_changed_is_read_again(self, run: Run) -> None:
        updating = {"type": "updating", "resource": POLICY}
        backend = Backend(state(updating, resources=[stands(POLICY, policy="old")]))
        assert run(backend, "--yes").exit_code == 0
        assert backend.done[0] == "refresh shop.api"


class TestReleases:
    def test_every_record_of_one_that_the_state_does_not_have(self, run: Run) -> None:
        api = Api({"sh.helm.release.v1.istiod.v1": "pending-install"})
        done = run(Backend(state(*creating(ISTIOD))), "--yes", api=api)
        assert done.exit_code == 0
        assert "sh.helm.release.v1.istiod.v1 (pending-install)" in done.stderr
        record = "sh.helm.release.v1.istiod.v1"
        as_read = {"preconditions": {"uid": f"uid-{record}", "resourceVersion": "7"}}
        assert api.deleted == [(f"{RECORDS}/{record}", as_read)]

    def test_the_unfinished_revision_alone_of_one_that_was_being_upgraded(self, run: Run) -> None:
        api = Api({"v1": "deployed", "v2": "pending-upgrade"})
        updating = {"type": "updating", "resource": ISTIOD}
        backend = Backend(state(updating, resources=[stands(ISTIOD, status={"revision": 1})]))
        assert run(backend, "--yes", api=api).exit_code == 0
        assert api.records == {"v1": "deployed"}
        # Of a release a refresh would read the values of the revision that was cut off.
        assert backend.done[0] == "refresh zero-trust-production"

    def test_another_cluster_is_refused(self, run: Run) -> None:
        api = Api({"v1": "deployed"}, uid="another")
        backend = Backend(state(*creating(ISTIOD)))
        done = run(backend, "--yes", api=api)
        assert done.exit_code == 2
        assert "none of the stack's namespaces is in it, found context here" in done.stderr
        assert (api.deleted, backend.done) == ([], [])


class TestAgain:
    def test_a_second_run_finds_nothing(self, run: Run) -> None:
        backend = Backend(state(*creating(AUDIT)))
        run(backend, "--yes")
        backend.done.clear()
        done = run(backend, "--yes")
        assert (done.exit_code, done.stdout, backend.done) == (0, "production: nothing is pending\n", [])

    @pytest.mark.parametrize("step", ["refresh zero-trust", "put", "refresh audit-1"])
    def test_a_run_that_is_killed_goes_on_in_the_next(self, run: Run, step: str) -> None:
        backend = Backend(state(*creating(AUDIT, ISTIOD)), gone=frozenset({AUDIT["urn"]}), killed_at=step)
        api = Api({"v1": "pending-install"})
        with pytest.raises(KilledError):
            run(backend, "--yes", api=api)
        assert run(backend, "--yes", api=api).exit_code == 0
        assert backend.urns() == {STACK, SPACE["urn"]}
        assert (backend.state["deployment"]["pending_operations"], api.records) == ([], {})


class TestRefused:
    def test_beside_another_run(self, run: Run) -> None:
        backend = Backend(state(*creating(ISTIOD)), locked=True)
        api = Api({"v1": "pending-install"})
        done = run(backend, "--yes", api=api)
        assert (done.exit_code, done.stdout, api.deleted) == (3, "", [])
        assert "`pulumi cancel production` removes its lock" in done.stderr

    def test_what_another_run_changed_meanwhile(self, run: Run) -> None:
        backend = Backend(state(*creating(AUDIT)))
        exports = iter([state(*creating(AUDIT)), state(*creating(AUDIT, MOUNT))])
        backend.export = lambda: next(exports)  # type: ignore[method-assign]
        done = run(backend, "--yes")
        assert (done.exit_code, "put" in backend.done) == (3, False)
        assert "another run of production changed what is pending: run the command again" in done.stderr

    def test_without_a_terminal_it_needs_yes(self, run: Run) -> None:
        backend = Backend(state(*creating(AUDIT)))
        done = run(backend)
        assert (done.exit_code, backend.done) == (2, [])
        assert "--yes: required where nobody can be asked" in done.stderr

    @pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
    def test_on_a_terminal_it_shows_and_asks(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
    ) -> None:
        monkeypatch.setattr("zt.resume.command.check_can_ask", lambda *_: None)
        backend = Backend(state(*creating(AUDIT)))
        done = run(backend, input=answer)
        assert (done.exit_code, bool(backend.done)) == (code, not code)
        assert "becomes the stack's, if Vault has it: audit-1" in done.stderr

    def test_a_cluster_or_a_state_that_cannot_be_read(self, run: Run) -> None:
        backend = Backend(state(*creating(ISTIOD)))

        class Away(Api):
            def call_api(self, *_: Any, **_told: Any) -> Answer:
                raise ClusterError("context here cannot be reached: timed out")

        assert run(backend, "--yes", api=Away({})).exit_code == 3
        assert backend.done == []
        backend.export = lambda: (_ for _ in ()).throw(ToolError("pulumi stack export ended"))  # type: ignore[method-assign]
        assert run(backend, "--yes").exit_code == 3


def test_as_json(run: Run) -> None:
    done = run(Backend(state(*creating(AUDIT, SPACE))), "--yes", "--format", "json")
    assert json.loads(done.stdout) == {
        "version": 1,
        "stack": "production",
        "settled": True,
        "steps": [
            {**row(AUDIT), "action": "take", "detail": "audit-1"},
            {**row(SPACE), "action": "make", "detail": ""},
        ],
    }


def row(made: Mapping[str, Any]) -> dict[str, Any]:
    return {"urn": made["urn"], "type": made["type"], "operation": "creating"}
