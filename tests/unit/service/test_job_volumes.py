"""The volumes of jobs and of programs that end: those of their service, and their own."""

from pathlib import Path
from typing import Any

import pytest

from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import parse_service
from components.service.manifests.held import held_names
from components.service.manifests.job import job_spec, workload_of
from components.service.manifests.workload import workload_spec
from tests.support.stacks import settings
from tests.unit.service.test_containers import read
from tests.unit.service.test_directory import SMALL
from tests.unit.service.test_workload import run

pytestmark = pytest.mark.unit

MEDIA = "volumes: {media: {path: /media, size: 1Gi, accessMode: ReadWriteMany}}\n"
JOBS = """jobs:
  backup: {schedule: 0 3 * * *, volumes: {media: read}, ownVolumes: {dump: {path: /dump, size: 2Gi}}}
  tidy: {schedule: 0 4 * * *, volumes: {media: write}}
  bare: {}
"""


def pod_of(args: SecureServiceArgs, name: str) -> dict[str, Any]:
    job = next(job for job in args.jobs if job.name == name)
    return job_spec(workload_of(args, job))["template"]["spec"]


def claims_of(pod: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each["persistentVolumeClaim"] for each in pod["volumes"] if "persistentVolumeClaim" in each}


def mounts_of(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (own,) = pod["containers"]
    return {mount["mountPath"]: mount for mount in own["volumeMounts"]}


def test_a_job_has_those_that_it_names_as_it_says(tmp_path: Path) -> None:
    args = read(tmp_path, MEDIA + JOBS)
    backup, tidy, bare = (pod_of(args, name) for name in ("backup", "tidy", "bare"))
    assert claims_of(backup) == {
        "volume-media": {"claimName": "orders-media", "readOnly": True},
        "volume-dump": {"claimName": "orders-backup-dump"},
    }
    assert mounts_of(backup)["/media"] == {"name": "volume-media", "mountPath": "/media", "readOnly": True}
    assert mounts_of(backup)["/dump"] == {"name": "volume-dump", "mountPath": "/dump"}
    assert claims_of(tidy) == {"volume-media": {"claimName": "orders-media"}}
    assert claims_of(bare) == {}
    assert "/media" not in mounts_of(bare)
    assert claims_of(workload_spec(args)["template"]["spec"]) == {"volume-media": {"claimName": "orders-media"}}


def test_a_claim_of_its_own_is_made_once_and_outlives_the_program(tmp_path: Path) -> None:
    args = read(tmp_path, MEDIA + JOBS)
    made = run(args)
    claims = {each.inputs["metadata"]["name"]: each for each in made.of("PersistentVolumeClaim")}
    assert set(claims) == {"orders-media", "orders-backup-dump"}
    assert all(each.retain_on_delete for each in claims.values())
    assert claims["orders-backup-dump"].inputs["spec"]["accessModes"] == ["ReadWriteOnce"]
    cron = next(each for each in made.of("CronJob") if each.inputs["metadata"]["name"] == "orders-backup")
    assert {"shop.orders.media", "shop.orders.backup.dump"} <= made.behind(cron)


def test_each_claim_belongs_to_whoever_makes_it(tmp_path: Path) -> None:
    held = held_names([read(tmp_path, MEDIA + JOBS)])["shop"]
    assert held["persistentvolumeclaims/orders-media"] == ["orders"]
    assert held["persistentvolumeclaims/orders-backup-dump"] == ["orders-backup"]


def test_a_service_with_a_job_s_volume_alone_keeps_data(tmp_path: Path) -> None:
    assert read(
        tmp_path, JOBS.replace("volumes: {media: read}, ", "").replace("volumes: {media: write}", "")
    ).keeps_data
    assert not read(tmp_path, "jobs: {bare: {}}\n").keeps_data


def test_a_program_that_ends_has_one_volume_for_all_its_runs(tmp_path: Path) -> None:
    text = SMALL.replace("port: 8080\n", "").replace("r.example.org", "registry.example.org")
    (tmp_path / "services").mkdir()
    file = "run: {schedule: 0 3 * * *}\nvolumes: {state: {path: /state, size: 1Gi}}\n"
    (tmp_path / "services" / "report.yaml").write_text(text + file)
    (args,) = plan(read_stack(tmp_path, "Pulumi.production.yaml", settings("production"))).services
    assert claims_of(job_spec(args)["template"]["spec"]) == {"volume-state": {"claimName": "report-state"}}
    (claim,) = run(args).of("PersistentVolumeClaim")
    assert (claim.inputs["metadata"]["name"], args.stateful) == ("report-state", False)
    assert held_names([args])["shop"]["persistentvolumeclaims/report-state"] == ["report"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs: {a: {volumes: {x: read}}}", r"jobs\.a\.volumes\.x: no volume of this service: ownVolumes has those"),
        (
            "volumes: {d: {path: /d, size: 1Gi}}\njobs: {a: {volumes: {d: read}}}",
            r"jobs\.a\.volumes\.d: d is ReadWriteOnce, so each replica has one of its own.*accessMode: ReadWriteMany",
        ),
        (
            "volumes: {d: {path: /d, size: 1Gi, accessMode: ReadWriteOncePod}}\njobs: {a: {volumes: {d: write}}}",
            r"jobs\.a\.volumes\.d: d is ReadWriteOncePod",
        ),
        (f"{MEDIA}jobs: {{a: {{volumes: {{media: both}}}}}}", r"jobs\.a\.volumes\.media: .*legal: read, write"),
        (
            f"{MEDIA}jobs: {{a: {{volumes: {{media: read}}, ownVolumes: {{media: {{path: /x, size: 1Gi}}}}}}}}",
            r"jobs\.a\.ownVolumes\.media: volumes has one of that name",
        ),
        (
            f"{MEDIA}jobs: {{a: {{volumes: {{media: read}}, ownVolumes: {{x: {{path: /media, size: 1Gi}}}}}}}}",
            r"jobs\.a\.ownVolumes\.x\.path: the directory is that of jobs\.a\.volumes\.media",
        ),
        (
            "writable: [/x]\njobs: {a: {ownVolumes: {x: {path: /x, size: 1Gi}}}}",
            r"jobs\.a\.ownVolumes\.x\.path: the directory is that of writable\[0\]",
        ),
    ],
)
def test_what_could_not_work_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_service(f"{SMALL}{text}\n", "x.yaml")


def test_no_two_claims_have_one_name(tmp_path: Path) -> None:
    text = "jobs: {b: {ownVolumes: {c: {path: /c, size: 1Gi}}}}\n"
    with pytest.raises(ConfigError, match="its claim is called orders-b-c, as the volume b-c of orders is in shop"):
        read(tmp_path, f"volumes: {{b-c: {{path: /b, size: 1Gi, accessMode: ReadWriteMany}}}}\n{text}")
