"""`zt attack --as namespace-admin` without a cluster: what stops each attempt, what it may do, and what is removed."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from components.kube.names import IDENTITIES
from tests.support.stacks import ROOT
from tests.unit.zt.attack.namespace_stack import ADDRESSES, HOSTS, IMAGES, INTEGRITY, OBJECTS, PROXY, NamespaceStack
from tests.unit.zt.attack.stack import SECRET, write_project
from zt.attack.attacker import Attacker
from zt.attack.attempt import TITLES
from zt.attack.command import Connections
from zt.attack.faults import FAULTS
from zt.attack.kubernetes_api import Answer, Call, by_answer
from zt.attack.namespace import traffic
from zt.attack.replay import ATTEMPTS, attempts_of
from zt.cli import app

MEMBERS = attempts_of(Attacker.NAMESPACE_ADMIN)
SERVICES = {
    "api": "host: api.example.org\n",
    "postgres": """\
exceptions:
  - rule: require-read-only-root-filesystem
    reason: it writes beside its data
    owner: ann@example.org
    granted: 2026-11-01
    expires: 2026-12-01
""",
    "redis": "volumes:\n  data: {path: /data, size: 1Gi}\n",
}

Run = Callable[..., Result]


@pytest.fixture
def stack() -> NamespaceStack:
    return NamespaceStack([])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path, SERVICES)


@pytest.fixture
def run(stack: NamespaceStack, project: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    beats = itertools.count()

    def no_vault(_: object) -> Any:
        raise AssertionError("nobody asks Vault as a namespace's member")

    connections = Connections(stack.cluster, no_vault, lambda: next(beats) / 10)

    def run(*arguments: str, role: str = "admin") -> Result:
        command = [
            "attack",
            "--stack",
            "production",
            "--as",
            f"namespace-{role}",
            "--project",
            str(project),
            *arguments,
        ]
        return CliRunner().invoke(app, command, obj=connections, catch_exceptions=False)

    return run


def results(done: Result) -> dict[str, str]:
    rows = [row for attack in json.loads(done.stdout)["attacks"] for row in attack["attempts"]]
    return {row["name"]: row["result"] for row in rows}


def through(done: Result) -> set[str]:
    return {name for name, result in results(done).items() if result == "succeeded"}


class TestARun:
    @pytest.mark.parametrize("role", ["admin", "edit"])
    def test_with_every_control_each_attempt_is_blocked(self, run: Run, role: str) -> None:
        done = run("--format", "json", role=role)
        assert (done.exit_code, set(results(done).values())) == (0, {"blocked"}), done.stdout
        assert list(results(done)) == [attempt.name for attempt in MEMBERS]

    def test_text(self, run: Run, snapshot: object) -> None:
        assert run().stdout == snapshot

    def test_json_says_who_attacks(self, run: Run) -> None:
        document = json.loads(run("--format", "json", role="edit").stdout)
        assert (document["version"], document["as"], document["service"]) == (1, "namespace-edit", "shop/api")
        assert (document["vault"], [attack["number"] for attack in document["attacks"]]) == ("", [*range(7, 14)])

    def test_the_last_line_says_who_attacks(self, run: Run) -> None:
        done = run("--only", "shell")
        assert done.stdout.endswith(
            "production: 1 attempts as namespace-admin of shop/api: 1 blocked, 0 succeeded, 0 not measured\n"
        )

    def test_no_secret_is_shown(self, run: Run, stack: NamespaceStack) -> None:
        stack.everywhere = True
        done = run("--format", "json")
        assert {"platform-secrets", "secrets-elsewhere"} <= through(done)
        assert SECRET not in done.output


class TestTheRole:
    def test_it_is_bound_for_the_run_and_removed(self, run: Run, stack: NamespaceStack) -> None:
        run()
        path = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings"
        assert stack.made == [f"DELETE {path}/zt-attack", f"POST {path}", f"DELETE {path}/zt-attack"]
        assert not stack.bound

    def test_what_a_killed_run_left_is_replaced(self, run: Run, stack: NamespaceStack) -> None:
        stack.bound["shop", "zt-attack"] = "zt-attack-edit-in-shop cluster-admin"
        done = run("--format", "json", "--only", "grant-use", role="edit")
        assert (results(done), stack.bound) == ({"grant-use": "blocked"}, {})

    def test_a_binding_of_another_namespace_gives_nothing(self, run: Run, stack: NamespaceStack) -> None:
        stack.bound["elsewhere", "zt-attack"] = "zt-attack-admin-in-elsewhere admin"
        run()
        assert list(stack.bound) == [("elsewhere", "zt-attack")]

    @pytest.mark.parametrize(
        ("refused", "says"),
        [("rolebindings", "cannot be given in shop"), ("selfsubjectaccessreviews", "gives no right to create pods")],
    )
    def test_without_its_rights_nothing_is_called_blocked(
        self, run: Run, stack: NamespaceStack, monkeypatch: pytest.MonkeyPatch, refused: str, says: str
    ) -> None:
        answer, monotone = stack.answer, Answer(403, "it is forbidden: User cannot do that")
        monkeypatch.setattr(stack, "answer", lambda call: monotone if refused in call.path else answer(call))
        monkeypatch.setattr("zt.attack.session.time.sleep", lambda _: None)
        done = run("--only", "shell")
        assert (done.exit_code, says in done.stderr, done.stdout) == (3, True, "")


BY_OBJECTS = {
    *("network-policies", "open-network", "labelled-pod", "labelled-template", "relabelled-pod"),
    *("copy-of-claim", "claim-to-come"),
    *("claim-of-service", "change-service", "service-for-pods", "budget-for-service", "authorities"),
    *("change-objects", "delete-objects", "disown-objects", "scale-service"),
    *("ingress-of-service", "ingress-to-service"),
}
BY_IDENTITIES = {
    *("pod-as-service", "controller-as-service", "change-workload", "change-image", "shell"),
    *("past-the-mesh", "token-of-service", "token-secret"),
}
BY_HOSTS = {"ingress-host", "ingress-any-host", "ingress-certificate"}
NONE: set[str] = set()
OF_KYVERNO = {
    *("policyexceptions.policies.kyverno.io", "policyexceptions.kyverno.io"),
    *("namespacedmutatingpolicies.policies.kyverno.io", "policyreports.wgpolicyk8s.io", "updaterequests.kyverno.io"),
}
READ_ONLY = "require-read-only-root-filesystem"
WITHOUT: list[tuple[set[str], set[str], set[str]]] = [
    ({INTEGRITY}, OF_KYVERNO, {"exception-own", "namespaced-policies", "policy-reports", "update-requests"}),
    # Of two controls one is enough.
    (NONE, OF_KYVERNO, NONE),
    ({INTEGRITY}, NONE, NONE),
    ({OBJECTS}, NONE, BY_OBJECTS),
    ({OBJECTS}, {"endpoints", "endpointslices.discovery.k8s.io"}, BY_OBJECTS | {"endpoints-of-service"}),
    (
        {OBJECTS},
        {"authorizationpolicies.security.istio.io"},
        BY_OBJECTS | {"mesh-objects", "platform-kinds"},
    ),
    (NONE, {"authorizationpolicies.security.istio.io"}, {"platform-kinds"}),
    ({OBJECTS}, {"pods/status", "deployments/status.apps"}, BY_OBJECTS | {"status-of-service"}),
    ({OBJECTS}, {"resourcequotas", "limitranges"}, BY_OBJECTS | {"bound-namespace"}),
    # The host of a service of the namespace is one that the namespace may name.
    (
        {OBJECTS},
        {"httproutes.gateway.networking.k8s.io"},
        BY_OBJECTS | {"route-at-service", "route-host", "route-listener"},
    ),
    ({IDENTITIES}, NONE, BY_IDENTITIES),
    ({IDENTITIES}, {"pods/ephemeralcontainers"}, BY_IDENTITIES | {"debug-service"}),
    (NONE, {"escalate"}, {"grant-use", "grant-more"}),
    (NONE, {"namespaces"}, {"label-namespace"}),
    ({HOSTS}, NONE, BY_HOSTS),
    ({HOSTS}, {"certificates.cert-manager.io"}, BY_HOSTS | {"certificate"}),
    ({HOSTS}, {"httproutes.gateway.networking.k8s.io"}, BY_HOSTS | {"route-host", "route-listener"}),
    ({PROXY}, NONE, {"proxy-user", f"rule-{PROXY}"}),
    ({ADDRESSES}, NONE, {"external-address"}),
    ({IMAGES}, NONE, {"platform-image", "image-volume", f"rule-{IMAGES}"}),
    ({"disallow-privileged"}, NONE, {"rule-disallow-privileged"}),
    ({READ_ONLY}, NONE, {f"rule-{READ_ONLY}", "borrowed-exception"}),
]
"""Policies that are off, rights beside the role's, and the attempts that get through."""
IN_THE_CLUSTER = {"grant-cluster", "write-elsewhere", "platform-secrets", "secrets-elsewhere"}


