"""A rule's way from audit to enforce on real reports: refused while somebody violates it, then moved and applied."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from tests.e2e import pods
from tests.e2e.plane import PROJECT, Plane, copy_program
from tests.e2e.policy_reports import scanned
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

STACK = "production"
RULE = "disallow-latest-tag"
PLACE, TEAM = "billing", "payments"
FIXED, LATEST = "registry.example.org/billing/api:v1", "registry.example.org/billing/old:latest"


@pytest.fixture(scope="module")
def production(reported: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """The stack of a checkout of its own, whose stack file the command edits; one good and one bad Deployment."""
    own = Plane(reported.state, copy_program(tmp_path_factory.mktemp("checkout")))
    own.stand(STACK)
    own.core.create_namespace({"metadata": {"name": PLACE, "labels": {"team": TEAM}}})
    own.core.create_namespaced_service_account(PLACE, {"metadata": {"name": "api"}})
    deploy(own, "good", FIXED)
    deploy(own, "bad", LATEST)
    yield own
    own.core.delete_namespace(PLACE)


def deploy(plane: Plane, name: str, image: str) -> None:
    template = pods.pod(name)
    template["spec"]["containers"][0]["image"] = image
    labels = {"app": name, "sidecar.istio.io/inject": "false"}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels}, "spec": template["spec"]},
        },
    }
    plane.apps.create_namespaced_deployment(PLACE, body)


def zt(plane: Plane, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m zt promote` on the program's copy and the embedded control plane, as a person would."""
    return command(plane, "promote", RULE, *arguments)


def command(plane: Plane, *arguments: str) -> subprocess.CompletedProcess[str]:
    where = ("--stack", STACK, "--embedded", "--project", str(plane.checkout))
    return subprocess.run(
        [sys.executable, "-m", "zt", *arguments, *where],
        cwd=PROJECT,
        env={**os.environ, "ZERO_TRUST_EMBEDDED_DIR": str(plane.state), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def measured(plane: Plane) -> Any:
    done = zt(plane, "--dry-run", "--format", "json")
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def whole(found: Any) -> Any:
    """What was measured, once it is of the five workloads that there are at least."""
    return found if found["compliance"]["measured"] >= 5 else None


def actions(plane: Plane) -> list[str]:
    found = plane.objects.get_cluster_custom_object("policies.kyverno.io", "v1", "validatingpolicies", RULE)
    return found["spec"]["validationActions"]


def stack_file(plane: Plane) -> str:
    return (plane.checkout / f"Pulumi.{STACK}.yaml").read_text()


def wait_for_reports(plane: Plane) -> None:
    """Until Kyverno reports the bad Deployment and all that it made."""

    def failing() -> set[str]:
        found: Any = plane.objects.list_namespaced_custom_object("wgpolicyk8s.io", "v1alpha2", PLACE, "policyreports")
        return {
            report["scope"]["kind"]
            for report in found["items"]
            for result in report.get("results", [])
            if (result["policy"], result["result"]) == (RULE, "fail")
        }

    scanned(plane, lambda: failing() == {"Deployment", "ReplicaSet", "Pod"}, "reports on bad")


class TestThePhases:
    """In order: each test begins where the one before it ended."""

    def test_one_violator_is_listed_once_and_refuses_the_step(self, production: Plane, tmp_path: Path) -> None:
        wait_for_reports(production)
        # The scan reports the other workloads in its own time.
        found = eventually(lambda: whole(measured(production)), "reports on every workload")
        assert [(v["team"], v["kind"], v["name"]) for v in found["violations"]] == [(TEAM, "Deployment", "bad")]
        before = stack_file(production)
        refused = zt(production, "--notify", str(tmp_path))
        assert refused.returncode == 1, refused.stderr
        assert f"Deployment {PLACE}/bad" in refused.stdout
        assert LATEST in refused.stdout
        assert stack_file(production) == before
        message = (tmp_path / f"{TEAM}.md").read_text()
        assert f"Deployment {PLACE}/bad" in message
        assert "Add a tag other than latest" in message

    def test_the_report_says_the_same_and_knows_the_certificates(self, production: Plane) -> None:
        done = command(production, "report", "--format", "json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        rules = {rule["name"]: rule for rule in found["rules"]}
        counted = measured(production)["compliance"]
        assert rules[RULE]["compliance"] == {key: counted[key] for key in rules[RULE]["compliance"]}
        assert [v["object"] for v in found["violations"] if v["rule"] == RULE] == [f"Deployment {PLACE}/bad"]
        # A rule that denies is the API server's, which writes no report.
        assert rules["disallow-privileged"]["notMeasured"] == "no PolicyReport has a result of it"
        [public] = [one for one in found["certificates"] if one["service"] == "shop/api"]
        assert (public["name"], public["hosts"]) == ("istio-ingress/api.example.org", ["api.example.org"])
        assert public["state"] in ("valid", "not ready")

    def test_without_the_violator_the_file_is_edited_and_nothing_applied(self, production: Plane) -> None:
        production.apps.delete_namespaced_deployment("bad", PLACE)
        eventually(lambda: not measured(production)["violations"], "no violation is left")
        before = stack_file(production)
        done = zt(production)
        assert done.returncode == 0, done.stdout + done.stderr
        assert stack_file(production) == before.replace(
            "zero-trust:phases: {}", f"zero-trust:phases:\n    {RULE}: warn"
        )
        assert actions(production) == ["Audit"]

    def test_up_applies_the_phase(self, production: Plane) -> None:
        production.run("up", "--stack", STACK)
        assert actions(production) == ["Warn", "Audit"]

    def test_a_violation_is_admitted_and_counted_in_the_warn_phase(self, production: Plane) -> None:
        deploy(production, "bad", LATEST)
        wait_for_reports(production)
        found = measured(production)
        assert (found["phase"], found["next"], found["decision"]) == ("warn", "enforce", "refused")
        assert [violation["name"] for violation in found["violations"]] == ["bad"]

    def test_enforced_it_refuses_the_violation(self, production: Plane) -> None:
        production.apps.delete_namespaced_deployment("bad", PLACE)
        eventually(lambda: not measured(production)["violations"], "no violation is left")
        assert zt(production).returncode == 0
        production.run("up", "--stack", STACK)
        assert actions(production) == ["Deny"]
        with pytest.raises(ApiException, match=RULE):
            deploy(production, "bad", LATEST)
        assert "nothing to do" in zt(production).stdout
