"""Vault by its chart in pods of two nodes, with a database that is a service of the stack: all of it by `pulumi up`."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from embedded.node.names import HOSTS
from tests.e2e.plane import Plane, copy_program
from tests.node import vault_pods
from tests.node.cluster import Cluster
from tests.node.test_production import from_outside
from tests.node.vault_pods import SERVERS, STACK, VaultPods
from tests.support.vault_server import Authority
from tests.support.waiting import eventually

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultPods]:
    directory = tmp_path_factory.mktemp("vault")
    plane = Plane(tmp_path_factory.mktemp("plane") / "embedded", copy_program(tmp_path_factory.mktemp("checkout")))
    charts = vault_pods.charts(directory / "charts")
    plane.run("up", "--no-stack", "--second-node", "--charts", str(charts), timeout=3600)
    cluster, databases = Cluster(plane), Authority(directory)
    try:
        with vault_pods.way_to_vault(cluster) as port:
            service = vault_pods.key_service(plane)
            vault_pods.prepare(cluster, service, databases)
            vault_pods.write_stack(plane, service, port)
            made = VaultPods(cluster, port, directory)
            with ThreadPoolExecutor() as beside:
                brought = beside.submit(made.bring_certificate, databases)
                up = ("up", "--stack", STACK, "--yes", "--skip-preview")
                plane.run("pulumi", *up, timeout=3600)
                brought.result()
            yield made
    finally:
        plane.run("down", check=False)


def servers(vault: VaultPods) -> list[Any]:
    """The pods of Vault that run: each is on a node of its own, and there are two for three.

    So none of them may be lost here: the third one would take its node, and two of three voters would be gone.
    """
    found = vault.cluster.plane.core.list_namespaced_pod("vault", label_selector=SERVERS).items
    return [pod for pod in found if pod.spec.node_name]


def answers(vault: VaultPods) -> dict[str, Any]:
    """What `api` answers to the world outside, when it wrote and read; {} otherwise."""
    found = from_outside(vault.cluster)
    return found if found.keys() == {"database", "cache"} and "error" not in json.dumps(found) else {}


def test_its_servers_are_ready_by_their_own_probe_and_unsealed_themselves(vault: VaultPods) -> None:
    eventually(lambda: len(servers(vault)) == 2, "one on each node")
    found = servers(vault)
    assert {pod.spec.node_name for pod in found} == {host.name for host in HOSTS}
    for pod in found:
        eventually(lambda pod=pod: vault.cluster.ready(pod.metadata.name, "vault"), f"{pod.metadata.name} is Ready")
        assert {status.name for status in pod.status.container_statuses} == {"vault", "reloader"}
    status: Any = vault.client().sys.read_seal_status()
    assert (status["type"], status["sealed"], status["initialized"]) == ("transit", False, True)


def test_a_user_that_vault_made_writes_to_the_database(vault: VaultPods) -> None:
    found = eventually(lambda: answers(vault), "api answers with what it wrote", timeout=120)
    assert found["database"]["user"].startswith("v-shop.api-")
    assert found["database"]["rows"] >= 1


def test_nobody_has_the_administrators_password(vault: VaultPods) -> None:
    found = vault.cluster.plane.core.list_namespaced_pod("shop", label_selector="app=postgres").items
    script = """
    while IFS= read -r line || [ -n "$line" ]; do first=${line#*=}; done < /vault/secrets/vault
    PGPASSWORD=$first exec psql --host=127.0.0.1 --username=vault --dbname=postgres --command="SELECT 1"
    """
    inside = ("exec", "--namespace=shop", found[0].metadata.name, "--container=postgres", "--")
    assert "password authentication failed" in vault.cluster.kubectl(*inside, "/bin/sh", "-ec", script).stdout


def test_a_second_up_changes_nothing(vault: VaultPods) -> None:
    vault.cluster.plane.run("pulumi", "preview", "--stack", STACK, "--expect-no-changes", "--diff")


def test_a_renewed_certificate_is_served_without_a_restart(vault: VaultPods) -> None:
    before, pods = vault.served(), {pod.metadata.uid for pod in servers(vault)}
    vault.cluster.kubectl("delete", "secret", "--namespace=vault", "vault-server-tls")
    eventually(lambda: vault.served() != before, "the new certificate is served", timeout=300)
    assert {pod.metadata.uid for pod in servers(vault)} == pods
    restarts = [status.restart_count for pod in servers(vault) for status in pod.status.container_statuses]
    assert sum(restarts) == 0


class TestDrain:
    """The last of the module: it leaves a node that takes no pods."""

    def test_vault_keeps_its_quorum(self, vault: VaultPods) -> None:
        [pod] = [pod for pod in servers(vault) if pod.spec.node_name == HOSTS[1].name]
        said = drained(vault, SERVERS, "--timeout=20s")
        assert "violate the pod's disruption budget" in said.stdout
        assert pod.metadata.uid in {other.metadata.uid for other in servers(vault)}

    def test_a_service_goes_on_while_its_pods_move(self, vault: VaultPods) -> None:
        eventually(lambda: places(vault) == {host.name for host in HOSTS}, "api has a pod on each node")
        with ThreadPoolExecutor() as beside:
            draining = beside.submit(drained, vault, "app=api", "--timeout=110s")
            said = []
            while not draining.done():
                said.append(answers(vault))
        assert draining.result().returncode == 0, draining.result().stdout
        assert said
        assert all(said), f"{said.count({})} of {len(said)} requests failed"
        eventually(lambda: places(vault) == {HOSTS[0].name}, "both are on the other node")


def drained(vault: VaultPods, pods: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What `kubectl drain` of the second node says, for some of its pods."""
    words = ("--ignore-daemonsets", "--delete-emptydir-data", f"--pod-selector={pods}", *options)
    return vault.cluster.kubectl("drain", HOSTS[1].name, *words)


def places(vault: VaultPods) -> set[str]:
    """The nodes on which both pods of `api` are Ready."""
    found = vault.cluster.plane.core.list_namespaced_pod("shop", label_selector="app=api").items
    ready = [pod for pod in found if vault.cluster.ready(pod.metadata.name, "shop") and not _ending(pod)]
    return {pod.spec.node_name for pod in ready} if len(ready) == 2 else set()


def _ending(pod: Any) -> bool:
    return pod.metadata.deletion_timestamp is not None
