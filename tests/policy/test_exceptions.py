"""Whom an exception lets through: what runs as the service's account, and no namesake of it."""

from pathlib import Path
from typing import Any

import pytest

from components.kyverno.library import load_library
from components.service.args.exceptions import ExceptionArgs
from components.service.manifests.exceptions import exception_manifest, workload_expression
from tests.policy import cases
from tests.policy.kyverno_cli import verdicts

pytestmark = pytest.mark.policy

Manifest = dict[str, Any]
IMAGES, SERVICES = "restrict-image-registries", "restrict-service-types"
JOB = "legacy-migrate"
BAD = {"container": {"image": "docker.io/vendor/legacy:4.2"}}


def granted(rule: str) -> Manifest:
    args = ExceptionArgs(rule, "the vendor publishes nowhere else", "commerce", "2099-01-01")
    return exception_manifest(cases.NAMESPACE, "legacy", args, "kyverno", [JOB])


def workload(kind: str, name: str, account: str, **metadata: Any) -> Manifest:
    spec = cases.pod_spec(BAD)
    spec.pop("serviceAccountName", None)
    if account:
        spec["serviceAccountName"] = account
    return cases.merge(cases.wrap(kind, name, spec, {"app": "legacy"}), {"metadata": metadata})


def owned_by(kind: str, name: str) -> Manifest:
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "forged", "controller": True}
    return {"ownerReferences": [owner]}


def exposed(name: str, labels: Manifest) -> Manifest:
    spec = {"type": "NodePort", "selector": {"app": "legacy"}, "ports": [{"port": 80}]}
    metadata = {"name": name, "namespace": cases.NAMESPACE, "labels": labels}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


OWN = [
    *(workload(kind, f"own-{kind.lower()}", "legacy") for kind in cases.KINDS),
    *(workload(kind, f"job-{kind.lower()}", JOB) for kind in ("Pod", "Job", "CronJob")),
]
# As the namesake, with the owner, and with each account that is not its own.
OTHERS = [
    *(workload(kind, "legacy", "workload") for kind in cases.KINDS),
    *(workload(kind, "legacy-default", "default") for kind in cases.KINDS),
    *(workload(kind, "legacy-none", "") for kind in cases.KINDS),
    workload("Pod", "forged-replica", "workload", **owned_by("ReplicaSet", "legacy-")),
    workload("Pod", "legacy-0", "workload", **owned_by("StatefulSet", "legacy")),
    workload("Pod", "forged-job", "workload", **owned_by("Job", JOB)),
    workload("ReplicaSet", "forged-deployment", "workload", **owned_by("Deployment", "legacy")),
    workload("Job", "forged-run", "workload", **owned_by("CronJob", JOB)),
    workload("Pod", "elsewhere", "legacy", namespace="other"),
]


def judged(folder: Path, rule: str, objects: list[Manifest], *exceptions: Manifest) -> dict[tuple[str, str], str]:
    document = load_library().rule(rule).document
    return {key: results[rule] for key, results in verdicts(folder, [document], objects, exceptions=exceptions).items()}


def test_it_is_for_what_runs_as_the_service_and_for_nothing_else(tmp_path: Path) -> None:
    found = judged(tmp_path, IMAGES, [*OWN, *OTHERS], granted(IMAGES))
    keys = {
        name: {(made["kind"], made["metadata"]["name"]) for made in of}
        for name, of in {"own": OWN, "others": OTHERS}.items()
    }
    assert {key for key, result in found.items() if result == "skip"} == keys["own"]
    assert {key for key, result in found.items() if result == "fail"} == keys["others"]


def test_a_service_is_known_by_its_name_and_its_guarded_label(tmp_path: Path) -> None:
    own = exposed("legacy", {"app": "legacy"})
    others = [exposed("legacy-unlabelled", {"app": "legacy"}), exposed("other", {"app": "other"})]
    assert set(judged(tmp_path, SERVICES, [own], granted(SERVICES)).values()) == {"skip"}
    (tmp_path / "others").mkdir()
    assert set(judged(tmp_path / "others", SERVICES, others, granted(SERVICES)).values()) == {"fail"}
    (tmp_path / "bare").mkdir()
    assert set(judged(tmp_path / "bare", SERVICES, [exposed("legacy", {})], granted(SERVICES)).values()) == {"fail"}


def test_it_is_small_since_each_admission_evaluates_it() -> None:
    assert len(workload_expression(cases.NAMESPACE, "legacy", [JOB])) < 450