class TestWhatGetsThrough:
    @pytest.mark.parametrize(("off", "rights", "succeeds"), WITHOUT)
    def test_a_missing_control_lets_its_attempts_in(
        self, run: Run, stack: NamespaceStack, off: set[str], rights: set[str], succeeds: set[str]
    ) -> None:
        stack.rules_off, stack.extra_rights = off, rights
        done = run("--format", "json")
        assert (through(done), done.exit_code) == (succeeds, int(bool(succeeds)))

    def test_a_role_in_the_whole_cluster(self, run: Run, stack: NamespaceStack) -> None:
        stack.everywhere = True
        stack.extra_rights = {"clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io"}
        assert through(run("--format", "json")) == IN_THE_CLUSTER

    def test_an_account_with_rights_is_worth_impersonating(self, run: Run, stack: NamespaceStack) -> None:
        stack.accounts_may = {"serviceaccounts/token"}
        assert through(run("--format", "json")) == {"impersonate-service"}

    def test_admission_itself(self, run: Run, stack: NamespaceStack) -> None:
        stack.everywhere, stack.extra_rights = True, {"validatingpolicies.policies.kyverno.io"}
        assert "admission" in through(run("--format", "json", "--only", "7"))

    def test_an_exception_among_those_of_the_platform(self, run: Run, stack: NamespaceStack) -> None:
        stack.everywhere, stack.extra_rights = True, {"policyexceptions.policies.kyverno.io"}
        stack.rules_off = {INTEGRITY}
        assert "exception-platform" in through(run("--format", "json", "--only", "7"))

    def test_every_attempt_can_get_through(self) -> None:
        rows = {name for _, _, succeeds in WITHOUT for name in succeeds} | {f"rule-{rule}" for rule in FAULTS}
        others = {"impersonate-service", "admission", "exception-platform"}
        assert rows | IN_THE_CLUSTER | others == {attempt.name for attempt in MEMBERS}


