"""`zt adopt` on a namespace as it grew over years: what it says, what it drafts, and that it only reads."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from components.kube.resources import resource_of
from components.service.file.directory import Admission, read_files
from tests.support import brownfield
from tests.support.installed import Living as FakeCluster
from tests.support.stacks import ROOT
from zt.adopt.command import Connections, Options, adopt
from zt.adopt.living import KINDS, role_rules
from zt.adopt.model import Adoption, Talk
from zt.adopt.rollout import FIRST_DAY
from zt.check.kyverno_result import Result
from zt.check.plan import Plan
from zt.cli import app
from zt.cluster.access import Access

pytestmark = pytest.mark.unit

ADMIN = {"metadata": {"name": "cluster-admin"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
OF_WEB = {"apiVersion": "apps/v1", "controller": True, "kind": "Deployment", "name": "web"}
ROOT_RULE, PROBES = "require-run-as-non-root", "require-probes"


def path_of(kind: str) -> str:
    api_version = KINDS[kind]
    group = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    return f"{group}/{resource_of(api_version, kind).name}"


def cluster(*more: dict[str, Any], without: tuple[str, ...] = ()) -> FakeCluster:
    objects = [each for each in (*brownfield.OBJECTS, *more) if each["metadata"]["name"] not in without]
    at = {path_of(kind): [deepcopy(each) for each in objects if each["kind"] == kind] for kind in KINDS}
    at[path_of("ClusterRole")].append(ADMIN)
    return FakeCluster(at)


def judge(plan: Plan) -> list[Result]:
    """Kyverno's answer: two Deployments run as root, and one has no probes."""
    names = {planned.identity[1:] for planned in plan.objects}
    assert ("Deployment", brownfield.NAME, "web") in names
    return [
        Result(ROOT_RULE, ("apps/v1", "Deployment", brownfield.NAME, name), "fail", "as  root", ())
        for name in ("orders", "web")
    ] + [
        Result(PROBES, ("apps/v1", "Deployment", brownfield.NAME, "orders"), "fail", "none", ()),
        Result(PROBES, ("apps/v1", "Deployment", brownfield.NAME, "web"), "pass", "", ()),
        Result("somebody-elses", ("apps/v1", "Deployment", brownfield.NAME, "web"), "fail", "", ()),
    ]


def report(of: FakeCluster | None = None, **options: Any) -> Adoption:
    there = of or cluster()
    made = Options("production", ROOT, Access(), **options)
    return adopt(made, Connections(lambda _: there.cluster, judge), lambda _: None)


def test_it_only_reads() -> None:
    there = cluster()
    report(there)
    assert {call.method for call in there.calls} == {"GET"}
    assert not any("secrets" in call.path for call in there.calls)


def test_its_role_has_get_and_list_alone_and_no_secret() -> None:
    rules = role_rules()
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list"}
    resources = {resource for rule in rules for resource in rule.get("resources", ())}
    assert "secrets" not in resources
    assert "*" not in resources
    assert {rule["verbs"] == ["get"] for rule in rules if "pods/log" in rule.get("resources", ())} == {True}


def test_each_workload_has_its_violations_by_tier() -> None:
    (namespace,) = report().namespaces
    found = {each.name: {tier: each.count(tier) for tier in ("critical", "important")} for each in namespace.workloads}
    assert found == {
        "agent": {"critical": 0, "important": 0},
        "cache": {"critical": 0, "important": 0},
        "orders": {"critical": 1, "important": 1},
        "report": {"critical": 0, "important": 0},
        "web": {"critical": 1, "important": 0},
    }


def test_what_a_controller_made_is_no_workload_of_its_own() -> None:
    replica_set = {**deepcopy(brownfield.WEB), "kind": "ReplicaSet"}
    replica_set["metadata"] = {**replica_set["metadata"], "name": "web-5f", "ownerReferences": [OF_WEB]}
    (namespace,) = report(cluster(replica_set)).namespaces
    assert "web-5f" not in {each.name for each in namespace.workloads}


def owned(kind: str, name: str, by: str, api_version: str, **more: Any) -> dict[str, Any]:
    owner = {"apiVersion": api_version, "kind": by.partition("/")[0], "name": by.partition("/")[2], "controller": True}
    metadata = {"name": name, "namespace": brownfield.NAME, "ownerReferences": [owner]}
    pod = {"containers": [{"name": name, "image": "docker.io/x"}]}
    spec = pod if kind == "Pod" else {"template": {"metadata": {"labels": {"app": name}}, "spec": pod}}
    return {"kind": kind, "metadata": metadata, "spec": {**spec, **more.pop("spec", {})}, **more}


