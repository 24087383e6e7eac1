"""A real node beside the simulated ones: pods run, packets are sent, and nothing of it stays on the machine."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from kubernetes import client

from components.service.args.scaling import AutoscalingArgs
from components.service.manifests.scaling import autoscaler_spec
from embedded.node.names import METADATA_ADDRESS, NODE, OUTSIDE_ADDRESS
from tests.e2e.plane import Plane
from tests.node.cluster import Cluster, busy, default_deny, edge, server, stateful
from tests.node.machine import Machine, processes_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.node

UNKNOWN = "registry.example.org/team/unheard-of:v1"


@dataclass(frozen=True)
class Begun:
    """The cluster, and the machine as it was before."""

    cluster: Cluster
    before: Machine


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    plane = Plane(tmp_path_factory.mktemp("plane") / "embedded")
    before = Machine.now()
    plane.run("up", "--no-stack", "--node", timeout=3600)
    try:
        yield Begun(Cluster(plane), before)
    finally:
        plane.run("down", check=False)


@pytest.fixture(scope="module")
def cluster(begun: Begun) -> Cluster:
    """With two servers on the node."""
    made = begun.cluster
    made.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}, server("one"), server("two"))
    eventually(lambda: made.ready("one") and made.ready("two"), "both pods are Ready by their probes")
    return made


class TestNode:
    def test_its_pods_run_and_the_others_are_simulated(self, cluster: Cluster):
        cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "elsewhere", "namespace": "kube-system"},
                "spec": {"containers": [{"name": "any", "image": "registry.example.org/any:v1"}]},
            }
        )
        eventually(lambda: cluster.ready("elsewhere", "kube-system"), "KWOK says Ready")
        said = {"one": True, "two": True, "elsewhere": False}
        eventually(lambda: _ready_pods(cluster).items() >= said.items(), "the status says where each pod runs")
        shown = cluster.plane.run("status", check=False).stdout
        assert f"on {NODE}" in next(line for line in shown.splitlines() if line.startswith("team/one "))
        assert "simulated" in next(line for line in shown.splitlines() if line.startswith("kube-system/elsewhere "))

    def test_kubectl_reaches_into_them(self, cluster: Cluster):
        assert cluster.ask("one", "http://127.0.0.1:8080/healthz") == "ok\n200\n"
        # Nothing was logged, and no error came instead.
        assert cluster.kubectl("logs", "--namespace=team", "one").returncode == 0

    def test_the_file_system_and_the_user_are_those_of_the_security_context(self, cluster: Cluster):
        init = psutil.Process(_first_process(cluster))
        [*servers] = (child for child in init.children(recursive=True) if child.name() == "api")
        assert {child.uids().real for child in servers} == {1000}
        for child in servers:
            mounts = (line.split(" ") for line in Path(f"/proc/{child.pid}/mountinfo").read_text().splitlines())
            [root] = (mount for mount in mounts if mount[4] == "/")
            assert root[5].split(",")[0] == "ro"

    def test_names_are_resolved_in_the_cluster_and_not_outside(self, cluster: Cluster):
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "two", "namespace": "team"},
            "spec": {"selector": {"app": "two"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }
        cluster.apply(service)
        eventually(lambda: cluster.ask("one", "http://two.team/healthz") == "ok\n200\n", "the Service answers")
        assert "Could not resolve host" in cluster.ask("one", "http://example.org/")

    def test_an_image_that_is_missing_is_named_with_what_to_do(self, cluster: Cluster):
        cluster.apply(server("unheard-of", UNKNOWN))
        message = f"no image {UNKNOWN}: add a row for it in embedded/node/images/table.py"
        eventually(lambda: message in cluster.status()["node"]["missing_images"], "it is named")
        assert "error: " + message in cluster.plane.run("status", check=False).stdout
        cluster.kubectl("delete", "pod", "--namespace=team", "unheard-of")


class TestStorage:
    def test_each_replica_of_a_stateful_set_keeps_its_own_volume(self, cluster: Cluster):
        cluster.apply(stateful("store"))
        eventually(lambda: cluster.ready("store-0") and cluster.ready("store-1"), "both replicas have their volume")
        written = {name: files(cluster, name) for name in ("store-0", "store-1")}
        assert all(len(found) == 1 for found in written.values())
        assert written["store-0"] != written["store-1"]
        former = cluster.pod("store-0").metadata.uid
        cluster.kubectl("delete", "pod", "--namespace=team", "store-0")
        eventually(
            lambda: cluster.ready("store-0") and cluster.pod("store-0").metadata.uid != former,
            "it comes again",
        )
        # The second start adds its own file to that of the first.
        assert files(cluster, "store-0") > written["store-0"]


def files(cluster: Cluster, pod: str) -> set[str]:
    """The files on the volume of a replica, as they lie in the plane's directory."""
    claim = cluster.plane.core.read_namespaced_persistent_volume_claim(f"data-{pod}", "team")
    return {file.name for file in (cluster.plane.state / "volumes" / claim.spec.volume_name).iterdir()}


