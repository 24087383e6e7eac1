"""`zt attack` without a cluster: what each answer means, the exit codes, what is cleaned up, and both formats."""

import base64
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner
from typer.testing import Result as Finished

from components.config.overlay import Overlay
from components.service.file.directory import parse_service
from embedded.paths import STATE_VARIABLE, State
from embedded.supervisor.overlay import write_overlay
from tests.support.stacks import ROOT, settings
from tests.unit.zt.attack.stack import SECRET, Stack, authorization, network_policy, pod
from zt.attack.command import Connections, Options, session
from zt.attack.evidence import Evidence, Result, StackError, short
from zt.attack.kubernetes_api import Answer
from zt.attack.replay import ATTEMPTS
from zt.attack.session import Declared, Session
from zt.attack.vault_api import Place, VaultAnswer, VaultCall
from zt.cli import app
from zt.cluster.access import Access

IDENTITIES = ("identity-undeclared", "identity-forged-label", "identity-unlisted")
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test}}]
clusters: [{name: test, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: test, user: {token: t}}]
"""

Run = Callable[..., Finished]


@pytest.fixture
def run(stack: Stack, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("VAULT_ADDR", "VAULT_CACERT", "VAULT_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    logs = [word for number in (1, 2) for word in ("--audit-log", str(tmp_path / f"audit-{number}.log"))]
    beats = itertools.count()
    connections = Connections(stack.cluster, stack.vault, lambda: next(beats) / 10)

    def run(*arguments: str) -> Finished:
        where = ["--stack", "production", "--vault-addr", "https://vault.example.org:8200", *logs]
        command = ["attack", *where, "--project", str(project), *arguments]
        return CliRunner().invoke(app, command, obj=connections, catch_exceptions=False)

    return run


def results(done: Finished) -> dict[str, str]:
    return {row["name"]: row["result"] for attack in json.loads(done.stdout)["attacks"] for row in attack["attempts"]}


class TestARun:
    def test_text(self, run: Run, snapshot: object) -> None:
        done = run()
        assert (done.exit_code, done.stdout) == (0, snapshot)

    def test_json(self, run: Run, snapshot: object) -> None:
        done = run("--format", "json")
        assert (done.exit_code, json.loads(done.stdout)) == (0, snapshot)

    def test_no_secret_is_shown(self, run: Run) -> None:
        for arguments in ((), ("--format", "json")):
            assert SECRET not in run(*arguments).output

    def test_what_was_made_is_removed_and_every_token_revoked(self, run: Run, stack: Stack) -> None:
        run()
        last = {what.partition(" ")[2].removesuffix("/zt-attack"): what for what in stack.made if "/token" not in what}
        assert {what.partition(" ")[0] for what in last.values()} == {"DELETE"}
        assert [what for what in stack.made if what in [f"POST {path}" for path in last]]
        assert stack.revoked == {f"token-{number}" for number in range(len(stack.revoked))} != set()

    @pytest.mark.parametrize(("revision", "port"), [(None, 21001), ("1-31-0", 21002)])
    def test_the_embedded_istiod_of_the_stacks_revision_is_asked(
        self, stack: Stack, project: Path, monkeypatch: pytest.MonkeyPatch, revision: str | None, port: int
    ) -> None:
        monkeypatch.setenv(STATE_VARIABLE, str(project / "embedded"))
        state = State().create()
        ports = {"kube-apiserver": 1, "vault": 2, "istiod.secure-grpc": 21001, "istiod-1-31-0.secure-grpc": 21002}
        state.ports.write_text(json.dumps(ports))
        write_overlay(state, project)
        file = yaml.safe_load((ROOT / "Pulumi.production.yaml").read_text())
        file["config"]["zero-trust:mesh"]["revision"] = revision
        (project / "Pulumi.production.yaml").unlink()
        (project / "Pulumi.production.yaml").write_text(yaml.safe_dump(file))
        options = Options("production", project, Access(embedded=True))
        with session(options, Connections(stack.cluster, stack.vault)) as made:
            assert made.istiod == f"127.0.0.1:{port}"

    def test_the_embedded_logs_are_those_of_the_stacks_devices(
        self, stack: Stack, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(STATE_VARIABLE, str(project / "embedded"))
        state = State().create()
        state.ports.write_text(json.dumps({"kube-apiserver": 1, "vault": 2}))
        write_overlay(state, project)
        paths = [Path(path) for path in settings("production", Overlay.read(state.overlay)).vault.audit_paths]
        written = [state.logs / "vault.log" if path == Path("stdout") else path for path in paths]
        for log in (*written, state.vault / "of-another-stack.log"):
            log.touch()
        options = Options("production", project, Access(embedded=True))
        with session(options, Connections(stack.cluster, stack.vault)) as made:
            assert list(made.audit_logs) == written != []

    def test_it_can_be_written_to_a_file(self, run: Run, tmp_path: Path) -> None:
        done = run("--format", "json", "--output", str(tmp_path / "attack.json"))
        assert (done.exit_code, done.stdout) == (0, "")
        assert "written to" in done.stderr
        assert json.loads((tmp_path / "attack.json").read_text())["version"] == 1


def spoil_pod(change: Callable[[dict[str, Any]], object]) -> Callable[[Stack], object]:
    return lambda stack: change(stack.pods[0]["spec"])


def secret_env(spec: dict[str, Any]) -> None:
    spec["containers"][0]["env"] = [{"name": "DB", "valueFrom": {"secretKeyRef": {"name": "d", "key": "k"}}}]


def plain_env(spec: dict[str, Any]) -> None:
    spec["containers"][0]["env"] = [{"name": "DB", "value": f"postgres://api:{SECRET}@postgres"}]


def mounted_token(spec: dict[str, Any]) -> None:
    spec["volumes"] = [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]
    spec["containers"][0]["volumeMounts"] = [{"name": "t", "mountPath": "/t"}]


def secret_at_rest(stack: Stack) -> None:
    stack.secrets.append({"metadata": {"name": "s"}, "data": {"p": base64.b64encode(SECRET.encode()).decode()}})


class TestWhatGetsThrough:
    @pytest.mark.parametrize(
        ("weaken", "succeeds"),
        [
            (lambda stack: stack.network.clear(), {"connect-in", "connect-out", "leave-the-cluster"}),
            (lambda stack: stack.authorization.pop(0), {"identity-unlisted"}),
            (
                lambda stack: stack.authorization.clear(),
                {"identity-unlisted", "identity-undeclared", "identity-forged-label"},
            ),
            (lambda stack: setattr(stack, "mtls", "PERMISSIVE"), {"plaintext"}),
            (spoil_pod(secret_env), {"environment"}),
            (spoil_pod(plain_env), {"environment"}),
            (spoil_pod(mounted_token), {"vault-token-in-container"}),
            (secret_at_rest, {"secrets-at-rest"}),
            (lambda stack: setattr(stack, "audience", False), {"vault-wrong-audience"}),
            (lambda stack: setattr(stack, "max_ttl", 2592000), {"vault-outlive"}),
            (lambda stack: setattr(stack, "batch", True), {"revocation"}),
            (lambda stack: stack.audit_logs.pop(), {"audit-trail"}),
            (
                lambda stack: stack.vault_paths.update({"secret/data/shop/redis/auth": ["read"]}),
                {"vault-other-secrets", "least-privilege"},
            ),
            (lambda stack: stack.vault_paths.update({"sys/audit/audit-2": ["delete", "sudo"]}), {"vault-take-over"}),
            (
                lambda stack: stack.rights.add(("GET", "/api/v1/secrets")),
                {"read-secrets", "read-secrets-as-default", "other-namespaces"},
            ),
            (lambda stack: stack.rights.add(("GET", "/api/v1/nodes")), {"cluster"}),
            (lambda stack: stack.rules_off.add("disallow-privileged"), {"pod-privileged"}),
            (lambda stack: stack.rules_off.add("service-identities"), {"pod-other-identity"}),
            (
                lambda stack: stack.rules_off.add("restrict-image-registries"),
                {"pod-cryptominer", "pod-label-trick", "pod-debug-container"},
            ),
        ],
    )
    def test_a_missing_control_lets_its_attempts_in(
        self, run: Run, stack: Stack, weaken: Callable[[Stack], object], succeeds: set[str]
    ) -> None:
        weaken(stack)
        done = run("--format", "json")
        assert {name for name, result in results(done).items() if result == "succeeded"} == succeeds
        assert done.exit_code == 1

    @pytest.mark.parametrize(
        ("port", "allowed", "succeeds"),
        [
            (15008, False, set[str]()),
            # The tunnel leads to every port of a callee that the mesh does not close.
            (15008, True, {"connect-in", "connect-out", *IDENTITIES}),
            # And there is the way past it.
            (5432, False, {"connect-in"}),
        ],
    )
    def test_in_the_ambient_mode_a_connection_may_come_through_the_tunnel(
        self, run: Run, stack: Stack, port: int, allowed: bool, succeeds: set[str]
    ) -> None:
        for one in stack.pods[:3]:
            one["metadata"]["labels"]["istio.io/dataplane-mode"] = "ambient"
        ends, ports = [{"podSelector": {}}], [{"port": port, "protocol": "TCP"}]
        everybody = {"podSelector": {}, "ingress": [{"from": ends, "ports": ports}]}
        out = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": ends, "ports": ports}]}
        stack.network += [network_policy("in", everybody), network_policy("out", out)]
        if allowed:
            stack.authorization[:] = [{**authorization("postgres"), "spec": {"rules": [{}]}}]
        done = run("--format", "json")
        assert {name for name, result in results(done).items() if result == "succeeded"} == succeeds

    def test_a_text_run_says_so_in_its_last_line(self, run: Run, stack: Stack) -> None:
        stack.mtls = "PERMISSIVE"
        done = run("--only", "plaintext")
        assert done.stdout.endswith("production: 1 attempts as shop/api: 0 blocked, 1 succeeded, 0 not measured\n")


class TestAnOwner:
    """The pod of a service with a migration that owns its tables."""

    TEXT = (
        "namespace: shop\nteam: commerce\nimage: registry.example.org/shop/api:v1\nport: 8080\n"
        "database: {connection: main, grants: [{schema: a, privileges: [SELECT], tables: all}]}\n"
        "jobs: {migrate: {database: owner}}\n"
    )
    OWNERS = "database/creds/shop.api.database.owner"

    def tried(self, stack: Stack, name: str) -> Evidence:
        spec = parse_service(self.TEXT, "services/api.yaml").spec
        declared = Declared("production", settings("production").decisions(), "cluster.local", (spec,), spec)
        (attempt,) = (attempt for attempt in ATTEMPTS if attempt.name == name)
        with Session(declared, stack.cluster(None), stack.vault(Place("https://v", ""))) as attacker:
            return attempt.run(attacker)

    def test_neither_its_role_nor_its_user_is_for_the_pod(self, stack: Stack) -> None:
        assert self.tried(stack, "vault-owner").result is Result.BLOCKED

    @pytest.mark.parametrize("name", ["vault-owner", "vault-other-secrets", "least-privilege"])
    def test_a_policy_that_lets_the_pod_in_is_found(self, stack: Stack, name: str) -> None:
        stack.vault_paths |= {"database/creds/shop.api": ["read"], self.OWNERS: ["read"]}
        assert self.tried(stack, name).result is Result.SUCCEEDED


class TestWhatIsNotMeasured:
    def test_without_a_running_pod(self, run: Run, stack: Stack) -> None:
        stack.pods.clear()
        found = results(run("--format", "json"))
        assert {found[name] for name in ("connect-in", "plaintext", "environment", "exec")} == {"not measured"}

    def test_vault_for_a_service_that_has_nothing_there(self, run: Run, stack: Stack, project: Path) -> None:
        head = "namespace: shop\nteam: commerce\nimage: registry.example.org/shop/web:v1\nport: 8081\n"
        (project / "services" / "web.yaml").write_text(head)
        stack.pods.append(pod("web"))
        done = run("--service", "shop/web", "--format", "json")
        found = results(done)
        assert (done.exit_code, found["vault-other-role"], found["environment"]) == (0, "blocked", "blocked")
        assert {found[name] for name in ("vault-list", "least-privilege", "revocation")} == {"not measured"}

    def test_when_even_a_good_pod_is_refused(
        self, stack: Stack, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stack, "_as_deployer", lambda _call, _path: Answer(403, "x is forbidden: User cannot"))
        beats = iter(range(100000))
        connections = Connections(stack.cluster, stack.vault, lambda: next(beats))
        place = ["--vault-addr", "https://vault.example.org:8200", "--project", str(project)]
        done = CliRunner().invoke(app, ["attack", "-s", "production", "--only", "pod-root", *place], obj=connections)
        assert (done.exit_code, "even a good pod is refused" in done.stdout) == (0, True)

    def test_one_log_of_two_devices_is_not_enough(self, stack: Stack, project: Path, tmp_path: Path) -> None:
        connections = Connections(stack.cluster, stack.vault)
        place = ["--vault-addr", "https://vault.example.org:8200", "--project", str(project)]
        one = ["--audit-log", str(tmp_path / "audit-1.log")]
        command = ["attack", "-s", "production", "--only", "audit-trail", *place, *one]
        done = CliRunner().invoke(app, command, obj=connections)
        assert (done.exit_code, "not measured" in done.stdout) == (0, True)


class TestOnly:
    def test_by_number_and_by_name(self, run: Run) -> None:
        found = results(run("--only", "2", "--only", "revocation", "--format", "json"))
        assert set(found) == {attempt.name for attempt in ATTEMPTS if attempt.attack == 2} | {"revocation"}

    def test_an_unknown_one_is_refused_with_those_there_are(self, run: Run) -> None:
        done = run("--only", "pod-rot")
        assert done.exit_code == 2
        assert "pod-root" in done.stderr


class TestExitCodes:
    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("--stack", "prod"), "no such stack"),
            (("--service", "web"), "web"),
            (("--vault-addr", "http://vault:8200"), "--vault-addr"),
            (("--audit-log", "/nowhere/audit.log"), "--audit-log"),
            (("--vault-cacert", "/nowhere/ca.pem"), "--vault-cacert"),
            (("--output", "/nowhere/at/all"), "cannot be written"),
        ],
    )
    def test_2_for_a_wrong_argument(self, run: Run, arguments: tuple[str, ...], says: str) -> None:
        done = run("--only", "packets", *arguments)
        assert (done.exit_code, says in done.stderr) == (2, True)

    def test_2_for_two_clusters(self, run: Run) -> None:
        assert run("--embedded", "--kubeconfig", "k").exit_code == 2

    def test_3_when_a_server_stops_answering(self, run: Run, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        def gone(_: VaultCall) -> VaultAnswer:
            raise StackError("Vault at https://vault.example.org:8200 cannot be reached: ConnectionError")

        monkeypatch.setattr(stack, "_vault", gone)
        done = run()
        assert (done.exit_code, done.stdout) == (3, "")
        assert "cannot be reached" in done.stderr

    def test_3_when_the_service_is_not_there(self, run: Run, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stack, "_token", lambda _call, _path: Answer(404, 'serviceaccounts "api" not found'))
        done = run()
        assert (done.exit_code, "is the stack up?" in done.stderr) == (3, True)

    @pytest.mark.parametrize(("there", "says"), [(False, "there is no kubeconfig"), (True, "cannot be reached")])
    def test_3_for_a_cluster_that_is_not_there(
        self, stack: Stack, project: Path, tmp_path: Path, there: bool, says: str
    ) -> None:
        kubeconfig = tmp_path / "kubeconfig"
        if there:
            kubeconfig.write_text(KUBECONFIG)
        place = ["--vault-addr", "https://vault.example.org:8200", "--project", str(project)]
        command = ["attack", "-s", "production", "--kubeconfig", str(kubeconfig), "--only", "connect-in", *place]
        done = CliRunner().invoke(app, command, obj=Connections(vault=stack.vault))
        assert (done.exit_code, says in done.stderr) == (3, True)

    def test_3_for_a_vault_that_is_not_there(self, stack: Stack, project: Path) -> None:
        place = ["--vault-addr", "https://127.0.0.1:1", "--project", str(project)]
        done = CliRunner().invoke(app, ["attack", "-s", "production", *place], obj=Connections(stack.cluster))
        assert (done.exit_code, "Vault at https://127.0.0.1:1 cannot be reached" in done.stderr) == (3, True)


class TestTheTable:
    def test_each_attempt_has_its_own_name(self) -> None:
        names = [attempt.name for attempt in ATTEMPTS]
        assert len(names) == len(set(names))

    def test_each_attack_of_the_model_is_tried(self) -> None:
        assert {attempt.attack for attempt in ATTEMPTS} == {1, 2, 3, 4, 5, 6}

    def test_each_rule_that_is_named_is_one_of_the_library(self) -> None:
        rules = {path.name for path in (ROOT / "policies").glob("*/*")}
        assert {rule for attempt in ATTEMPTS for rule in attempt.control.rules} <= rules


def test_an_answer_is_one_line_that_fits() -> None:
    assert short("a\n  b") == "a b"
    assert len(short("x" * 1000)) == 220
