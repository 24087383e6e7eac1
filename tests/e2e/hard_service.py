"""A service that uses every key that its workload can have, and what holds for it on the production stack."""

from typing import Any

import hvac.exceptions
import pytest
from kubernetes import client

from tests.e2e.admission import Admission, Outcome
from tests.e2e.plane import Plane
from tests.support.waiting import eventually

_SHOP = "shop"
HARD = {
    "namespace": _SHOP,
    "team": "commerce",
    "costCenter": "retail",
    "image": "registry.example.org/shop/hard:v1",
    "port": 8080,
    "autoscaling": {"min": 2, "max": 4},
    "command": ["bin/hard"],
    "args": ["--serve"],
    "env": {"LOG_LEVEL": "info", "SMTP_PASSWORD_FILE": "/vault/secrets/smtp"},
    "config": {"path": "/etc/hard", "files": {"hard.yaml": "depth: 3\n"}},
    "caBundle": {"configMap": "org-ca"},
    "health": "/healthz",
    "probes": {"readiness": {"path": "/ready"}, "startup": {"command": ["bin/started"], "failureThreshold": 90}},
    "volumes": {
        "data": {"path": "/data", "size": "1Gi", "storageClass": "own"},
        "media": {"path": "/media", "size": "1Gi", "storageClass": "shared", "accessMode": "ReadWriteMany"},
    },
    "secrets": {"smtp": {"generate": ["password"]}, "session": {"generate": ["key"]}},
    "calls": ["redis"],
    "jobs": {
        "migrate": {"command": ["bin/migrate"], "calls": ["redis"], "secrets": ["session"], "timeout": "5m"},
        "night": {"schedule": "0 3 * * *", "secrets": ["smtp"]},
    },
}
_OBJECTS = {
    "StatefulSet": ("apps/v1", "hard"),
    "CronJob": ("batch/v1", "hard-night"),
    "Job": ("batch/v1", "hard-migrate"),
}


class HardService:
    """Tests of a plane on which the service was made, with the rules denying."""

    def test_it_runs_with_a_volume_for_each_replica(self, production: Plane) -> None:
        def bound() -> bool:
            claims = production.core.list_namespaced_persistent_volume_claim(_SHOP).items
            names = {"volume-data-hard-0", "volume-data-hard-1", "hard-media"}
            return {claim.metadata.name for claim in claims if claim.status.phase == "Bound"} == names

        # The first pod is the stack's, the second the autoscaler's.
        eventually(bound, "the autoscaler made a second pod with a volume of its own")

    def test_what_runs_once_has_run_and_the_other_waits_for_its_hour(self, production: Plane) -> None:
        batch: Any = client.BatchV1Api(production.api)
        assert batch.read_namespaced_job("hard-migrate", _SHOP).status.succeeded == 1
        assert batch.read_namespaced_cron_job("hard-night", _SHOP).spec.schedule == "0 3 * * *"

    @pytest.mark.parametrize("kind", _OBJECTS)
    def test_every_rule_admits_it(self, admission: Admission, kind: str) -> None:
        version, name = _OBJECTS[kind]
        head = {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
        body = admission.request("GET", head, _SHOP)
        spec = body["spec"]["jobTemplate"]["spec"] if kind == "CronJob" else body["spec"]
        verb = "PUT"
        if kind == "Job":
            # Its template is never changed: the next one is another job.
            verb, labels = "POST", {"team": "commerce", **spec["template"]["metadata"]["labels"]}
            written = {key: value for key, value in labels.items() if key not in _OF_THE_JOB}
            del spec["selector"]
            spec["template"]["metadata"]["labels"] = written
            body = {**head, "metadata": {"name": "hard-again", "labels": written}, "spec": spec}
        spec["template"]["metadata"].setdefault("annotations", {})["changed"] = "true"
        assert admission.dry_run(verb, body, _SHOP) == Outcome()
        spec["template"]["spec"]["hostNetwork"] = True
        assert admission.dry_run(verb, body, _SHOP).rules == {"disallow-host-namespaces"}

    def test_vault_gives_a_job_what_it_asks_for_and_nothing_else(self, production: Plane) -> None:
        night = production.vault_as_service(_SHOP, "hard-night", "shop.hard-night").secrets.kv.v2
        found = night.read_secret_version("shop/hard/smtp", raise_on_deleted_version=True)
        assert set(found["data"]["data"]) == {"password"}
        with pytest.raises(hvac.exceptions.Forbidden):
            night.read_secret_version("shop/hard/session", raise_on_deleted_version=True)
        with pytest.raises(hvac.exceptions.Forbidden):
            production.vault_as_service(_SHOP, "hard-migrate", "shop.hard-night")


_OF_THE_JOB = {"job-name", "controller-uid", "batch.kubernetes.io/job-name", "batch.kubernetes.io/controller-uid"}
