"""Packets that `zt attack` sends: what each answer means, beside what the live rules say, and what is left behind."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Finished

from tests.unit.zt.attack.packets import DENIED, LETTER, NO_NAME, NOWHERE, PAGE, SILENCE, Packets
from tests.unit.zt.attack.stack import NODE, PORTS, Stack, address
from zt.attack.command import Connections
from zt.attack.kubernetes_api import Answer
from zt.cli import app

IMAGE = "registry.example.org/platform/probe:v1"
BY_NAME = {name: f"{name}.shop.svc:{port}" for name, port in PORTS.items()}
Run = Callable[..., Finished]


@pytest.fixture
def packets(stack: Stack) -> Packets:
    """Pods that are in the mesh; those of `api` and `redis` have curl, and `api` reaches what it calls by name."""
    callers = [{"podSelector": {"matchLabels": {"app": name}}} for name in ("postgres", "redis")]
    egress = {"podSelector": {"matchLabels": {"app": "api"}}, "policyTypes": ["Egress"], "egress": [{"to": callers}]}
    stack.network.append({"metadata": {"name": "api-out", "namespace": "shop"}, "spec": egress})
    stack.network_of_packets = Packets({"api-1", "redis-1", "postgres-1"})
    for name in ("postgres", "redis"):
        stack.network_of_packets.says["api", BY_NAME[name]] = LETTER
    return stack.network_of_packets


@pytest.fixture
def run(stack: Stack, project: Path) -> Run:
    beats = itertools.count()
    connections = Connections(stack.cluster, stack.vault, lambda: next(beats) / 10)

    def run(name: str, *arguments: str) -> Finished:
        where = ["--stack", "production", "--vault-addr", "https://vault.example.org:8200", "--project", str(project)]
        command = ["attack", *where, "--only", name, "--format", "json", *arguments]
        return CliRunner().invoke(app, command, obj=connections, catch_exceptions=False)

    return run


def row(done: Finished) -> dict[str, Any]:
    return json.loads(done.stdout)["attacks"][0]["attempts"][0]


def fates(found: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(one["from"], one["to"], one["sent"]) for one in found["packets"]}


class TestBetweenServices:
    def test_every_undeclared_edge_is_sent_by_each_way_and_refused(self, run: Run, packets: Packets) -> None:
        done = run("packets", "--probe-image", IMAGE)
        found = row(done)
        assert (done.exit_code, found["result"]) == (0, "blocked"), found["answer"]
        sent = {(one["from"], one["to"], one["by"]) for one in found["packets"] if not one["declared"]}
        names = {"shop/api", "shop/postgres", "shop/redis"}
        undeclared = {
            (source, target)
            for source in {*names, "shop/intruder"}
            for target in names - {source}
            if (source, target) not in {("shop/api", "shop/postgres"), ("shop/api", "shop/redis")}
        }
        assert {(source, to.partition(":")[0]) for source, to, _ in sent} == undeclared
        assert {by for _, _, by in sent} == {"pod address", "name"}
        assert ("shop/api", "shop/postgres:5432", "open") in fates(found)
        # The pods' own programs send, and the intruder's packets leave from a probe pod.
        assert [probe["spec"]["serviceAccountName"] for probe in packets.probes] == ["workload"]
        assert packets.removed == 1

    def test_a_packet_that_arrives_though_the_rules_say_no_is_the_finding(self, run: Run, packets: Packets) -> None:
        packets.says["redis", BY_NAME["postgres"]] = LETTER
        done = run("packets", "--probe-image", IMAGE)
        found = row(done)
        assert (done.exit_code, found["result"]) == (1, "succeeded")
        assert "judged blocked" in found["answer"]
        assert "sent: open" in found["answer"]
        assert json.loads(done.stdout)["summary"]["differing"] == 1

    def test_so_is_one_that_is_refused_though_they_say_yes(self, run: Run, packets: Packets) -> None:
        del packets.says["api", BY_NAME["redis"]]
        done = run("packets", "--probe-image", IMAGE)
        found = row(done)
        assert (done.exit_code, found["result"]) == (1, "blocked")
        assert "shop/api to shop/redis:6379 by name: judged open" in found["answer"]

    def test_both_ways_open_is_a_success_without_a_difference(self, run: Run, packets: Packets, stack: Stack) -> None:
        stack.network.clear()
        stack.authorization.clear()
        packets.says["redis", BY_NAME["postgres"]] = LETTER
        found = row(run("packets", "--probe-image", IMAGE))
        assert found["result"] == "succeeded"
        [one] = [one for one in found["packets"] if one["from"] == "shop/redis" and one["sent"] == "open"]
        assert (one["judged"], one["differs"]) == ("open", False)

    @pytest.mark.parametrize(
        ("host", "mode", "judged"),
        [
            ("shop/postgres.shop.svc.cluster.local", "REGISTRY_ONLY", {"name": "open", "pod address": "blocked"}),
            ("./*", "REGISTRY_ONLY", {"name": "open", "pod address": "blocked"}),
            ("*/*.shop.svc.cluster.local", "REGISTRY_ONLY", {"name": "open", "pod address": "blocked"}),
            ("shop/redis.shop.svc.cluster.local", "REGISTRY_ONLY", {"name": "blocked", "pod address": "blocked"}),
            ("other/*", "REGISTRY_ONLY", {"name": "blocked", "pod address": "blocked"}),
            ("other/*", "ALLOW_ANY", {"name": "open", "pod address": "open"}),
        ],
    )
    def test_what_the_callers_own_proxy_knows_is_judged_too(
        self, run: Run, packets: Packets, stack: Stack, host: str, mode: str, judged: dict[str, str]
    ) -> None:
        stack.network.clear()
        stack.authorization.clear()
        selector, egress = {"labels": {"app": "redis"}}, [{"hosts": [host]}]
        spec = {"workloadSelector": selector, "egress": egress, "outboundTrafficPolicy": {"mode": mode}}
        stack.sidecars.append({"metadata": {"name": "redis", "namespace": "shop"}, "spec": spec})
        found = row(run("packets", "--probe-image", IMAGE))
        edge = ("shop/redis", "shop/postgres:5432")
        assert {one["by"]: one["judged"] for one in found["packets"] if (one["from"], one["to"]) == edge} == judged
        assert packets.removed == 1

    def test_the_nearest_sidecar_is_the_pods(self, run: Run, packets: Packets, stack: Stack) -> None:
        stack.network.clear()
        stack.authorization.clear()

        def sidecar(name: str, namespace: str, host: str, **labels: str) -> None:
            spec = {"egress": [{"hosts": [host]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}
            selector = {"workloadSelector": {"labels": labels}} if labels else {}
            stack.sidecars.append({"metadata": {"name": name, "namespace": namespace}, "spec": {**spec, **selector}})

        def judged() -> set[str]:
            edge, rows = ("shop/redis", "shop/postgres:5432"), row(run("packets", "--probe-image", IMAGE))["packets"]
            return {one["judged"] for one in rows if (one["from"], one["to"]) == edge and one["by"] == "name"}

        sidecar("a-mesh", "istio-system", "other/*")
        assert judged() == {"blocked"}
        sidecar("b-namespace", "shop", "./*")
        assert judged() == {"open"}
        sidecar("c-workload", "shop", "other/*", app="redis")
        assert judged() == {"blocked"}
        assert packets.removed == 3

    @pytest.mark.parametrize("answer", [DENIED, NOWHERE])
    def test_an_answer_of_the_proxy_is_none_of_the_service(self, run: Run, packets: Packets, answer: str) -> None:
        packets.says["redis", BY_NAME["api"]] = answer
        found = row(run("packets", "--probe-image", IMAGE))
        assert ("shop/redis", "shop/api:8080", "refused") in fates(found)

    def test_a_service_that_denies_by_itself_was_reached(self, run: Run, packets: Packets) -> None:
        packets.says["redis", BY_NAME["api"]] = "0 0.001 HTTP/1.1 403 Forbidden server: own no connected=0.001"
        assert row(run("packets", "--probe-image", IMAGE))["result"] == "succeeded"

    @pytest.mark.parametrize("answers", [True, False])
    def test_silence_is_a_refusal_only_of_who_answers_others(self, run: Run, packets: Packets, answers: bool) -> None:
        packets.says["redis", BY_NAME["postgres"]] = SILENCE
        if not answers:
            del packets.says["api", BY_NAME["postgres"]]
        found = row(run("packets", "--probe-image", IMAGE))
        assert ("shop/redis", "shop/postgres:5432", "silent") in fates(found)
        assert found["result"] == ("blocked" if answers else "not measured")

    def test_without_curl_and_without_a_probe_image_nothing_is_sent(self, run: Run, packets: Packets) -> None:
        packets.with_curl.clear()
        found = row(run("packets"))
        assert (found["result"], "packets" in found) == ("not measured", False)
        assert "--probe-image" in found["answer"]

    def test_a_probe_pod_is_as_the_service_and_takes_no_traffic(self, run: Run, packets: Packets, stack: Stack) -> None:
        packets.with_curl.clear()
        own = stack.pods[1]["metadata"]["labels"] = {"app": "postgres", "pod-template-hash": "1", "job-name": "x"}
        run("packets", "--probe-image", IMAGE)
        [probe] = [one for one in packets.probes if one["spec"]["serviceAccountName"] == "postgres"]
        assert probe["metadata"]["labels"].items() >= {"app": own["app"]}.items()
        assert not {"pod-template-hash", "job-name", "sidecar.istio.io/inject"} & probe["metadata"]["labels"].keys()
        assert (probe["spec"]["readinessGates"], probe["spec"]["activeDeadlineSeconds"] > 0) != ([], False)
        assert probe["spec"]["containers"][0]["image"] == IMAGE
        assert (packets.removed, packets.present) == (len(packets.probes), False)

    def test_a_probe_pod_that_a_rule_refuses_measures_nothing(self, run: Run, packets: Packets) -> None:
        said = "admission webhook denied the request: restrict-image-registries"
        packets.refuses["workload"] = Answer(403, said)
        found = row(run("packets", "--probe-image", "docker.io/curl"))
        assert (found["result"], said in found["answer"]) == ("not measured", True)

    def test_what_an_interrupt_leaves_is_removed(
        self, run: Run, packets: Packets, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        execute = packets.execute

        def interrupted(container: Any, command: Any, seconds: float) -> Any:
            if container.pod == "zt-attack":
                raise KeyboardInterrupt
            return execute(container, command, seconds)

        monkeypatch.setattr(packets, "execute", interrupted)
        # The runner of the tests turns an interrupt into an exit code.
        assert run("packets", "--probe-image", IMAGE).exit_code != 0
        assert (len(packets.probes), packets.present) == (1, False)


class TestWhatIsNotJudged:
    """What the rules that are evaluated here do not decide differs from nothing."""

    def test_where_a_policy_of_others_may_decide(self, run: Run, packets: Packets, stack: Stack) -> None:
        kinds = "/apis/cilium.io/v2"
        group = {"name": "cilium.io", "versions": [{"groupVersion": "cilium.io/v2"}]}
        resource = {"name": "ciliumclusterwidenetworkpolicies", "kind": "CiliumClusterwideNetworkPolicy"}
        item = {"metadata": {"name": "everybody"}}
        stack.served |= {
            "/apis": {"groups": [group]},
            kinds: {"resources": [resource]},
            f"{kinds}/{resource['name']}": {"items": [item]},
        }
        found = row(run("packets", "--probe-image", IMAGE))["packets"]
        # The mesh denies what nobody declared, whatever the network does.
        assert {one["judged"] for one in found if one["to"].startswith("shop/")} == {"", "blocked"}
        packets.says["api", "169.254.169.254:80"] = PAGE
        done = run("packets-outside")
        assert {one["judged"] for one in row(done)["packets"]} == {""}
        assert json.loads(done.stdout)["summary"]["differing"] == 0

    @pytest.mark.usefixtures("packets")
    def test_a_pods_own_node(self, run: Run, stack: Stack) -> None:
        """It is tried first, of however many nodes."""
        others = [f"192.0.2.{number}" for number in range(2, 9)]
        items = [
            {"metadata": {"name": each}, "status": {"addresses": [{"type": "InternalIP", "address": each}]}}
            for each in (*others, NODE)
        ]
        stack.served["/api/v1/nodes"] = {"items": items}
        found = row(run("packets-outside"))["packets"]
        judged = {one["to"].partition(":")[0]: one["judged"] for one in found}
        assert (judged[NODE], judged["192.0.2.2"]) == ("", "blocked")

    def test_a_running_pod_is_found_among_those_of_its_node(self, run: Run, packets: Packets, stack: Stack) -> None:
        for one in stack.pods[1:]:
            one["spec"] |= {"hostNetwork": True, "initContainers": []}
            one["status"]["podIP"] = NODE
        packets.says["redis", f"{NODE}:5432"] = LETTER
        found = row(run("packets", "--probe-image", IMAGE))
        sent = {(one["from"], one["to"]): one["sent"] for one in found["packets"] if one["by"] == "pod address"}
        assert sent["shop/redis", "shop/postgres:5432"] == "open"


class TestPastTheProxy:
    def test_plaintext_that_is_answered_is_found(self, run: Run, packets: Packets) -> None:
        assert row(run("packets-past-the-proxy", "--probe-image", IMAGE))["result"] == "blocked"
        labels = packets.probes[-1]["metadata"]["labels"]
        assert (labels["app"], labels["sidecar.istio.io/inject"]) == ("api", "false")
        packets.says["probe of api", BY_NAME["postgres"]] = LETTER
        done = run("packets-past-the-proxy", "--probe-image", IMAGE)
        assert (done.exit_code, row(done)["result"]) == (1, "succeeded")
        assert "PeerAuthentication istio-system/default says STRICT" in row(done)["answer"]

    def test_a_connection_that_is_cut_is_refused(self, run: Run, packets: Packets) -> None:
        packets.says["probe of api", BY_NAME["postgres"]] = SILENCE
        assert row(run("packets-past-the-proxy", "--probe-image", IMAGE))["result"] == "blocked"


class TestOutside:
    def test_what_answers_there_is_found(self, run: Run, packets: Packets) -> None:
        assert row(run("packets-outside", "--probe-image", IMAGE))["result"] == "blocked"
        packets.says["probe of api", "169.254.169.254:80"] = PAGE
        done = run("packets-outside", "--probe-image", IMAGE)
        assert (done.exit_code, row(done)["result"]) == (1, "succeeded")

    @pytest.mark.usefixtures("packets")
    def test_the_internet_is_tried_where_somebody_answers(self, run: Run) -> None:
        assert not {one for one in fates(row(run("packets-outside", "--probe-image", IMAGE))) if "198.51" in one[1]}
        found = row(run("packets-outside", "--probe-image", IMAGE, "--internet", "198.51.100.7"))
        assert ("shop/api without a proxy", "198.51.100.7:443", "refused") in fates(found)

    @pytest.mark.usefixtures("packets")
    def test_a_name_is_no_address(self, run: Run) -> None:
        done = run("packets-outside", "--internet", "example.com")
        assert (done.exit_code, "--internet" in done.stderr) == (2, True)


class TestANeighbour:
    REFUSAL = Answer(422, "ValidatingAdmissionPolicy 'vpol-disallow-host-namespaces' denied request: it is bad")

    def test_a_pod_that_the_rules_refuse_sends_nothing(self, run: Run, packets: Packets) -> None:
        packets.refuses["hostNetwork"] = self.REFUSAL
        found = row(run("packets-host-network", "--probe-image", IMAGE))
        assert (found["result"], "disallow-host-namespaces" in found["answer"]) == ("blocked", True)

    def test_an_image_that_they_refuse_says_nothing_of_the_network(self, run: Run, packets: Packets) -> None:
        packets.refuses |= {"hostNetwork": Answer(403, "image"), "api": Answer(403, "image")}
        assert row(run("packets-host-network", "--probe-image", "docker.io/curl"))["result"] == "not measured"

    def test_one_that_they_admit_is_past_every_network_policy(self, run: Run, packets: Packets) -> None:
        packets.says["probe of api", f"{address('postgres')}:5432"] = LETTER
        done = run("packets-host-network", "--probe-image", IMAGE)
        assert (done.exit_code, row(done)["result"]) == (1, "succeeded")
        assert "PeerAuthentication" in row(done)["answer"]


class TestWithoutAMesh:
    def test_the_pods_themselves_send(self, run: Run, packets: Packets, stack: Stack) -> None:
        for pod in stack.pods:
            pod["spec"]["initContainers"].clear()
        done = run("packets", "--probe-image", IMAGE)
        assert (done.exit_code, row(done)["result"]) == (0, "blocked"), row(done)
        assert len(packets.probes) == 1
        done = run("packets-outside")
        assert (done.exit_code, row(done)["result"], len(packets.probes)) == (0, "blocked", 1)


class TestNames:
    @pytest.mark.parametrize(("said", "result", "code"), [(NO_NAME, "blocked", 0), (PAGE, "succeeded", 1)])
    def test_a_name_of_the_world(self, run: Run, packets: Packets, said: str, result: str, code: int) -> None:
        packets.says["api", "example.com:80"] = said
        done = run("packets-names")
        # The rules of the network say nothing of names.
        assert (done.exit_code, row(done)["result"], row(done)["packets"][0]["judged"]) == (code, result, "")