@pytest.mark.parametrize(
    ("made", "names"),
    [
        # A Deployment of an operator, the pods of one that has no other object for them, and those of a rollout.
        ([owned("Deployment", "kafka-exporter", "Kafka/events", "kafka.strimzi.io/v1")], {"kafka-exporter"}),
        ([owned("Pod", "events-0", "StrimziPodSet/events", "core.strimzi.io/v1")], {"events-0"}),
        (
            [
                owned("ReplicaSet", "front-2", "Rollout/front", "argoproj.io/v1alpha1"),
                owned("ReplicaSet", "front-1", "Rollout/front", "argoproj.io/v1alpha1", spec={"replicas": 0}),
                owned("Pod", "front-2-a", "ReplicaSet/front-2", "apps/v1", status={"phase": "Running"}),
            ],
            {"front-2"},
        ),
        # An operator's kind of the same name is none of the cluster's own.
        ([owned("Pod", "train-0", "Job/web", "batch.volcano.sh/v1alpha1")], {"train-0"}),
        ([owned("Pod", "web-z", "Deployment/web", "apps/v1")], set()),
        ([owned("Pod", "lost", "Workflow/w", "argoproj.io/v1alpha1", status={"phase": "Unknown"})], {"lost"}),
        ([owned("Pod", "step", "Workflow/w", "argoproj.io/v1alpha1", status={"phase": "Succeeded"})], set()),
    ],
)
def test_what_an_operator_s_own_object_controls_is_a_workload(made: list[dict[str, Any]], names: set[str]) -> None:
    before = {each.name for each in report().workloads}
    assert {each.name for each in report(cluster(*made)).workloads} - before == names


def test_who_talks_to_whom_with_the_evidence() -> None:
    talks = set(report().talks)
    name = brownfield.NAME
    assert talks == {
        Talk(f"{name}/web", f"{name}/orders", 8080, "variable ORDERS_URL"),
        Talk(f"{name}/orders", f"{name}/cache", 6379, "variable CACHE_ADDR of ConfigMap orders"),
        Talk(f"{name}/orders", f"{name}/cache", 6379, f"NetworkPolicy {name}/cache"),
        Talk(f"{name}/orders", "api.payments.example.net", 443, "variable PAYMENTS_URL of ConfigMap orders"),
        Talk(f"{name}/report", f"{name}/orders", 8080, "an argument"),
    }


def test_a_word_that_is_called_like_a_service_is_no_call() -> None:
    """`MODE: web` in the ConfigMap says nothing: there is a Service `web`, and no host in it."""
    assert not [talk for talk in report().talks if talk.callee == f"{brownfield.NAME}/web"]


def test_what_the_mesh_logged_and_allows() -> None:
    pod = {
        "kind": "Pod",
        "metadata": {
            "name": "web-1",
            "namespace": brownfield.NAME,
            "labels": {"app": "web"},
            "ownerReferences": [OF_WEB],
        },
        "spec": {"containers": [{"name": "web"}], "initContainers": [{"name": "istio-proxy"}]},
        "status": {"phase": "Running"},
    }
    allow = {
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "cache", "namespace": brownfield.NAME},
        "spec": {
            "selector": {"matchLabels": {"app": "cache"}},
            "rules": [{"from": [{"source": {"principals": [f"cluster.local/ns/{brownfield.NAME}/sa/orders"]}}]}],
        },
    }
    there = cluster(pod, allow)
    logged = f"/api/v1/namespaces/{brownfield.NAME}/pods/web-1/log?container=istio-proxy&tailLines=2000"
    cluster_name = f"outbound|6379||cache.{brownfield.NAME}.svc.cluster.local"
    there.logs[logged] = f'{{"upstream_cluster": "{cluster_name}"}}\nnot json\n{{"upstream_cluster": null}}\n'
    talks = set(report(there).talks)
    assert Talk(f"{brownfield.NAME}/web", f"{brownfield.NAME}/cache", 6379, "logged by the mesh") in talks
    by_policy = f"AuthorizationPolicy {brownfield.NAME}/cache"
    assert Talk(f"{brownfield.NAME}/orders", f"{brownfield.NAME}/cache", 0, by_policy) in talks
    assert "logged by the mesh" not in {talk.evidence for talk in report(there, logs=False).talks}


