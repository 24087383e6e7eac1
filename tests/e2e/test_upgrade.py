"""A stack on the charts of the release lines before comes to the pinned ones by one `up`, and holds all the while.

The controllers are those of the pinned lines on both sides: here only charts and CRDs of the ones before are to be had.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from embedded.toolchain import stage_charts
from embedded.toolchain.table import PREVIOUS
from tests.e2e import pods
from tests.e2e.plane import Plane

pytestmark = pytest.mark.e2e

STACK = "production"
SHOP = "shop"
RULE = "disallow-privileged"
# Whose definitions differ between the two lines; cert-manager's are the same.
GROUPS = ("kyverno.io", "gateway.networking.k8s.io")


def definitions(plane: Plane) -> dict[str, dict[str, Any]]:
    """The custom resource definitions of the charts that are upgraded, by name, as the API server has them."""
    items = plane.objects.list_cluster_custom_object("apiextensions.k8s.io", "v1", "customresourcedefinitions")["items"]
    return {item["metadata"]["name"]: item for item in items if item["spec"]["group"].endswith(GROUPS)}


def custom_objects(plane: Plane) -> dict[tuple[str, str], str]:
    """The uid of each object of the kinds that the stack has objects of."""
    kinds = (
        ("policies.kyverno.io", "v1", "validatingpolicies"),
        ("cert-manager.io", "v1", "certificates"),
        ("cert-manager.io", "v1", "clusterissuers"),
        ("gateway.networking.k8s.io", "v1", "gateways"),
        ("gateway.networking.k8s.io", "v1", "httproutes"),
    )
    return {
        (kind, f"{item['metadata'].get('namespace')}/{item['metadata']['name']}"): item["metadata"]["uid"]
        for group, version, kind in kinds
        for item in plane.objects.list_cluster_custom_object(group, version, kind)["items"]
    }


def service_pods(plane: Plane) -> set[str]:
    return {pod.metadata.uid for pod in plane.core.list_namespaced_pod(SHOP).items}


def planned(plane: Plane) -> Counter[str]:
    """How many resources a preview would leave as they are, change, make, replace or delete."""
    shown = plane.run("pulumi", "preview", "--stack", STACK, "--json", "--non-interactive").stdout
    return Counter(json.loads(shown[shown.index("{") :])["changeSummary"])


@contextmanager
def attempts(plane: Plane) -> Iterator[list[str]]:
    """A privileged pod is sent again and again meanwhile; what admission said of each."""
    answers: list[str] = []
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(0.2):
            try:
                plane.core.create_namespaced_pod(SHOP, pods.BAD[RULE]("upgrade"), dry_run="All")
                answers.append("admitted")
            except ApiException as error:
                answers.append(json.loads(str(error.body))["message"])

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        yield answers
    finally:
        ended.set()
        sender.join()


@pytest.fixture(scope="module")
def before(plane: Plane) -> Plane:
    """The stack on the charts before."""
    plane.run("up", "--stack", STACK, "--charts", str(stage_charts(PREVIOUS)))
    assert planned(plane).keys() == {"same"}
    return plane


def test_one_up_brings_charts_and_definitions_to_the_pinned_lines(before: Plane) -> None:
    old, kept, running = definitions(before), custom_objects(before), service_pods(before)
    assert kept
    assert running
    before.run("up", "--no-stack")
    plan = planned(before)
    assert plan["update"]
    assert not plan.keys() & {"replace", "delete", "create-replacement", "delete-replaced"}, plan
    with attempts(before) as answers:
        before.run("up", "--stack", STACK)
    assert len(answers) > 10
    assert {answer for answer in answers if RULE not in answer} == set()

    new = definitions(before)
    changed = {name for name in new.keys() & old.keys() if new[name]["spec"] != old[name]["spec"]}
    assert {group for group in GROUPS if any(name.endswith(group) for name in changed)} == set(GROUPS)
    uids = {name: item["metadata"]["uid"] for name, item in new.items()}
    assert {name: item["metadata"]["uid"] for name, item in old.items()}.items() <= uids.items()
    assert custom_objects(before) == kept
    assert service_pods(before) == running
    assert planned(before).keys() == {"same"}