class TestJobs:
    def test_a_job_ends_and_its_pod_is_complete(self, cluster: Cluster):
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "once", "namespace": "team"},
            "spec": {"template": {"spec": server("once")["spec"]}},
        }
        job["spec"]["template"]["spec"]["restartPolicy"] = "Never"
        [container] = job["spec"]["template"]["spec"]["containers"]
        del container["readinessProbe"]
        container["command"] = ["curl", "-q", "-s", "-S", "http://two.team/healthz"]
        cluster.apply(job)
        batch: Any = client.BatchV1Api(cluster.plane.api)
        eventually(lambda: batch.read_namespaced_job("once", "team").status.succeeded, "it ends")
        [pod] = cluster.plane.core.list_namespaced_pod("team", label_selector="job-name=once").items
        assert cluster.kubectl("logs", "--namespace=team", pod.metadata.name).stdout == "ok\n"


class TestScaling:
    def test_load_brings_the_replica_that_the_spec_of_a_service_asks_for(self, cluster: Cluster):
        spec = autoscaler_spec("Deployment", "busy", AutoscalingArgs(minimum=1, maximum=2, cpu=50))
        scaler = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "busy", "namespace": "team"},
            "spec": spec,
        }
        cluster.apply(busy("busy"), scaler)
        eventually(lambda: cluster.replicas("busy") == 2, "the autoscaler asks for a second replica")
        shown = cluster.kubectl("top", "pods", "--namespace=team", "--no-headers").stdout
        assert any(line.startswith("busy-") for line in shown.splitlines()), shown
        cluster.kubectl("delete", "deployment,horizontalpodautoscaler", "--namespace=team", "busy")


class TestNetwork:
    def test_policies_decide_which_packets_arrive(self, cluster: Cluster):
        there, back = f"http://{cluster.address('two')}:8080/healthz", f"http://{cluster.address('one')}:8080/healthz"
        assert cluster.ask("one", there).endswith("200\n")
        cluster.apply(default_deny())
        eventually(lambda: "connect to server" in cluster.ask("one", there), "default-deny refuses")
        cluster.apply(*edge("one", "two"))
        eventually(lambda: cluster.ask("one", there).endswith("200\n"), "the declared edge is open")
        assert "connect to server" in cluster.ask("two", back)
        # The kubelet's probes come from the node, and reach what policies refuse to everybody else.
        assert cluster.ready("one")
        cluster.kubectl("delete", "networkpolicy", "--namespace=team", "--all")
        eventually(lambda: cluster.ask("two", back).endswith("200\n"), "without policies everything is open")

    @pytest.mark.parametrize("address", [METADATA_ADDRESS, OUTSIDE_ADDRESS])
    def test_the_world_is_within_reach_of_whoever_is_not_kept_from_it(self, cluster: Cluster, address: str):
        with cluster.somebody_at(address, 80):
            assert cluster.ask("one", f"http://{address}/") == "here\n200\n"

    def test_no_way_leads_to_the_machines_own_networks(self, cluster: Cluster):
        with listening() as port:
            addresses = {
                address.address
                for device in psutil.net_if_addrs().values()
                for address in device
                if address.family == socket.AF_INET and not address.address.startswith("127.")
            }
            assert addresses
            for address in addresses:
                with socket.create_connection((address, port), timeout=5):
                    pass
                assert "000" in cluster.ask("one", f"http://{address}:{port}/")

    def test_the_api_server_asks_a_pod_for_its_token(self, cluster: Cluster):
        # The container has no certificate of its authority either.
        said = cluster.ask("one", "https://kubernetes.default.svc/version", "--insecure")
        assert said.endswith("401\n")


@contextmanager
def listening() -> Iterator[int]:
    """A port that answers on every address of the machine."""
    with socket.create_server(("", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    listener.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _ready_pods(cluster: Cluster) -> dict[str, bool]:
    """Whether each Ready pod runs, by its name."""
    return {pod["name"]: pod["runs"] for pod in cluster.status()["node"]["pods"] if pod["ready"]}


def _first_process(cluster: Cluster) -> int:
    [node] = [process for process in cluster.status()["processes"] if process["name"] == "node"]
    return node["pid"]


class TestNothingStays:
    """The last of the module: it ends the plane, by each way that there is."""

    def test_a_crash_of_the_node_begins_a_new_one_with_the_same_pods(self, cluster: Cluster):
        former = _first_process(cluster)
        os.kill(former, signal.SIGKILL)
        eventually(lambda: _first_process(cluster) not in {former, None}, "a new node begins")
        eventually(lambda: cluster.ask("one", "http://127.0.0.1:8080/healthz") == "ok\n200\n", "its pods run")

    def test_after_down_the_machine_is_as_before(self, cluster: Cluster, begun: Begun):
        cluster.plane.run("down")
        assert processes_of(cluster.plane.state) == []
        assert begun.before.differs(Machine.now()) == {}

    def test_after_a_kill_the_machine_is_as_before(self, cluster: Cluster, begun: Begun):
        cluster.plane.run("up", "--no-stack", "--node")
        eventually(lambda: cluster.ask("one", "http://127.0.0.1:8080/healthz") == "ok\n200\n", "its pods run")
        assert begun.before.differs(Machine.now()).keys() == {"groups"}
        os.kill(int((cluster.plane.state / "run" / "supervisor.pid").read_text()), signal.SIGKILL)
        eventually(lambda: processes_of(cluster.plane.state) == [], "every process ends", timeout=60)
        assert begun.before.differs(Machine.now()) == {}
