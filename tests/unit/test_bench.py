"""The bench's workload must stay a legal checkout: a service file that the program refuses would measure nothing."""

import sys
from pathlib import Path

import pytest

from bench.measure import CommandFailedError, measure
from bench.workload import checkout, manifests
from components.service.file.directory import Admission, read_services

pytestmark = pytest.mark.unit


def test_the_copies_are_services_that_the_program_takes(tmp_path: Path) -> None:
    directory = checkout(tmp_path / "work", 3)
    services = read_services(directory / "services", Admission(registries=(), api_server_reachable=False))
    assert [spec.name for spec in services] == ["service-000", "service-001", "service-002"]
    assert (directory / "Pulumi.bench.yaml").exists()


def test_only_the_kubernetes_objects_of_a_stack_are_its_peers_workload() -> None:
    service = {"type": "kubernetes:core/v1:Service", "inputs": {"apiVersion": "v1", "kind": "Service"}}
    namespace = {"type": "kubernetes:core/v1:Namespace", "inputs": {"apiVersion": "v1", "kind": "Namespace"}}
    others = [{"type": "pulumi:pulumi:Stack"}, {"type": "random:index/randomPassword:RandomPassword", "inputs": {}}]
    found = manifests({"deployment": {"resources": [*others, service, namespace]}})
    assert [item["kind"] for item in found] == ["Namespace", "Service"]


def test_a_command_that_fails_shows_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match=r"exited with 3:\nout"):
        measure([sys.executable, "-c", "print('out'); raise SystemExit(3)"], {}, tmp_path)


def test_a_command_is_measured(tmp_path: Path) -> None:
    found = measure([sys.executable, "-c", "import time; time.sleep(0.5)"], {}, tmp_path)
    assert found.seconds >= 0.5
    assert found.peak_mib > 1