def test_secrets_in_environments_without_their_values() -> None:
    adoption = report()
    found = {(each.name, secret.variable, secret.source) for each in adoption.workloads for secret in each.secrets}
    assert found == {
        ("web", "PAYMENTS_TOKEN", "written in the manifest"),
        ("web", "DB_PASSWORD", "secret web-db/password"),
        ("orders", "all of its keys", "secret orders"),
    }
    assert brownfield.TOKEN not in repr(adoption)


def test_accounts_with_too_much() -> None:
    (namespace,) = report().namespaces
    reasons = {account.name: " ".join(account.reasons) for account in namespace.accounts}
    assert "everything in every namespace, by ClusterRoleBinding legacy-agent" in reasons["agent"]
    assert "get secrets" in reasons["orders"]
    assert "create pods/exec in legacy, by RoleBinding orders" in reasons["orders"]
    assert "configmaps" not in reasons["orders"]


def test_the_account_of_whoever_names_none() -> None:
    account = {"kind": "ServiceAccount", "metadata": {"name": "default", "namespace": brownfield.NAME}}
    (namespace,) = report(cluster(account)).namespaces
    (default,) = [each for each in namespace.accounts if each.name == "default"]
    assert "all of these are one identity" in " ".join(default.reasons)
    assert set(default.workloads) == {f"{brownfield.NAME}/{name}" for name in ("cache", "report", "web")}