class TestWhatIsNotMeasured:
    def test_what_the_namespace_has_not(self, run: Run, project: Path) -> None:
        for name in ("postgres", "redis"):
            (project / "services" / f"{name}.yaml").unlink()
        (project / "services" / "api.yaml").write_text(
            "namespace: shop\nteam: commerce\nimage: registry.example.org/shop/api:v1\nport: 8080\n"
        )
        found = results(run("--format", "json"))
        missing = {"claim-of-service", "copy-of-claim", "claim-to-come", "borrowed-exception", "ingress-of-service"}
        assert {name for name, result in found.items() if result == "not measured"} == missing

    def test_pods_where_even_a_good_one_is_refused(
        self, run: Run, stack: NamespaceStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answer, gone = stack.answer, Answer(403, 'error looking up service account shop/workload: "workload" not found')
        monkeypatch.setattr(
            stack, "answer", lambda call: gone if call.method == "POST" and "/pods?" in call.path else answer(call)
        )
        found = results(run("--format", "json"))
        pods = {"pod-as-service", "controller-as-service", "labelled-pod", "labelled-template"}
        pods |= {"claim-of-service", "copy-of-claim"}
        assert {found[name] for name in (*pods, "proxy-user", "platform-image", "borrowed-exception")} == {
            "not measured"
        }
        assert {found[f"rule-{rule}"] for rule in FAULTS} == {"not measured"}

    def test_a_cluster_without_volumes_of_images(
        self, run: Run, stack: NamespaceStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stack.rules_off.add(IMAGES)
        answer = stack.answer

        def drops(call: Call) -> Answer:
            given = answer(call)
            return Answer(201, "", {}) if "'image': {" in str(call.body) else given

        monkeypatch.setattr(stack, "answer", drops)
        assert results(run("--format", "json", "--only", "image-volume")) == {"image-volume": "not measured"}

    @pytest.mark.parametrize(
        ("answer", "result"),
        [
            (Answer(201, ""), "succeeded"),
            (Answer(401, "Unauthorized"), "blocked"),
            (Answer(403, 'pods is forbidden: User "x" cannot create resource "pods"'), "blocked"),
            (Answer(403, 'violates PodSecurity "restricted:latest"'), "blocked"),
            (Answer(403, 'roles "x" is forbidden: user "x" is attempting to grant RBAC permissions'), "blocked"),
            (Answer(422, "ValidatingAdmissionPolicy 'x' with binding 'x' denied request: no"), "blocked"),
            (Answer(400, 'admission webhook "x" denied the request: no'), "blocked"),
            (Answer(403, "pods is forbidden: exceeded quota: q"), "not measured"),
            (Answer(404, "not found"), "not measured"),
            (Answer(409, "already exists"), "not measured"),
            (Answer(422, 'Pod "x" is invalid: spec.x: Required value'), "not measured"),
            (Answer(500, "no"), "not measured"),
        ],
    )
    def test_what_an_answer_means(self, answer: Answer, result: str) -> None:
        assert by_answer(answer, "x").result.value == result


class TestOnly:
    def test_by_number_and_by_name(self, run: Run) -> None:
        found = results(run("--only", "10", "--only", "shell", "--format", "json"))
        assert set(found) == {attempt.name for attempt in MEMBERS if attempt.attack == 10} | {"shell"}

    @pytest.mark.parametrize("wrong", ["plaintext", "1"])
    def test_an_attempt_of_the_other_attacker_is_refused_with_its_name(self, run: Run, wrong: str) -> None:
        done = run("--only", wrong)
        assert (done.exit_code, "an attack of --as pod, not of --as namespace-admin" in done.stderr) == (2, True)

    def test_an_unknown_attacker_is_refused(self, run: Run) -> None:
        assert run("--as", "namespace-view").exit_code == 2


class TestTheTable:
    def test_names_are_unique_over_both_attackers(self) -> None:
        names = [attempt.name for attempt in (*ATTEMPTS, *MEMBERS)]
        assert len(names) == len(set(names))

    def test_numbers_are_those_of_one_attacker(self) -> None:
        pods, members = ({attempt.attack for attempt in attempts} for attempts in (ATTEMPTS, MEMBERS))
        assert (pods & members, pods | members) == (set(), set(TITLES))

    def test_both_roles_try_the_same(self) -> None:
        assert attempts_of(Attacker.NAMESPACE_EDIT) == MEMBERS

    def test_each_critical_rule_is_tried(self) -> None:
        critical = {path.name for path in (ROOT / "policies" / "critical").iterdir()}
        # The one that judges Services is tried with one.
        assert {*FAULTS, traffic.ADDRESSES} == critical
        assert [a.name for a in MEMBERS if a.control.rules == (traffic.ADDRESSES,)] == ["external-address"]

    def test_each_rule_that_is_named_is_one_of_the_library(self) -> None:
        rules = {path.name for path in (ROOT / "policies").glob("*/*")}
        assert {rule for attempt in MEMBERS for rule in attempt.control.rules} <= rules

    def test_a_change_of_an_object_is_none_of_its_labels(self) -> None:
        # Those are tried by an attempt of their own, which another control may stop.
        assert not [kind for kind, changes in traffic.CHANGES.items() if any("labels" in str(one) for one in changes)]
