"""A pod of the platform itself keeps to the rules that it is exempt from."""

import pytest

from components.kube.charts import VAULT_IMAGE
from components.kyverno.library import REGISTRY_RULE, load_library
from components.vault.snapshots import SnapshotArgs, cron_job_spec
from tests.policy.cases import NAMESPACE
from tests.policy.kyverno_cli import matches, verdicts

pytestmark = pytest.mark.policy

# In a service's namespace Vault's image may run as the agent alone, and this job is not in one.
RULES = [
    rule
    for rule in load_library().rules.values()
    if rule.tier in ("critical", "important") and rule.name != REGISTRY_RULE
]


def test_the_job_that_takes_snapshots(tmp_path_factory: pytest.TempPathFactory) -> None:
    spec = cron_job_spec(SnapshotArgs(VAULT_IMAGE, "15 */6 * * *", 28, "10Gi"), "kubernetes")
    job = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "job", "namespace": NAMESPACE},
        "spec": spec,
    }
    found = verdicts(tmp_path_factory.mktemp("job"), [rule.document for rule in RULES], [job])["CronJob", "job"]
    assert set(found) == {rule.name for rule in RULES if matches(rule.document, job)}
    assert set(found.values()) == {"pass"}