def test_drafts_load_and_agree_with_each_other(tmp_path: Path) -> None:
    orders = deepcopy(brownfield.ORDERS)
    orders["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.org/legacy/orders:v7"
    orders["metadata"]["name"] = "orders"
    there = cluster(without=("orders",))
    for kind, each in (("Deployment", orders), ("ConfigMap", brownfield.CONFIG), ("Service", brownfield.SERVICES[1])):
        there.at[path_of(kind)].append(deepcopy(each))
    adoption = report(there, write=None)
    directory = tmp_path / "services"
    directory.mkdir()
    for draft in adoption.drafts:
        (tmp_path / draft.file).write_text(draft.text)
    files = read_files(directory, Admission(registries=(), api_server_reachable=True))
    specs = {file.spec.name: file.spec for file in files}
    assert set(specs) == {"web", "orders", "cache"}
    assert [call.service for call in specs["web"].calls] == ["orders"]
    assert specs["orders"].callers == ("web",)
    assert specs["cache"].callers == ("orders",)
    assert [(each.host, each.port) for each in specs["orders"].egress] == [("api.payments.example.net", 443)]
    assert specs["web"].host == "shop.example.net"
    assert specs["web"].health == "/ready"
    assert specs["web"].secrets["web-db"].external == ("password",)
    assert specs["cache"].protocol == "tcp"


def test_what_a_draft_leaves_out_is_said_in_it() -> None:
    adoption = report()
    text = {draft.file: draft.text for draft in adoption.drafts}
    assert "calls: no such service (left out: orders)" in text["services/web.yaml"]
    assert "PAYMENTS_TOKEN of container web (written in the manifest)" in text["services/web.yaml"]
    assert brownfield.TOKEN not in "".join(text.values())
    unread = " ".join(adoption.unread)
    for why in ("DaemonSet legacy/agent", "CronJob legacy/report", "Deployment legacy/orders: image: no fixed version"):
        assert why in unread


def test_the_steps_begin_with_reports_and_end_with_what_denies() -> None:
    adoption = report()
    titles = [step.title for step in adoption.steps]
    assert titles == [
        "Begin with reports alone",
        "Namespace legacy",
        "Close the namespaces",
        "Move the important rules on",
        "Mutual TLS and authorization",
        "Deny",
    ]
    stops = {step.title: step.stops for step in adoption.steps}
    assert stops["Deny"] == (f"legacy/orders: {ROOT_RULE}", f"legacy/web: {ROOT_RULE}")
    assert stops["Move the important rules on"] == (f"legacy/orders: {PROBES}",)
    assert "legacy/web" in stops["Mutual TLS and authorization"]
    (namespace,) = [step for step in adoption.steps if step.title == "Namespace legacy"]
    assert "imports.namespaces: [legacy] in the stack file" in namespace.actions


def test_a_namespace_without_a_policy_would_be_closed() -> None:
    # Of one that has a file for each workload every edge is declared.
    stops = {step.title: step.stops for step in report(cluster(without=("cache",))).steps}
    assert stops["Close the namespaces"] == ("legacy",)


def test_the_keys_of_the_first_day_are_legal_and_only_report() -> None:
    from components.config.stack_file import parse_settings
    from tests.support.stacks import values

    written = yaml.safe_load(report().files["stack.yaml"])["config"]["zero-trust:posture"]
    assert set(written) == set(FIRST_DAY) == {"critical", "important", "generate", "mtls", "authorization"}
    posture = parse_settings({**values("production"), "posture": written}, "Pulumi.production.yaml").decisions()
    assert (posture.mtls, posture.authorization, posture.generate) == ("PERMISSIVE", "dry-run", False)
    assert posture.critical.value == posture.important.value == "audit"


def test_namespaces_of_the_platform_and_others_are_left_out() -> None:
    extra = [{"kind": "Namespace", "metadata": {"name": name}} for name in ("kube-system", "kyverno", "other")]
    assert [each.name for each in report(cluster(*extra)).namespaces] == ["legacy", "other"]
    assert [each.name for each in report(cluster(*extra), namespaces=("legacy",)).namespaces] == ["legacy"]


def test_a_kind_that_may_not_be_read_is_named() -> None:
    there = cluster()
    there.at[path_of("NetworkPolicy")] = 403
    adoption = report(there)
    assert any("networkpolicies is forbidden" in each for each in adoption.unread)


CILIUM = {"name": "cilium.io", "versions": [{"groupVersion": "cilium.io/v2"}]}
CILIUM_KIND = {"name": "ciliumnetworkpolicies", "kind": "CiliumNetworkPolicy"}


def test_policies_that_decide_beside_network_policies_are_named() -> None:
    there = cluster()
    there.at |= {"/apis": {"groups": [CILIUM]}, "/apis/cilium.io/v2": {"resources": [CILIUM_KIND]}}
    there.at["/apis/cilium.io/v2/ciliumnetworkpolicies"] = [{"metadata": {"namespace": "legacy", "name": "old"}}]
    assert report(there).other_policies == ("CiliumNetworkPolicy legacy/old",)
    assert "CiliumNetworkPolicy legacy/old" in invoke(there).stdout
    there.at["/apis/cilium.io/v2/ciliumnetworkpolicies"] = 403
    assert any("ciliumnetworkpolicies is forbidden" in each for each in report(there).unread)


def invoke(there: FakeCluster, *arguments: str) -> Any:
    connections = Connections(lambda _: there.cluster, judge)
    return CliRunner().invoke(app, ["adopt", "--stack", "production", *arguments], obj=connections)


def test_json_for_scripts() -> None:
    done = invoke(cluster(), "--format", "json")
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert document["version"] == 1
    assert {each["name"] for each in document["namespaces"][0]["workloads"]} >= {"web", "orders"}
    assert {"caller", "callee", "port", "evidence"} == set(document["talks"][0])
    assert brownfield.TOKEN not in done.stdout


def test_text_for_a_person() -> None:
    done = invoke(cluster())
    assert done.exit_code == 0
    assert "legacy/web -> legacy/orders:8080" in done.stdout
    assert f"critical: {ROOT_RULE}" in done.stdout
    assert "5 workloads in 1 namespaces, 2 that the critical rules would refuse" in done.stdout
    assert "\x1b[" not in done.stdout


def test_drafts_are_written_once(tmp_path: Path) -> None:
    first = invoke(cluster(), "--write", str(tmp_path))
    assert first.exit_code == 0
    assert {path.name for path in (tmp_path / "services").iterdir()} == {"web.yaml", "cache.yaml"}
    assert (tmp_path / "stack.yaml").exists()
    again = invoke(cluster(), "--write", str(tmp_path))
    assert again.exit_code == 2
    assert "not overwritten" in again.stderr


def test_a_namespace_that_is_not_there() -> None:
    done = invoke(cluster(), "--namespace", "legcay")
    assert done.exit_code == 2
    assert "legcay" in done.stderr


def test_a_cluster_that_shows_no_namespaces() -> None:
    there = cluster()
    there.at[path_of("Namespace")] = 403
    done = invoke(there)
    assert done.exit_code == 3
    assert "python -m zt.adopt.role" in done.stderr
