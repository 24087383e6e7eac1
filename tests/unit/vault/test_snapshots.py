"""The job that takes snapshots of Vault's storage: what it may do, what is kept, and where it is on."""

from typing import Any

import pulumi
import pytest
from pulumi_kubernetes import Provider

from components.config.overlay import Overlay
from components.kube.charts import OPENBAO_IMAGE, VAULT_IMAGE
from components.kube.cluster_dns import ClusterDns
from components.schema.problem import ConfigError
from components.vault.platform import VaultPlatform, VaultPlatformArgs
from components.vault.snapshots import SNAPSHOTS, SnapshotArgs, cron_job_spec, network_policy_spec, script
from tests.support.monitor import Recording, record
from tests.support.stacks import plan_of, values
from tests.support.vault_chart import sealed
from tests.unit.vault.test_policies import parse

ARGS = SnapshotArgs(VAULT_IMAGE, "15 */6 * * *", 28, "10Gi")


def run(**changes: Any) -> Recording:
    args = VaultPlatformArgs("https://10.0.0.9:8200", ("stdout",), sealed(3), snapshots=ARGS, **changes)
    return record(
        lambda: VaultPlatform("vault", args, pulumi.ResourceOptions(providers=[Provider("cluster")])) and None
    )


def vault(environment: str, **changes: Any) -> Any:
    made = plan_of(environment, vault={**values(environment)["vault"], **changes}).vault
    assert made is not None
    return made.snapshots


@pytest.mark.parametrize("environment", ["production", "staging", "dev"])
def test_they_are_taken_where_the_stack_installs_vault(environment: str) -> None:
    assert vault(environment) == ARGS
    openbao = vault(environment, distribution="openbao")
    assert (openbao.program, openbao.image) == ("bao", OPENBAO_IMAGE)


def test_a_stack_says_when_how_many_where_and_why_not() -> None:
    written = {"schedule": "0 * * * *", "keep": 3, "size": "1Gi", "storageClass": "other-zone"}
    image = "registry.example.org/mirror/vault:1.21.2"
    made = vault("production", snapshots={**written, "image": image}, tlsSecret="tls")
    assert made == SnapshotArgs(image, "0 * * * *", 3, "1Gi", storage_class="other-zone", tls_secret="tls")
    assert vault("production", snapshots={"offReason": "the volumes have backups"}) is None


@pytest.mark.parametrize(
    ("snapshots", "told"),
    [
        ({"schedule": "every day"}, r"vault\.snapshots\.schedule: not a schedule"),
        ({"keep": 0}, r"vault\.snapshots\.keep"),
        ({"image": "docker.io/hashicorp/vault"}, r"vault\.snapshots\.image: no fixed version"),
        ({"image": "docker.io/other/vault:1"}, r"vault\.snapshots\.image: not from registries or platformImages"),
        ({"image": "docker.io/hashicorp/vaults:1"}, r"vault\.snapshots\.image: not from registries or platformImages"),
    ],
)
def test_a_wrong_one_is_told_with_its_key(snapshots: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        vault("production", snapshots=snapshots)


def test_an_external_vault_has_none() -> None:
    overlay = Overlay.model_validate({"vault": {"address": "https://127.0.0.1:8200", "caCertFile": "/ca.pem"}})
    made = plan_of("production", overlay).vault
    assert made is not None
    assert made.snapshots is None
    with pytest.raises(ValueError, match="snapshots: an external Vault"):
        VaultPlatformArgs("https://v", (), snapshots=ARGS)


def test_the_job_may_take_a_snapshot_and_nothing_else() -> None:
    made = run()
    policy = made.one("vault:index/policy:Policy", SNAPSHOTS)
    assert parse(policy.inputs["policy"]) == {"sys/storage/raft/snapshot": {"read"}}
    role = made.one("AuthBackendRole", SNAPSHOTS)
    assert role.inputs == {
        "backend": "kubernetes",
        "roleName": SNAPSHOTS,
        "boundServiceAccountNames": [SNAPSHOTS],
        "boundServiceAccountNamespaces": ["vault"],
        "audience": "vault",
        "tokenPolicies": [SNAPSHOTS],
        "tokenNoDefaultPolicy": True,
        "tokenTtl": 300,
        "tokenMaxTtl": 300,
        "tokenNumUses": 1,
    }
    assert {"audit-1", "kubernetes"} <= made.behind(role)
    assert made.one("ServiceAccount", SNAPSHOTS).inputs["automountServiceAccountToken"] is False
    assert {role.name, "kubernetes"} <= made.behind(made.one("CronJob"))


@pytest.mark.parametrize("retain", [False, True])
def test_what_it_wrote_is_kept_while_the_stack_says_so(retain: bool) -> None:
    made = run(retain_data=retain)
    claim = made.one("PersistentVolumeClaim")
    assert (claim.protect, claim.retain_on_delete) == (retain, retain)
    assert claim.inputs["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}
    assert not made.one("CronJob").protect


def test_no_secret_is_in_an_argument_or_the_environment() -> None:
    (container,) = cron_job_spec(ARGS, "kubernetes")["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert {variable["name"] for variable in container["env"]} == {
        *("VAULT_ADDR", "VAULT_TLS_SERVER_NAME", "VAULT_CACERT", "HOME")
    }
    assert all(set(variable) == {"name", "value"} for variable in container["env"])
    assert "jwt=@/var/run/secrets/vault/token" in script(ARGS, "kubernetes")
    assert "$(" not in script(ARGS, "kubernetes").replace("$(date", "")


def test_the_servers_key_is_not_the_jobs() -> None:
    volumes = cron_job_spec(ARGS, "kubernetes")["jobTemplate"]["spec"]["template"]["spec"]["volumes"]
    (tls,) = (volume["secret"] for volume in volumes if "secret" in volume)
    assert [item["key"] for item in tls["items"]] == ["ca.crt"]


def test_the_network_lets_it_reach_vault_alone() -> None:
    spec = network_policy_spec(ClusterDns())
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in spec
    assert [port["port"] for rule in spec["egress"] for port in rule["ports"]] == [53, 53, 8200]
    labels = cron_job_spec(ARGS, "kubernetes")["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert spec["podSelector"] == {"matchLabels": labels}
